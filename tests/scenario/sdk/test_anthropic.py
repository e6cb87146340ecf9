"""The Anthropic SDKs against the simulator: it must be a faithful Anthropic for hale's sake."""

import pytest

BODY = {"model": "claude-sim", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
ANSWER = "Hello! This is a simulated answer."
ERRORS = [(400, "BadRequestError"), (401, "AuthenticationError"), (403, "PermissionDeniedError"),
          (404, "NotFoundError"), (429, "RateLimitError"), (500, "InternalServerError")]


@pytest.fixture
def client(python_sdk, sim):
    import anthropic
    with anthropic.Anthropic(base_url=sim.url, api_key="sk-ant", max_retries=0, timeout=30) as one:
        yield one


def test_message(client):
    done = client.messages.create(**BODY)
    assert done.content[0].text == ANSWER and done.stop_reason == "end_turn" and done.usage.output_tokens == 8


def test_stream(client):
    with client.messages.stream(**BODY) as stream:
        assert "".join(stream.text_stream) == ANSWER
        assert stream.get_final_message().usage.output_tokens == 8


@pytest.mark.parametrize("status,name", ERRORS)
def test_error_classes(client, sim, status, name):
    import anthropic
    sim.fault("sk-ant", status=status)
    with pytest.raises(getattr(anthropic, name)) as error:
        client.messages.create(**BODY)
    assert error.value.status_code == status and error.value.body["error"]["type"]


def test_models(client):
    assert [m.id for m in client.models.list()] == ["claude-sim"]


def test_node(node, sim):
    done = node("message", sim.url, BODY)
    assert done["content"][0]["text"] == ANSWER
    kinds = [e["type"] for e in node("message_stream", sim.url, BODY)]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    sim.fault("sk-client", status=429)
    assert node("message", sim.url, BODY)["error"]["class"] == "RateLimitError"
