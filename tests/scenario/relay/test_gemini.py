"""OpenAI clients on Gemini deployments: what the upstream is asked, and what the client gets."""

import base64
import json
import struct

import pytest

from daemon import deployment

TEXT = "Hello! This is a simulated answer."
PATH = "/v1beta/models/gemini-2.5-flash"
USER = {"role": "user", "parts": [{"text": "hi"}]}


@pytest.fixture
def gate(hale, sim):
    return hale({"model_list": [deployment("g", sim, provider="gemini", model="gemini-2.5-flash"),
                                deployment("e", sim, provider="gemini", model="text-embedding-004"),
                                deployment("g3", sim, provider="gemini", model="gemini-3-pro-preview"),
                                deployment("i", sim, provider="gemini", model="imagen-4.0-generate-001"),
                                deployment("p", sim, provider="gemini", model="gemini-2.5-flash-image")],
                 "router_settings": {"num_retries": 0, "disable_cooldowns": True}})


def events(answer):
    return [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]


def answer_with(sim, *parts, finish="STOP", **members):
    """The simulator's next answers: one candidate with these parts."""
    sim.fault("sk-a", status=200, content_type="application/json", body=json.dumps({
        "candidates": [{"content": {"role": "model", "parts": list(parts)}, "finishReason": finish, "index": 0}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "thoughtsTokenCount": 5,
                          "totalTokenCount": 12}, "responseId": "r1", **members}))


def stream_of(sim, *events_, **fault):
    body = "".join(f"data: {json.dumps(e)}\r\n\r\n" for e in events_)
    sim.fault("sk-a", status=200, content_type="text/event-stream", body=body, **fault)


def part_event(*parts, **members):
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **members}],
            "responseId": "r1"}


# -- what is asked ---------------------------------------------------------------------------------------------------

def test_request_is_translated(gate, sim):
    tool = {"type": "function", "function": {
        "name": "f", "description": "d", "strict": True,
        "parameters": {"$schema": "x", "type": "object", "additionalProperties": False, "required": ["a"],
                       "properties": {"a": {"type": ["string", "null"]}}}}}
    answer = gate.post("/v1/chat/completions", json={
        "model": "g", "stop": "END", "tools": [tool], "tool_choice": "required", "temperature": 0.5, "top_p": 0.9,
        "top_k": 40, "max_completion_tokens": 99, "seed": 7, "presence_penalty": 0.1, "frequency_penalty": 0.2,
        "reasoning_effort": "low", "user": "u", "parallel_tool_calls": True,
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "häl\u00fc \U0001f600"}]})
    assert answer.status_code == 200, answer.text
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"], seen["query"]) == ("POST", PATH + ":generateContent", None)
    assert seen["headers"]["x-goog-api-key"] == "sk-a" and seen["headers"]["content-type"] == "application/json"
    assert "authorization" not in seen["headers"]
    assert seen["body"] == {
        "contents": [{"role": "user", "parts": [{"text": "häl\u00fc \U0001f600"}]}],
        "systemInstruction": {"parts": [{"text": "s"}]},
        "tools": [{"functionDeclarations": [{
            "name": "f", "description": "d",
            "parameters": {"type": "object", "properties": {"a": {"nullable": True, "type": "string"}},
                           "required": ["a"]}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"maxOutputTokens": 99, "stopSequences": ["END"], "temperature": 0.5, "topP": 0.9,
                             "topK": 40, "seed": 7, "presencePenalty": 0.1, "frequencyPenalty": 0.2,
                             "thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True}}}


@pytest.mark.parametrize("tail", ["", "/v1beta", "/v1beta/", "/v1beta/models", PATH, PATH + ":generateContent"])
def test_base(hale, sim, tail):
    gate = hale({"model_list": [deployment("g", sim.url + tail, provider="gemini", model="gemini-2.5-flash")]})
    assert gate.chat("g").json()["choices"][0]["message"]["content"] == TEXT
    assert sim.requests("sk-a")[-1]["path"] == PATH + ":generateContent"


def test_base_of_another_version(hale, sim):
    gate = hale({"model_list": [deployment("g", sim.url + "/v1", provider="gemini", model="models/gemini-2.5-flash"),
                                deployment("t", sim, provider="gemini", model="tunedModels/mine", key="sk-b")]})
    assert gate.chat("g").status_code == 200 and gate.chat("t").status_code == 200
    assert sim.requests("sk-a")[-1]["path"] == "/v1/models/gemini-2.5-flash:generateContent"
    assert sim.requests("sk-b")[-1]["path"] == "/v1beta/tunedModels/mine:generateContent"


def test_images(gate, sim):
    url = "data:image/png;base64,iVBORw0KGgo="
    answer = gate.post("/v1/chat/completions", json={"model": "g", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "what"}, {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.JPG?w=1"}}]}]})
    assert answer.status_code == 200
    assert sim.requests("sk-a")[-1]["body"]["contents"][0]["parts"] == [
        {"text": "what"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.test/a.JPG?w=1"}}]


def test_json_schema(gate, sim):
    schema = {"type": "object", "$defs": {"P": {"type": "object", "properties": {"n": {"type": "integer"}},
                                                "additionalProperties": False}},
              "properties": {"p": {"$ref": "#/$defs/P"}, "l": {"type": "array", "items": {"$ref": "#/$defs/P"}}}}
    answer = gate.chat("g", response_format={"type": "json_schema",
                                             "json_schema": {"name": "x", "strict": True, "schema": schema}})
    assert answer.status_code == 200, answer.text
    p = {"type": "object", "properties": {"n": {"type": "integer"}}}
    assert sim.requests("sk-a")[-1]["body"]["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseSchema": {"type": "object", "properties": {"p": p, "l": {"type": "array", "items": p}}}}


@pytest.mark.parametrize("members,message", [
    ({"n": 9}, "this provider gives up to 8 choices: n must be 1 to 8"),
    ({"logprobs": True}, "logprobs are not supported by this provider"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a"}}]}]},
     'the URL of an image or file does not show its type: add "format" with a media type'),
    ({"messages": [{"role": "tool", "tool_call_id": "x", "content": "1"}]},
     "a tool message must answer a tool call of an earlier message")])
def test_what_cannot_be_said_is_refused(gate, sim, members, message):
    answer = gate.post("/v1/chat/completions", json={
        "model": "g", "messages": [{"role": "user", "content": "hi"}], **members})
    assert answer.status_code == 400 and answer.json()["error"]["message"] == message
    assert sim.count("sk-a") == 0


# -- what comes back -------------------------------------------------------------------------------------------------

def test_whole_answer(gate, sim):
    answer_with(sim, {"text": "thinking", "thought": True}, {"text": "a"}, {"text": "b"})
    body = gate.chat("g").json()
    assert body["object"] == "chat.completion" and body["id"] == "chatcmpl-r1" and body["model"] == "g"
    (choice,) = body["choices"]
    assert choice["message"]["content"] == "ab" and choice["message"]["reasoning_content"] == "thinking"
    assert choice["finish_reason"] == "stop" and "tool_calls" not in choice["message"]
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12,
                             "prompt_tokens_details": {"cached_tokens": 0},
                             "completion_tokens_details": {"reasoning_tokens": 5}}


def test_choices(gate, sim):
    one = {"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}
    two = {"content": {"parts": [{"text": "y"}]}, "finishReason": "SAFETY", "index": 1}
    sim.fault("sk-a", status=200, body=json.dumps({"candidates": [one, two]}))
    body = gate.chat("g", n=2).json()
    assert [(c["index"], c["message"]["content"], c["finish_reason"]) for c in body["choices"]] == [
        (0, "x", "stop"), (1, "y", "content_filter")]
    assert sim.requests("sk-a")[-1]["body"]["generationConfig"] == {"candidateCount": 2}


def test_tools_round_trip(gate, sim):
    """Ids and signatures that hale gave out come back as names and signatures."""
    answer_with(sim, {"functionCall": {"name": "f", "args": {"a": [1]}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"name": "g"}})
    choice = gate.chat("g3").json()["choices"][0]
    calls = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] is None
    assert [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls] == [("f", {"a": [1]}),
                                                                                              ("g", {})]
    assert calls[0]["id"] != calls[1]["id"]
    sim.clear()
    answer = gate.post("/v1/chat/completions", json={"model": "g3", "messages": [
        {"role": "user", "content": "hi"}, choice["message"],
        {"role": "tool", "tool_call_id": calls[1]["id"], "content": '{"x": 1}'},
        {"role": "tool", "tool_call_id": calls[0]["id"], "content": "text"},
        {"role": "user", "content": "and?"}]})
    assert answer.status_code == 200
    assert sim.requests("sk-a")[-1]["body"]["contents"] == [
        USER,
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": [1]}}, "thoughtSignature": "c2ln"},
                                    {"functionCall": {"name": "g", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "g", "response": {"x": 1}}},
                                   {"functionResponse": {"name": "f", "response": {"output": "text"}}}]},
        {"role": "user", "parts": [{"text": "and?"}]}]


def test_blocked_prompt(gate, sim):
    sim.fault("sk-a", status=200, body=json.dumps({"promptFeedback": {"blockReason": "SAFETY"},
                                                   "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}))
    body = gate.chat("g").json()
    assert body["choices"][0]["finish_reason"] == "content_filter" and body["usage"]["prompt_tokens"] == 4
    assert body["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": None}


def test_thoughts_ate_the_limit(gate, sim):
    sim.fault("sk-a", status=200, body=json.dumps({"candidates": [{"content": {"role": "model"},
                                                                   "finishReason": "MAX_TOKENS"}]}))
    body = gate.chat("g", max_tokens=1).json()
    assert body["choices"][0]["finish_reason"] == "length" and body["choices"][0]["message"]["content"] is None


@pytest.mark.parametrize("body", ["{}", '{"candidates":[]}', '{"candidates":[{}]}',
                                  '{"candidates":[{"content":{"role":"model"}}]}', "[]", "<html>", ""])
def test_empty_success_is_none(gate, sim, body):
    sim.fault("sk-a", status=200, body=body)
    answer = gate.chat("g")
    assert answer.status_code == 502 and answer.json()["error"]["code"] == "upstream_bad_answer"


# -- streams ---------------------------------------------------------------------------------------------------------

def test_stream_with_usage(gate, sim):
    answer = gate.chat("g", stream=True, stream_options={"include_usage": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *chunks, done = events(answer)
    chunks = [json.loads(c) for c in chunks]
    assert done == "[DONE]" and chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 8
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks[:-1]) == TEXT
    assert [c["choices"][0]["finish_reason"] for c in chunks[:-1]] == [None] * 9 + ["stop"]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    seen = sim.requests("sk-a")[-1]
    assert (seen["path"], seen["query"]) == (PATH + ":streamGenerateContent", "alt=sse")
    assert seen["body"] == {"contents": [USER]} and seen["headers"]["accept"] == "text/event-stream"


def test_stream_is_passed_on_token_by_token(gate, sim):
    """The first words are with the client while the upstream still holds the rest."""
    sim.fault("sk-a", chunks=4, stall_after=2)
    with gate.session.post(gate.url + "/v1/chat/completions", stream=True, timeout=20, json={
            "model": "g", "stream": True, "messages": [{"role": "user", "content": "hi"}]}) as answer:
        got = ""
        for line in answer.iter_lines(chunk_size=1):
            if line.startswith(b"data: "):
                got += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
            if got == "Hello!":
                return
    raise AssertionError(f"the stream ended after {got!r}")


def test_stream_of_tool_calls_and_thoughts(gate, sim):
    stream_of(sim, part_event({"text": "hm", "thought": True}), part_event({"text": "so"}),
              part_event({"functionCall": {"name": "f", "args": {"a": 1}}}),
              part_event({"functionCall": {"name": "g", "args": {}}}, finishReason="STOP"))
    *chunks, done = events(gate.chat("g", stream=True))
    deltas = [json.loads(c)["choices"][0] for c in chunks]
    assert done == "[DONE]" and deltas[-1]["finish_reason"] == "tool_calls"
    assert [d["delta"].get("reasoning_content") for d in deltas].count("hm") == 1
    calls = [c for d in deltas for c in d["delta"].get("tool_calls", [])]
    assert [(c["index"], c["function"]["name"], c["function"]["arguments"]) for c in calls] == [
        (0, "f", '{"a":1}'), (1, "g", "{}")]
    assert len({c["id"] for c in calls}) == 2


def test_finish_reason_in_every_event(gate, sim):
    """Older servers write STOP into each event: only the end of the connection is the end."""
    stream_of(sim, part_event({"text": "a"}, finishReason="STOP"), part_event({"text": "b"}, finishReason="STOP"))
    *chunks, done = events(gate.chat("g", stream=True))
    choices = [json.loads(c)["choices"][0] for c in chunks]
    assert done == "[DONE]" and "".join(c["delta"].get("content") or "" for c in choices) == "ab"
    assert [c["finish_reason"] for c in choices if c["finish_reason"]] == ["stop"]


def test_stream_of_a_blocked_prompt(gate, sim):
    stream_of(sim, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
    *chunks, done = events(gate.chat("g", stream=True))
    assert done == "[DONE]" and json.loads(chunks[-1])["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize("fault", [{"cut_after": 4}, {"error_after": 4}, {"no_terminator": True},
                                   {"cut_after": 4, "reset": True}])
def test_broken_stream_ends_with_an_error(gate, sim, fault):
    sim.fault("sk-a", chunk_delay_ms=20, **fault)  # content is out before the break
    lines = events(gate.chat("g", stream=True))
    assert json.loads(lines[-1])["error"]["message"] and "[DONE]" not in lines
    assert not any(json.loads(c).get("choices", [{}])[0].get("finish_reason") for c in lines[:-1])


def test_stream_that_begins_with_an_error_is_one(gate, sim):
    """Nothing reached the client: the answer is an error with a status, not a stream."""
    sim.fault("sk-a", error_after=0)
    answer = gate.chat("g", stream=True)
    assert answer.status_code == 502 and answer.json()["error"]["message"]


# -- errors ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status,kind", [
    (400, "invalid_request_error"), (401, "authentication_error"), (403, "permission_error"),
    (404, "invalid_request_error"), (429, "rate_limit_error"), (500, "server_error"), (503, "server_error")])
def test_errors_have_openai_form(gate, sim, status, kind, stream):
    sim.fault("sk-a", status=status)
    answer = gate.chat("g", stream=stream)
    assert answer.status_code == status and answer.json()["error"]["type"] == kind
    assert answer.json()["error"]["message"] and "details" not in answer.json()["error"]


INVALID_KEY = {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
                         "status": "INVALID_ARGUMENT",
                         "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]}}


def test_wrong_key_lets_another_deployment_try(hale, sim):
    """Google answers 400 to a wrong key: what is wrong is the deployment, not the request."""
    gate = hale({"model_list": [deployment("g", sim, provider="gemini", key="sk-a", order=1),
                                deployment("g", sim, provider="gemini", key="sk-b", order=2)],
                 "router_settings": {"num_retries": 1}})
    sim.fault("sk-a", status=400, body=json.dumps(INVALID_KEY))
    assert gate.chat("g").json()["choices"][0]["message"]["content"] == TEXT
    assert sim.count("sk-a") >= 1


def test_wrong_key_is_named(gate, sim):
    for body in (INVALID_KEY, [INVALID_KEY]):  # a stream's error comes as a list
        sim.fault("sk-a", status=400, body=json.dumps(body))
        answer = gate.chat("g")
        assert answer.status_code == 401
        assert answer.json()["error"] == {"message": "API key not valid. Please pass a valid API key.",
                                          "type": "authentication_error", "param": None, "code": "401"}


# -- embeddings ------------------------------------------------------------------------------------------------------

def embed(gate, **members):
    return gate.post("/v1/embeddings", json={"model": "e", **members})


def test_embedding_request(gate, sim):
    answer = embed(gate, input=["a", "b"], dimensions=16, input_type="search_query")
    assert answer.status_code == 200, answer.text
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"]) == ("POST", "/v1beta/models/text-embedding-004:batchEmbedContents")
    assert seen["headers"]["x-goog-api-key"] == "sk-a"
    assert seen["body"] == {"requests": [
        {"model": "models/text-embedding-004", "content": {"parts": [{"text": t}]}, "taskType": "RETRIEVAL_QUERY",
         "outputDimensionality": 16} for t in "ab"]}
    body = answer.json()
    assert body["object"] == "list" and body["model"] == "e"
    assert [(d["object"], d["index"], len(d["embedding"])) for d in body["data"]] == [("embedding", 0, 16),
                                                                                    ("embedding", 1, 16)]
    assert body["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


def test_embedding_base64(gate):
    numbers = embed(gate, input="a", dimensions=16).json()["data"][0]["embedding"]
    text = embed(gate, input="a", dimensions=16, encoding_format="base64").json()["data"][0]["embedding"]
    assert list(struct.unpack("<16f", base64.b64decode(text))) == pytest.approx(numbers)


@pytest.mark.parametrize("value", [[1, 2], [[1, 2]], []])
def test_embedding_of_tokens_is_refused(gate, sim, value):
    assert embed(gate, input=value).status_code == 400
    assert sim.count("sk-a") == 0


@pytest.mark.parametrize("body", ["{}", '{"embeddings":[]}', '{"embeddings":[{"values":[]}]}', '{"embedding":{}}'])
def test_embedding_without_a_vector_is_none(gate, sim, body):
    sim.fault("sk-a", status=200, body=body)
    assert embed(gate, input="a").status_code == 502


# -- images ----------------------------------------------------------------------------------------------------------

def draw(gate, model, **members):
    return gate.post("/v1/images/generations", json={"model": model, "prompt": "a dot", **members})


def test_image_request(gate, sim):
    answer = draw(gate, "i", n=2, size="1792x1024", response_format="b64_json")
    assert answer.status_code == 200, answer.text
    assert base64.b64decode(answer.json()["data"][0]["b64_json"]).startswith(b"GIF89a")
    assert list(answer.json()) == ["created", "data"]
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"]) == ("POST", "/v1beta/models/imagen-4.0-generate-001:predict")
    assert seen["headers"]["x-goog-api-key"] == "sk-a"
    assert seen["body"] == {"instances": [{"prompt": "a dot"}],
                            "parameters": {"sampleCount": 2, "aspectRatio": "16:9"}}


def test_image_of_a_gemini_model(gate, sim):
    answer_with(sim, {"text": "here"}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}})
    assert draw(gate, "p").json()["data"] == [{"b64_json": "AA=="}]
    seen = sim.requests("sk-a")[-1]
    assert seen["path"] == "/v1beta/models/gemini-2.5-flash-image:generateContent"
    assert seen["body"] == {"contents": [{"role": "user", "parts": [{"text": "a dot"}]}],
                            "generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}


def test_filtered_image_is_the_clients_fault(hale, sim):
    """A prompt that a filter held back is a refusal, and takes no deployment out of service."""
    gate = hale({"model_list": [deployment("i", sim, provider="gemini", model="imagen-4.0-generate-001")],
                 "router_settings": {"num_retries": 3, "allowed_fails": 0}})
    sim.fault("sk-a", status=200, body='{"predictions":[{"raiFilteredReason":"blood"}]}', times=2)
    for _ in range(2):
        answer = draw(gate, "i")
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == "no image was made: blood"
    assert draw(gate, "i").status_code == 200 and sim.count("sk-a") == 3


@pytest.mark.parametrize("members", [{"n": 5}, {"size": "7x7"}, {"response_format": "url"}])
def test_image_that_cannot_be_made_is_refused(gate, sim, members):
    assert draw(gate, "i", **members).status_code == 400 and sim.count("sk-a") == 0


def test_wildcard(hale, sim):
    gate = hale({"model_list": [deployment("gemini/*", sim, provider="gemini", model="*")]})
    assert gate.chat("gemini/gemini-2.5-pro").status_code == 200
    assert sim.requests("sk-a")[-1]["path"] == "/v1beta/models/gemini-2.5-pro:generateContent"
