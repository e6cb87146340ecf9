"""client.responses of the OpenAI SDKs, straight to the simulator and through hale."""

import pytest

ANSWER = "Hello! This is a simulated answer."


# Anthropic deployments have no such API: hale says so, see relay/test_responses.py.
pytestmark = pytest.mark.parametrize("target", ["llmsim", "hale", "azure"], indirect=True)


@pytest.fixture
def client(python_sdk, target):
    import openai
    with openai.OpenAI(base_url=target.url, api_key="sk-client", max_retries=0, timeout=30) as one:
        yield one


def test_create(client):
    done = client.responses.create(model="gpt-4o", input="hi")
    assert done.output_text == ANSWER and done.status == "completed" and done.usage.output_tokens == 8


def test_stream(client):
    kinds, text = [], ""
    for event in client.responses.create(model="gpt-4o", input="hi", stream=True):
        kinds.append(event.type)
        text += event.delta if event.type == "response.output_text.delta" else ""
    assert (kinds[0], kinds[-1], text) == ("response.created", "response.completed", ANSWER)


def test_stream_helper(client):
    with client.responses.stream(model="gpt-4o", input="hi") as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == ANSWER


ERRORS = [(400, "BadRequestError"), (401, "AuthenticationError"), (404, "NotFoundError"), (429, "RateLimitError"),
          (500, "InternalServerError")]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status,name", ERRORS)
def test_error_classes(client, target, status, name, stream):
    import openai
    target.sim.fault(target.key, status=status)
    with pytest.raises(getattr(openai, name)) as error:
        client.responses.create(model="gpt-4o", input="hi", stream=stream)
    assert error.value.status_code == status and error.value.body["message"]


def test_a_stream_that_fails_raises(client, target):
    """Behind hale a cut raises too; a bare SDK takes it for the end."""
    import openai
    for fault in [{"error_after": 6}] + [{"cut_after": 6}] * (target.url != target.sim.base):
        target.sim.fault(target.key, chunk_delay_ms=10, **fault)
        seen = []
        with pytest.raises(openai.APIError):
            for event in client.responses.create(model="gpt-4o", input="hi", stream=True):
                seen.append(event.type)
        assert "response.output_text.delta" in seen


def test_node(node, target):
    done = node("response", target.url, {"model": "gpt-4o"})
    assert done["output_text"] == ANSWER
    events = node("response_stream", target.url, {"model": "gpt-4o"})
    assert events[-1]["type"] == "response.completed"
    target.sim.fault(target.key, error_after=6, chunk_delay_ms=10)
    error = node("response_stream", target.url, {"model": "gpt-4o"})["error"]
    assert error["class"] == "APIError" and error["received"] > 3
