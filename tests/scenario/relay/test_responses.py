"""POST /v1/responses: OpenAI's other API, whole and streamed, passed on with its own events."""

import json
import re

import pytest

from daemon import deployment

TEXT = "Hello! This is a simulated answer."
UNKNOWN = {"error": {"message": "Previous response with id 'resp_1' not found.", "type": "invalid_request_error",
                     "param": "previous_response_id", "code": "previous_response_not_found"}}


def pair(sim, **settings):
    """Two deployments; a has all the weight, so that it is always the first choice."""
    return {"model_list": [deployment("g", sim, key="sk-a", info={"id": "a"}, weight=1),
                           deployment("g", sim, key="sk-b", info={"id": "b"}, weight=0)],
            "litellm_settings": {"num_retries": 2}, **settings}


def ask(gate, path="/v1/responses", **members):
    return gate.post(path, json={"model": "g", "input": "hi", **members})


def events(answer):
    """[(name, data)] of the stream; every event has both."""
    found = []
    for block in re.split("\n\n+", answer.text.strip("\n")):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line)
        found.append((lines["event"], json.loads(lines["data"])))
    return found


@pytest.mark.parametrize("path", ["/v1/responses", "/responses"])
def test_request_reaches_the_upstream_as_sent(hale, sim, path):
    gate = hale({"model_list": [deployment("g", sim)]})
    members = {"instructions": "be brief", "tools": [{"type": "function", "name": "f", "parameters": {"model": "m"}}],
               "previous_response_id": "resp_1", "unknown": {"model": "inner", "x": [1, 2.50, None]}}
    answer = ask(gate, path, **members)
    assert answer.status_code == 200 and answer.json()["output"][0]["content"][0]["text"] == TEXT
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"]) == ("POST", "/v1/responses")
    assert seen["body"] == {"model": "gpt-4o", "input": "hi", **members}
    assert seen["headers"]["authorization"] == "Bearer sk-a"
    assert answer.headers["x-litellm-model-group"] == "g" and answer.headers["x-ratelimit-remaining-requests"] == "999"


def test_azure(hale, sim):
    gate = hale({"model_list": [deployment("g", sim, provider="azure", model="my-dep")]})
    assert ask(gate).json()["output"][0]["content"][0]["text"] == TEXT
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"], seen["query"]) == ("POST", "/openai/responses", "api-version=2024-10-21")
    assert seen["headers"]["api-key"] == "sk-a" and seen["body"]["model"] == "my-dep"


def test_stream_is_passed_on_unchanged(hale, sim):
    gate = hale({"model_list": [deployment("g", sim)]})
    answer = ask(gate, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events(answer)
    assert all(name == data["type"] for name, data in found)
    assert [data["sequence_number"] for _, data in found] == list(range(len(found)))
    assert "".join(d["delta"] for n, d in found if n == "response.output_text.delta") == TEXT
    assert found[0][0] == "response.created" and found[-1][0] == "response.completed"


def test_incomplete_is_a_proper_end(hale, sim):
    gate = hale(pair(sim))
    assert events(ask(gate, stream=True, max_output_tokens=2))[-1][0] == "response.incomplete"
    assert ask(gate, max_output_tokens=2).json()["status"] == "incomplete"
    assert (sim.count("sk-a"), sim.count("sk-b")) == (2, 0)


FAILED = {"id": "resp_1", "object": "response", "status": "failed", "output": [], "error": {"code": "server_error"}}
BROKEN = [dict(status=500), dict(status=429), dict(status=401), dict(reset=True), dict(garbage=True), dict(empty=True),
          dict(cut_after=0), dict(status=200, body=json.dumps(FAILED))]


@pytest.mark.parametrize("fault", BROKEN, ids=lambda f: "-".join(f)[:40])
def test_the_other_deployment_answers(hale, sim, fault):
    gate = hale(pair(sim))
    sim.fault("sk-a", **fault)
    answer = ask(gate)
    assert answer.status_code == 200 and answer.headers["x-litellm-model-id"] == "b", answer.text
    assert answer.json()["output"][0]["content"][0]["text"] == TEXT
    assert (sim.count("sk-a"), sim.count("sk-b")) == (1, 1)


# Events 0 to 3 are created, in_progress, output_item.added and content_part.added.
@pytest.mark.parametrize("fault", [dict(cut_after=4), dict(error_after=4), dict(cut_after=1, reset=True),
                                   dict(empty=True)], ids=lambda f: "-".join(f))
def test_before_content_a_stream_moves(hale, sim, fault):
    gate = hale(pair(sim))
    sim.fault("sk-a", **fault)
    answer = ask(gate, stream=True)
    assert answer.headers["x-litellm-model-id"] == "b"
    assert events(answer)[-1][0] == "response.completed"


@pytest.mark.parametrize("fault", [dict(cut_after=6), dict(no_terminator=True)], ids=lambda f: "-".join(f))
def test_after_content_a_cut_ends_with_an_error(hale, sim, fault):
    gate = hale(pair(sim))
    sim.fault("sk-a", chunk_delay_ms=20, **fault)
    found = events(ask(gate, stream=True))
    name, data = found[-1]
    assert name == data["type"] == "error" and data["code"].startswith("upstream_") and data["param"] is None
    assert data["error"]["message"] == data["message"] and data["sequence_number"] == len(found) - 1
    assert sim.count("sk-b") == 0


def test_the_upstreams_own_error_event_is_the_last(hale, sim):
    gate = hale(pair(sim))
    sim.fault("sk-a", chunk_delay_ms=20, error_after=6)
    found = events(ask(gate, stream=True))
    assert [name for name, _ in found].count("error") == 1 and found[-1][1]["error"]["type"] == "server_error"


def test_first_token_and_idle_timers(hale, sim):
    gate = hale(pair(sim, hale_settings={"first_token_timeout_ms": 200, "stream_idle_timeout_ms": 200}))
    sim.fault("sk-a", stall_after=3, comments=True)
    answer = ask(gate, stream=True)
    assert answer.headers["x-litellm-model-id"] == "b" and events(answer)[-1][0] == "response.completed"
    sim.fault("sk-a", stall_after=6, comments=True, chunk_delay_ms=5)
    text = ask(gate, stream=True).text
    assert json.loads(text.rstrip().rpartition("data: ")[2])["code"] == "upstream_timeout"


def test_a_response_is_looked_for_where_it_may_be(hale, sim):
    """No memory of who made it: a deployment that does not know the id is no dead end, and is not to blame."""
    gate = hale(pair(sim, litellm_settings={"num_retries": 0}))
    sim.fault("sk-a", status=400, body=json.dumps(UNKNOWN))
    for stream in (False, True):
        answer = ask(gate, previous_response_id="resp_1", stream=stream)
        assert answer.status_code == 200 and answer.headers["x-litellm-model-id"] == "b"
    sim.fault("sk-b", status=400, body=json.dumps(UNKNOWN))
    before = sim.count("sk-a") + sim.count("sk-b")
    answer = ask(gate, previous_response_id="resp_1")
    assert answer.status_code == 400 and answer.json() == UNKNOWN
    assert sim.count("sk-a") + sim.count("sk-b") == before + 2


def test_stored_responses_are_not_served(hale, sim):
    gate = hale(pair(sim))
    for method, path in (("GET", "/v1/responses/resp_1"), ("DELETE", "/v1/responses/resp_1"),
                         ("POST", "/v1/responses/resp_1/cancel")):
        assert gate.request(method, path).status_code == 404
    assert gate.get("/v1/responses").status_code == 405
    assert sim.count("sk-a") == 0


def test_input_is_required(hale, sim):
    gate = hale({"model_list": [deployment("g", sim)]})
    answer = gate.post("/v1/responses", json={"model": "g"})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "input"
    # a stored prompt brings its own: the upstream decides
    assert gate.post("/v1/responses", json={"model": "g", "prompt": {"id": "pmpt_1"}}).status_code == 400
    assert sim.count("sk-a") == 1


def test_a_provider_without_it_is_refused(hale, sim):
    gate = hale({"model_list": [deployment("g", sim, provider="anthropic", model="claude-sim")]})
    answer = ask(gate)
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "unsupported_mode"
