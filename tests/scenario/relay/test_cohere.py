"""OpenAI clients on Cohere deployments: what the upstream is asked, and what the client gets."""

import base64
import json
import struct

import pytest

from daemon import deployment

TEXT = "Hello! This is a simulated answer."
TOOL = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}}}}


@pytest.fixture
def gate(hale, sim):
    return hale({"model_list": [deployment("g", sim, provider="cohere_chat", model="command-sim"),
                                deployment("e", sim, provider="cohere", model="embed-sim"),
                                deployment("q", sim, provider="cohere", model="embed-sim", input_type="search_query")],
                 "router_settings": {"num_retries": 0, "disable_cooldowns": True}})


def events(answer):
    return [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]


def test_request_is_translated(gate, sim):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    answer = gate.post("/v1/chat/completions", json={
        "model": "g", "stop": "END", "tools": [TOOL], "tool_choice": "auto", "presence_penalty": 0.1, "top_p": 0.9,
        "top_k": 3, "max_completion_tokens": 5, "seed": 7, "logit_bias": {}, "user": "u",
        "response_format": {"type": "json_object"},
        "messages": [{"role": "developer", "content": "s"},
                     {"role": "user", "content": [{"type": "text", "text": "häl\u00fc \U0001f600"}, image]}]})
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "Hello! This is a"
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"], seen["query"]) == ("POST", "/v2/chat", None)
    assert seen["headers"]["authorization"] == "Bearer sk-a"
    assert seen["headers"]["content-type"] == "application/json"
    assert seen["body"] == {
        "model": "command-sim", "max_tokens": 5, "stop_sequences": ["END"], "tools": [TOOL],
        "presence_penalty": 0.1, "p": 0.9, "k": 3, "seed": 7, "response_format": {"type": "json_object"},
        "messages": [{"role": "system", "content": "s"},
                     {"role": "user", "content": [{"type": "text", "text": "häl\u00fc \U0001f600"}, image]}]}


def test_answer_has_usage(gate):
    body = gate.chat("g").json()
    usage = body["usage"]
    assert body["object"] == "chat.completion" and body["model"] == "g" and body["id"].startswith("chatcmpl-")
    assert body["choices"][0]["message"] == {"role": "assistant", "content": TEXT, "refusal": None}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert usage["completion_tokens"] == 8 and usage["prompt_tokens"] > 60, "tokens, not billed units"
    assert usage["total_tokens"] == usage["prompt_tokens"] + 8


@pytest.mark.parametrize("base", ["/v1", "/v2", "", "/v2/chat", "/v2/rerank"])
def test_bases(hale, sim, base):
    gate = hale({"model_list": [deployment("g", sim.url + base, provider="cohere", model="command-sim")]})
    assert gate.chat("g").status_code == 200
    assert sim.requests("sk-a")[-1]["path"] == "/v2/chat"


def merge(chunks):
    """What the deltas of a stream add up to."""
    content, calls = "", {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            content += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls", []):
                one = calls.setdefault(call["index"], {"id": None, "name": None, "arguments": ""})
                one["id"] = call.get("id", one["id"])
                one["name"] = call["function"].get("name", one["name"])
                one["arguments"] += call["function"].get("arguments", "")
    return content, [calls[i] for i in sorted(calls)]


@pytest.mark.parametrize("stream", [False, True])
def test_tool_round_trip(gate, sim, stream):
    """A call comes back in OpenAI's form; sent back with its result, it reaches Cohere as it left."""
    question = {"role": "user", "content": "weather?"}
    answer = gate.post("/v1/chat/completions", json={
        "model": "g", "messages": [question], "tools": [TOOL], "stream": stream,
        "tool_choice": {"type": "function", "function": {"name": "weather"}}})
    assert answer.status_code == 200
    assert sim.requests("sk-a")[-1]["body"]["tool_choice"] == "REQUIRED"
    if stream:
        *chunks, done = events(answer)
        chunks = [json.loads(c) for c in chunks]
        content, (call,) = merge(chunks)
        assert done == "[DONE]" and chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
        assert len([c for c in chunks if "tool_calls" in c["choices"][0]["delta"]]) == 4, "argument by argument"
    else:
        choice = answer.json()["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        content, (call,) = choice["message"]["content"], choice["message"]["tool_calls"]
        call = {"id": call["id"], **call["function"]}
    assert call["name"] == "weather" and json.loads(call["arguments"]) == {"city": "Paris"}
    back = {"id": call["id"], "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"]}}
    answer = gate.post("/v1/chat/completions", json={
        "model": "g", "tools": [TOOL], "messages": [
            question, {"role": "assistant", "content": content, "tool_calls": [back]},
            {"role": "tool", "tool_call_id": call["id"], "content": "12 degrees"}]})
    assert answer.json()["choices"][0]["message"]["content"] == TEXT
    assert sim.requests("sk-a")[-1]["body"]["messages"] == [
        question, {"role": "assistant", "tool_plan": "I will look it up.", "tool_calls": [back]},
        {"role": "tool", "tool_call_id": call["id"], "content": "12 degrees"}]


def test_stream_with_usage(gate, sim):
    answer = gate.chat("g", stream=True, stream_options={"include_usage": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *chunks, done = events(answer)
    chunks = [json.loads(c) for c in chunks]
    assert done == "[DONE]" and chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 8
    assert merge(chunks)[0] == TEXT
    assert len([c for c in chunks[:-1] if c["choices"][0]["delta"].get("content")]) == 8, "token by token"
    assert sim.requests("sk-a")[-1]["body"]["stream"] is True
    assert "stream_options" not in sim.requests("sk-a")[-1]["body"]


def test_what_cannot_be_said_is_refused(gate, sim):
    answer = gate.chat("g", n=2)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "this provider gives one choice: n must be 1"
    assert sim.count("sk-a") == 0


@pytest.mark.parametrize("status,kind", [(400, "invalid_request_error"), (401, "authentication_error"),
                                         (429, "rate_limit_error"), (500, "server_error")])
@pytest.mark.parametrize("stream", [False, True])
def test_errors_have_openai_form(gate, sim, status, kind, stream):
    sim.fault("sk-a", status=status, body='{"id":"1","message":"cohere says no"}')
    answer = gate.chat("g", stream=stream)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == kind and answer.json()["error"]["message"] == "cohere says no"


def test_failure_with_status_200(gate, sim):
    sim.fault("sk-a", content_type="application/json",
              body='{"id":"1","finish_reason":"ERROR","message":{"role":"assistant","content":[]}}')
    answer = gate.chat("g")
    assert answer.status_code == 502 and "error" in answer.json()


@pytest.mark.parametrize("fault", [{"cut_after": 5}, {"error_after": 5}, {"no_terminator": True}])
def test_broken_stream_ends_with_an_error(gate, sim, fault):
    """Without message-end there is no success, even when all text is there and the connection ends well."""
    sim.fault("sk-a", chunk_delay_ms=20, **fault)  # content is out before the break
    *chunks, last = events(gate.chat("g", stream=True))
    assert json.loads(last)["error"]["message"]
    assert not any(json.loads(c)["choices"][0]["finish_reason"] for c in chunks)


def test_stream_that_fails_at_its_end(gate, sim):
    sim.fault("sk-a", content_type="text/event-stream", body=(
        'data: {"type":"message-start","id":"1"}\n\n'
        'data: {"type":"content-delta","delta":{"message":{"content":{"text":"a"}}}}\n\n'
        'data: {"type":"message-end","delta":{"finish_reason":"ERROR"}}\n\n'))
    answer = gate.chat("g", stream=True)
    assert answer.status_code == 502 or "error" in json.loads(events(answer)[-1])
    assert "[DONE]" not in answer.text


def test_stream_that_begins_with_an_error_is_one(gate, sim):
    """Nothing reached the client: the answer is an error with a status, not a stream."""
    sim.fault("sk-a", error_after=0)
    answer = gate.chat("g", stream=True)
    assert answer.status_code == 502 and answer.json()["error"]["message"]


def test_embeddings(gate, sim):
    answer = gate.post("/v1/embeddings", json={"model": "e", "input": ["a", "b"], "dimensions": 4, "user": "u"})
    assert answer.json() == {
        "object": "list", "model": "e", "usage": {"prompt_tokens": 4, "total_tokens": 4},
        "data": [{"object": "embedding", "index": i, "embedding": [0.5, 1.5, 2.5, 3.5]} for i in range(2)]}
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"]) == ("POST", "/v2/embed")
    assert seen["headers"]["authorization"] == "Bearer sk-a"
    assert seen["body"] == {"model": "embed-sim", "texts": ["a", "b"], "input_type": "search_document",
                            "embedding_types": ["float"], "output_dimension": 4}


def test_embeddings_base64(gate):
    answer = gate.post("/v1/embeddings", json={"model": "e", "input": "a", "encoding_format": "base64"})
    (one,) = answer.json()["data"]
    assert struct.unpack("<8f", base64.b64decode(one["embedding"])) == tuple(i + 0.5 for i in range(8))


@pytest.mark.parametrize("model,said,sent", [("q", None, "search_query"), ("q", "clustering", "clustering"),
                                             ("e", "classification", "classification")])
def test_embeddings_input_type(gate, sim, model, said, sent):
    """The request's, else the deployment's, else LiteLLM's default."""
    body = {"model": model, "input": "a", **({"input_type": said} if said else {})}
    assert gate.post("/v1/embeddings", json=body).status_code == 200
    assert sim.requests("sk-a")[-1]["body"]["input_type"] == sent


def test_embeddings_of_tokens_are_refused(gate, sim):
    answer = gate.post("/v1/embeddings", json={"model": "e", "input": [[1, 2]]})
    assert answer.status_code == 400 and "array of strings" in answer.json()["error"]["message"]
    assert sim.count("sk-a") == 0


@pytest.mark.parametrize("body", ["{}", '{"embeddings":{"float":[]}}', '{"message":"no"}'])
def test_embeddings_without_vectors_are_no_answer(gate, sim, body):
    sim.fault("sk-a", body=body)
    assert gate.post("/v1/embeddings", json={"model": "e", "input": "a"}).status_code == 502


# -- rerank ----------------------------------------------------------------------------------------------------------

RERANK = {"model": "r", "query": "q", "documents": ["a", "b", "c"]}


def reranker(hale, sim, provider, base=None):
    return hale({"model_list": [deployment("r", base or sim, provider=provider, model="rerank-sim")],
                 "router_settings": {"num_retries": 0, "disable_cooldowns": True}})


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_rerank_passes_as_it_is(hale, sim, path):
    gate = reranker(hale, sim, "cohere")
    answer = gate.post(path, json={**RERANK, "top_n": 2, "max_tokens_per_doc": 100})
    assert [r["index"] for r in answer.json()["results"]] == [0, 1]
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"]) == ("POST", "/v2/rerank")
    assert seen["headers"]["authorization"] == "Bearer sk-a"
    assert seen["body"] == {**RERANK, "model": "rerank-sim", "top_n": 2, "max_tokens_per_doc": 100}


def test_rerank_of_voyage_is_translated(hale, sim):
    gate = reranker(hale, sim, "voyage", sim.url + "/voyage/v1")
    answer = gate.post("/v1/rerank", json={**RERANK, "documents": ["a", {"text": "b"}, "c"], "top_n": 2,
                                           "return_documents": True})
    body = answer.json()
    assert body["results"] == [
        {"relevance_score": 0.5, "index": 0, "document": {"text": "a"}},
        {"relevance_score": 0.25, "index": 1, "document": {"text": "b"}}]
    assert body["meta"]["tokens"]["input_tokens"] == 26
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"]) == ("POST", "/voyage/v1/rerank")
    assert seen["body"] == {"model": "rerank-sim", "query": "q", "documents": ["a", "b", "c"], "top_k": 2,
                            "return_documents": True}


def test_rerank_of_fireworks_answers_with_results(hale, sim):
    gate = reranker(hale, sim, "fireworks_ai")
    sim.fault("sk-a", content_type="application/json", body=json.dumps({
        "object": "list", "data": [{"index": 1, "relevance_score": 0.9, "document": "b"}], "usage": {"total_tokens": 5}}))
    answer = gate.post("/v1/rerank", json={**RERANK, "top_n": 1})
    assert answer.json()["results"] == [{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}]
    assert sim.requests("sk-a")[-1]["body"] == {**RERANK, "model": "rerank-sim", "top_n": 1}


@pytest.mark.parametrize("provider,base", [("cohere", ""), ("voyage", "/voyage/v1")])
@pytest.mark.parametrize("status,kind", [(400, "invalid_request_error"), (401, "authentication_error"),
                                         (429, "rate_limit_error"), (500, "server_error")])
def test_rerank_errors(hale, sim, provider, base, status, kind):
    """The provider's message, in the envelope that clients read."""
    gate = reranker(hale, sim, provider, sim.url + base)
    sim.fault("sk-a", status=status)
    answer = gate.post("/v1/rerank", json=RERANK)
    error = answer.json()["error"]
    assert answer.status_code == status and error["type"] == kind and error["message"].endswith(".")
    assert "{" not in error["message"]


@pytest.mark.parametrize("provider,body", [("cohere", '{"results":[]}'), ("cohere", '{"data":[]}'), ("voyage", '{"data":[]}'),
                                           ("voyage", '{"data":[{"index":0}]}')])
def test_rerank_without_results_is_no_answer(hale, sim, provider, body):
    gate = reranker(hale, sim, provider)
    sim.fault("sk-a", body=body)
    assert gate.post("/v1/rerank", json=RERANK).status_code == 502
