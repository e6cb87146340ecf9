"""Probes of Gemini deployments: the exact request, and what counts as healthy."""

import json

import pytest

from daemon import deployment

KEY = {"Authorization": "Bearer sk-admin"}
MODEL = "gemini-2.5-flash"


def check(hale, sim, info=None, model=MODEL):
    """One /health on one deployment: its entry, and whether it is healthy."""
    daemon = hale({"model_list": [deployment("g", sim, provider="gemini", model=model, info=info)],
                   "general_settings": {"master_key": "sk-admin"}})
    body = daemon.get("/health", headers=KEY, timeout=60).json()
    entries = [(e, True) for e in body["healthy_endpoints"]] + [(e, False) for e in body["unhealthy_endpoints"]]
    assert len(entries) == 1, body
    return entries[0]


def error(code, status, message, **detail):
    return json.dumps({"error": {"code": code, "message": message, "status": status,
                                 **({"details": [detail]} if detail else {})}})


def test_request(hale, sim):
    entry, healthy = check(hale, sim)
    assert healthy and entry["model"] == "gemini/gemini-2.5-flash"
    (seen,) = sim.requests("sk-a")
    assert (seen["method"], seen["path"], seen["query"]) == (
        "POST", "/v1beta/models/gemini-2.5-flash:generateContent", None)
    assert seen["headers"]["x-goog-api-key"] == "sk-a" and "authorization" not in seen["headers"]
    assert seen["body"] == {"contents": [{"role": "user", "parts": [{"text": "test from litellm"}]}],
                            "generationConfig": {"maxOutputTokens": 1}}


@pytest.mark.parametrize("model,effort,thinking", [
    ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
    ("gemini-2.5-flash", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
    ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
    ("gemini-3-pro-preview", "minimal", {"thinkingLevel": "low"}),
    ("gemini-2.0-flash", "none", None)])
def test_reasoning_effort(hale, sim, model, effort, thinking):
    """Thoughts are what probes of these models cost; they can be turned off."""
    _, healthy = check(hale, sim, {"health_check_reasoning_effort": effort, "health_check_max_tokens": 5}, model)
    assert healthy
    want = {"maxOutputTokens": 5, **({"thinkingConfig": thinking} if thinking else {})}
    assert sim.requests("sk-a")[0]["body"]["generationConfig"] == want


def test_embedding_request(hale, sim):
    _, healthy = check(hale, sim, {"mode": "embedding"}, "text-embedding-004")
    assert healthy
    (seen,) = sim.requests("sk-a")
    assert (seen["method"], seen["path"]) == ("POST", "/v1beta/models/text-embedding-004:batchEmbedContents")
    assert seen["body"] == {"requests": [{"model": "models/text-embedding-004",
                                          "content": {"parts": [{"text": "test from litellm"}]}}]}


def test_image_request(hale, sim):
    _, healthy = check(hale, sim, {"mode": "image_generation"}, "imagen-4.0-generate-001")
    assert healthy
    (seen,) = sim.requests("sk-a")
    assert (seen["method"], seen["path"]) == ("POST", "/v1beta/models/imagen-4.0-generate-001:predict")
    assert seen["headers"]["x-goog-api-key"] == "sk-a"
    assert seen["body"] == {"instances": [{"prompt": "test from litellm"}], "parameters": {"sampleCount": 1}}


ALIVE = {
    "text": '{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}]}',
    "thoughts ate the limit": '{"candidates":[{"content":{"role":"model"},"finishReason":"MAX_TOKENS"}],'
                              '"usageMetadata":{"promptTokenCount":4,"thoughtsTokenCount":1,"totalTokenCount":5}}',
    "no content at all": '{"candidates":[{"finishReason":"MAX_TOKENS","index":0}]}',
    "filtered": '{"candidates":[{"finishReason":"SAFETY"}]}',
    "blocked": '{"promptFeedback":{"blockReason":"OTHER"}}',
}


def test_filtered_image_is_alive(hale, sim):
    sim.fault("sk-a", status=200, body='{"predictions":[{"raiFilteredReason":"x"}]}')
    assert check(hale, sim, {"mode": "image_generation"}, "imagen-4.0-generate-001")[1]


@pytest.mark.parametrize("name", ALIVE)
def test_alive(hale, sim, name):
    sim.fault("sk-a", status=200, body=ALIVE[name])
    _, healthy = check(hale, sim)
    assert healthy and sim.count("sk-a") == 1


# mode, fault, status shown, reason, part of the error text, requests
SICK = {
    "empty": ("chat", {"empty": True}, 500, "bad_body", None, 1),
    "no candidates": ("chat", {"status": 200, "body": '{"candidates":[]}'}, 500, "bad_body", "no candidates", 1),
    "hollow": ("chat", {"status": 200, "body": '{"candidates":[{"content":{"role":"model"}}]}'}, 500, "bad_body",
               "no content", 1),
    "OpenAI's form": ("chat", {"status": 200, "body": '{"choices":[{"message":{"content":"x"}}]}'}, 500, "bad_body",
                      None, 1),
    "page": ("chat", {"status": 200, "body": "<html><title>Login</title></html>", "content_type": "text/html"}, 500,
             "bad_body", None, 1),
    "no vector": ("embedding", {"status": 200, "body": '{"embeddings":[{"values":[]}]}'}, 500, "bad_body", None, 1),
    "no picture": ("image_generation", {"status": 200, "body": '{"predictions":[{}]}'}, 500, "bad_body", "no image", 1),
    "wrong key": ("chat", {"status": 400, "body": error(
        400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID")},
        400, "unauthorized", "API key not valid", 1),
    "wrong key, embedding": ("embedding", {"status": 400, "body": error(
        400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.", reason="API_KEY_INVALID")},
        400, "unauthorized", "API key expired", 1),
    "as a list": ("chat", {"status": 400, "body": "[" + error(
        400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.") + "]"},
        400, "unauthorized", "API key not valid", 1),
    "forbidden": ("chat", {"status": 403, "body": error(
        403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers")}, 403, "unauthorized",
        "unregistered callers", 1),
    "place": ("chat", {"status": 400, "body": error(
        400, "FAILED_PRECONDITION", "User location is not supported for the API use.")}, 400, "unauthorized",
        "User location", 1),
    "no such model": ("chat", {"status": 404, "body": error(
        404, "NOT_FOUND", "models/x is not found for API version v1beta, or is not supported for generateContent.")},
        404, "not_found", "is not found", 1),
    "limit": ("chat", {"status": 429, "body": error(
        429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details.",
        retryDelay="34s")}, 429, "rate_limited", "current quota", 1),
    "overloaded": ("chat", {"status": 503, "body": error(
        503, "UNAVAILABLE", "The model is overloaded. Please try again later.")}, 503, "server_error", "overloaded", 1),
    "internal": ("chat", {"status": 500, "body": error(500, "INTERNAL", "An internal error has occurred.")}, 500,
                 "server_error", "internal error", 1),
}


@pytest.mark.parametrize("name", SICK)
def test_sick(hale, sim, name):
    mode, fault, status, reason, text, n = SICK[name]
    sim.fault("sk-a", **fault)
    entry, healthy = check(hale, sim, {"mode": mode}, "imagen-3" if mode == "image_generation" else MODEL)
    assert not healthy
    assert (entry["exception_status"], entry["reason"]) == (status, reason), entry
    assert text is None or text in entry["error"]
    assert "sk-a" not in json.dumps(entry) and sim.count("sk-a") == n


def test_refused_payload_says_nothing(hale, sim):
    """An unexplained 400 is about our request: the plainest form is tried, and it works."""
    sim.fault("sk-a", status=400, match_max_tokens=1000)
    _, healthy = check(hale, sim)
    assert healthy and sim.requests("sk-a")[-1]["body"] == {
        "contents": [{"role": "user", "parts": [{"text": "test from litellm"}]}]}
