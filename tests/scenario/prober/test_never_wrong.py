"""A healthy model is called unhealthy because the probe was wrong: impossible. One test per promise or complaint, its
words in the docstring."""

import pytest

from daemon import deployment
from traffic import Traffic
from waiting import wait_until

KEY = {"Authorization": "Bearer sk-admin"}
UNFINISHED = ('{"error":{"message":"Could not finish the message because max_tokens or model output limit was reached.",'
              '"type":"invalid_request_error"}}')
MISSING = '{"error":{"message":"no such model"}}'
REFUSED = '{"error":{"message":"Extra inputs are not permitted","type":"invalid_request_error"}}'


def config(models, **general):
    return {"model_list": models, "general_settings": {
        "master_key": "sk-admin", "background_health_checks": True, "health_check_interval": 1,
        "enable_health_check_routing": True, **general}}


def on_demand(models, **general):
    return config(models, background_health_checks=False, **general)


def health(daemon, query=""):
    return daemon.get("/health" + query, headers=KEY).json()


def entries(daemon, query=""):
    """All entries, each with "healthy"."""
    body = health(daemon, query)
    return [{**e, "healthy": name == "healthy_endpoints"}
            for name in ("healthy_endpoints", "unhealthy_endpoints") for e in body[name]]


def entry(daemon):
    """The only entry, as soon as there is one."""
    return wait_until(lambda: entries(daemon))[0]


# --- token limits ---

@pytest.mark.parametrize("fault", [
    {"status": 400, "body": UNFINISHED, "match_max_tokens": 15},
    {"min_tokens": 16},
    {"require_completion_tokens": True},
], ids=["reasoning", "minimum", "name"])
def test_output_limit_that_a_model_refuses(hale, sim, fault):
    """A limit of 1 that is eaten by reasoning, models that refuse fewer than 16, limits under another name: the verdict
    is right without any setting, and the next probe is one request again."""
    sim.fault("sk-a", **fault)
    daemon = hale(on_demand([deployment("g", sim, key="sk-a")]))
    assert entry(daemon)["healthy"]
    learned = sim.count("sk-a")
    assert 2 <= learned <= 4
    assert entry(daemon)["healthy"]
    assert sim.count("sk-a") == learned + 1


def test_probes_are_short(hale, sim):
    """Verbose models do not run into the timeout: one token is asked for, and the setting wins over the default."""
    daemon = hale(on_demand([deployment("a", sim, key="sk-a"),
                             deployment("b", sim, key="sk-b", info={"health_check_max_tokens": 40}),
                             deployment("c", sim, key="sk-c", info={"health_check_reasoning_effort": "none"})]))
    assert all(e["healthy"] for e in entries(daemon))
    body = {key: sim.requests(key=key)[0]["body"] for key in ("sk-a", "sk-b", "sk-c")}
    assert body["sk-a"]["max_tokens"] == 1 and body["sk-b"]["max_tokens"] == 40
    assert body["sk-c"]["reasoning_effort"] == "none"


# --- the form of the probe ---

@pytest.mark.parametrize("model,path", [
    ("gpt-4o", "/v1/chat/completions"), ("text-embedding-3-small", "/v1/embeddings"),
    ("whisper-1", "/v1/audio/transcriptions"), ("tts-1", "/v1/audio/speech"), ("dall-e-3", "/v1/images/generations")])
def test_mode_is_known_by_the_name(hale, sim, model, path):
    """Embeddings, whisper, tts and images are not probed as chat, although nobody configured a mode."""
    daemon = hale(on_demand([deployment("g", sim, key="sk-a", model=model)]))
    assert entry(daemon)["healthy"]
    assert [r["path"] for r in sim.requests(key="sk-a")] == [path]


def test_configuration_that_is_no_request_parameter_is_not_sent(hale, sim):
    """Probe bodies never include config fields that are not request parameters (capability flags, prices, limits)."""
    params = {"supports_vision": True, "input_cost_per_token": 1e-6, "rpm": 5, "tpm": 9, "temperature": 0.5,
              "merge_reasoning_content_in_choices": True, "use_in_pass_through": False}
    daemon = hale(on_demand([deployment("g", sim, key="sk-a", info={"supports_function_calling": True}, **params)]))
    assert entry(daemon)["healthy"]
    assert set(sim.requests(key="sk-a")[0]["body"]) == {"model", "messages", "temperature", "max_tokens"}


def test_probe_uses_the_address_and_key_of_real_requests(hale, make_sim):
    """Probes are built by the code that builds real requests: region, api_base, headers, key."""
    ours, other = make_sim(), make_sim()
    model = deployment("g", ours, key="sk-a", provider="hosted_vllm", extra_headers={"X-Region": "eu"})
    daemon = hale(on_demand([model]), env={"OPENAI_BASE_URL": other.base})
    assert entry(daemon)["healthy"]
    daemon.chat("g", headers=KEY)
    probe, real = ours.requests(key="sk-a")
    for part in ("method", "path"):
        assert probe[part] == real[part]
    for name in ("authorization", "x-region", "content-type"):
        assert probe["headers"][name] == real["headers"][name], name


# --- bad_probe ---

def test_refused_payload_does_not_take_the_deployment_out(hale, sim):
    """A 400 whose cause is our own payload gives a state of its own: shown, counted, does not change routing."""
    sim.fault("sk-a", status=400, body=REFUSED, match_model="m1")
    daemon = hale(config([deployment("g", sim, key="sk-a", model="m1"), deployment("h", sim, key="sk-b")]))
    wait_until(lambda: len(entries(daemon)) == 2)
    shown = next(e for e in entries(daemon) if not e["healthy"])
    assert shown["state"] == "unknown" and shown["reason"] == "bad_probe" and shown["exception_status"] == 400
    assert shown["error"] == "Extra inputs are not permitted" and shown["phase"] and shown["next_check_at"]
    assert shown["raw_request_typed_dict"]["raw_request_body"]["model"] == "m1"
    daemon.wait_log(r"WARNING .*reason=bad_probe")
    before = sim.count("sk-a")
    assert daemon.chat("g", headers=KEY).status_code == 400 and sim.count("sk-a") > before


def test_refused_payload_keeps_a_healthy_deployment_healthy(hale, sim):
    """What was healthy stays healthy when the provider begins to refuse the probe, and says so."""
    daemon = hale(config([deployment("g", sim, key="sk-a")]))
    wait_until(lambda: entry(daemon)["healthy"])
    sim.fault("sk-a", status=400, body=REFUSED)
    wait_until(lambda: entry(daemon)["reason"] == "bad_probe")
    shown = entry(daemon)
    assert shown["healthy"] and shown["state"] == "healthy" and shown["probe_error"] == "Extra inputs are not permitted"
    assert "error" not in shown


def test_ladder_ends(hale, sim):
    """The scheduler descends the ladder, each form once; afterwards a probe is one request, whatever it brings."""
    sim.fault("sk-a", status=400, body=REFUSED)
    daemon = hale(on_demand([deployment("g", sim, key="sk-a")]))
    assert entry(daemon)["reason"] == "bad_probe"
    first = sim.count("sk-a")
    assert first <= 4
    for k in range(1, 4):
        assert entry(daemon)["reason"] == "bad_probe"
        assert sim.count("sk-a") == first + k
    sim.clear()
    assert entry(daemon)["healthy"]


def test_accepted_form_survives_crash_and_reload(hale, sim):
    """The form that is accepted is remembered, by the prober's successor and by a new generation as well."""
    sim.fault("sk-a", require_completion_tokens=True)
    daemon = hale(config([deployment("g", sim, key="sk-a")], health_check_interval=1))
    wait_until(lambda: entry(daemon)["healthy"])
    old = daemon.kill("prober")
    wait_until(lambda: [p for p in daemon.pids("prober") if p != old])
    mark = sim.count("sk-a")
    wait_until(lambda: sim.count("sk-a") >= mark + 2)
    daemon.reload(config([deployment("g", sim, key="sk-a"), deployment("h", sim, key="sk-b")], health_check_interval=1))
    mark = sim.count("sk-a")
    wait_until(lambda: sim.count("sk-a") >= mark + 2)
    sent = [r["body"] for r in sim.requests(key="sk-a", n=1000)]
    assert sum("max_tokens" in body for body in sent) <= 2, "the refused form was sent again"
    assert all("max_completion_tokens" in body for body in sent[2:])


# --- real traffic ---

@pytest.mark.parametrize("fault", [{"status": 400, "body": MISSING}, {"status": 404}, {"status": 409}],
                         ids=["400", "404", "409"])
def test_real_success_vetoes_a_refused_probe(hale, sim, fault):
    """A real success in the last interval vetoes an unhealthy verdict from a 4xx probe: 194 of 194 real requests
    served, and called unhealthy, is impossible."""
    daemon = hale(config([deployment("g", sim, key="sk-a")]))
    wait_until(lambda: entry(daemon)["healthy"])
    with Traffic(daemon, "g") as traffic:
        wait_until(lambda: traffic.ok > 2)
        sim.fault("sk-a", match_max_tokens=1, **fault)
        wait_until(lambda: entry(daemon).get("probe_error", "").startswith("vetoed by real traffic: "))
        for _ in range(20):
            assert entry(daemon)["healthy"]
    assert "-> unhealthy" not in daemon.log


def test_real_failure_after_it_ends_the_veto(hale, sim):
    """A success of before is no evidence once real requests fail as the probe does."""
    daemon = hale(config([deployment("g", sim, key="sk-a")], health_check_interval=5))
    wait_until(lambda: entry(daemon)["healthy"])
    assert daemon.chat("g", headers=KEY).status_code == 200
    sim.fault("sk-a", status=404)
    daemon.chat("g", headers=KEY)
    wait_until(lambda: not entry(daemon)["healthy"])
    assert entry(daemon)["reason"] == "not_found"


# --- too impatient ---

def test_timeouts_count_as_degraded_first(hale, sim):
    """Timeouts count as degraded first; down only after `fall` in a row."""
    daemon = hale(config([deployment("g", sim, key="sk-a", info={"health_check_timeout": 0.3})], health_check_fall=3))
    wait_until(lambda: entry(daemon)["healthy"])
    sim.fault("sk-a", hang="before_head", times=2)
    wait_until(lambda: entry(daemon)["reason"] == "timeout")
    assert entry(daemon)["healthy"] and entry(daemon)["probe_error"] == "Timeout exceeded"
    wait_until(lambda: entry(daemon)["reason"] == "ok")
    assert "-> unhealthy" not in daemon.log
    sim.fault("sk-a", hang="before_head")
    wait_until(lambda: not entry(daemon)["healthy"])


def test_last_one_is_never_removed_by_timeouts(hale, sim):
    """Busy is not dead, and the last one must not be removed: of a group where all others are dead, the one whose probe
    times out serves everything."""
    sim.fault("sk-slow", hang="before_head", match_max_tokens=1)
    sim.fault("sk-dead", status=401)
    sim.fault("sk-down", status=500)
    daemon = hale(config([deployment("g", sim, key="sk-slow", info={"health_check_timeout": 0.3}),
                          deployment("g", sim, key="sk-dead"), deployment("g", sim, key="sk-down")],
                         health_check_interval=3600))
    wait_until(lambda: len(entries(daemon)) == 3)
    assert health(daemon)["unhealthy_count"] == 3
    dead, down = sim.count("sk-dead"), sim.count("sk-down")
    for _ in range(10):
        assert daemon.chat("g", headers=KEY).status_code == 200
    assert (sim.count("sk-dead"), sim.count("sk-down")) == (dead, down)


def test_probe_time_limit_is_a_setting(hale, sim):
    """A server that answers its probe in one second is not unhealthy for that."""
    sim.fault("sk-a", delay_ms=1200)
    daemon = hale(on_demand([deployment("g", sim, key="sk-a")]))
    assert entry(daemon)["healthy"]


# --- what cannot be probed ---

def test_cannot_probe_is_not_failed(hale, sim):
    """Channels for which no probe can be built are not disabled."""
    daemon = hale(config([deployment("g", sim, key="sk-a", provider="anthropic", info={"mode": "rerank"})]))
    shown = entry(daemon)
    assert shown["state"] == "unknown" and shown["reason"] == "no_probe" and sim.count("sk-a") == 0
    assert daemon.chat("g", headers=KEY).status_code == 200


def test_wildcards(hale, sim):
    """Wildcard entries report their own configured name plus `probe_model`; without `health_check_model` the state is
    unknown, not healthy, not unhealthy, and nothing nonsensical is probed."""
    info = {"health_check_model": "openai/gpt-4o-mini"}
    daemon = hale(config([deployment("a/*", sim, key="sk-a", model="*"),
                          deployment("b/*", sim, key="sk-b", model="*", info=info)]))
    wait_until(lambda: len(entries(daemon)) == 2)
    b, a = entries(daemon)
    assert b["healthy"] and b["model"] == "openai/gpt-4o-mini"
    assert b["configured_model"] == "openai/*" and b["probe_model"] == "openai/gpt-4o-mini"
    assert a["state"] == "unknown" and a["reason"] == "no_probe" and a["model"] == a["configured_model"] == "openai/*"
    assert "probe_model" not in a and sim.count("sk-a") == 0
    assert daemon.chat("a/gpt-4o", headers=KEY).status_code == 200


def test_wildcard_that_serves_is_healthy(hale, sim):
    """Without real traffic the state is unknown: a wildcard that serves requests is known to work."""
    daemon = hale(config([deployment("a/*", sim, key="sk-a", model="*")]))
    wait_until(lambda: entry(daemon)["reason"] == "no_probe")
    assert daemon.chat("a/gpt-4o", headers=KEY).status_code == 200
    wait_until(lambda: entry(daemon)["healthy"])
    assert entry(daemon)["source"] == "traffic"


# --- success that is none ---

@pytest.mark.parametrize("fault", [
    {"body": "<html><title>Open WebUI</title></html>", "content_type": "text/html"},
    {"body": '{"object":"list","data":[]}'}, {"body": '{"choices":[]}'}, {"empty": True}, {"status": 204},
    {"body": '{"error":{"message":"no credit","code":402}}'},
], ids=["page", "models", "no-choices", "empty", "204", "error-inside"])
def test_success_means_an_answer(hale, sim, fault):
    """Success means 2xx and a parsable body with the mode's essential member; 4xx is never success."""
    sim.fault("sk-a", **fault)
    daemon = hale(on_demand([deployment("g", sim, key="sk-a")]))
    assert not entry(daemon)["healthy"]


# --- /health ---

def test_every_entry_says_what_is_known(hale, sim):
    """Each entry says state, reason, phase, latency, when, since, next; each unhealthy one its error, code and request,
    secrets masked; health_check_details false hides all of it."""
    sim.fault("sk-secret-0123456789", status=500, match_model="m2")
    models = [deployment("a", sim, key="sk-secret-0123456789", model="m1"),
              deployment("b", sim, key="sk-secret-0123456789", model="m2")]
    daemon = hale(config(models))
    wait_until(lambda: len(entries(daemon)) == 2)
    for e in entries(daemon):
        for name in ("state", "reason", "phase", "latency_ms", "checked_at", "since", "next_check_at", "source",
                     "probe_tokens", "probe_tokens_today", "model", "model_id", "api_base"):
            assert name in e, (name, e)
        for name in ("error", "exception_status", "raw_request_typed_dict"):
            assert (name in e) is not e["healthy"], (name, e)
    assert "sk-secret-0123456789" not in daemon.get("/health", headers=KEY).text
    daemon.reload(config(models, health_check_details=False))
    wait_until(lambda: all(set(e) - {"healthy", "exception_status"} == {"model", "model_id"} for e in entries(daemon)))
