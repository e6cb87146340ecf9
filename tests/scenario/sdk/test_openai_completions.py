"""PyPI and npm `openai`: legacy completions, with nothing between and with hale in front."""

import pytest

ANSWER = "Hello! This is a simulated answer."


@pytest.mark.parametrize("target", ["llmsim", "hale", "azure"], indirect=True)
def test_python(python_sdk, target):
    import openai
    with openai.OpenAI(base_url=target.url, api_key="sk-client", max_retries=0, timeout=30) as client:
        assert client.completions.create(model="gpt-4o", prompt="hi").choices[0].text == ANSWER
        stream = client.completions.create(model="gpt-4o", prompt="hi", stream=True)
        assert "".join(c.choices[0].text for c in stream if c.choices) == ANSWER
        target.sim.fault(target.key, status=429)
        with pytest.raises(openai.RateLimitError):
            client.completions.create(model="gpt-4o", prompt="hi")


@pytest.mark.parametrize("target", ["llmsim", "hale", "azure"], indirect=True)
def test_node(node, target):
    assert node("complete", target.url, {"model": "gpt-4o"})["choices"][0]["text"] == ANSWER
    chunks = node("complete_stream", target.url, {"model": "gpt-4o"})
    assert "".join(c["choices"][0]["text"] for c in chunks if c["choices"]) == ANSWER


@pytest.mark.parametrize("target", ["anthropic", "gemini", "bedrock", "cohere"], indirect=True)
def test_who_has_none(python_sdk, target):
    """Said by the gateway, as the client's mistake."""
    import openai
    with openai.OpenAI(base_url=target.url, api_key="sk-client", max_retries=0, timeout=30) as client:
        with pytest.raises(openai.BadRequestError) as error:
            client.completions.create(model="gpt-4o", prompt="hi")
    assert error.value.body["code"] == "unsupported_mode" and target.sim.count(target.key) == 0
