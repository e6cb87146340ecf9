"""npm `openai`: the same from JavaScript."""

ERRORS = [(400, "BadRequestError"), (401, "AuthenticationError"), (403, "PermissionDeniedError"), (404, "NotFoundError"),
          (429, "RateLimitError"), (500, "InternalServerError")]
ANSWER = "Hello! This is a simulated answer."


def test_chat(node, target):
    done = node("chat", target.url, {"model": "gpt-4o"})
    assert done["choices"][0]["message"]["content"] == ANSWER and done["usage"]["completion_tokens"] == 8


def test_stream(node, target):
    chunks = node("stream", target.url, {"model": "gpt-4o", "stream_options": {"include_usage": True}})
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert text == ANSWER and chunks[-1]["usage"]["completion_tokens"] == 8


def test_embeddings(node, target):
    done = node("embed", target.url, {"model": "embed", "input": ["a", "b"], "dimensions": 16})
    assert [len(d["embedding"]) for d in done["data"]] == [16, 16]


def test_models(node, target):
    assert "gpt-4o" in node("models", target.url)


def test_error_classes(node, target):
    for status, _ in ERRORS:
        target.sim.fault(target.key, status=status, times=1, add=True)
    for (status, name), error in zip(ERRORS, node("errors", target.url, len(ERRORS)), strict=True):
        assert (error["class"], error["status"]) == (name, status) and error["message"]


def test_broken_stream_is_an_error(node, target):
    target.sim.fault(target.key, cut_after=4)
    error = node("stream", target.url, {"model": "gpt-4o"})["error"]
    assert error["message"] and error["received"] > 0
