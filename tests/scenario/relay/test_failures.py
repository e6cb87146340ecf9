"""Upstreams that fail: what is tried again, where, and what the client gets to see."""

import json
import socket

import pytest

from daemon import deployment
from waiting import wait_until

DONE = "[DONE]"


def pair(sim, **settings):
    """Two deployments; a has all the weight, so that it is always the first choice."""
    return {"model_list": [deployment("g", sim, key="sk-a", info={"id": "a"}, weight=1),
                           deployment("g", sim, key="sk-b", info={"id": "b"}, weight=0)],
            "litellm_settings": {"num_retries": 2}, **settings}


def events(answer):
    return [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]


BROKEN = [dict(status=500), dict(status=503), dict(status=429), dict(status=401), dict(status=403), dict(status=408),
          dict(reset=True), dict(garbage=True), dict(empty=True), dict(cut_after=0)]


@pytest.mark.parametrize("fault", BROKEN, ids=lambda f: "-".join(f"{k}={v}" for k, v in f.items()))
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_other_deployment_answers(hale, sim, fault, stream):
    gate = hale(pair(sim))
    sim.fault("sk-a", **fault)
    answer = gate.chat("g", stream=stream)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-litellm-model-id"] == "b"
    assert answer.headers["x-litellm-attempted-retries"] == "1"
    assert (events(answer)[-1] == DONE) if stream else answer.json()["choices"]
    assert (sim.count("sk-a"), sim.count("sk-b")) == (1, 1)


@pytest.mark.parametrize("status", [400, 404, 422])
def test_what_is_the_requests_fault_is_not_tried_again(hale, sim, status):
    gate = hale(pair(sim))
    sim.fault("sk-a", status=status, body=json.dumps({"error": {"message": "your fault", "type": "x", "code": None}}))
    answer = gate.chat("g")
    assert answer.status_code == status and answer.json()["error"]["message"] == "your fault"
    assert answer.headers["x-litellm-model-id"] == "a"
    assert (sim.count("sk-a"), sim.count("sk-b")) == (1, 0)


def test_refused_connection(hale, sim):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{s.getsockname()[1]}/v1"
        config = pair(sim)
        config["model_list"][0]["litellm_params"]["api_base"] = dead
        gate = hale(config)
        assert gate.chat("g").headers["x-litellm-model-id"] == "b"


def test_all_fail_with_the_upstreams_error(hale, sim):
    config = pair(sim)
    for entry, key in zip(config["model_list"], ("sk-first-secret-key", "sk-other-secret-key")):
        entry["litellm_params"]["api_key"] = key
    gate = hale(config)
    sim.fault("*", status=503, body='{"error":{"message":"overloaded, key sk-first-secret-key","type":"server_error"}}')
    answer = gate.chat("g")
    assert answer.status_code == 503 and "overloaded" in answer.json()["error"]["message"]
    assert "first-secret" not in answer.text and "first-secret" not in gate.log
    assert answer.headers["x-litellm-attempted-retries"] == "2"
    assert sim.stats()["requests"]["total"] == 3


def test_an_error_that_is_not_json_gets_the_envelope(hale, sim):
    gate = hale(pair(sim, router_settings={"num_retries": 0}))
    sim.fault("*", status=502, body="<html>Bad Gateway</html>")
    error = gate.chat("g").json()["error"]
    assert error["code"] == "502" and "Bad Gateway" in error["message"] and error["type"]


@pytest.mark.parametrize("where", ["before_head", "after_head"])
def test_hanging_upstream_is_left(hale, sim, where):
    gate = hale(pair(sim, hale_settings={"first_byte_timeout_ms": 300, "first_token_timeout_ms": 300}))
    sim.fault("sk-a", hang=where)
    answer = gate.chat("g", stream=True)
    assert answer.headers["x-litellm-model-id"] == "b" and events(answer)[-1] == DONE


@pytest.mark.parametrize("where", ["before_head", "after_head"])
def test_stream_timeout_bounds_the_wait_for_the_first_token(hale, sim, where):
    gate = hale(pair(sim, router_settings={"stream_timeout": 0.3}))
    sim.fault("sk-a", hang=where)
    answer = gate.chat("g", stream=True)
    assert answer.headers["x-litellm-model-id"] == "b" and events(answer)[-1] == DONE


def test_timeout_of_the_deployment(hale, sim):
    config = pair(sim, router_settings={"num_retries": 0})
    config["model_list"][0]["litellm_params"]["timeout"] = 0.3
    gate = hale(config)
    sim.fault("sk-a", hang="before_head")
    answer = gate.chat("g")
    assert answer.status_code == 504 and answer.json()["error"]["code"] == "upstream_timeout"


def test_keep_alive_comments_are_no_tokens(hale, sim):
    gate = hale(pair(sim, hale_settings={"first_token_timeout_ms": 400}))
    sim.fault("sk-a", stall_after=0)
    assert gate.chat("g", stream=True).headers["x-litellm-model-id"] == "b"


@pytest.mark.parametrize("fault", [dict(cut_after=4), dict(stall_after=4)], ids=["cut", "stall"])
def test_a_stream_that_breaks_later_ends_with_an_error_event(hale, sim, fault):
    gate = hale(pair(sim, hale_settings={"stream_idle_timeout_ms": 400}))
    sim.fault("sk-a", **fault)
    answer = gate.chat("g", stream=True)
    assert answer.status_code == 200 and answer.headers["x-litellm-model-id"] == "a"
    last = json.loads(events(answer)[-1])
    assert last["error"]["type"] == "upstream_error" and DONE not in events(answer)
    assert sim.count("sk-b") == 0
    wait_until(lambda: sim.stats()["requests"]["open"] == 0, what="the stalled call to be cancelled")


def test_client_gone_cancels_the_upstream(hale, sim):
    gate = hale(pair(sim))
    sim.fault("sk-a", hang="before_head")
    body = json.dumps({"model": "g", "messages": [{"role": "user", "content": "hi"}]}).encode()
    with socket.create_connection(("127.0.0.1", gate.port), timeout=10) as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        wait_until(lambda: sim.count("sk-a") == 1)
        open_before = sim.stats()["requests"]["open"]
    wait_until(lambda: sim.stats()["requests"]["open"] < open_before, what="the upstream call to end")
    assert sim.count("sk-b") == 0
    assert gate.get("/health/backlog").json()["in_flight_requests"] <= 1


def test_client_gone_in_the_middle_of_a_stream(hale, sim):
    gate = hale(pair(sim))
    sim.fault("*", chunks=100000, chunk_delay_ms=5)
    for _ in range(5):
        with gate.chat("g", stream=True) as answer:
            body = answer.iter_content(10)  # kept: when it is dropped, the connection goes with it
            next(body)
            assert sim.stats()["requests"]["open"] >= 1
    gate.session.close()
    wait_until(lambda: sim.stats()["requests"]["open"] == 0, what="the upstream streams to end")


def test_slow_client_pauses_the_upstream(hale, sim):
    """A client that does not read must not make the gateway buffer the whole stream."""
    gate = hale(pair(sim), workers=1)
    sim.fault("sk-a", chunks=40000, chunk_bytes=2000)
    body = json.dumps({"model": "g", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
    worker = gate.pids("worker")[0]

    def rss_kib():
        with open(f"/proc/{worker}/status", encoding="ascii") as f:
            return int(next(line for line in f if line.startswith("VmRSS")).split()[1])

    before = rss_kib()
    with socket.create_connection(("127.0.0.1", gate.port), timeout=60) as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                  % len(body) + body)
        first = s.recv(1000)
        assert b" 200 " in first
        sim.clear()
        assert gate.chat("g", text="another request goes on").status_code == 200
        assert rss_kib() - before < 16 * 1024
        total, tail = len(first), b""
        while piece := s.recv(1 << 20):
            total += len(piece)
            tail = (tail + piece)[-200:]
    assert total > 70_000_000 and b"[DONE]" in tail
    assert rss_kib() - before < 32 * 1024
