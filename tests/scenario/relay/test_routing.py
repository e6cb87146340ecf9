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


def large(sim, n=40):
    return config(sim, [f"sk-{i}" for i in range(n)], health_check_interval=3600)


def test_a_large_group_loses_its_sick_majority(hale, sim):
    """Choosing without a look at every member must not end at a sick one, however few are well."""
    for i in range(40):
        if i not in (7, 23):
            sim.fault(f"sk-{i}", status=500)
    gate = hale(large(sim))
    wait_until(lambda: len(unhealthy(gate)) == 38)
    sim.reset()
    assert set(served(gate)) == {"7", "23"}
    assert sorted(sim.stats()["keys"]) == ["sk-23", "sk-7"]


def test_a_large_group_tries_another_member(hale, sim):
    setup = large(sim)
    setup["general_settings"]["background_health_checks"] = False
    setup["litellm_settings"]["num_retries"] = 1
    sim.fault("*", status=500, times=1)
    gate = hale(setup)
    answer = gate.chat("g")
    assert (answer.status_code, answer.headers["x-litellm-attempted-retries"]) == (200, "1")
    assert len(sim.stats()["keys"]) == 2


def test_a_large_group_without_the_mode(hale, sim):
    setup = large(sim)
    for entry in setup["model_list"]:
        entry["litellm_params"]["model"] = "perplexity/sonar"
    gate = hale(setup)
    answer = gate.post("/v1/embeddings", json={"model": "g", "input": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_mode")
    assert gate.chat("g").status_code == 200
