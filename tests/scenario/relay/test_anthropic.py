"""OpenAI clients on Anthropic deployments: what the upstream is asked, and what the client gets."""

import json

import pytest

from daemon import deployment

TEXT = "Hello! This is a simulated answer."


@pytest.fixture
def gate(hale, sim):
    return hale({"model_list": [deployment("g", sim, provider="anthropic", model="claude-sim")],
                 "router_settings": {"num_retries": 0, "disable_cooldowns": True}})


def events(answer):
    return [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]


def test_request_is_translated(gate, sim):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    answer = gate.post("/v1/chat/completions", json={
        "model": "g", "stop": "END", "tools": [tool], "tool_choice": "required", "presence_penalty": 0.1,
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "häl\u00fc \U0001f600"}]})
    assert answer.status_code == 200
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"]) == ("POST", "/v1/messages")
    assert seen["headers"]["x-api-key"] == "sk-a" and seen["headers"]["anthropic-version"] == "2023-06-01"
    assert "authorization" not in seen["headers"]
    assert seen["body"] == {
        "model": "claude-sim", "max_tokens": 4096, "stop_sequences": ["END"],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "häl\u00fc \U0001f600"}]}],
        "system": [{"type": "text", "text": "s"}],
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "any"}}


def test_tool_call_comes_back(gate, sim):
    sim.fault("sk-a", status=200, content_type="application/json", body=json.dumps({
        "id": "msg_1", "type": "message", "role": "assistant", "stop_reason": "tool_use",
        "content": [{"type": "text", "text": "so"}, {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1]}}],
        "usage": {"input_tokens": 3, "output_tokens": 4}}))
    choice = gate.chat("g").json()["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] == "so"
    assert call["id"] == "t1" and json.loads(call["function"]["arguments"]) == {"a": [1]}


def test_stream_with_usage(gate):
    answer = gate.chat("g", stream=True, stream_options={"include_usage": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *chunks, done = events(answer)
    chunks = [json.loads(c) for c in chunks]
    assert done == "[DONE]" and chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 8
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks[:-1]) == TEXT


def test_what_cannot_be_said_is_refused(gate, sim):
    answer = gate.chat("g", n=2)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "this provider gives one choice: n must be 1"
    assert sim.count("sk-a") == 0


@pytest.mark.parametrize("status,kind", [(400, "invalid_request_error"), (401, "authentication_error"),
                                         (429, "rate_limit_error"), (529, "server_error")])
def test_errors_have_openai_form(gate, sim, status, kind):
    sim.fault("sk-a", status=status)
    answer = gate.chat("g")
    assert answer.status_code == status and answer.json()["error"]["type"] == kind
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("fault", [{"cut_after": 4}, {"error_after": 4}])
def test_broken_stream_ends_with_an_error(gate, sim, fault):
    sim.fault("sk-a", chunk_delay_ms=20, **fault)  # content is out before the break
    last = events(gate.chat("g", stream=True))[-1]
    assert json.loads(last)["error"]["message"]


def test_stream_that_begins_with_an_error_is_one(gate, sim):
    """Nothing reached the client: the answer is an error with a status, not a stream."""
    sim.fault("sk-a", error_after=0)
    answer = gate.chat("g", stream=True)
    assert answer.status_code == 502 and answer.json()["error"]["message"]


def test_probe(gate, sim):
    health = gate.get("/health").json()
    assert (health["healthy_count"], health["unhealthy_count"]) == (1, 0)
    seen = sim.requests("sk-a")[-1]
    assert seen["body"] == {
        "model": "claude-sim", "max_tokens": 1,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "test from litellm"}]}]}
