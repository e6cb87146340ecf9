"""Probes of realtime deployments: a session is opened, its first event is read, and nothing is asked."""

import base64
import hashlib
import socket
import threading

import pytest

from daemon import deployment

KEY = {"Authorization": "Bearer sk-admin"}
INFO = {"mode": "realtime"}


def config(*models, **general):
    return {"model_list": list(models), "general_settings": {"master_key": "sk-admin", **general}}


def health(daemon, query=""):
    answer = daemon.get("/health" + query, headers=KEY, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def only(body):
    """The one entry of an answer, and whether it is healthy."""
    entries = [(e, True) for e in body["healthy_endpoints"]] + [(e, False) for e in body["unhealthy_endpoints"]]
    assert len(entries) == 1, body
    return entries[0]


def realtime(sim, **params):
    info = {**INFO, **params.pop("info", {})}
    return deployment("g", sim, model=params.pop("model", "gpt-realtime"), info=info, **params)


# parameters of the deployment -> request target and the header that carries the key
FORMS = {
    "openai": ({}, "/v1/realtime?model=gpt-realtime", ("authorization", "Bearer sk-a")),
    "xai": ({"provider": "xai", "model": "grok-voice/x"}, "/v1/realtime?model=grok-voice%2Fx",
            ("authorization", "Bearer sk-a")),
    "azure-preview": ({"provider": "azure", "api_version": ""},
                      "/openai/realtime?api-version=2024-10-01-preview&deployment=gpt-realtime", ("api-key", "sk-a")),
    "azure-version": ({"provider": "azure", "api_version": "2025-04-01-preview"},
                      "/openai/realtime?api-version=2025-04-01-preview&deployment=gpt-realtime", ("api-key", "sk-a")),
    "azure-released": ({"provider": "azure", "realtime_protocol": "GA"}, "/openai/v1/realtime?model=gpt-realtime",
                       ("api-key", "sk-a")),
    "azure-token": ({"provider": "azure", "api_version": "v1", "azure_ad_token": "sk-a"},
                    "/openai/v1/realtime?model=gpt-realtime", ("authorization", "Bearer sk-a")),
    "vllm": ({"provider": "hosted_vllm"}, "/v1/realtime?model=gpt-realtime", ("authorization", "Bearer sk-a")),
}


@pytest.mark.parametrize("form", FORMS)
def test_handshake(hale, sim, form):
    params, target, (name, value) = FORMS[form]
    daemon = hale(config(realtime(sim, **params)))
    entry, healthy = only(health(daemon))
    assert healthy, entry
    (request,) = sim.requests(key="sk-a")
    assert request["method"] == "GET"
    assert request["path"] + "?" + request["query"] == target
    headers = {k.lower(): v for k, v in request["headers"].items()}
    assert set(headers) == {"host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "user-agent",
                            name}
    assert headers[name] == value
    assert headers["upgrade"] == "websocket" and headers["sec-websocket-version"] == "13"
    assert headers["user-agent"].startswith("hale/")


def test_extra_headers(hale, sim):
    """The beta of OpenAI's API, for servers that still want it."""
    daemon = hale(config(realtime(sim, extra_headers={"OpenAI-Beta": "realtime=v1"})))
    assert only(health(daemon))[1]
    assert {k.lower(): v for k, v in sim.requests(key="sk-a")[0]["headers"].items()}["openai-beta"] == "realtime=v1"


# fault -> status shown, reason, part of the error text
FAULTS = {
    "401": ({"status": 401}, 401, "unauthorized", "Incorrect API key"),
    "404": ({"status": 404}, 404, "not_found", None),
    "429": ({"status": 429, "retry_after": "20"}, 429, "rate_limited", None),
    "503": ({"status": 503}, 503, "server_error", None),
    "400": ({"status": 400, "body": '{"error":{"code":"OpperationNotSupported","message":"does not work with the '
                                    'specified model"}}'}, 400, "not_found", "does not work"),
    "200": ({"status": 200, "body": "welcome"}, 500, "bad_body", "does not upgrade"),
    "reset": ({"reset": True}, 500, "connect_error", None),
    "garbage": ({"garbage": True}, 500, "bad_body", None),
    "wrong-key": ({"error_event": "invalid_api_key"}, 401, "unauthorized", "Refused: invalid_api_key"),
    "no-money": ({"error_event": "insufficient_quota"}, 402, "out_of_funds", "insufficient_quota"),
    "limit": ({"error_event": "rate_limit_exceeded"}, 429, "rate_limited", "rate_limit"),
    "no-model": ({"error_event": "model_not_found"}, 404, "not_found", "model_not_found"),
    "broken": ({"error_event": "server_error"}, 500, "server_error", "server_error"),
    "closed": ({"close_code": 1011}, 500, "server_error", "closed the session with code 1011"),
    "policy": ({"close_code": 1008}, 403, "unauthorized", "closed the session with code 1008"),
    "closed-key": ({"close_code": 3000, "error_event": "invalid_api_key"}, 401, "unauthorized", "invalid_api_key"),
    "later": ({"close_code": 1013}, 503, "server_error", None),
    "cut": ({"cut_after": 0}, 500, "connect_error", "before the first event"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_unhealthy(hale, sim, fault):
    members, status, reason, text = FAULTS[fault]
    sim.fault("sk-a", **members)
    daemon = hale(config(realtime(sim)))
    entry, healthy = only(health(daemon))
    assert not healthy
    assert (entry["exception_status"], entry["reason"]) == (status, reason), entry
    assert text is None or text in entry["error"], entry["error"]
    assert sim.count("sk-a") == 1, "one handshake, whatever comes back"
    assert entry["raw_request_typed_dict"]["raw_request_body"] is None
    assert "sk-a" not in str(entry)
    sim.clear()
    assert only(health(daemon))[1], "the next round sees that it is well again"


def test_silence(hale, sim):
    """OpenAI's servers speak first, so silence is a failure; a server of one's own may have nothing to say."""
    sim.fault("sk-a", empty=True)
    sim.fault("sk-b", empty=True)
    daemon = hale(config(realtime(sim, info={"health_check_timeout": 5}),
                         realtime(sim, key="sk-b", provider="hosted_vllm", info={"health_check_timeout": 60})))
    body = health(daemon)
    (bad,) = body["unhealthy_endpoints"]
    assert bad["reason"] == "timeout" and bad["exception_status"] == 408
    (good,) = body["healthy_endpoints"]
    assert good["model"] == "hosted_vllm/gpt-realtime"


def test_hang_before_the_answer(hale, sim):
    sim.fault("sk-a", hang="before_head")
    daemon = hale(config(realtime(sim, info={"health_check_timeout": 1})))
    entry, healthy = only(health(daemon))
    assert not healthy and entry["reason"] == "timeout"


def test_nothing_but_a_close_frame(hale):
    """What goes over the wire behind the handshake: one masked close frame, then the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen = {}

    def serve():
        conn, _ = listener.accept()
        with conn:
            head = b""
            while b"\r\n\r\n" not in head:
                head += conn.recv(4096)
            key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
            accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            conn.sendall(b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept +
                         b"\r\n\r\n\x89\x01p\x01\x08{\"type\":\x80\x05\"hi\"}")
            rest = b""
            while data := conn.recv(4096):
                rest += data
            seen["rest"] = rest

    thread = threading.Thread(target=serve)
    thread.start()
    daemon = hale(config(realtime(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")))
    assert only(health(daemon))[1]
    thread.join(20)
    listener.close()
    rest = seen["rest"]
    assert len(rest) == 8 and rest[0] == 0x88 and rest[1] == 0x82, rest
    assert bytes(a ^ b for a, b in zip(rest[6:], rest[2:4])) == b"\x03\xe8"


def test_other_addresses(hale, sim):
    """ws:// and the full address of the operation mean the same deployment; a provider without sessions says so."""
    plain = sim.base.replace("http://", "ws://")
    daemon = hale(config(realtime(plain), realtime(sim.base + "/realtime", key="sk-b"),
                         deployment("g", sim, key="sk-c", provider="anthropic", model="claude-x", info=INFO)))
    body = health(daemon)
    assert body["healthy_count"] == 2
    assert sim.count("sk-a") == 1 and sim.count("sk-b") == 1 and sim.count("sk-c") == 0
    (entry,) = body["unhealthy_endpoints"]
    assert entry["error"].startswith("Unsupported model: anthropic/claude-x")


def test_background(hale, sim):
    """In the loop as well the state follows what the server says."""
    daemon = hale(config(realtime(sim), background_health_checks=True, health_check_interval=1))
    sim.fault("sk-a", error_event="invalid_api_key")
    mark = daemon.mark()
    daemon.wait_log(r"unauthorized", timeout=20, since=mark)
