"""The Anthropic SDKs against the simulator, which must be a faithful Anthropic for hale's sake, and through hale."""

import json

import pytest

from daemon import deployment

BODY = {"model": "claude-sim", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
ANSWER = "Hello! This is a simulated answer."
ERRORS = [(400, "BadRequestError"), (401, "AuthenticationError"), (403, "PermissionDeniedError"),
          (404, "NotFoundError"), (429, "RateLimitError"), (500, "InternalServerError")]


@pytest.fixture
def client(python_sdk, claude):
    import anthropic
    with anthropic.Anthropic(base_url=claude.url, api_key="sk-client", max_retries=0, timeout=30) as one:
        yield one


def test_message(client):
    done = client.messages.create(**BODY)
    assert done.content[0].text == ANSWER and done.stop_reason == "end_turn" and done.usage.output_tokens == 8


def test_stream(client):
    with client.messages.stream(**BODY) as stream:
        assert "".join(stream.text_stream) == ANSWER
        assert stream.get_final_message().usage.output_tokens == 8


def test_events(client):
    kinds = [e.type for e in client.messages.create(**BODY, stream=True)]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]


def test_length(client):
    done = client.messages.create(**{**BODY, "max_tokens": 1})
    assert (done.content[0].text, done.stop_reason) == ("Hello", "max_tokens")


@pytest.mark.parametrize("claude", ["llmsim", "anthropic"], indirect=True)  # who has only chat cannot count
def test_count_tokens(client):
    assert client.messages.count_tokens(model=BODY["model"], messages=BODY["messages"]).input_tokens > 0


TOOLS = [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}]


@pytest.mark.parametrize("claude", ["openai", "azure"], indirect=True)
def test_tools(client, claude):
    """An agent's turn on a model that is none of Anthropic's, as the SDK accumulates it."""
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    deltas = [{"role": "assistant", "content": "so"}, {"tool_calls": [call]},
              *({"tool_calls": [{"index": 0, "function": {"arguments": a}}]} for a in ('{"a": ', "[1]}"))]
    chunks = [{"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    text = "".join(f"data: {json.dumps({'id': 'x', **c})}\n\n" for c in chunks) + "data: [DONE]\n\n"
    claude.sim.fault(claude.key, status=200, content_type="text/event-stream", body=text)
    with client.messages.stream(**BODY, tools=TOOLS) as stream:
        done = stream.get_final_message()
    assert [b.type for b in done.content] == ["text", "tool_use"] and done.stop_reason == "tool_use"
    assert (done.content[1].id, done.content[1].name, done.content[1].input) == ("c1", "f", {"a": [1]})
    claude.sim.clear()
    turns = [*BODY["messages"], {"role": "assistant", "content": done.content},
             {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "42"}]}]
    assert client.messages.create(**{**BODY, "messages": turns}, tools=TOOLS).content[0].text == ANSWER
    seen = claude.sim.requests(claude.key)[-1]["body"]["messages"]
    assert [m["role"] for m in seen] == ["user", "assistant", "tool"] and seen[2]["tool_call_id"] == "c1"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status,name", ERRORS)
def test_error_classes(client, claude, status, name, stream):
    import anthropic
    claude.sim.fault(claude.key, status=status)
    with pytest.raises(getattr(anthropic, name)) as error:
        client.messages.create(**BODY, stream=stream)
    assert error.value.status_code == status and error.value.body["error"]["type"]


def test_error_in_a_stream(client, claude):
    import anthropic
    claude.sim.fault(claude.key, error_after=6, chunk_delay_ms=10)
    seen = []
    with pytest.raises(anthropic.APIStatusError) as error:
        for event in client.messages.create(**BODY, stream=True):
            seen.append(event.type)
    assert seen.count("content_block_delta") and error.value.body["error"]["type"]


def test_cut_stream(python_sdk, sim, hale):
    """Not the simulator alone: what a bare SDK makes of a cut is its own business."""
    import anthropic
    daemon = hale({"model_list": [deployment("claude-sim", sim, provider="anthropic", model="claude-sim")]})
    sim.fault("sk-a", cut_after=6, chunk_delay_ms=10)
    with anthropic.Anthropic(base_url=daemon.url, api_key="k", max_retries=0, timeout=30) as one:
        with pytest.raises(anthropic.APIStatusError) as error:
            list(one.messages.create(**BODY, stream=True))
    assert error.value.body["error"]["type"] == "api_error"


def test_errors_of_hale(python_sdk, sim, hale):
    import anthropic
    daemon = hale({"model_list": [deployment("claude-sim", sim, provider="anthropic", model="claude-sim")],
                   "general_settings": {"master_key": "sk-master"}, "router_settings": {"num_retries": 0}})

    def raises(name, model="claude-sim", **keys):
        with anthropic.Anthropic(base_url=daemon.url, max_retries=0, timeout=30, **keys) as one:
            with pytest.raises(getattr(anthropic, name)) as error:
                one.messages.create(**{**BODY, "model": model})
        return error.value.body["error"]["type"]

    assert raises("AuthenticationError", api_key="sk-wrong") == "authentication_error"
    assert raises("AuthenticationError", auth_token="sk-wrong") == "authentication_error"
    assert raises("BadRequestError", model="no", auth_token="sk-master") == "invalid_request_error"
    sim.fault("sk-a", reset=True)
    assert raises("InternalServerError", api_key="sk-master") == "api_error"
    assert sim.count("sk-a") == 1


def test_models(client, node, claude):
    assert [m.id for m in client.models.list()] == ["claude-sim"] == node("anthropic_models", claude.url)


def test_node(node, claude):
    done = node("message", claude.url, BODY)
    assert done["content"][0]["text"] == ANSWER
    assert node("message_text", claude.url, BODY) == ANSWER
    kinds = [e["type"] for e in node("message_stream", claude.url, BODY)]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    claude.sim.fault(claude.key, status=429)
    assert node("message", claude.url, BODY)["error"]["class"] == "RateLimitError"
    claude.sim.fault(claude.key, error_after=6, chunk_delay_ms=10)
    error = node("message_stream", claude.url, BODY)["error"]
    assert error["class"] == "APIError" and error["received"] > 3


@pytest.mark.parametrize("claude", ["llmsim", "anthropic"], indirect=True)
def test_node_count_tokens(node, claude):
    assert node("count_tokens", claude.url, {"model": BODY["model"], "messages": BODY["messages"]})["input_tokens"] > 0


@pytest.mark.parametrize("claude", ["openai", "gemini", "bedrock", "cohere"], indirect=True)
def test_who_cannot_count_says_so(client, node, claude):
    """Clients go on without a count; the upstream is not asked, and no other error is made of it."""
    import anthropic
    with pytest.raises(anthropic.APIStatusError) as error:
        client.messages.count_tokens(model=BODY["model"], messages=BODY["messages"])
    assert error.value.status_code in (400, 404) and error.value.body["type"] == "error"
    assert claude.sim.count(claude.key) == 0
    assert node("count_tokens", claude.url, {"model": BODY["model"], "messages": BODY["messages"]})["error"]["status"] in (400, 404)
