"""Errors that come from hale itself, as the SDK raises them."""

import contextlib

import pytest

from daemon import deployment

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture
def daemon(sim, hale):
    return hale({"model_list": [deployment("gpt-4o", sim)], "general_settings": {"master_key": "sk-master"},
                 "router_settings": {"num_retries": 0}})


@pytest.fixture
def client(python_sdk, daemon):
    """client(key) -> OpenAI; closed before the daemon stops, which would wait for the connection otherwise."""
    import openai
    with contextlib.ExitStack() as stack:
        yield lambda key: stack.enter_context(
            openai.OpenAI(base_url=daemon.url + "/v1", api_key=key, max_retries=0, timeout=30))


def test_wrong_key(client, sim):
    import openai
    with pytest.raises(openai.AuthenticationError):
        client("sk-wrong").chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert sim.stats()["requests"]["total"] == 0


def test_right_key(client, sim):
    client("sk-master").chat.completions.create(model="gpt-4o", messages=MESSAGES)
    (seen,) = sim.requests()
    assert seen["key"] == "sk-a" and "sk-master" not in str(seen)


def test_unknown_model(client):
    import openai
    with pytest.raises((openai.NotFoundError, openai.BadRequestError)) as error:
        client("sk-master").chat.completions.create(model="no-such-model", messages=MESSAGES)
    assert "no-such-model" in error.value.message


def test_upstream_gone(client, sim):
    import openai
    sim.fault(reset=True)
    with pytest.raises(openai.InternalServerError):
        client("sk-master").chat.completions.create(model="gpt-4o", messages=MESSAGES)


def test_retries_of_the_sdk_meet_a_cure(client, sim):
    sim.fault(status=500, times=1)
    one = client("sk-master").with_options(max_retries=2)
    assert one.chat.completions.create(model="gpt-4o", messages=MESSAGES).choices[0].message.content
    assert sim.stats()["requests"]["total"] == 2
