"""On-demand rounds: GET /health without a background loop probes now, and each deployment once."""

import threading
import time

import pytest

from daemon import deployment
from waiting import wait_until

KEY = {"Authorization": "Bearer sk-admin"}


def config(models, **general):
    return {"model_list": models, "general_settings": {"master_key": "sk-admin", **general}}


def health(daemon, query="", status=200):
    answer = daemon.get("/health" + query, headers=KEY, timeout=60)
    assert answer.status_code == status, answer.text
    return answer.json()


def only(body):
    """The one entry of an answer, and whether it is healthy."""
    entries = [(e, True) for e in body["healthy_endpoints"]] + [(e, False) for e in body["unhealthy_endpoints"]]
    assert len(entries) == 1, body
    return entries[0]


def prober_log(daemon, word):
    return [line for line in daemon.log.split("\n") if "hale prober" in line and word in line]


def test_healthy(hale, sim):
    daemon = hale(config([deployment("g", sim, key="sk-a"), deployment("h", sim, key="sk-b")]))
    body = health(daemon)
    assert (body["healthy_count"], body["unhealthy_count"]) == (2, 0)
    assert sim.count("sk-a") == 1 and sim.count("sk-b") == 1
    entry = body["healthy_endpoints"][0]
    assert entry["model"] == "openai/gpt-4o" and "error" not in entry
    request = sim.requests(key="sk-a")[0]
    assert request["method"] == "POST" and request["path"] == "/v1/chat/completions"
    health(daemon)
    assert sim.count("sk-a") == 2, "each /health asks anew"


@pytest.mark.parametrize("provider,path", [("azure", "/openai/deployments/gpt-4o/chat/completions"),
                                           ("anthropic", "/v1/messages"),
                                           ("gemini", "/v1beta/models/gpt-4o:generateContent"),
                                           ("bedrock", "/model/gpt-4o/converse")])
def test_other_providers(hale, sim, provider, path):
    """The same verdicts in another dialect, and the form that the upstream wants is found there as well."""
    daemon = hale(config([deployment("g", sim, key="sk-a", provider=provider)]))
    assert only(health(daemon))[1] is True
    assert sim.requests(key="sk-a")[0]["path"] == path
    sim.fault("sk-a", status=401)
    entry, healthy = only(health(daemon))
    assert not healthy and entry["reason"] == "unauthorized" and entry["exception_status"] == 401
    sim.fault("sk-a", min_tokens=16)
    assert only(health(daemon))[1] is True


# fault -> status shown, reason, part of the error text
FAULTS = {
    "500": ({"status": 500}, 500, "server_error", None),
    "401": ({"status": 401}, 401, "unauthorized", None),
    "403": ({"status": 403}, 403, "unauthorized", None),
    "404": ({"status": 404}, 404, "not_found", None),
    "429": ({"status": 429, "retry_after": "20"}, 429, "rate_limited", None),
    "503": ({"status": 503}, 503, "server_error", None),
    "quota": ({"status": 429, "body": '{"error":{"message":"You exceeded your current quota",'
                                      '"code":"insufficient_quota"}}'}, 429, "out_of_funds", "current quota"),
    "credit": ({"status": 400, "body": '{"type":"error","error":{"message":"Your credit balance is too low"}}'},
               400, "out_of_funds", "credit balance"),
    "reset": ({"reset": True}, 500, "connect_error", None),
    "garbage": ({"garbage": True}, 500, "bad_body", None),
    "empty": ({"empty": True}, 500, "bad_body", None),
    "foreign": ({"body": "<html><title>Open WebUI</title></html>", "content_type": "text/html"}, 500, "bad_body", None),
    "inner": ({"body": '{"error":{"message":"slow down","code":429}}'}, 429, "rate_limited", "slow down"),
    "html": ({"status": 502, "body": "<html><head><title>502 Bad Gateway</title></head></html>"}, 502, "server_error",
             "502 Bad Gateway"),
    "redirect": ({"status": 302}, 500, "bad_body", "redirected"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(hale, sim, name):
    fault, status, reason, text = FAULTS[name]
    sim.fault("sk-a", **fault)
    daemon = hale(config([deployment("g", sim, key="sk-a")]))
    entry, healthy = only(health(daemon))
    assert not healthy
    assert (entry["exception_status"], entry["reason"]) == (status, reason), entry
    assert entry["error"] and (text is None or text in entry["error"])
    assert sim.count("sk-a") == 1, "a probe is one request"


def test_nobody_listens(hale):
    daemon = hale(config([deployment("g", "http://127.0.0.1:1/v1")]))
    entry, healthy = only(health(daemon))
    assert not healthy and entry["reason"] == "connect_error" and entry["exception_status"] == 500


def test_no_such_host(hale):
    daemon = hale(config([deployment("g", "http://no-such-host.invalid/v1", info={"health_check_timeout": 10})]))
    entry, healthy = only(health(daemon))
    assert not healthy and entry["reason"] in ("connect_error", "timeout")


@pytest.mark.parametrize("where", ["before_head", "after_head"])
def test_timeout(hale, sim, where):
    """A hang costs its own deployment its timeout, and nobody else anything."""
    sim.fault("sk-a", hang=where)
    daemon = hale(config([deployment("g", sim, key="sk-a", info={"health_check_timeout": 1}),
                          deployment("h", sim, key="sk-b")]))
    body = health(daemon)
    assert [e["model_id"] for e in body["healthy_endpoints"]] and body["unhealthy_count"] == 1
    entry = body["unhealthy_endpoints"][0]
    assert entry["error"] == "Timeout exceeded" and entry["exception_status"] == 408 and entry["reason"] == "timeout"


def test_timeout_from_environment(hale, sim):
    sim.fault("sk-a", hang="before_head")
    daemon = hale(config([deployment("g", sim, key="sk-a")]), env={"HEALTH_CHECK_TIMEOUT_SECONDS": "1"})
    entry, _ = only(health(daemon))
    assert entry["error"] == "Timeout exceeded"


def test_long_answer(hale, sim):
    """More than is kept is fine when it is an answer at all."""
    sim.fault("sk-a", body='{"choices":[{"message":{"content":"' + "x" * 400000 + '"}}]}')
    daemon = hale(config([deployment("g", sim, key="sk-a")]))
    _, healthy = only(health(daemon))
    assert healthy


def test_secret_in_error(hale, sim):
    sim.fault("sk-topsecret-abcdef123456", status=401,
              body='{"error":{"message":"Incorrect API key provided: sk-topsecret-abcdef123456."}}')
    daemon = hale(config([deployment("g", sim, key="sk-topsecret-abcdef123456")]))
    answer = daemon.get("/health", headers=KEY)
    assert "Incorrect API key" in answer.text and "topsecret" not in answer.text
    assert "topsecret" not in daemon.log


def test_recovers(hale, sim):
    sim.fault("sk-a", status=500)
    daemon = hale(config([deployment("g", sim, key="sk-a")]))
    assert only(health(daemon))[1] is False
    sim.clear()
    assert only(health(daemon))[1] is True
    assert daemon.wait_log(r"deployment state unhealthy -> healthy reason=ok status=200 .*model=openai/gpt-4o")
    health(daemon)
    assert len(prober_log(daemon, "deployment state")) == 2, "sameness is not logged"


# -- adaptation ------------------------------------------------------------------------------------------------------


def test_adapts_limit(hale, sim):
    """Refused for too few tokens: a larger limit, once; then it is remembered."""
    sim.fault("sk-a", min_tokens=16)
    daemon = hale(config([deployment("g", sim, key="sk-a")]))
    assert only(health(daemon))[1] is True
    assert sim.count("sk-a") == 2
    assert only(health(daemon))[1] is True
    assert sim.count("sk-a") == 3, "the form that worked is remembered"
    assert daemon.wait_log(r"probe adapted form=\d requests=2")


def test_adapts_name(hale, sim):
    sim.fault("sk-a", require_completion_tokens=True)
    daemon = hale(config([deployment("g", sim, key="sk-a")]))
    assert only(health(daemon))[1] is True
    last = sim.requests(key="sk-a")[-1]["body"]
    assert "max_completion_tokens" in str(last)
    n = sim.count("sk-a")
    assert only(health(daemon))[1] is True
    assert sim.count("sk-a") == n + 1


def test_refused_in_every_form(hale, sim):
    """Shown, but no evidence against the deployment."""
    sim.fault("sk-a", status=400, body='{"error":{"message":"Unknown parameter: foo"}}')
    daemon = hale(config([deployment("g", sim, key="sk-a")]))
    entry, healthy = only(health(daemon))
    assert not healthy and entry["reason"] == "bad_probe" and "Unknown parameter" in entry["error"]
    assert entry["state"] != "unhealthy"
    assert 2 <= sim.count("sk-a") <= 4
    n = sim.count("sk-a")
    health(daemon)
    assert sim.count("sk-a") == n + 1, "the ladder is not climbed again"


def test_adapted_form_survives_reload(hale, sim):
    sim.fault("sk-a", min_tokens=16)
    daemon = hale(config([deployment("g", sim, key="sk-a")]))
    health(daemon)
    daemon.reload()
    n = sim.count("sk-a")
    assert only(health(daemon))[1] is True
    assert sim.count("sk-a") == n + 1


# -- scopes and single flight ----------------------------------------------------------------------------------------


def test_targets(hale, sim):
    daemon = hale(config([deployment("g", sim, key="sk-a"), deployment("g", sim, key="sk-b"),
                          deployment("h", sim, key="sk-c", model="gpt-x")]))
    assert health(daemon, "?model=g")["healthy_count"] == 2
    assert [sim.count(k) for k in ("sk-a", "sk-b", "sk-c")] == [1, 1, 0]
    ident = health(daemon, "?model=openai/gpt-x")["healthy_endpoints"][0]["model_id"]
    assert [sim.count(k) for k in ("sk-a", "sk-b", "sk-c")] == [1, 1, 1]
    health(daemon, f"?model_id={ident}")
    assert [sim.count(k) for k in ("sk-a", "sk-b", "sk-c")] == [1, 1, 2]


def test_single_flight(hale, sim):
    """1,000 simultaneous GET /health cost one probe per deployment."""
    keys = [f"sk-{i}" for i in range(5)]
    sim.fault("*", hang="before_head")
    daemon = hale(config([deployment("g", sim, key=k, info={"health_check_timeout": 15}) for k in keys]), workers=2)
    bodies, errors = [], []

    def ask():
        try:
            answer = daemon.request("GET", "/health", headers={**KEY, "Connection": "close"}, timeout=60)
            bodies.append((answer.status_code, answer.json()["unhealthy_count"]))
        except Exception as error:  # noqa: BLE001 - the thread's verdict is read below
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(1000)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(90)
    assert not errors, errors[:3]
    refused = [b for b in bodies if b[0] != 200]
    assert len(bodies) == 1000 and not refused, refused[:3]
    assert [sim.count(k) for k in keys] == [1] * 5


def test_equal_rounds_join_across_workers(hale, sim):
    """Whichever worker asks: a probe in flight is joined."""
    sim.fault("sk-a", delay_ms=1500)
    daemon = hale(config([deployment("g", sim, key="sk-a")]), workers=4)
    start = threading.Barrier(40)
    counts = []

    def ask(query):
        start.wait()
        counts.append(health(daemon, query)["healthy_count"])

    threads = [threading.Thread(target=ask, args=(q,)) for q in ["", "?model=g"] * 20]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert counts == [1] * 40 and sim.count("sk-a") == 1


def test_concurrency_limit(hale, sim):
    sim.fault("*", delay_ms=100)
    models = [deployment("g", sim, key=f"sk-{i}") for i in range(12)]
    daemon = hale(config(models, health_check_concurrency=3))
    assert health(daemon)["healthy_count"] == 12
    assert sim.stats()["requests"]["open_max"] <= 3


def test_disabled_deployment(hale, sim):
    models = [deployment("g", sim, key="sk-a"),
              deployment("g", sim, key="sk-b", info={"disable_background_health_check": True})]
    daemon = hale(config(models))
    assert health(daemon)["healthy_count"] == 2
    assert sim.count("sk-b") == 1
    daemon.stop()
    daemon = hale(config(models, health_check_skip_disabled_background_models=True))
    assert health(daemon)["healthy_count"] == 1
    assert sim.count("sk-b") == 1


def test_prober_killed_while_somebody_waits(hale, sim):
    """The next prober answers later questions; whoever waited is not left hanging for ever."""
    sim.fault("sk-a", delay_ms=2000)
    daemon = hale(config([deployment("g", sim, key="sk-a")], ), workers=1)
    codes = []
    waiter = threading.Thread(target=lambda: codes.append(daemon.get("/health", headers=KEY, timeout=90).status_code))
    waiter.start()
    wait_until(lambda: sim.count("sk-a") == 1)
    old = daemon.kill("prober")
    wait_until(lambda: [p for p in daemon.pids("prober") if p != old])
    sim.clear()
    wait_until(lambda: only(health(daemon))[1] is True)
    waiter.join(90)
    assert codes, "the question from before was never answered"


def test_round_after_worker_died(hale, sim):
    """A worker's successor inherits its socket; old answers do not confuse it."""
    sim.fault("sk-a", delay_ms=1000)
    daemon = hale(config([deployment("g", sim, key="sk-a")]), workers=1)
    waiter = threading.Thread(target=lambda: _ignore(lambda: daemon.get("/health", headers=KEY)))
    waiter.start()
    wait_until(lambda: sim.count("sk-a") == 1)
    old = daemon.kill("worker")
    wait_until(lambda: [p for p in daemon.pids("worker") if p != old])
    waiter.join(60)
    began = time.monotonic()
    assert only(health(daemon))[1] is True
    assert time.monotonic() - began < 30


def _ignore(fn):
    try:
        fn()
    except Exception:  # noqa: BLE001 - its connection dies with the worker
        pass
