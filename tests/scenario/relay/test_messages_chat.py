"""POST /v1/messages on deployments that have chat only: what the upstream is asked, and what the client gets."""

import json
import re

import pytest

from daemon import deployment

TEXT = "Hello! This is a simulated answer."
BODY = {"model": "g", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {"type": "number"}}}}


@pytest.fixture
def gate(hale, sim):
    return hale({"model_list": [deployment("g", sim)], "router_settings": {"num_retries": 0, "disable_cooldowns": True}})


def ask(gate, **members):
    return gate.post("/v1/messages", json={**BODY, **members})


def events(answer):
    """[(name, data)] of the stream; every event has both, and they agree."""
    found = []
    for block in re.split("\n\n+", answer.text.strip("\n")):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line)
        found.append((lines["event"], json.loads(lines["data"])))
    assert all(name == data["type"] for name, data in found)
    return found


def completion(sim, message, finish="stop", **more):
    sim.fault("sk-a", status=200, content_type="application/json", body=json.dumps({
        "id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 7}}, **more}))


def stream(sim, *deltas, finish="stop", usage=None):
    chunks = [{"id": "x", "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
    chunks.append({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage:
        chunks.append({"id": "x", "choices": [], "usage": usage})
    text = "".join(f"data: {json.dumps(c)}\n\n" for c in chunks) + "data: [DONE]\n\n"
    sim.fault("sk-a", status=200, content_type="text/event-stream", body=text)


def test_request_is_translated(gate, sim):
    answer = ask(gate, system=[{"type": "text", "text": "s1", "cache_control": {"type": "ephemeral"}},
                               {"type": "text", "text": "s2"}],
                 temperature=0.5, top_p=0.9, top_k=5, stop_sequences=["END"], metadata={"user_id": "u"}, tools=[TOOL],
                 tool_choice={"type": "any", "disable_parallel_tool_use": True},
                 messages=[{"role": "user", "content": [
                     {"type": "text", "text": "häl\u00fc \U0001f600"},
                     {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
                     {"type": "image", "source": {"type": "url", "url": "https://h/i.png"}}]}])
    assert answer.status_code == 200, answer.text
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"]) == ("POST", "/v1/chat/completions")
    assert seen["headers"]["authorization"] == "Bearer sk-a" and "anthropic-version" not in seen["headers"]
    assert seen["body"] == {
        "model": "gpt-4o", "max_tokens": 100, "temperature": 0.5, "top_p": 0.9, "stop": ["END"],
        "messages": [{"role": "system", "content": "s1\n\ns2"}, {"role": "user", "content": [
            {"type": "text", "text": "häl\u00fc \U0001f600"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
            {"type": "image_url", "image_url": {"url": "https://h/i.png"}}]}],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": TOOL["input_schema"]}}],
        "tool_choice": "required", "parallel_tool_calls": False}


def test_tools_there_and_back(gate, sim):
    """One turn of an agent: calls, their results, the thinking of before."""
    ask(gate, tools=[TOOL], messages=[
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"},
                                          {"type": "text", "text": "so"},
                                          {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1.5}},
                                          {"type": "tool_use", "id": "t2", "name": "f", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
            {"type": "tool_result", "tool_use_id": "t2", "is_error": True, "content": [
                {"type": "text", "text": "two"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}]},
            {"type": "text", "text": "and now"}]}])
    assert sim.requests("sk-a")[-1]["body"]["messages"] == [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "so", "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1.5}'}},
            {"id": "t2", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "content": "one", "tool_call_id": "t1"},
        {"role": "tool", "content": "two", "tool_call_id": "t2"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
                                     {"type": "text", "text": "and now"}]}]


def test_whole_answer(gate, sim):
    answer = ask(gate).json()
    assert answer["type"] == "message" and answer["role"] == "assistant" and answer["model"] == "g"
    assert answer["id"].startswith("msg_") and answer["content"] == [{"type": "text", "text": TEXT}]
    assert answer["stop_reason"] == "end_turn" and answer["stop_sequence"] is None
    assert answer["usage"]["output_tokens"] == 8 and answer["usage"]["input_tokens"] > 0
    assert ask(gate, max_tokens=2).json()["stop_reason"] == "max_tokens"


def test_tool_calls_come_back(gate, sim):
    completion(sim, {"content": "so", "reasoning_content": "hm", "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": [1, {"b": null}]}'}},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}}]}, "tool_calls")
    answer = ask(gate, tools=[TOOL]).json()
    assert answer["content"] == [{"type": "text", "text": "so"},
                                 {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": [1, {"b": None}]}},
                                 {"type": "tool_use", "id": "c2", "name": "g", "input": {}}]
    assert answer["stop_reason"] == "tool_use"
    assert answer["usage"] == {"input_tokens": 3, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 7,
                               "output_tokens": 4}


def test_thinking_is_for_who_asks(gate, sim):
    completion(sim, {"content": "so", "reasoning_content": "hm"})
    assert [b["type"] for b in ask(gate).json()["content"]] == ["text"]
    thinking = {"type": "enabled", "budget_tokens": 6000}
    assert ask(gate, thinking=thinking).json()["content"][0] == {"type": "thinking", "thinking": "hm", "signature": ""}
    assert "reasoning_effort" not in sim.requests("sk-a")[-1]["body"]  # gpt-4o has none


def test_reasoning_models(hale, sim):
    gate = hale({"model_list": [deployment("g", sim, model="o3-mini")]})
    ask(gate, thinking={"type": "enabled", "budget_tokens": 6000}, temperature=1)
    body = sim.requests("sk-a")[-1]["body"]
    assert body["reasoning_effort"] == "medium" and body["max_completion_tokens"] == 100
    assert "temperature" not in body and "max_tokens" not in body


def test_arguments_that_are_no_object(gate, sim):
    """A client would run the tool with them."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}
    completion(sim, {"content": None, "tool_calls": [call]}, "tool_calls")
    assert ask(gate).status_code == 502
    completion(sim, {"content": None, "tool_calls": [call]}, "length")
    answer = ask(gate).json()
    assert answer["stop_reason"] == "max_tokens" and answer["content"][0]["input"] == {}


def test_stream(gate, sim):
    answer = ask(gate, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events(answer)
    assert sim.requests("sk-a")[-1]["body"]["stream_options"] == {"include_usage": True}
    assert [n for n, _ in found if n != "content_block_delta"] == [
        "message_start", "ping", "content_block_start", "content_block_stop", "message_delta", "message_stop"]
    assert "".join(d["delta"]["text"] for n, d in found if n == "content_block_delta") == TEXT
    assert found[0][1]["message"]["model"] == "g"
    last = found[-2][1]
    assert last["delta"] == {"stop_reason": "end_turn", "stop_sequence": None} and last["usage"]["output_tokens"] == 8
    assert last["usage"]["input_tokens"] > 0


def test_stream_of_tool_calls(gate, sim):
    def call(index, arguments, **more):
        return {"tool_calls": [{"index": index, "function": {"arguments": arguments, **more.pop("f", {})}, **more}]}

    stream(sim, {"role": "assistant", "content": ""}, {"reasoning_content": "hm"}, {"content": "so"},
           call(0, "", id="c1", type="function", f={"name": "f"}), call(0, '{"a"'), call(0, ": 1}"),
           call(1, "{}", id="c2", type="function", f={"name": "g"}), finish="tool_calls",
           usage={"prompt_tokens": 5, "completion_tokens": 6})
    found = [d for n, d in events(ask(gate, stream=True, thinking={"type": "enabled", "budget_tokens": 2000}))]
    starts = {d["index"]: d["content_block"] for d in found if d["type"] == "content_block_start"}
    assert [s["type"] for s in starts.values()] == ["thinking", "text", "tool_use", "tool_use"]
    assert starts[2] == {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    parts = {}
    for d in found:
        if d["type"] == "content_block_delta":
            parts[d["index"]] = parts.get(d["index"], "") + list(d["delta"].values())[1]
    assert parts == {0: "hm", 1: "so", 2: '{"a": 1}', 3: "{}"}
    order = [(d["type"][14:], d["index"]) for d in found if d["type"] in ("content_block_start", "content_block_stop")]
    assert order == [(what, i) for i in range(4) for what in ("start", "stop")]  # one open at a time
    assert found[-2]["delta"]["stop_reason"] == "tool_use"
    assert found[-2]["usage"] == {"input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                                  "output_tokens": 6}


@pytest.mark.parametrize("fault", [dict(cut_after=4), dict(error_after=4), dict(cut_after=4, reset=True)],
                         ids=lambda f: "-".join(f))
def test_broken_stream_ends_with_an_error(gate, sim, fault):
    sim.fault("sk-a", chunk_delay_ms=20, **fault)
    found = events(ask(gate, stream=True))
    assert [n for n, _ in found].count("error") == 1 and found[-1][1]["error"]["type"] == "api_error"


def test_a_stream_may_end_without_done(gate, sim):
    sim.fault("sk-a", no_terminator=True)
    found = events(ask(gate, stream=True))
    assert found[-1][0] == "message_stop" and found[-2][1]["usage"]["output_tokens"] == 8


def test_before_content_a_stream_moves(hale, sim):
    """Between families, too: the request is said to each in its own words."""
    gate = hale({"model_list": [deployment("g", sim, key="sk-a", weight=1),
                                deployment("g", sim, key="sk-b", weight=0, provider="anthropic", model="claude-sim")]})
    for fault in (dict(error_after=1), dict(status=500), dict(cut_after=0)):
        sim.fault("sk-a", **fault)
        found = events(ask(gate, stream=True))
        assert found[-1][0] == "message_stop" and found[2][0] == "ping"
    assert (sim.count("sk-a"), sim.count("sk-b")) == (3, 3)
    assert sim.requests("sk-b")[-1]["path"] == "/v1/messages"


@pytest.mark.parametrize("status,kind", [(400, "invalid_request_error"), (401, "authentication_error"),
                                         (429, "rate_limit_error"), (500, "api_error"), (503, "overloaded_error")])
def test_errors_have_anthropics_form(gate, sim, status, kind):
    sim.fault("sk-a", status=status)
    answer = ask(gate)
    assert answer.status_code == status and answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == kind and answer.json()["error"]["message"]


WEB = {"type": "web_search_20250305", "name": "web_search"}


def test_what_cannot_be_said_goes_to_who_understands_it(hale, sim):
    gate = hale({"model_list": [deployment("g", sim, key="sk-a", weight=1),
                                deployment("g", sim, key="sk-b", weight=0, provider="anthropic", model="claude-sim"),
                                deployment("gpt", sim, key="sk-a")]})
    answer = ask(gate, tools=[WEB])
    assert answer.status_code == 200 and answer.headers["x-litellm-attempted-retries"] == "0"
    assert sim.requests("sk-b")[-1]["body"]["tools"] == [WEB]
    answer = ask(gate, model="gpt", tools=[WEB])
    assert answer.status_code == 400 and answer.json()["error"]["type"] == "invalid_request_error"
    assert "custom" in answer.json()["error"]["message"]
    assert ask(gate, model="gpt", max_tokens=None).status_code == 400
    assert sim.count("sk-a") == 0


def test_azure(hale, sim):
    gate = hale({"model_list": [deployment("g", sim, provider="azure", model="my-gpt")]})
    assert ask(gate).json()["content"][0]["text"] == TEXT
    seen = sim.requests("sk-a")[-1]
    assert seen["path"] == "/openai/deployments/my-gpt/chat/completions"
    assert seen["body"]["max_completion_tokens"] == 100 and "max_tokens" not in seen["body"]
    assert events(ask(gate, stream=True))[-1][0] == "message_stop"


def test_mistral_counts_by_itself(hale, sim):
    gate = hale({"model_list": [deployment("g", sim, provider="mistral", model="m")]})
    assert events(ask(gate, stream=True))[-1][0] == "message_stop"
    assert "stream_options" not in sim.requests("sk-a")[-1]["body"]


def test_first_token_timer_hears_what_is_not_shown(hale, sim):
    """A model that thinks in silence is at work; its keep-alive comments would not be."""
    gate = hale({"model_list": [deployment("g", sim)], "hale_settings": {"first_token_timeout_ms": 200},
                 "router_settings": {"num_retries": 0}})
    stream(sim, {"role": "assistant"}, {"reasoning_content": "hm"}, {"content": "so"})
    found = events(ask(gate, stream=True))
    assert [n for n, _ in found][:3] == ["message_start", "ping", "ping"]
    sim.fault("sk-a", stall_after=1, comments=True)
    assert ask(gate, stream=True).status_code == 504


# Cells that translate, too: two translations on one way.
FAMILIES = [("gemini", "gemini-2.5-flash", "sk-a"), ("bedrock", "us.anthropic.claude-sim-v1:0", "AKIDSIM1")]


@pytest.fixture(params=FAMILIES, ids=[f[0] for f in FAMILIES])
def family(request, hale, sim):
    provider, model, key = request.param
    gate = hale({"model_list": [deployment("g", sim, key=key, provider=provider, model=model)],
                 "router_settings": {"num_retries": 0, "disable_cooldowns": True}})
    gate.sim_key = key
    return gate


def test_families_whole(family):
    answer = ask(family, system="s", stop_sequences=["END"])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["content"] == [{"type": "text", "text": TEXT}] and body["stop_reason"] == "end_turn"
    assert body["model"] == "g" and body["usage"]["output_tokens"] > 0


def test_families_stream(family):
    found = events(ask(family, stream=True))
    assert "".join(d["delta"]["text"] for n, d in found if n == "content_block_delta") == TEXT
    assert found[-1][0] == "message_stop" and found[-2][1]["usage"]["output_tokens"] > 0


def test_families_tools(family, sim):
    """A call and its result arrive in the provider's words."""
    turns = [{"role": "user", "content": "go"},
             {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1.5}}]},
             {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "one"}]}]
    answer = ask(family, tools=[TOOL], messages=turns)
    assert answer.status_code == 200, answer.text
    text = json.dumps(sim.requests(family.sim_key)[-1]["body"])
    assert '"a": 1.5' in text and '"one"' in text and '"description": "d"' in text


@pytest.mark.parametrize("status,kind", [(400, "invalid_request_error"), (429, "rate_limit_error"), (500, "api_error")])
def test_families_errors(family, sim, status, kind):
    sim.fault(family.sim_key, status=status)
    answer = ask(family)
    assert answer.status_code == status and answer.json()["error"]["type"] == kind and answer.json()["type"] == "error"


def test_families_cut(family, sim):
    sim.fault(family.sim_key, chunk_delay_ms=20, cut_after=4)
    found = events(ask(family, stream=True))
    assert found[0][0] == "message_start" and found[-1][0] == "error"
