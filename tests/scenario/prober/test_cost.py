"""Probes cost money, overload backends, repeat: impossible. One test per promise, its words in the docstring."""

from daemon import deployment
from traffic import Traffic
from waiting import wait_until

KEY = {"Authorization": "Bearer sk-admin"}
USAGE = '{"choices":[{"message":{"content":"hi"}}],"usage":{"total_tokens":%d}}'


def config(models, **general):
    return {"model_list": models, "general_settings": {
        "master_key": "sk-admin", "background_health_checks": True, "health_check_interval": 1, **general}}


def health(daemon, query=""):
    return daemon.get("/health" + query, headers=KEY).json()


def entries(daemon, query=""):
    body = health(daemon, query)
    return body["healthy_endpoints"] + body["unhealthy_endpoints"]


def probes(sim):
    """Probes among the last requests: real ones name no limit."""
    return sum("max_tokens" in r["body"] for r in sim.requests(key="sk-a", n=10000))


def aliases(sim, n=3):
    return [deployment(f"g{i}", sim, key="sk-a", rpm=i + 1) for i in range(n)]


def test_identical_probes_run_once(hale, sim):
    """Identical (provider, base, key, model) are probed once and the verdict shared."""
    daemon = hale(config(aliases(sim), health_check_interval=3600, health_check_down_interval=1))
    wait_until(lambda: health(daemon)["healthy_count"] == 3)
    assert sim.count("sk-a") == 1
    found = entries(daemon)
    assert sorted(e["source"] for e in found) == ["identical", "identical", "probe"]
    assert sorted(e["probe_tokens"] > 0 for e in found) == [False, False, True], "one of them pays"
    assert len({e["next_check_at"] for e in found}) == 1


def test_identical_probes_fail_and_recover_together(hale, sim):
    """The shared verdict is a verdict for each of them."""
    sim.fault("sk-a", status=503)
    daemon = hale(config(aliases(sim)))
    wait_until(lambda: health(daemon)["unhealthy_count"] == 3)
    assert {e["reason"] for e in entries(daemon)} == {"server_error"}
    sim.clear()
    wait_until(lambda: health(daemon)["healthy_count"] == 3)


def test_identical_probes_of_an_on_demand_round_run_once(hale, sim):
    """The same for GET /health without a background loop, whoever is asked for."""
    daemon = hale(config(aliases(sim), background_health_checks=False))
    assert health(daemon)["healthy_count"] == 3
    assert sim.count("sk-a") == 1
    assert health(daemon, "?model=g2")["healthy_count"] == 1
    assert sim.count("sk-a") == 2


def test_an_alias_that_a_reload_adds_is_known_already(hale, sim):
    """What is known of an identical deployment is known of a new one."""
    daemon = hale(config(aliases(sim, 1), health_check_interval=3600))
    wait_until(lambda: health(daemon)["healthy_count"] == 1)
    daemon.reload(config(aliases(sim, 3), health_check_interval=3600))
    wait_until(lambda: health(daemon)["healthy_count"] == 3)
    assert sim.count("sk-a") == 1


def test_what_differs_is_probed_by_itself(hale, sim):
    """Identical means the same bytes: another key, model, prompt or organization is another probe."""
    models = [deployment("a", sim, key="sk-a"), deployment("b", sim, key="sk-b"),
              deployment("c", sim, key="sk-a", model="gpt-4o-mini"),
              deployment("d", sim, key="sk-a", info={"health_check_prompt": "other"}),
              deployment("e", sim, key="sk-a", organization=["org-1", "org-2"])]
    daemon = hale(config(models, health_check_interval=3600))
    wait_until(lambda: health(daemon)["healthy_count"] == 6)
    assert (sim.count("sk-a"), sim.count("sk-b")) == (5, 1)
    sent = [r["headers"].get("openai-organization") for r in sim.requests(key="sk-a")]
    assert {"org-1", "org-2"} <= set(sent)


def test_recent_real_success_makes_the_probe_unnecessary(hale, sim):
    """A recent real success makes the probe unnecessary."""
    daemon = hale(config([deployment("a", sim, key="sk-a", model="m1")], health_check_skip_if_traffic=3))
    wait_until(lambda: health(daemon)["healthy_count"] == 1)
    with Traffic(daemon, "a") as traffic:
        wait_until(lambda: entries(daemon)[0]["source"] == "traffic")
        first = probes(sim)
        wait_until(lambda: entries(daemon)[0].get("probes_skipped", 0) >= 3)
        entry = entries(daemon)[0]
        assert entry["state"] == "healthy" and entry["reason"] == "ok" and entry["next_check_at"] and traffic.ok
        assert probes(sim) <= first
    wait_until(lambda: entries(daemon)[0]["source"] == "probe")  # nobody else looks any more


def test_probes_go_on_beside_traffic_unless_told_otherwise(hale, sim):
    """Off by default: LiteLLM probes always."""
    daemon = hale(config([deployment("a", sim, key="sk-a", model="m1")]))
    with Traffic(daemon, "a"):
        wait_until(lambda: probes(sim) >= 3)
    assert "probes_skipped" not in entries(daemon)[0]


def test_on_demand_always_probes(hale, sim):
    """Who asks for a probe gets one, whatever traffic has shown."""
    daemon = hale(config([deployment("a", sim, key="sk-a")], background_health_checks=False,
                         health_check_skip_if_traffic=True))
    assert daemon.chat("a", headers=KEY).status_code == 200
    health(daemon)
    assert sim.count("sk-a") == 2


def test_daily_budget(hale, sim):
    """Budget per day in tokens; when it is spent: shown in /health, logged once, counted; it survives the prober and a
    reload."""
    sim.fault("*", body=USAGE % 10)
    models = [deployment("a", sim, key="sk-a"), deployment("b", sim, key="sk-b")]
    daemon = hale(config(models, health_check_daily_token_limit=60))
    wait_until(lambda: all(e.get("probe_limit_reached") and e.get("probes_withheld") for e in entries(daemon)))
    spent = sim.count("sk-a") + sim.count("sk-b")
    assert spent == 6
    assert sum(e["probe_tokens_today"] for e in entries(daemon)) == 60
    assert {e["probe_tokens"] for e in entries(daemon)} == {10}
    daemon.wait_log(r"WARNING .*health_check_daily_token_limit reached, .* limit=60 spent=60")
    old = daemon.kill("prober")
    wait_until(lambda: [p for p in daemon.pids("prober") if p != old])
    mark = daemon.mark()
    daemon.reload(config([*models, deployment("c", sim, key="sk-c")], health_check_daily_token_limit=60))
    daemon.wait_log("health_check_daily_token_limit reached", since=mark)
    assert sim.count("sk-a") + sim.count("sk-b") + sim.count("sk-c") == 6
    assert daemon.log.count("health_check_daily_token_limit reached") <= 3, "once per prober"


def test_daily_budget_of_one_deployment(hale, sim):
    """Budget per deployment and day: the others are probed as ever."""
    sim.fault("*", body=USAGE % 10)
    daemon = hale(config([deployment("a", sim, key="sk-a", info={"health_check_daily_token_limit": 20}),
                          deployment("b", sim, key="sk-b")]))
    wait_until(lambda: sim.count("sk-b") >= 5)
    assert sim.count("sk-a") == 2
    limited = [e.get("probe_limit_reached", False) for e in entries(daemon)]
    assert limited == [True, False]
    daemon.wait_log(r"WARNING .*daily_token_limit of a deployment reached, .* limit=20 spent=20 .* group=a")


def test_spent_budget_makes_verdicts_stale(hale, sim):
    """When the budget is spent, what is known grows old and stops to count."""
    sim.fault("sk-a", body=USAGE % 10)
    daemon = hale(config([deployment("g", sim, key="sk-a", info={"health_check_daily_token_limit": 10}),
                          deployment("g", sim, key="sk-b")], enable_health_check_routing=True,
                         health_check_staleness_threshold=1))
    wait_until(lambda: any(e.get("probes_withheld") for e in entries(daemon)))
    sim.clear()
    before = sim.count("sk-a")
    wait_until(lambda: daemon.chat("g", headers=KEY).status_code == 200 and sim.count("sk-a") > before)


def test_spent_budget_never_stops_who_asks(hale, sim):
    """On demand still works, and says that the limit is reached."""
    sim.fault("sk-a", body=USAGE % 10)
    daemon = hale(config([deployment("a", sim, key="sk-a")], background_health_checks=False,
                         health_check_daily_token_limit=15))
    assert "probe_limit_reached" not in entries(daemon)[0]
    for _ in range(3):
        assert entries(daemon)[0]["probe_limit_reached"] is True
    assert sim.count("sk-a") == 4
    assert entries(daemon)[0]["probe_tokens_today"] == 50


def test_cost_is_estimated_where_it_is_not_reported(hale, sim):
    """Tokens per probe and per day are shown, and marked when they are an estimate."""
    sim.fault("sk-a", body='{"choices":[{"message":{"content":"hi"}}]}')
    daemon = hale(config([deployment("a", sim, key="sk-a"), deployment("b", sim, key="sk-b")],
                         background_health_checks=False))
    a, b = entries(daemon)
    assert a["probe_tokens_estimated"] is True and 10 < a["probe_tokens"] < 100, a
    assert a["probe_tokens_today"] == a["probe_tokens"]
    assert "probe_tokens_estimated" not in b and b["probe_tokens"] > 0


def test_a_probe_that_timed_out_may_have_cost(hale, sim):
    """A request that was sent and not answered in time is counted by its estimate: a limit must hold."""
    sim.fault("sk-a", hang="before_head")
    daemon = hale(config([deployment("a", sim, key="sk-a", info={"health_check_timeout": 0.3})],
                         background_health_checks=False))
    entry = entries(daemon)[0]
    assert entry["reason"] == "timeout" and entry["probe_tokens_estimated"] is True
    assert entry["probe_tokens_today"] == entry["probe_tokens"] > 0


def test_refusals_cost_nothing(hale, sim):
    """What the provider does not bill is not counted."""
    sim.fault("sk-a", status=500)
    daemon = hale(config([deployment("a", sim, key="sk-a")], background_health_checks=False))
    assert entries(daemon)[0]["probe_tokens_today"] == 0


def test_local_servers_get_one_probe_at_a_time(hale, sim):
    """Local servers (Ollama, llama.cpp) are limited to one in flight."""
    sim.fault("sk-a", delay_ms=30)
    daemon = hale(config([deployment("g", sim, key="sk-a", provider="hosted_vllm", model=f"m{i}") for i in range(12)],
                         health_check_interval=3600))
    wait_until(lambda: health(daemon)["healthy_count"] == 12)
    assert sim.stats()["keys"]["sk-a"]["open_max"] == 1


def test_other_hosts_are_probed_at_once(hale, make_sim):
    """A local server that takes its time delays nobody else, and a limit per host holds."""
    local, cloud = make_sim(), make_sim()
    local.fault("*", hang="before_head")
    cloud.fault("sk-c", delay_ms=300)
    models = [deployment("l", local, key="sk-l", provider="hosted_vllm", model=f"m{i}") for i in range(3)]
    models += [deployment("c", cloud, key="sk-c", model=f"m{i}") for i in range(12)]
    daemon = hale({**config(models, health_check_interval=3600),
                   "hale_settings": {"upstream_host_connections_max": 4}})
    wait_until(lambda: health(daemon, "?model=c")["healthy_count"] == 12)
    assert cloud.stats()["keys"]["sk-c"]["open_max"] == 4
    assert local.stats()["keys"]["sk-l"]["open_max"] == 1
