"""Realtime sessions with the official SDKs: Python, and the browser's form of the JavaScript one."""

import pytest

from daemon import deployment

EVENTS = ["session.created", "session.updated", "response.created", *["response.output_text.delta"] * 3, "response.done"]


@pytest.fixture(params=["llmsim", "openai", "azure", "hosted_vllm"])
def voice(request, sim, hale):
    """A base URL for an SDK, the simulator behind it, and the key that this sees: with hale in front, and without."""
    if request.param == "llmsim":
        return sim.base, sim, "sk-client"
    one = deployment("gpt-realtime", sim, key="sk-a", provider=request.param, model="my-voice", info={"mode": "realtime"})
    daemon = hale({"model_list": [one], "general_settings": {"master_key": "sk-client"},
                   "router_settings": {"num_retries": 0}})
    return daemon.url + "/v1", sim, "sk-a"


def test_python(python_process, voice):
    url, sim, key = voice
    assert python_process("realtime.py", url, "gpt-realtime") == EVENTS
    assert sim.count(key) == 1


def test_python_refused(python_process, voice):
    url, sim, key = voice
    sim.fault(key, status=429)
    assert "429" in python_process("realtime.py", url, "gpt-realtime")["error"]


def test_browser(node, sim, hale):
    """The browser's class: the key is a subprotocol, and goes no further."""
    daemon = hale({"model_list": [deployment("gpt-realtime", sim, key="sk-a", info={"mode": "realtime"})],
                   "general_settings": {"master_key": "sk-client"}})
    assert node("realtime", daemon.url + "/v1", "gpt-realtime") == EVENTS
    (request,) = sim.requests(key="sk-a")
    assert "sk-client" not in str(request["headers"])
