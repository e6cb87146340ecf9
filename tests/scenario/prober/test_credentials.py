"""A key that is dead or out of funds, and "healthy": impossible. One test per promise, its words in the docstring."""

import pytest

from daemon import deployment
from traffic import Traffic
from waiting import wait_until

KEY = {"Authorization": "Bearer sk-admin"}
QUOTA = '{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}'
CREDIT = '{"type":"error","error":{"message":"Your credit balance is too low"}}'


def config(models, **general):
    return {"model_list": models, "general_settings": {
        "master_key": "sk-admin", "background_health_checks": True, "health_check_interval": 3600,
        "enable_health_check_routing": True, "health_check_down_interval": 1, **general}}


def entries(daemon):
    """{group's model: entry}, with "healthy" in each."""
    body = daemon.get("/health", headers=KEY).json()
    return {e["model"].rpartition("/")[2]: {**e, "healthy": name == "healthy_endpoints"}
            for name in ("healthy_endpoints", "unhealthy_endpoints") for e in body[name]}


def states(daemon):
    return {model: e["healthy"] for model, e in entries(daemon).items()}


def two_then_a_third(hale, sim, fault, **general):
    """Two healthy deployments of one key and one of another, known for long; then a third of the first key appears, and
    its probe fails."""
    known = [deployment("b", sim, key="sk-a", model="m2"), deployment("c", sim, key="sk-a", model="m3"),
             deployment("d", sim, key="sk-b", model="m4")]
    daemon = hale(config(known, **general))
    wait_until(lambda: states(daemon) == {"m2": True, "m3": True, "m4": True})
    sim.fault("sk-a", match_model="m1", **fault)
    daemon.reload(config([deployment("a", sim, key="sk-a", model="m1"), *known], **general))
    wait_until(lambda: states(daemon).get("m1") is False)
    return daemon


@pytest.mark.parametrize("reason,fault", [
    ("unauthorized", {"status": 401}),
    ("out_of_funds", {"status": 402}),
    ("out_of_funds", {"status": 429, "body": QUOTA}),
    ("out_of_funds", {"status": 400, "body": CREDIT}),
])
def test_deployments_that_share_a_key_share_its_state(hale, sim, reason, fault):
    """Two deployments sharing one key share its state; 401, 402, "insufficient_quota", "credit balance" move the key,
    and one success brings it back: never for ever."""
    daemon = two_then_a_third(hale, sim, fault)
    wait_until(lambda: states(daemon) == {"m1": False, "m2": False, "m3": False, "m4": True})
    seen = entries(daemon)
    for model in ("m2", "m3"):
        entry = seen[model]
        assert entry["state"] == "unhealthy" and entry["reason"] == reason and entry["source"] == "credential"
        assert entry["error"].startswith("shared from a: "), entry
        assert entry["exception_status"] == fault["status"]
    assert seen["m1"]["source"] == "probe"
    models = [r["body"]["model"] for r in sim.requests(key="sk-a")]
    assert models.count("m2") == 1 and models.count("m3") == 1, "they were not probed for it"
    sim.clear()
    wait_until(lambda: states(daemon) == {"m1": True, "m2": True, "m3": True, "m4": True})
    wait_until(lambda: all(e["source"] == "probe" for e in entries(daemon).values()))


def test_state_of_a_key_survives_the_prober(hale, sim):
    """What was shared is told apart and taken back by the prober's successor as well."""
    daemon = two_then_a_third(hale, sim, {"status": 401})
    wait_until(lambda: states(daemon)["m2"] is False)
    old = daemon.kill("prober")
    wait_until(lambda: [p for p in daemon.pids("prober") if p != old])
    assert entries(daemon)["m2"]["source"] == "credential"
    sim.clear()
    wait_until(lambda: all(states(daemon).values()))


@pytest.mark.parametrize("fault", [{"status": 403}, {"status": 429, "retry_after": "1"}, {"status": 404},
                                   {"status": 500}])
def test_what_is_about_one_model_is_not_about_the_key(hale, sim, fault):
    """Credential state is its own object: a key that may not use one model (403), a model's rate limit, a missing model
    and a broken one say nothing about the key's other models."""
    daemon = two_then_a_third(hale, sim, fault)
    seen = sim.count("sk-a")
    wait_until(lambda: sim.count("sk-a") >= seen + 2)  # its further probes say the same
    assert states(daemon) == {"m1": False, "m2": True, "m3": True, "m4": True}
    assert daemon.chat("b", headers=KEY).status_code == 200


def test_account_wide_limit_is_shared_as_a_deadline(hale, sim):
    """rate_limited(until): a limit is one model's, unless the provider says that it is the account's; then all wait for
    its end, and none is called unhealthy."""
    models = [deployment("g", sim, key="sk-a", model="m2"), deployment("g", sim, key="sk-b", model="m3")]
    daemon = hale(config(models))
    wait_until(lambda: states(daemon) == {"m2": True, "m3": True})
    sim.fault("sk-a", match_model="m1", status=429, retry_after="600",
              body='{"error":{"message":"Account rate limit reached, for all models"}}')
    daemon.reload(config([deployment("a", sim, key="sk-a", model="m1"), *models]))
    wait_until(lambda: states(daemon).get("m1") is False)
    assert states(daemon) == {"m1": False, "m2": True, "m3": True}
    before = sim.count("sk-b")
    for _ in range(12):
        assert daemon.chat("g", headers=KEY).status_code == 200
    assert sim.count("sk-b") == before + 12, "the key that is limited rests"


def test_a_key_that_works_elsewhere_is_not_dead(hale, sim):
    """A refusal is not about the key when another deployment has just succeeded with it."""
    sim.fault("sk-a", match_model="m1", status=401, delay_ms=700)
    daemon = hale(config([deployment("a", sim, key="sk-a", model="m1"), deployment("b", sim, key="sk-a", model="m2")]))
    wait_until(lambda: states(daemon) == {"m1": False, "m2": True})
    seen = sim.count("sk-a")
    wait_until(lambda: sim.count("sk-a") > seen)
    assert "shared from" not in daemon.log or entries(daemon)["m2"]["healthy"]


def test_a_wave_of_refusals_is_the_providers_trouble(hale, sim):
    """If most keys of one provider turn 401 within a minute, it is treated as provider trouble, not key death: each
    deployment keeps its own verdict, and all recover by themselves."""
    known = [deployment(f"b{i}", sim, key=f"sk-{i}", model=f"known{i}") for i in range(4)]
    fresh = [deployment(f"a{i}", sim, key=f"sk-{i}", model=f"fresh{i}") for i in range(4)]
    daemon = hale(config(known))
    wait_until(lambda: list(states(daemon).values()) == [True] * 4)
    for i in range(4):
        sim.fault(f"sk-{i}", match_model=f"fresh{i}", status=401)
    daemon.reload(config([*fresh, *known]))
    daemon.wait_log("WARNING .*most keys of a provider are refused at once")
    wait_until(lambda: states(daemon) == {f"{kind}{i}": kind == "known" for kind in ("fresh", "known") for i in range(4)})
    sim.clear()
    wait_until(lambda: all(states(daemon).values()))


def test_refused_probe_while_the_key_serves(hale, sim):
    """A 401 of the probe does not count when real requests that began after it succeed."""
    daemon = hale(config([deployment("a", sim, key="sk-a", model="m1")], health_check_interval=1))
    wait_until(lambda: states(daemon) == {"m1": True})
    with Traffic(daemon, "a") as traffic:
        wait_until(lambda: traffic.ok > 3)
        sim.fault("sk-a", status=401, match_max_tokens=1, delay_ms=400)
        wait_until(lambda: entries(daemon)["m1"]["reason"] == "bad_probe")
        entry = entries(daemon)["m1"]
        assert entry["healthy"] and entry["state"] == "healthy", entry
        assert entry["probe_error"].startswith("vetoed by real traffic: "), entry
    wait_until(lambda: states(daemon) == {"m1": False})  # nobody contradicts any more
    assert "healthy -> unhealthy reason=unauthorized" in daemon.log


def test_dead_key_of_before_is_disproved_by_a_real_success(hale, sim):
    """Whoever was called unhealthy for its key, and serves a request then, is healthy."""
    sim.fault("sk-a", status=401, match_max_tokens=1)
    daemon = hale(config([deployment("a", sim, key="sk-a", model="m1")], health_check_down_interval=3600))
    wait_until(lambda: states(daemon) == {"m1": False})
    assert daemon.chat("a", headers=KEY).status_code == 200  # the only one of its group is used all the same
    wait_until(lambda: states(daemon) == {"m1": True})
    assert entries(daemon)["m1"]["probe_error"].startswith("vetoed by real traffic")


def test_host_state_is_not_credential_state(hale, sim, make_sim):
    """Host state is told apart from the key's: others of the host are looked at at once, and keep their own verdict."""
    gone = make_sim()
    hosts = [deployment("g", gone, key=f"sk-{i}", model=f"m{i}") for i in range(4)]
    other = deployment("g", sim, key="sk-0", model="other")
    late = deployment("g", gone, key="sk-late", model="late")
    daemon = hale(config([*hosts, other]))
    wait_until(lambda: len(entries(daemon)) == 5 and all(states(daemon).values()))
    gone.stop()
    daemon.reload(config([*hosts, other, late]))  # one of the host is probed, fails, and makes the others look again
    wait_until(lambda: [m for m, ok in states(daemon).items() if ok] == ["other"])
    for model, entry in entries(daemon).items():
        assert model == "other" or (entry["reason"], entry["source"]) == ("connect_error", "probe")
