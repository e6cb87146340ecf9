"""POST /v1/messages on Anthropic deployments: passed on as it is, with Anthropic's words for every error."""

import json
import re
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from daemon import deployment
from waiting import wait_until

TEXT = "Hello! This is a simulated answer."
BODY = {"model": "g", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}


def claude(sim, key="sk-a", **more):
    return deployment("g", sim, key=key, provider="anthropic", model="claude-sim", **more)


def pair(sim, **settings):
    """Two deployments; a has all the weight, so that it is always the first choice."""
    return {"model_list": [claude(sim, "sk-a", info={"id": "a"}, weight=1), claude(sim, "sk-b", info={"id": "b"}, weight=0)],
            "litellm_settings": {"num_retries": 2}, **settings}


def ask(gate, path="/v1/messages", headers=None, **members):
    return gate.post(path, json={**BODY, **members}, headers=headers)


def events(answer):
    """[(name, data)] of the stream; every event has both."""
    found = []
    for block in re.split("\n\n+", answer.text.strip("\n")):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line)
        found.append((lines["event"], json.loads(lines["data"])))
    return found


def error(answer, status, kind):
    """Anthropic's envelope and nothing else; gives its message."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["type"] == "error" and body["error"]["type"] == kind and set(body) <= {"type", "error", "request_id"}
    return body["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/messages", "/messages"])
def test_request_reaches_the_upstream_as_sent(hale, sim, path):
    gate = hale({"model_list": [claude(sim)]})
    members = {"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
               "thinking": {"type": "enabled", "budget_tokens": 1024}, "metadata": {"user_id": "u", "model": "m"}}
    answer = ask(gate, path + "?beta=true", **members)
    assert answer.status_code == 200 and answer.json()["content"][0]["text"] == TEXT
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"]) == ("POST", "/v1/messages")
    assert seen["body"] == {**BODY, **members, "model": "claude-sim"}
    assert seen["headers"]["x-api-key"] == "sk-a" and seen["headers"]["anthropic-version"] == "2023-06-01"
    assert "authorization" not in seen["headers"] and "anthropic-beta" not in seen["headers"]
    assert answer.headers["request-id"].startswith("req_")
    assert answer.headers["anthropic-ratelimit-requests-remaining"] == "999"


def test_headers_of_the_client(hale, sim):
    """Version and beta features go on, beside configured ones; nothing else does."""
    gate = hale({"model_list": [claude(sim, extra_headers={"anthropic-beta": "always-1", "x-team": "t"})]})
    ask(gate, headers={"anthropic-version": "2023-01-01", "anthropic-beta": "a-1,b-2", "x-stainless-lang": "python",
                       "cookie": "c=1", "anthropic-dangerous-direct-browser-access": "true"})
    seen = sim.requests("sk-a")[-1]["headers"]
    assert seen["anthropic-version"] == "2023-01-01" and seen["anthropic-beta"] == "always-1,a-1,b-2"
    assert seen["x-team"] == "t" and not {"x-stainless-lang", "cookie"} & set(seen)
    assert "anthropic-dangerous-direct-browser-access" not in seen
    ask(gate)  # the next request has the endpoint as it was
    seen = sim.requests("sk-a")[-1]["headers"]
    assert seen["anthropic-version"] == "2023-06-01" and seen["anthropic-beta"] == "always-1"


def test_key_in_either_header(hale, sim):
    gate = hale({"model_list": [claude(sim)], "general_settings": {"master_key": "sk-master"}})
    url = gate.url + "/v1/messages"
    for headers in ({"x-api-key": "sk-master"}, {"authorization": "Bearer sk-master"}):
        assert requests.post(url, json=BODY, headers=headers, timeout=20).status_code == 200
    for headers in ({}, {"x-api-key": "sk-wrong"}):
        error(requests.post(url, json=BODY, headers=headers, timeout=20), 401, "authentication_error")
    assert sim.count("sk-a") == 2


def test_stream_is_passed_on_unchanged(hale, sim):
    gate = hale({"model_list": [claude(sim)]})
    answer = ask(gate, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events(answer)
    assert all(name == data["type"] for name, data in found)
    assert [name for name, _ in found[:3]] == ["message_start", "content_block_start", "ping"]
    assert "".join(d["delta"]["text"] for n, d in found if n == "content_block_delta") == TEXT
    assert found[-1][0] == "message_stop"


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/messages/count_tokens"])
def test_count_tokens(hale, sim, path):
    gate = hale({"model_list": [claude(sim)]})
    answer = gate.post(path, json={"model": "g", "messages": BODY["messages"]}, headers={"anthropic-beta": "t-1"})
    assert answer.status_code == 200 and answer.json()["input_tokens"] > 0
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"]) == ("POST", "/v1/messages/count_tokens")
    assert seen["headers"]["anthropic-beta"] == "t-1" and seen["body"]["model"] == "claude-sim"


def test_count_tokens_elsewhere(hale, sim):
    gate = hale(pair(sim))
    sim.fault("sk-a", status=200, body='{"input_tokens":null}')
    answer = ask(gate, "/v1/messages/count_tokens")
    assert answer.headers["x-litellm-model-id"] == "b" and answer.json()["input_tokens"] > 0


BROKEN = [dict(status=500), dict(status=529), dict(status=429), dict(status=401), dict(reset=True), dict(garbage=True),
          dict(empty=True), dict(cut_after=0)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", BROKEN, ids=lambda f: "-".join(f"{k}={v}" for k, v in f.items()))
def test_the_other_deployment_answers(hale, sim, fault, stream):
    gate = hale(pair(sim))
    sim.fault("sk-a", **fault)
    answer = ask(gate, stream=stream)
    assert answer.status_code == 200 and answer.headers["x-litellm-model-id"] == "b", answer.text
    assert (events(answer)[-1][0] == "message_stop") if stream else answer.json()["content"][0]["text"] == TEXT
    assert (sim.count("sk-a"), sim.count("sk-b")) == (1, 1)


# Events 0 to 2 are message_start, content_block_start and ping.
@pytest.mark.parametrize("fault", [dict(cut_after=3), dict(error_after=3), dict(cut_after=1, reset=True)],
                         ids=lambda f: "-".join(f))
def test_before_content_a_stream_moves(hale, sim, fault):
    gate = hale(pair(sim))
    sim.fault("sk-a", **fault)
    answer = ask(gate, stream=True)
    assert answer.headers["x-litellm-model-id"] == "b" and events(answer)[-1][0] == "message_stop"


@pytest.mark.parametrize("fault", [dict(cut_after=5), dict(no_terminator=True)], ids=lambda f: "-".join(f))
def test_after_content_a_cut_ends_with_an_error(hale, sim, fault):
    gate = hale(pair(sim))
    sim.fault("sk-a", chunk_delay_ms=20, **fault)
    name, data = events(ask(gate, stream=True))[-1]
    assert name == data["type"] == "error" and data["error"]["type"] == "api_error" and data["error"]["message"]
    assert sim.count("sk-b") == 0


def test_a_cut_behind_a_name_leaves_no_empty_event(hale):
    """The name of an event arrived, its data did not: clients would parse an event without data."""
    text = (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
            b'event: content_block_delta\ndata: {"type":"content_block_delta"}\n\nevent: content_block_delta\nda')

    def serve():
        peer, _ = server.accept()
        with peer:
            peer.recv(65536)
            peer.sendall(text)

    with socket.create_server(("127.0.0.1", 0)) as server:
        gate = hale({"model_list": [claude(f"http://127.0.0.1:{server.getsockname()[1]}")]})
        thread = threading.Thread(target=serve)
        thread.start()
        found = events(ask(gate, stream=True))
        thread.join()
    assert [name for name, _ in found] == ["content_block_delta", "error"]


def test_the_upstreams_own_error_event_is_the_last(hale, sim):
    gate = hale(pair(sim))
    sim.fault("sk-a", chunk_delay_ms=20, error_after=5)
    found = events(ask(gate, stream=True))
    assert [name for name, _ in found].count("error") == 1 and found[-1][1]["error"]["type"] == "overloaded_error"


def test_pings_are_no_tokens(hale, sim):
    gate = hale(pair(sim, hale_settings={"first_token_timeout_ms": 200, "stream_idle_timeout_ms": 200}))
    sim.fault("sk-a", stall_after=3, comments=True)
    answer = ask(gate, stream=True)
    assert answer.headers["x-litellm-model-id"] == "b" and events(answer)[-1][0] == "message_stop"
    sim.fault("sk-a", stall_after=5, comments=True, chunk_delay_ms=5)
    text = ask(gate, stream=True).text
    assert json.loads(text.rstrip().rpartition("data: ")[2])["error"]["type"] == "timeout_error"


@pytest.mark.parametrize("status,kind", [(400, "invalid_request_error"), (403, "permission_error"),
                                         (404, "not_found_error"), (413, "request_too_large"),
                                         (429, "rate_limit_error"), (500, "api_error"), (529, "overloaded_error")])
def test_errors_of_the_upstream(hale, sim, status, kind):
    gate = hale({"model_list": [claude(sim)], "router_settings": {"num_retries": 0}})
    sim.fault("sk-a", status=status)
    assert "(502)" not in error(ask(gate), status, kind)
    sim.fault("sk-a", status=status, body="<html>not from Anthropic</html>", content_type="text/html")
    assert "not from Anthropic" in error(ask(gate), status, kind)


def test_errors_of_the_gateway(hale, sim):
    gate = hale({"model_list": [claude(sim), deployment("gpt", sim)], "router_settings": {"num_retries": 0},
                 "hale_settings": {"body_bytes_max": 4096}})
    assert "model=no" in error(ask(gate, model="no"), 400, "invalid_request_error")
    error(gate.post("/v1/messages", json={"max_tokens": 1}), 400, "invalid_request_error")
    error(gate.request("POST", "/v1/messages", data=b"{"), 400, "invalid_request_error")
    error(ask(gate, system="x" * 5000), 413, "request_too_large")
    error(gate.get("/v1/messages"), 405, "invalid_request_error")
    error(gate.get("/v1/messages/batches"), 404, "not_found_error")
    error(gate.post("/v1/messages/count_tokens", json={**BODY, "model": "gpt"}), 400, "invalid_request_error")
    sim.fault("sk-a", reset=True)
    assert "failed" in error(ask(gate), 502, "api_error")
    # other paths keep OpenAI's
    assert "code" in gate.get("/v1/messages_other").json()["error"]


def test_no_deployment_is_a_rate_limit(hale, sim):
    gate = hale({"model_list": [claude(sim, info={"blocked": True})]})
    answer = ask(gate)
    error(answer, 429, "rate_limit_error")
    assert int(answer.headers["retry-after"]) > 0


def test_secrets_of_the_upstream_are_masked(hale, sim):
    gate = hale({"model_list": [claude(sim, key="sk-ant-very-secret-1234")], "router_settings": {"num_retries": 0}})
    sim.fault("*", status=401, body=json.dumps({"type": "error", "error": {
        "type": "authentication_error", "message": "bad key sk-ant-very-secret-1234"}}))
    answer = ask(gate)
    error(answer, 401, "authentication_error")
    assert "very-secret" not in answer.text


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_drain_is_told_in_anthropics_words(hale, sim, provider, stream):
    gate = hale({"model_list": [deployment("g", sim, provider=provider, model="m")],
                 "hale_settings": {"drain_timeout_ms": 300}})
    sim.fault("sk-a", **({"chunks": 100000, "chunk_delay_ms": 10} if stream else {"hang": "before_head"}))
    body = {**BODY, "stream": stream, "max_tokens": 1000000}
    with requests.Session() as session:
        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(session.post, gate.url + "/v1/messages", json=body, stream=True, timeout=30)
            if stream:
                answer = job.result()
                lines = answer.iter_lines()
                while next(lines) != b"event: content_block_delta":
                    pass
            else:
                wait_until(lambda: sim.count("sk-a") == 1, what="the request to reach the upstream")
            gate.children()
            gate.process.send_signal(signal.SIGTERM)
            if stream:
                last = [line for line in lines if line][-1]
                found = json.loads(last.removeprefix(b"data: "))
            else:
                found = job.result().json()
                assert job.result().status_code == 503
    assert gate.wait_exit() == 0
    gate.wait_family()
    assert found["type"] == "error" and found["error"]["type"] == "overloaded_error"
