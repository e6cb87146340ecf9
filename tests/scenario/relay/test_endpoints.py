"""JSON endpoints beyond chat: what arrives upstream, what comes back, where a request goes when an upstream fails."""

import json

import pytest

from daemon import deployment

DOCUMENT = {"type": "document_url", "document_url": "data:application/pdf;base64,AA=="}

# path, provider, path upstream, body without model, a check of the answer
MODES = {
    "image": ("/v1/images/generations", "openai", "/v1/images/generations", {"prompt": "a cat", "n": 1, "size": "64x64"},
              lambda a: a["data"][0]["b64_json"]),
    "image-azure": ("/images/generations", "azure", "/openai/deployments/up/images/generations", {"prompt": "a cat"},
                    lambda a: a["data"][0]["b64_json"]),
    "rerank": ("/v1/rerank", "jina_ai", "/v1/rerank", {"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1},
               lambda a: a["results"][0]["relevance_score"] > 0),
    "rerank-v2": ("/v2/rerank", "hosted_vllm", "/v1/rerank", {"query": "q", "documents": ["a"]}, lambda a: a["results"]),
    "rerank-bare": ("/rerank", "jina_ai", "/v1/rerank", {"query": "q", "documents": ["a"]}, lambda a: a["results"]),
    "ocr": ("/v1/ocr", "mistral", "/v1/ocr", {"document": DOCUMENT, "pages": [0]}, lambda a: a["pages"][0]["markdown"]),
    "moderation": ("/v1/moderations", "openai", "/v1/moderations", {"input": "I kill you"},
                   lambda a: a["results"][0]["flagged"]),
}


def body_of(case, model="g"):
    return {"model": model, **MODES[case][3]}


@pytest.mark.parametrize("case", MODES)
def test_reaches_the_upstream_as_sent(hale, sim, case):
    path, provider, upstream, rest, check = MODES[case]
    gate = hale({"model_list": [deployment("g", sim, provider=provider, model="up", info={"id": "one"})]})
    answer = gate.post(path, json={"model": "g", **rest, "unknown": [1, 2.50]})
    assert answer.status_code == 200 and check(answer.json()), answer.text
    assert answer.headers["x-litellm-model-id"] == "one" and answer.headers["content-type"] == "application/json"
    (seen,) = sim.requests("sk-a")
    assert (seen["method"], seen["path"]) == ("POST", upstream)
    assert seen["body"] == {"model": "up", **rest, "unknown": [1, 2.50]}
    assert seen["headers"]["content-type"] == "application/json"
    assert (seen["query"] or "") == ("api-version=2024-10-21" if provider == "azure" else "")


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"status": 401}, {"empty": True}, {"garbage": True},
                                   {"body": "{}"}, {"reset": True}, {"cut_after": 10}, {"body": '{"data":[],"results":[]}'}])
@pytest.mark.parametrize("case", ["image", "rerank", "ocr", "moderation"])
def test_another_deployment_answers(hale, sim, case, fault):
    path, provider, _, _, check = MODES[case]
    gate = hale({"model_list": [deployment("g", sim, key="sk-sick", provider=provider, model="up", order=1),
                                deployment("g", sim, key="sk-well", provider=provider, model="up", order=2)],
                 "router_settings": {"disable_cooldowns": True}})
    sim.fault("sk-sick", **fault)
    answer = gate.post(path, json=body_of(case))
    assert answer.status_code == 200 and check(answer.json()), answer.text
    assert answer.headers["x-litellm-attempted-retries"] == "1"
    assert (sim.count("sk-sick"), sim.count("sk-well")) == (1, 1)


@pytest.mark.parametrize("case", ["image", "rerank", "ocr", "moderation"])
def test_a_refusal_is_the_clients(hale, sim, case):
    path, provider, *_ = MODES[case]
    gate = hale({"model_list": [deployment("g", sim, provider=provider), deployment("g", sim, provider=provider)]})
    sim.fault("sk-a", status=400)
    answer = gate.post(path, json=body_of(case))
    assert answer.status_code == 400 and answer.json()["error"]["message"] == "The request is not valid."
    assert sim.count("sk-a") == 1


@pytest.mark.parametrize("path,body,param", [
    ("/v1/images/generations", {}, "prompt"), ("/v1/rerank", {"documents": ["a"]}, "query"),
    ("/v1/rerank", {"query": "q"}, "documents"), ("/v1/ocr", {}, "document"), ("/v1/moderations", {}, "input"),
    ("/v1/audio/speech", {"voice": "alloy"}, "input")])
def test_required_members(hale, sim, path, body, param):
    gate = hale({"model_list": [deployment("g", sim)]})
    error = gate.post(path, json={"model": "g", **body})
    assert error.status_code == 400
    assert error.json()["error"]["param"] == param and error.json()["error"]["code"] == "missing_required_parameter"
    error = gate.post(path, json={param: "x", "query": "q", "documents": ["a"], **body})
    assert error.status_code == 400 and error.json()["error"]["param"] == "model"
    assert sim.stats()["requests"]["total"] == 0


def test_a_provider_without_the_mode(hale, sim):
    gate = hale({"model_list": [deployment("g", sim, provider="anthropic", model="claude-sim")]})
    error = gate.post("/v1/images/generations", json={"model": "g", "prompt": "x"})
    assert error.status_code == 400 and error.json()["error"]["code"] == "unsupported_mode"


def test_moderation_without_a_model(hale, sim):
    gate = hale({"model_list": [deployment("g", sim)]})
    assert gate.post("/v1/moderations", json={"input": "x"}).json()["error"]["param"] == "model"
    gate = hale({"model_list": [deployment("omni-moderation-latest", sim, model="omni-2", key="sk-m")]})
    for body in ({"input": "x"}, {" input ": 1, "input": ["x", "y"]}):
        answer = gate.post("/v1/moderations", json=body)
        assert answer.status_code == 200 and answer.json()["results"]
        assert sim.requests("sk-m")[-1]["body"] == {"model": "omni-2", **body}


def test_image_streams(hale, sim):
    gate = hale({"model_list": [deployment("g", sim, key="sk-sick", order=1), deployment("g", sim, key="sk-b", order=2)],
                 "router_settings": {"disable_cooldowns": True}})
    body = {"model": "g", "prompt": "a cat", "stream": True, "partial_images": 2}
    sim.fault("sk-sick", cut_after=0)  # nothing was sent yet: the next one draws
    answer = gate.post("/v1/images/generations", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    kinds = [json.loads(line[6:])["type"] for line in answer.text.split("\n") if line.startswith("data: ")]
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    sim.fault("sk-sick", cut_after=1)  # an image was seen: the stream ends with an error
    answer = gate.post("/v1/images/generations", json=body)
    assert "image_generation.partial_image" in answer.text and "completed" not in answer.text
    assert "event: error" in answer.text


def test_an_image_without_partial_ones_is_a_success(hale, sim):
    """The only event is both: content and the end."""
    gate = hale({"model_list": [deployment("g", sim)], "router_settings": {"allowed_fails": 0}})
    for _ in range(3):
        answer = gate.post("/v1/images/generations", json={"model": "g", "prompt": "a cat", "stream": True})
        assert answer.text.count("event: image_generation.completed") == 1


@pytest.mark.parametrize("path,mode,body", [
    ("/openai/deployments/team/g/chat/completions?api-version=2024-10-21", "chat/completions",
     {"messages": [{"role": "user", "content": "hi"}]}),
    ("/engines/team/g/chat/completions", "chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
    ("/openai/deployments/team/g/completions?api-version=2024-10-21", "completions", {"prompt": "hi"}),
    ("/openai/deployments/team%2Fg/embeddings", "embeddings", {"input": "hi"}),
    ("/openai/deployments/team/g/images/generations", "images/generations", {"prompt": "hi"}),
    ("/openai/deployments/team/g/audio/speech", "audio/speech", {"input": "hi", "voice": "alloy"})])
def test_model_in_the_path(hale, sim, path, mode, body):
    gate = hale({"model_list": [deployment("team/g", sim, model="up"), deployment("other", sim, key="sk-b")]})
    for extra in ({}, {"model": "other"}, {"x": 1, "model": "nonsense"}):
        answer = gate.post(path, json={**extra, **body})
        assert answer.status_code == 200, answer.text
        seen = sim.requests("sk-a")[-1]
        assert seen["path"] == "/v1/" + mode and seen["body"] == {**extra, **body, "model": "up"}
        assert not seen["query"]
    assert sim.count("sk-b") == 0


def test_model_in_the_path_that_is_not_there(hale, sim):
    gate = hale({"model_list": [deployment("g", sim)]})
    body = {"messages": [{"role": "user", "content": "hi"}]}
    for path, status, code in (("/openai/deployments/none/chat/completions", 400, "model_not_found"),
                               ("/openai/deployments/g%0A/chat/completions", 400, None),
                               ("/openai/deployments//chat/completions", 404, "unknown_url"),
                               ("/openai/deployments/g/health", 404, "unknown_url")):
        answer = gate.post(path, json=body)
        assert answer.status_code == status, (path, answer.text)
        assert code is None or answer.json()["error"]["code"] == code
    assert gate.get("/openai/deployments/g/chat/completions").status_code == 405
    assert sim.stats()["requests"]["total"] == 0


def test_azure_to_azure_and_translated(hale, sim):
    gate = hale({"model_list": [deployment("az", sim, provider="azure", model="my-gpt"),
                                deployment("c", sim, provider="anthropic", model="claude-sim")]})
    body = {"messages": [{"role": "user", "content": "hi"}]}
    answer = gate.post("/openai/deployments/az/chat/completions?api-version=x", json=body)
    assert answer.json()["choices"] and sim.requests("sk-a")[-1]["path"] == "/openai/deployments/my-gpt/chat/completions"
    assert gate.post("/openai/deployments/c/chat/completions", json=body).json()["choices"]


def test_keys_are_needed(hale, sim):
    gate = hale({"model_list": [deployment("g", sim)], "general_settings": {"master_key": "sk-master"}})
    paths = [MODES[case][0] for case in MODES] + ["/openai/deployments/g/chat/completions"]
    for path in paths:
        assert gate.post(path, json={"model": "g"}).status_code == 401
    answer = gate.post("/openai/deployments/g/chat/completions", headers={"api-key": "sk-master"},
                       json={"messages": [{"role": "user", "content": "hi"}]})
    assert answer.status_code == 200
