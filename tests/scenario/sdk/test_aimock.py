"""A second upstream, written by others (@copilotkit/aimock): our simulator shares our misunderstandings, this one does not.

Every mode and provider that it speaks is probed and used through hale. It refuses a wrong key and a path or a body that it does not know.
"""

import subprocess

import pytest
import requests

import paths

CHAT = {"messages": [{"role": "user", "content": "hi"}]}
WAV = ("audio.wav", b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0", "audio/wav")
PNG = ("image.png", b"\x89PNG\r\n\x1a\n", "image/png")


@pytest.fixture(scope="module")
def mock(node):
    """Base URL of a running mock; node says why when it is not there."""
    assert node
    process = subprocess.Popen(["node", str(paths.SOURCE / "tests" / "scenario" / "sdk" / "aimock.cjs")],
                               env=paths.clean_env({"NODE_PATH": str(paths.BUILD / "sdk" / "node" / "node_modules")}),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    url = process.stdout.readline().strip()
    assert url.startswith("http"), "the mock did not start"
    yield url
    process.stdin.close()
    assert process.wait(20) == 0


def said(answer):
    return answer.json()["choices"][0]["message"]["content"]


# mode, provider, model, behind the mock's URL, further parameters, the request through hale, what must come back
CASES = [
    ("chat", "openai", "gpt-4o", "/v1", {}, ("/v1/chat/completions", {"json": CHAT}), lambda a: "Hello" in said(a)),
    ("embedding", "openai", "text-embedding-3-small", "/v1", {}, ("/v1/embeddings", {"json": {"input": "hi"}}),
     lambda a: a.json()["data"][0]["embedding"]),
    ("responses", "openai", "gpt-4o", "/v1", {}, ("/v1/responses", {"json": {"input": "hi"}}),
     lambda a: "Hello" in a.json()["output"][0]["content"][0]["text"]),
    ("image_generation", "openai", "gpt-image-1", "/v1", {}, ("/v1/images/generations", {"json": {"prompt": "a star"}}),
     lambda a: a.json()["data"][0]["b64_json"]),
    ("image_edit", "openai", "gpt-image-1", "/v1", {},
     ("/v1/images/edits", {"data": {"prompt": "a star"}, "files": {"image": PNG}}), lambda a: a.json()["data"]),
    ("audio_speech", "openai", "tts-1", "/v1", {}, ("/v1/audio/speech", {"json": {"input": "hi", "voice": "alloy"}}),
     lambda a: a.content.startswith(b"ID3")),
    ("audio_transcription", "openai", "whisper-1", "/v1", {}, ("/v1/audio/transcriptions", {"files": {"file": WAV}}),
     lambda a: a.json()["text"] == "hello from a file"),
    ("moderation", "openai", "omni-moderation-latest", "/v1", {}, ("/v1/moderations", {"json": {"input": "hi"}}),
     lambda a: a.json()["results"][0]["flagged"] is False),
    ("batch", "openai", "gpt-4o", "/v1", {}, None, None),
    ("realtime", "openai", "gpt-realtime", "/v1", {}, None, None),
    ("chat", "azure", "my-gpt", "", {"api_version": "2024-10-21"}, ("/v1/chat/completions", {"json": CHAT}),
     lambda a: "Hello" in said(a)),
    ("embedding", "azure", "my-embed", "", {"api_version": "2024-10-21"}, ("/v1/embeddings", {"json": {"input": "hi"}}),
     lambda a: a.json()["data"][0]["embedding"]),
    ("chat", "anthropic", "claude-sonnet-4-5", "", {}, ("/v1/chat/completions", {"json": CHAT}), lambda a: "Hello" in said(a)),
    ("anthropic_messages", "anthropic", "claude-sonnet-4-5", "", {}, ("/v1/messages", {"json": {**CHAT, "max_tokens": 20}}),
     lambda a: "Hello" in a.json()["content"][0]["text"]),
    ("chat", "gemini", "gemini-2.0-flash", "", {}, ("/v1/chat/completions", {"json": CHAT}), lambda a: "Hello" in said(a)),
    ("chat", "cohere", "command-r-plus", "", {}, ("/v1/chat/completions", {"json": CHAT}), lambda a: "Hello" in said(a)),
    ("embedding", "cohere", "embed-english-v3.0", "", {}, ("/v1/embeddings", {"json": {"input": "hi"}}),
     lambda a: a.json()["data"][0]["embedding"]),
    ("rerank", "cohere", "rerank-v3.5", "", {}, ("/v1/rerank", {"json": {"query": "hi", "documents": ["a", "b"]}}),
     lambda a: a.json()["results"][0]["relevance_score"] == 0.9),
    ("chat", "bedrock", "anthropic.claude-3-5-sonnet-20240620-v1:0", "", {"aws_region_name": "us-east-1"},
     ("/v1/chat/completions", {"json": CHAT}), lambda a: "Hello" in said(a)),
    ("chat", "ollama", "llama3", "", {}, ("/v1/chat/completions", {"json": CHAT}), lambda a: "Hello" in said(a)),
]


def entry(mock, mode, provider, model, behind, more, key="sk-mock"):
    base = {"aws_bedrock_runtime_endpoint" if provider == "bedrock" else "api_base": mock + behind}
    return {"model_name": "g", "litellm_params": {"model": f"{provider}/{model}", "api_key": key, **base, **more},
            "model_info": {"mode": mode}}


def with_model(arguments):
    """The request's arguments with the model where this kind of request has it."""
    into = "json" if "json" in arguments else "data"
    return {**arguments, into: {**arguments.get(into, {}), "model": "g"}}


@pytest.mark.parametrize("mode, provider, model, behind, more, request_, good", CASES,
                         ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_mode_of_provider(hale, mock, mode, provider, model, behind, more, request_, good):
    gate = hale({"model_list": [entry(mock, mode, provider, model, behind, more)]}, workers=1)
    health = gate.get("/health?model=g")
    assert (health.status_code, health.json()["healthy_count"]) == (200, 1), health.text
    if request_:
        path, arguments = request_
        answer = requests.post(gate.url + path, timeout=30, **with_model(arguments))
        assert answer.status_code == 200, answer.text
        assert good(answer), answer.text


@pytest.mark.parametrize("provider, model, behind, more", [
    (case[1], case[2], case[3], case[4]) for case in CASES if case[0] == "chat"], ids=lambda v: v if isinstance(v, str) else "")
def test_streamed_chat(hale, mock, provider, model, behind, more):
    gate = hale({"model_list": [entry(mock, "chat", provider, model, behind, more)]}, workers=1)
    answer = gate.chat("g", stream=True)
    assert answer.status_code == 200, answer.text
    assert answer.text.endswith("data: [DONE]\n\n") and '"finish_reason":"stop"' in answer.text.replace('": "', '":"')


@pytest.mark.parametrize("provider, model, behind, more", [
    (case[1], case[2], case[3], case[4]) for case in CASES if case[0] == "chat" and case[1] != "ollama"],
    ids=lambda v: v if isinstance(v, str) else "")
def test_a_wrong_key_is_seen_as_that(hale, mock, provider, model, behind, more):
    gate = hale({"model_list": [entry(mock, "chat", provider, model, behind, more, key="sk-wrong")]}, workers=1)
    health = gate.get("/health?model=g")
    assert health.status_code == 503
    (one,) = health.json()["unhealthy_endpoints"]
    assert (one["reason"], one["exception_status"]) == ("unauthorized", 401)
