"""Health-driven routing: a verdict steers traffic, and never causes an outage."""

import os
import signal
from collections import Counter

from daemon import deployment
from waiting import wait_until


def config(sim, keys=("sk-a", "sk-b"), **general):
    return {"model_list": [deployment("g", sim, key=k, info={"id": k[3:]}) for k in keys],
            "litellm_settings": {"num_retries": 0},
            "general_settings": {"background_health_checks": True, "health_check_interval": 1,
                                 "enable_health_check_routing": True, **general}}


def served(gate, n=40, model="g"):
    return Counter(gate.chat(model).headers["x-litellm-model-id"] for _ in range(n))


def unhealthy(gate):
    return {e["model_id"] for e in gate.get("/health").json()["unhealthy_endpoints"]}


def test_sick_deployment_gets_no_traffic_and_returns(hale, sim):
    sim.fault("sk-a", status=500)
    gate = hale(config(sim), "--detailed_debug")
    gate.wait_log("health_check_routing_state_updated healthy=1 unhealthy=1")
    wait_until(lambda: unhealthy(gate) == {"a"})
    assert served(gate) == {"b": 40}
    sim.clear()
    wait_until(lambda: not unhealthy(gate))
    assert set(served(gate)) == {"a", "b"}


def test_without_the_flag_traffic_goes_on(hale, sim):
    sim.fault("sk-a", status=500, match_max_tokens=1)
    gate = hale(config(sim, enable_health_check_routing=False))
    wait_until(lambda: unhealthy(gate) == {"a"})
    assert set(served(gate)) == {"a", "b"}


def test_safety_net(hale, sim):
    sim.fault("*", status=500)
    gate = hale(config(sim))
    wait_until(lambda: unhealthy(gate) == {"a", "b"})
    answer = gate.chat("g")
    assert answer.status_code == 500 and "x-litellm-model-id" in answer.headers
    gate.wait_log("All deployments marked unhealthy by health checks, bypassing health filter")


def test_one_sick_group_does_not_open_anothers_filter(hale, sim):
    sim.fault("sk-a", status=500)
    sim.fault("sk-x", status=500)
    setup = config(sim)
    setup["model_list"].append(deployment("h", sim, key="sk-x", info={"id": "x"}))
    gate = hale(setup)
    wait_until(lambda: unhealthy(gate) == {"a", "x"})
    assert served(gate, 20) == {"b": 20}
    assert gate.chat("h").status_code == 500


def test_by_id_goes_to_the_sick_one(hale, sim):
    sim.fault("sk-a", status=500)
    gate = hale(config(sim))
    wait_until(lambda: unhealthy(gate) == {"a"})
    answer = gate.chat("a")
    assert answer.status_code == 500 and answer.headers["x-litellm-model-id"] == "a"


def test_stale_verdict_stops_counting(hale, sim):
    """The prober stands still: after the threshold its last verdict is ignored."""
    sim.fault("sk-a", status=500)
    gate = hale(config(sim, health_check_staleness_threshold=2))
    wait_until(lambda: unhealthy(gate) == {"a"})
    assert served(gate, 10) == {"b": 10}
    prober = gate.pids("prober")[0]
    os.kill(prober, signal.SIGSTOP)
    try:
        wait_until(lambda: "a" in served(gate, 10), what="a to be eligible again")
    finally:
        os.kill(prober, signal.SIGCONT)


def test_weights(hale, sim):
    setup = config(sim)
    setup["model_list"][0]["litellm_params"]["weight"] = 1
    setup["model_list"][1]["litellm_params"]["weight"] = 9
    count = served(hale(setup), 200)
    assert count["b"] > 140 > 60 > count["a"]
