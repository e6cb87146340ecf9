"""Errors that come from hale itself, as the SDK raises them."""

import pytest

from daemon import deployment

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture
def daemon(sim, hale):
    return hale({"model_list": [deployment("gpt-4o", sim)], "general_settings": {"master_key": "sk-master"},
                 "router_settings": {"num_retries": 0}})


def client(daemon, key):
    import openai
    return openai.OpenAI(base_url=daemon.url + "/v1", api_key=key, max_retries=0, timeout=30)


def test_wrong_key(python_sdk, daemon, sim):
    import openai
    with pytest.raises(openai.AuthenticationError):
        client(daemon, "sk-wrong").chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert sim.stats()["requests"]["total"] == 0


def test_right_key(python_sdk, daemon, sim):
    client(daemon, "sk-master").chat.completions.create(model="gpt-4o", messages=MESSAGES)
    (seen,) = sim.requests()
    assert seen["key"] == "sk-a" and "sk-master" not in str(seen)


def test_unknown_model(python_sdk, daemon):
    import openai
    with pytest.raises((openai.NotFoundError, openai.BadRequestError)) as error:
        client(daemon, "sk-master").chat.completions.create(model="no-such-model", messages=MESSAGES)
    assert "no-such-model" in error.value.message


def test_upstream_gone(python_sdk, daemon, sim):
    import openai
    sim.fault(reset=True)
    with pytest.raises(openai.InternalServerError):
        client(daemon, "sk-master").chat.completions.create(model="gpt-4o", messages=MESSAGES)


def test_retries_of_the_sdk_meet_a_cure(python_sdk, daemon, sim):
    sim.fault(status=500, times=1)
    one = client(daemon, "sk-master").with_options(max_retries=2)
    assert one.chat.completions.create(model="gpt-4o", messages=MESSAGES).choices[0].message.content
    assert sim.stats()["requests"]["total"] == 2
