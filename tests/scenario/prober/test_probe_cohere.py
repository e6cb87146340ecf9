"""Probes of Cohere deployments, and of rerankers that speak another form: what is asked, what counts."""

import json

import pytest

from daemon import deployment

KEY = {"Authorization": "Bearer sk-admin"}
DOCUMENTS = ["my sample text"]


def start(hale, sim, provider, model, mode, base=None):
    return hale({"model_list": [deployment("g", base or sim, provider=provider, model=model, info={"mode": mode})],
                 "general_settings": {"master_key": "sk-admin"}})


def probe(daemon):
    """The one entry of /health, and whether it is healthy."""
    body = daemon.get("/health", headers=KEY).json()
    entries = [(e, True) for e in body["healthy_endpoints"]] + [(e, False) for e in body["unhealthy_endpoints"]]
    assert len(entries) == 1, body
    return entries[0]


REQUESTS = {
    ("cohere", "chat"): ("/v2/chat", {"messages": [{"role": "user", "content": "test from litellm"}], "max_tokens": 1}),
    ("cohere_chat", "chat"): ("/v2/chat", {"messages": [{"role": "user", "content": "test from litellm"}],
                                           "max_tokens": 1}),
    ("cohere", "embedding"): ("/v2/embed", {"texts": ["test from litellm"], "input_type": "search_document",
                                            "embedding_types": ["float"]}),
    ("cohere", "rerank"): ("/v2/rerank", {"query": "test from litellm", "documents": DOCUMENTS}),
    ("voyage", "rerank"): ("/voyage/v1/rerank", {"query": "test from litellm", "documents": DOCUMENTS}),
    ("jina_ai", "rerank"): ("/v1/rerank", {"query": "test from litellm", "documents": DOCUMENTS}),
    ("together_ai", "rerank"): ("/v1/rerank", {"query": "test from litellm", "documents": DOCUMENTS}),
    ("fireworks_ai", "rerank"): ("/v1/rerank", {"query": "test from litellm", "documents": DOCUMENTS}),
    ("hosted_vllm", "rerank"): ("/v1/rerank", {"query": "test from litellm", "documents": DOCUMENTS}),
}


@pytest.mark.parametrize("provider,mode", REQUESTS)
def test_request(hale, sim, provider, mode):
    path, body = REQUESTS[provider, mode]
    base = sim.url + path[:-len("/rerank")] if mode == "rerank" else sim
    entry, healthy = probe(start(hale, sim, provider, "m-sim", mode, base))
    assert healthy, entry
    assert sim.count("sk-a") == 1, "a probe is one request"
    seen = sim.requests("sk-a")[0]
    assert (seen["method"], seen["path"], seen["query"]) == ("POST", path, None)
    assert seen["headers"]["authorization"] == "Bearer sk-a"
    assert seen["body"] == {"model": "m-sim", **body}


# provider, mode, what a 200 says -> does it count
ANSWERS = [
    ("cohere", "chat", {"message": {"content": []}, "finish_reason": "MAX_TOKENS"}, True),
    ("cohere", "chat", {"message": {"content": []}, "finish_reason": "ERROR"}, False),
    ("cohere", "chat", {"message": "no such thing"}, False),
    ("cohere", "chat", {"choices": [{"message": {"content": "x"}}]}, False),
    ("cohere", "embedding", {"embeddings": {"float": [[0.1]]}}, True),
    ("cohere", "embedding", {"embeddings": {"float": []}}, False),
    ("cohere", "embedding", {"data": [{"embedding": [0.1]}]}, False),
    ("cohere", "rerank", {"results": [{"index": 0, "relevance_score": 0.1}]}, True),
    ("cohere", "rerank", {"results": []}, False),
    ("voyage", "rerank", {"data": [{"index": 0, "relevance_score": 0.1}]}, True),
    ("voyage", "rerank", {"data": [{"index": 0}]}, False),
    ("voyage", "rerank", {"data": []}, False),
    ("fireworks_ai", "rerank", {"data": [{"index": 0, "relevance_score": 0.1}]}, True),
    ("jina_ai", "rerank", {"data": [{"index": 0, "relevance_score": 0.1}]}, False),
]


@pytest.mark.parametrize("provider,mode,body,counts", ANSWERS)
def test_answer(hale, sim, provider, mode, body, counts):
    sim.fault("sk-a", body=json.dumps(body))
    entry, healthy = probe(start(hale, sim, provider, "m-sim", mode))
    assert healthy is counts, entry
    if not counts:
        assert entry["reason"] == "bad_body", entry


# Cohere's words -> reason
ERRORS = [
    (401, "invalid api token", "unauthorized"),
    (402, "Please add or update your payment method at https://dashboard.cohere.com/billing", "out_of_funds"),
    (404, "model 'm-sim' not found, make sure the correct model ID was used and that you have access to the model.",
     "not_found"),
    (429, "You are using a Trial key, which is limited to 20 API calls / minute.", "rate_limited"),
    (500, "internal server error", "server_error"),
    (503, "service unavailable", "server_error"),
]


@pytest.mark.parametrize("mode", ["chat", "embedding", "rerank"])
@pytest.mark.parametrize("status,message,reason", ERRORS)
def test_error(hale, sim, status, message, reason, mode):
    sim.fault("sk-a", status=status, body=json.dumps({"id": "1", "message": message}))
    entry, healthy = probe(start(hale, sim, "cohere", "m-sim", mode))
    assert not healthy and (entry["reason"], entry["exception_status"]) == (reason, status), entry
    assert message[:20] in entry["error"]
    assert sim.count("sk-a") == 1


def test_payload_refused_is_no_verdict(hale, sim):
    """A 400 in every form says something about the probe, nothing about the deployment."""
    sim.fault("sk-a", status=400, body='{"message":"invalid request: unknown field"}')
    entry, healthy = probe(start(hale, sim, "cohere", "m-sim", "chat"))
    assert not healthy and entry["reason"] == "bad_probe" and entry["state"] != "unhealthy"
