"""The background loop: who is probed when, what is logged, what survives."""

import pytest

from daemon import deployment
from waiting import wait_until

KEY = {"Authorization": "Bearer sk-admin"}


def config(models, **general):
    return {"model_list": models, "general_settings": {
        "master_key": "sk-admin", "background_health_checks": True, "health_check_interval": 1, **general}}


def health(daemon, query=""):
    return daemon.get("/health" + query, headers=KEY).json()


def test_probes_at_start_and_again(hale, sim):
    daemon = hale(config([deployment("g", sim, key="sk-a")]))
    wait_until(lambda: sim.count("sk-a") >= 3)
    before = sim.count("sk-a")
    for _ in range(20):
        assert health(daemon)["healthy_count"] == 1
    assert sim.count("sk-a") <= before + 2, "/health itself asks nobody"
    daemon.wait_log(r"INFO .*background_health_check_loop_started interval_seconds=1 ")


def test_large_interval_starts_at_once(hale, sim):
    daemon = hale(config([deployment("g", sim, key=f"sk-{i}") for i in range(30)], health_check_interval=3600))
    wait_until(lambda: health(daemon)["healthy_count"] == 30)
    assert all(sim.count(f"sk-{i}") == 1 for i in range(30))


def test_cycle_lines(hale, sim):
    sim.fault("sk-b", status=500)
    daemon = hale(config([deployment("g", sim, key="sk-a"), deployment("g", sim, key="sk-b")],
                         enable_health_check_routing=True), "--detailed_debug")
    daemon.wait_log(r"DEBUG .*health_check_routing_state_updated healthy=1 unhealthy=1")
    daemon.wait_log(r"DEBUG .*background_health_check_cycle_complete cycle_id=bg-2 model_count_enabled=2 healthy_count=1 "
                    r"unhealthy_count=1 duration_ms=\d+ interval_seconds=1")


def test_no_cycle_lines_without_debug(hale, sim):
    daemon = hale(config([deployment("g", sim, key="sk-a")], enable_health_check_routing=True))
    wait_until(lambda: sim.count("sk-a") >= 3)
    assert "cycle_complete" not in daemon.log and "routing_state_updated" not in daemon.log
    assert "exceeded_interval" not in daemon.log


def test_slow_cycle_warns(hale, sim):
    sim.fault("sk-a", delay_ms=1500)
    daemon = hale(config([deployment("g", sim, key="sk-a")]))
    daemon.wait_log(r"WARNING .*background_health_check_cycle_duration_exceeded_interval cycle_id=bg-\d+ "
                    r"duration_ms=1\d\d\d interval_seconds=1")


def test_disabled_deployment(hale, sim):
    daemon = hale(config([deployment("g", sim, key="sk-a"),
                          deployment("g", sim, key="sk-b", info={"disable_background_health_check": True})]))
    wait_until(lambda: sim.count("sk-a") >= 3)
    assert sim.count("sk-b") == 0
    body = health(daemon)
    assert (body["healthy_count"], body["unhealthy_count"]) == (1, 0)


def test_groups(hale, sim):
    daemon = hale(config([deployment("a", sim, key="sk-a"), deployment("b", sim, key="sk-b")],
                         background_health_check_model_groups=["a"]))
    wait_until(lambda: sim.count("sk-a") >= 3)
    assert sim.count("sk-b") == 0
    assert daemon.alive()


def test_groups_that_match_nothing(hale, sim):
    daemon = hale(config([deployment("a", sim, key="sk-a")], background_health_check_model_groups=["x", "y"]))
    daemon.wait_log(r"WARNING .*background_health_check_model_groups matched no deployments; groups=\['x', 'y'\]")
    assert sim.count("sk-a") == 0


def test_goes_down_and_recovers(hale, sim):
    daemon = hale(config([deployment("g", sim, key="sk-a")]))
    wait_until(lambda: health(daemon)["healthy_count"] == 1)
    sim.fault("sk-a", status=503)
    wait_until(lambda: health(daemon)["unhealthy_count"] == 1)
    sim.clear()
    wait_until(lambda: health(daemon)["healthy_count"] == 1)
    lines = [line for line in daemon.log.split("\n") if "deployment state" in line]
    assert len(lines) == 2 and "healthy -> unhealthy reason=server_error status=503" in lines[0], lines
    assert "unhealthy -> healthy reason=ok" in lines[1]


def test_rise_and_fall(hale, sim):
    """Three failures in a row take it out, two successes bring it back; in between it is looked at faster."""
    daemon = hale(config([deployment("g", sim, key="sk-a")], health_check_interval=3600, health_check_fall=3,
                         health_check_rise=2, health_check_fast_interval=1, health_check_down_interval=1))
    sim.fault("sk-a", status=500)
    wait_until(lambda: [e for e in health(daemon)["unhealthy_endpoints"] if e["state"] == "unhealthy"])
    assert sim.count("sk-a") >= 3
    sim.clear()
    wait_until(lambda: [e for e in health(daemon)["healthy_endpoints"] if e["state"] == "healthy"])


@pytest.mark.parametrize("fault", [{"status": 429}, {"hang": "before_head"}])
def test_ignored_transients(hale, sim, fault):
    """429 and timeouts are shown, but the state does not follow; an older verdict does not outlive them."""
    sim.fault("sk-a", status=500)
    daemon = hale(config([deployment("g", sim, key="sk-a", info={"health_check_timeout": 1})],
                         health_check_ignore_transient_errors=True))
    wait_until(lambda: [e for e in health(daemon)["unhealthy_endpoints"] if e["state"] == "unhealthy"])
    sim.fault("sk-a", **fault)
    wait_until(lambda: [e for e in health(daemon)["unhealthy_endpoints"] if e["state"] == "unknown"])
    wait_until(lambda: [e for e in health(daemon)["unhealthy_endpoints"] if e["exception_status"] in (429, 408)])


def test_reload_does_not_probe_again(hale, sim):
    models = [deployment("g", sim, key=f"sk-{i}") for i in range(20)]
    daemon = hale(config(models, health_check_interval=3600))
    wait_until(lambda: health(daemon)["healthy_count"] == 20)
    for _ in range(3):
        daemon.reload()
    more = config(models + [deployment("new", sim, key="sk-new")], health_check_interval=3600)
    daemon.reload(more)
    wait_until(lambda: health(daemon)["healthy_count"] == 21)
    assert sim.count("sk-new") == 1
    assert [sim.count(f"sk-{i}") for i in range(20)] == [1] * 20


def test_removed_deployment_is_not_probed(hale, sim):
    a, b = deployment("a", sim, key="sk-a"), deployment("b", sim, key="sk-b")
    daemon = hale(config([a, b]))
    wait_until(lambda: sim.count("sk-b") >= 2)
    daemon.reload(config([a]))
    wait_until(lambda: len(daemon.pids("prober")) == 1)
    gone, seen = sim.count("sk-b"), sim.count("sk-a")
    wait_until(lambda: sim.count("sk-a") >= seen + 3)
    assert sim.count("sk-b") <= gone + 1


def test_prober_killed(hale, sim):
    """Its successor goes on with what it finds: nothing is probed before it is due, verdicts stay."""
    sim.fault("sk-1", status=500)
    daemon = hale(config([deployment("g", sim, key=f"sk-{i}") for i in range(10)], health_check_interval=3600))
    wait_until(lambda: health(daemon)["healthy_count"] == 9 and health(daemon)["unhealthy_count"] == 1)
    for _ in range(2):
        old = daemon.kill("prober")
        wait_until(lambda: [p for p in daemon.pids("prober") if p != old])
    body = health(daemon)
    assert (body["healthy_count"], body["unhealthy_count"]) == (9, 1)
    assert [sim.count(f"sk-{i}") for i in range(10)] == [1] * 10


def test_prober_killed_under_probing(hale, sim):
    """SIGKILL again and again while probes run: no verdict is torn, and the loop goes on."""
    sim.fault("*", delay_ms=20)
    keys = [f"sk-{i}" for i in range(40)]
    daemon = hale(config([deployment("g", sim, key=k) for k in keys]))
    wait_until(lambda: health(daemon)["healthy_count"] == 40)
    for _ in range(4):
        old = daemon.kill("prober")
        wait_until(lambda: [p for p in daemon.pids("prober") if p != old], timeout=30)
        seen = sim.count("sk-0")
        wait_until(lambda: sim.count("sk-0") > seen)
    wait_until(lambda: health(daemon)["healthy_count"] == 40)
    assert daemon.chat("g", headers=KEY).status_code == 200


def test_hanging_upstreams_do_not_delay_others(hale, make_sim):
    slow, fast = make_sim(), make_sim()
    slow.fault("*", hang="before_head")
    models = [deployment("s", slow, key=f"sk-s{i}", info={"health_check_timeout": 30}) for i in range(30)]
    models += [deployment("f", fast, key="sk-f")]
    daemon = hale(config(models))
    wait_until(lambda: fast.count("sk-f") >= 4)
    assert health(daemon, "?model=f")["healthy_count"] == 1
