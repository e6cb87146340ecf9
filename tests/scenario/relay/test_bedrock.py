"""OpenAI clients on Bedrock deployments: what the upstream is asked, how that is signed, and what the client gets."""

import base64
import hashlib
import hmac
import json
import re
import urllib.parse

import pytest

from daemon import deployment

TEXT = "Hello! This is a simulated answer."
MODEL = "us.anthropic.claude-sim-v1:0"
PATH = "/model/us.anthropic.claude-sim-v1%3A0"
SECRET = "secret-of-AKIDSIM1"


def settings(*models):
    return {"model_list": list(models), "router_settings": {"num_retries": 0, "disable_cooldowns": True}}


def signed(sim, model=MODEL, key="AKIDSIM1", **params):
    return deployment("g", sim, key=key, provider="bedrock", model=model, **params)


def bearer(sim, key="bedrock-bearer-1", **params):
    """Without AWS keys, as Bedrock's own keys are used."""
    return {"model_name": "g", "litellm_params": {"model": f"bedrock/{MODEL}", "api_key": key, "api_base": sim.url, **params}}


@pytest.fixture
def gate(hale, sim):
    return hale(settings(signed(sim)))


def events(answer):
    return [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]


def converse(*content, stop="end_turn"):
    """An answer of the Converse API."""
    return json.dumps({"output": {"message": {"role": "assistant", "content": list(content)}}, "stopReason": stop,
                       "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}})


def answer_with(sim, *content, **args):
    sim.fault("AKIDSIM1", status=200, content_type="application/json", body=converse(*content, **args))


def signature(seen, region, secret=SECRET):
    """Signature Version 4 once more, from AWS's description of it."""
    authorization, headers = seen["headers"]["authorization"], seen["headers"]
    names = re.search("SignedHeaders=([^,]*)", authorization)[1].split(";")
    date = headers["x-amz-date"]
    path = "/".join(urllib.parse.quote(part, safe="-._~") for part in seen["path"].split("/"))
    body = hashlib.sha256(json.dumps(seen["body"], separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
    request = "\n".join([seen["method"], path, "", *(f"{n}:{headers[n]}" for n in names), "", ";".join(names), body])
    scope = f"{date[:8]}/{region}/bedrock/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


# -- what is asked ---------------------------------------------------------------------------------------------------

def test_request_is_translated_and_signed(gate, sim):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    answer = gate.post("/v1/chat/completions", json={
        "model": "g", "stop": "END", "tools": [tool], "tool_choice": "required", "presence_penalty": 0.1, "seed": 1,
        "max_tokens": 50, "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "h\u00e4l \U0001f600"}]})
    assert answer.status_code == 200, answer.text
    seen = sim.requests("AKIDSIM1")[-1]
    assert (seen["method"], seen["path"], seen["query"]) == ("POST", PATH + "/converse", None)
    assert seen["headers"]["content-type"] == "application/json"
    assert seen["headers"]["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDSIM1/")
    assert seen["headers"]["authorization"].endswith(
        "/us-east-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=" +
        signature(seen, "us-east-1"))
    assert seen["body"] == {
        "messages": [{"role": "user", "content": [{"text": "h\u00e4l \U0001f600"}]}], "system": [{"text": "s"}],
        "inferenceConfig": {"maxTokens": 50, "stopSequences": ["END"]},
        "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}}}],
                       "toolChoice": {"any": {}}}}


def test_answer(gate):
    body = gate.chat("g").json()
    assert body["choices"][0]["message"]["content"] == TEXT and body["choices"][0]["finish_reason"] == "stop"
    assert body["model"] == "g" and body["object"] == "chat.completion" and body["id"].startswith("chatcmpl-")
    usage = body["usage"]
    assert usage["completion_tokens"] == 8 and usage["total_tokens"] == usage["prompt_tokens"] + 8
    assert gate.chat("g", max_tokens=2).json()["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("model,path,region", [
    (f"us-west-2/{MODEL}", PATH, "us-west-2"),
    (f"converse/eu-central-1/{MODEL}", PATH, "eu-central-1"),
    (f"invoke/{MODEL}", PATH, "us-east-1"),
    ("arn:aws:bedrock:ap-northeast-1:123456789012:application-inference-profile/a1b2",
     "/model/arn%3Aaws%3Abedrock%3Aap-northeast-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2", "ap-northeast-1"),
])
def test_region_of_the_model(hale, sim, model, path, region):
    """LiteLLM loses the region in the path; a model in another region is another model."""
    entry = signed(sim, model)
    del entry["litellm_params"]["aws_region_name"]
    gate = hale(settings(entry), env={"AWS_REGION": "us-east-1"})
    assert gate.chat("g").status_code == 200
    seen = sim.requests("AKIDSIM1")[-1]
    assert seen["path"] == path + "/converse"
    assert f"/{region}/bedrock/aws4_request" in seen["headers"]["authorization"]
    assert seen["headers"]["authorization"].endswith(signature(seen, region))


def test_wildcard_takes_the_region_from_the_request(hale, sim):
    entry = signed(sim, "*")
    entry["model_name"] = "bedrock/*"
    gate = hale(settings(entry))
    assert gate.chat(f"bedrock/eu-west-3/{MODEL}").status_code == 200
    seen = sim.requests("AKIDSIM1")[-1]
    assert seen["path"] == PATH + "/converse" and "/eu-west-3/bedrock/" in seen["headers"]["authorization"]


def test_keys_of_the_environment(hale, sim):
    gate = hale(settings({"model_name": "g", "litellm_params": {"model": f"bedrock/{MODEL}"}}), env={
        "AWS_ACCESS_KEY_ID": "AKIDSIM1", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "session-token-1",
        "AWS_DEFAULT_REGION": "eu-west-1", "AWS_BEDROCK_RUNTIME_ENDPOINT": sim.url})
    assert gate.chat("g").status_code == 200
    seen = sim.requests("AKIDSIM1")[-1]
    assert seen["headers"]["x-amz-security-token"] == "session-token-1"
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token," in seen["headers"]["authorization"]
    assert seen["headers"]["authorization"].endswith(signature(seen, "eu-west-1"))


def test_bearer_key(hale, sim):
    gate = hale(settings(bearer(sim)))
    assert gate.chat("g").status_code == 200
    seen = sim.requests("bedrock-bearer-1")[-1]
    assert seen["headers"]["authorization"] == "Bearer bedrock-bearer-1" and "x-amz-date" not in seen["headers"]
    assert seen["path"] == PATH + "/converse"


def test_wrong_secret_and_no_secret_at_all(hale, sim):
    no_keys = {"model_name": "h", "litellm_params": {"model": f"bedrock/us-east-1/{MODEL}", "api_base": sim.url}}
    gate = hale(settings(signed(sim, aws_secret_access_key="another-secret"), no_keys))
    answer = gate.chat("g")
    assert answer.status_code == 403 and "signature" in answer.json()["error"]["message"]
    assert answer.json()["error"]["type"] == "permission_error"
    answer = gate.chat("h")
    assert answer.status_code >= 400 and "credentials" in answer.json()["error"]["message"]
    assert sim.count("(none)") == 0
    gate.wait_log(r"config.yaml:\d+:\d+: model: no credentials for bedrock")


def test_secrets_are_shown_nowhere(hale, sim):
    gate = hale(settings(signed(sim, aws_session_token="session-token-1")), env={"AWS_BEARER_TOKEN_BEDROCK": "bearer-env-1"})
    answer_text = f"The Canonical String should have been x-amz-security-token:session-token-1 {SECRET}"
    sim.fault("AKIDSIM1", status=403, body=json.dumps({"message": answer_text}))
    shown = gate.chat("g").text + gate.get("/health").text + gate.get("/v1/model/info").text + gate.log
    for secret in (SECRET, "session-token-1", "AKIDSIM1", "bearer-env-1"):
        assert secret not in shown


@pytest.mark.parametrize("part,message", [
    ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
     "this provider fetches no images: image_url must be a base64 data URL"),
    ({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,QUI="}},
     "this provider takes images of type png, jpeg, gif and webp"),
])
def test_what_cannot_be_said_is_refused(gate, sim, part, message):
    answer = gate.chat("g", messages=[{"role": "user", "content": [part]}])
    assert answer.status_code == 400 and answer.json()["error"]["message"] == message
    assert sim.count("AKIDSIM1") == 0


def test_image(gate, sim):
    data = base64.b64encode(b"\x89PNG").decode()
    answer = gate.chat("g", messages=[{"role": "user", "content": [
        {"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}]}])
    assert answer.status_code == 200
    assert sim.requests("AKIDSIM1")[-1]["body"]["messages"][0]["content"] == [
        {"text": "what is it?"}, {"image": {"format": "png", "source": {"bytes": data}}}]


def test_tool_call_comes_back_and_goes_up_again(gate, sim):
    answer_with(sim, {"text": "so"}, {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": [1]}}}, stop="tool_use")
    message = gate.chat("g").json()["choices"][0]["message"]
    (call,) = message["tool_calls"]
    assert message["content"] == "so" and call["id"] == "t1" and json.loads(call["function"]["arguments"]) == {"a": [1]}
    sim.clear()
    answer = gate.chat("g", tools=[{"type": "function", "function": {"name": "f"}}], messages=[
        {"role": "user", "content": "q"}, message, {"role": "tool", "tool_call_id": "t1", "content": "r"}])
    assert answer.status_code == 200
    assert sim.requests("AKIDSIM1")[-1]["body"]["messages"][1:] == [
        {"role": "assistant", "content": [{"text": "so"}, {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": [1]}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "r"}]}}]}]


# -- streams ---------------------------------------------------------------------------------------------------------

def test_stream_comes_token_by_token(gate, sim):
    sim.fault("AKIDSIM1", chunk_delay_ms=30)
    answer = gate.chat("g", stream=True, stream_options={"include_usage": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *chunks, done = [json.loads(e) if e != "[DONE]" else e for e in events(answer)]
    texts = [c["choices"][0]["delta"].get("content") for c in chunks if c["choices"]]
    assert done == "[DONE]" and "".join(t or "" for t in texts) == TEXT
    assert sum(1 for t in texts if t) == 8, "each token is an event of its own"
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 8
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "stop"
    assert len({c["id"] for c in chunks}) == 1 and chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    seen = sim.requests("AKIDSIM1")[-1]
    assert seen["path"] == PATH + "/converse-stream" and seen["headers"]["accept"] == "application/vnd.amazon.eventstream"
    assert "stream" not in seen["body"]


@pytest.mark.parametrize("fault", [{"cut_after": 4}, {"cut_after": 4, "reset": True}, {"error_after": 4},
                                   {"no_terminator": True}])
def test_broken_stream_ends_with_an_error(gate, sim, fault):
    sim.fault("AKIDSIM1", chunk_delay_ms=20, **fault)  # content is out before the break
    got = events(gate.chat("g", stream=True))
    assert json.loads(got[-1])["error"]["message"]
    assert "[DONE]" not in got and not any('"finish_reason":"stop"' in e for e in got)


@pytest.mark.parametrize("fault", [{"error_after": 0}, {"cut_after": 1}, {"garbage": True}, {"empty": True}])
def test_stream_that_fails_before_its_first_token_is_an_error(gate, sim, fault):
    """Nothing reached the client: the answer is an error with a status, not a stream."""
    sim.fault("AKIDSIM1", **fault)
    answer = gate.chat("g", stream=True)
    assert answer.status_code == 502 and answer.json()["error"]["message"]


def test_broken_stream_moves_to_another_deployment(hale, sim):
    config = settings(signed(sim), signed(sim, key="AKIDSIM2"))
    config["router_settings"]["num_retries"] = 2
    gate = hale(config)
    sim.fault("AKIDSIM1", error_after=1)
    for _ in range(4):
        assert events(gate.chat("g", stream=True))[-1] == "[DONE]"
    assert sim.count("AKIDSIM2") == 4


# -- errors ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("status,kind", [(400, "invalid_request_error"), (403, "permission_error"), (404, "not_found_error"),
                                         (429, "rate_limit_error"), (503, "server_error")])
def test_errors_have_openai_form(gate, sim, status, kind):
    sim.fault("AKIDSIM1", status=status)
    answer = gate.chat("g")
    assert answer.status_code == status and answer.json()["error"]["type"] == kind
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("body", ["{}", '{"output":{"message":{"role":"assistant"}}}', '{"message":"hello"}', "<html>"])
def test_a_200_without_an_answer_is_none(gate, sim, body):
    sim.fault("AKIDSIM1", status=200, body=body)
    assert gate.chat("g").status_code == 502


# -- embeddings ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model,given,asked", [
    ("amazon.titan-embed-text-v2:0", "a", {"inputText": "a", "dimensions": 16}),
    ("us-west-2/cohere.embed-english-v3", ["a", "b"], {"texts": ["a", "b"], "input_type": "search_document"}),
])
def test_embeddings(hale, sim, model, given, asked):
    gate = hale(settings(signed(sim, model)))
    answer = gate.post("/v1/embeddings", json={"model": "g", "input": given, "dimensions": 16})
    assert answer.status_code == 200, answer.text
    assert [d["index"] for d in answer.json()["data"]] == list(range(len(given)))
    assert all(isinstance(d["embedding"][0], float) for d in answer.json()["data"])
    seen = sim.requests("AKIDSIM1")[-1]
    assert seen["path"] == f"/model/{urllib.parse.quote(model.split('/')[-1], safe='')}/invoke" and seen["body"] == asked
    assert gate.get("/health").json()["healthy_count"] == 1, "an embedding model is probed as one without a mode"
    assert sim.requests("AKIDSIM1")[-1]["path"] == seen["path"]


# -- probes ----------------------------------------------------------------------------------------------------------

def test_probe(hale, sim):
    """The same request as a real one: signed, with nothing of the configuration that is no parameter of Converse."""
    gate = hale(settings(signed(sim, f"us-west-2/{MODEL}", supports_vision=True, use_in_pass_through=True, temperature=0.5)))
    health = gate.get("/health").json()
    assert (health["healthy_count"], health["unhealthy_count"]) == (1, 0)
    seen = sim.requests("AKIDSIM1")[-1]
    assert (seen["method"], seen["path"]) == ("POST", PATH + "/converse")
    assert seen["body"] == {"messages": [{"role": "user", "content": [{"text": "test from litellm"}]}],
                            "inferenceConfig": {"maxTokens": 1, "temperature": 0.5}}
    assert seen["headers"]["authorization"].endswith(signature(seen, "us-west-2"))
    assert health["healthy_endpoints"][0]["model"] == MODEL, "LiteLLM shows the id without provider and region"


UNHEALTHY = {
    "throttled": (429, "Too many requests, please wait before trying again.", "rate_limited"),
    "denied": (403, "You don't have access to the model with the specified model ID.", "unauthorized"),
    "expired": (403, "The security token included in the request is expired", "unauthorized"),
    "unrecognized": (403, "The security token included in the request is invalid.", "unauthorized"),
    "identifier": (400, "The provided model identifier is invalid.", "not_found"),
    "on demand": (400, "Invocation of model ID x with on-demand throughput isn\u2019t supported. Retry your request with the "
                       "ID or ARN of an inference profile that contains this model.", "not_found"),
    "end of life": (404, "This model version has reached the end of its life.", "not_found"),
    "payload": (400, "1 validation error detected: Value at 'inferenceConfig.maxTokens' failed to satisfy constraint",
                "bad_probe"),
    "unavailable": (503, "Bedrock is unable to process your request.", "server_error"),
}


@pytest.mark.parametrize("status,message,reason", UNHEALTHY.values(), ids=UNHEALTHY.keys())
def test_unhealthy_probe(gate, sim, status, message, reason):
    sim.fault("AKIDSIM1", status=status, body=json.dumps({"message": message}))
    (entry,) = gate.get("/health").json()["unhealthy_endpoints"]
    assert entry["reason"] == reason and entry["exception_status"] == status and message in entry["error"]


def test_probe_with_a_wrong_secret(hale, sim):
    gate = hale(settings(signed(sim, aws_secret_access_key="another-secret")))
    (entry,) = gate.get("/health").json()["unhealthy_endpoints"]
    assert entry["reason"] == "unauthorized" and "signature" in entry["error"]
