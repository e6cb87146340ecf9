"""PyPI `openai`: what an application sees."""

import pytest


@pytest.fixture
def client(python_sdk, target):
    import openai
    with openai.OpenAI(base_url=target.url, api_key="sk-client", max_retries=0, timeout=30) as one:
        yield one


MESSAGES = [{"role": "user", "content": "hi"}]
ANSWER = "Hello! This is a simulated answer."


def test_chat(client):
    done = client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert done.choices[0].message.content == ANSWER
    assert done.choices[0].message.role == "assistant" and done.choices[0].finish_reason == "stop"
    assert done.object == "chat.completion" and done.id and done.created
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens > 0


def test_chat_length(client):
    done = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=1)
    assert (done.choices[0].message.content, done.choices[0].finish_reason) == ("Hello", "length")


def test_stream(client):
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == ANSWER
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert {c.object for c in chunks if c.choices} == {"chat.completion.chunk"}
    assert all(c.usage is None for c in chunks)


def test_stream_usage(client):
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True,
                                                 stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 8


def test_stream_left_early(client, target):
    from waiting import wait_until
    target.sim.fault(target.key, chunks=100000, chunk_delay_ms=10)
    stream = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    stream.close()
    wait_until(lambda: target.sim.stats()["requests"]["open"] == 0, what="the upstream request to be cancelled")


def test_embeddings(client):
    for form in ("float", "base64"):
        done = client.embeddings.create(model="embed", input=["a", "b"], dimensions=16, encoding_format=form)
        assert len(done.data) == 2
    done = client.embeddings.create(model="embed", input="a", dimensions=16)  # the SDK asks for base64 and decodes
    assert len(done.data[0].embedding) == 16 and isinstance(done.data[0].embedding[0], float)


def test_models(client):
    assert "gpt-4o" in [m.id for m in client.models.list()]


ERRORS = [(400, "BadRequestError"), (401, "AuthenticationError"), (403, "PermissionDeniedError"),
          (404, "NotFoundError"), (429, "RateLimitError"), (500, "InternalServerError"), (503, "InternalServerError")]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status,name", ERRORS)
def test_error_classes(client, target, status, name, stream):
    import openai
    target.sim.fault(target.key, status=status)
    with pytest.raises(getattr(openai, name)) as error:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=stream)
    assert error.value.status_code == status and error.value.body["message"]


def test_rate_limit_says_when(client, target):
    import openai
    target.sim.fault(target.key, status=429, retry_after="7")
    with pytest.raises(openai.RateLimitError) as error:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert error.value.response.headers["retry-after"] == "7"


def test_broken_stream_is_an_error(client, target):
    """Half an answer must never look like a whole one."""
    target.sim.fault(target.key, cut_after=4)
    got = []
    with pytest.raises(Exception) as error:  # of the SDK or of the HTTP library below it
        for chunk in client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True):
            got.append(chunk)
    assert got and not isinstance(error.value, AssertionError)
    assert not any(c.choices and c.choices[0].finish_reason for c in got)
