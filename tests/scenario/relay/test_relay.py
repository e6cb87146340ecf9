"""Relaying: what arrives at the upstream, what comes back, and which headers say how."""

import json
import subprocess

import pytest

from daemon import deployment

TEXT = "Hello! This is a simulated answer."


def events(answer):
    return [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]


def content(answer):
    chunks = [json.loads(e) for e in events(answer) if e != "[DONE]"]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c.get("choices"))


def test_chat_reaches_the_upstream_as_sent(hale, sim):
    gate = hale({"model_list": [deployment("g", sim)]})
    body = {"model": "g", "messages": [{"role": "user", "content": "häl\u00fc \U0001f600"}], "temperature": 0.5,
            "unknown": {"model": "inner", "x": [1, 2.50, None]}}
    answer = gate.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200 and answer.json()["choices"][0]["message"]["content"] == TEXT
    seen = sim.requests("sk-a")[-1]
    assert (seen["method"], seen["path"]) == ("POST", "/v1/chat/completions")
    assert seen["body"] == {**body, "model": "gpt-4o"}
    assert seen["headers"]["authorization"] == "Bearer sk-a"
    assert "x-litellm" not in json.dumps(seen["headers"]).lower()


def test_answer_headers(hale, sim):
    gate = hale({"model_list": [deployment("g", sim, info={"id": "one"})]})
    answers = [gate.chat("g") for _ in range(2)]
    for answer in answers:
        assert answer.headers["x-litellm-model-id"] == "one"
        assert answer.headers["x-litellm-model-group"] == "g"
        assert answer.headers["x-litellm-attempted-retries"] == "0"
        assert answer.headers["x-ratelimit-remaining-requests"] == "999"
    assert len({a.headers["x-litellm-call-id"] for a in answers}) == 2


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions"])
def test_stream(hale, sim, path):
    gate = hale({"model_list": [deployment("g", sim)]})
    answer = gate.post(path, json={"model": "g", "stream": True, "messages": [{"role": "user", "content": "hi"}]})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert content(answer) == TEXT and events(answer)[-1] == "[DONE]"


@pytest.mark.parametrize("prefix", ["/v1", ""])
def test_completions_and_embeddings(hale, sim, prefix):
    gate = hale({"model_list": [deployment("g", sim), deployment("e", sim, model="text-embedding-3-small")]})
    done = gate.post(prefix + "/completions", json={"model": "g", "prompt": "hi"})
    assert done.json()["choices"][0]["text"]
    stream = gate.post(prefix + "/completions", json={"model": "g", "prompt": "hi", "stream": True})
    assert events(stream)[-1] == "[DONE]"
    vector = gate.post(prefix + "/embeddings", json={"model": "e", "input": ["hi"]}).json()
    assert isinstance(vector["data"][0]["embedding"], list)
    assert sim.requests()[-1]["body"]["model"] == "text-embedding-3-small"


def test_azure(hale, sim):
    gate = hale({"model_list": [deployment("g", sim, provider="azure", model="my gpt", key="az")]})
    assert gate.chat("g").status_code == 200
    seen = sim.requests("az")[-1]
    assert seen["path"] in ("/openai/deployments/my%20gpt/chat/completions",
                            "/openai/deployments/my gpt/chat/completions")
    assert seen["headers"]["api-key"] == "az" and "authorization" not in seen["headers"]


def test_anthropic_is_translated_both_ways(hale, sim):
    gate = hale({"model_list": [deployment("c", sim, provider="anthropic", model="claude-sim", key="ant")]})
    answer = gate.post("/v1/chat/completions", json={
        "model": "c", "max_tokens": 50,
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]})
    assert answer.json()["choices"][0]["message"]["content"] == TEXT
    assert answer.json()["object"] == "chat.completion" and answer.json()["usage"]["completion_tokens"] > 0
    sent = sim.requests("ant")[-1]["body"]
    assert sent["max_tokens"] == 50 and sent["system"]
    assert sent["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    stream = gate.chat("c", stream=True)
    assert content(stream) == TEXT and events(stream)[-1] == "[DONE]"


def test_model_by_deployment_id(hale, sim):
    gate = hale({"model_list": [deployment("g", sim, key="sk-a"), deployment("g", sim, key="sk-b")]})
    ids = [m["model_info"]["id"] for m in gate.get("/v1/model/info").json()["data"]]
    assert len(set(ids)) == 2
    for one, key in zip(ids, ("sk-a", "sk-b")):
        before = sim.count(key)
        assert gate.chat(one).headers["x-litellm-model-id"] == one
        assert sim.count(key) == before + 1


def test_wildcards_longest_pattern_wins(hale, sim):
    gate = hale({"model_list": [deployment("*", sim, key="sk-all", model="*"),
                                deployment("team/*", sim, key="sk-team", model="*"),
                                deployment("team/fixed", sim, key="sk-fixed")]})
    for name, key, upstream in (("any-model", "sk-all", "any-model"), ("team/gpt-x", "sk-team", "gpt-x"),
                                ("team/fixed", "sk-fixed", "gpt-4o")):
        assert gate.chat(name).status_code == 200
        assert sim.requests(key)[-1]["body"]["model"] == upstream


def test_large_answer_is_not_cut(hale, sim):
    gate = hale({"model_list": [deployment("g", sim)]})
    sim.fault("sk-a", chunks=3000, chunk_bytes=2000)
    stream = gate.chat("g", stream=True)
    assert len(stream.text) > 5_000_000 and events(stream)[-1] == "[DONE]"


def test_large_prompt(hale, sim):
    gate = hale({"model_list": [deployment("g", sim)]})
    text = "x" * (3 << 20)
    assert gate.chat("g", text=text).status_code == 200
    assert sim.count("sk-a") == 1


def test_unknown_model_and_missing_members(hale, sim):
    gate = hale({"model_list": [deployment("g", sim)]})
    unknown = gate.chat("nope")
    assert unknown.status_code == 400 and "nope" in unknown.json()["error"]["message"]
    for body, param in (({"messages": []}, "model"), ({"model": ""}, "model"), ({"model": "g"}, "messages")):
        answer = gate.post("/v1/chat/completions", json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert sim.stats()["keys"] == {}


def test_keys(hale, sim):
    gate = hale({"model_list": [deployment("g", sim)], "general_settings": {"master_key": "sk-master"}})
    for headers, message in ((None, "No api key"), ({"Authorization": "Basic x"}, "Malformed"),
                             ({"Authorization": "Bearer sk-wrong"}, "Invalid proxy server token")):
        answer = gate.chat("g", headers=headers)
        assert answer.status_code == 401 and message in answer.json()["error"]["message"]
        assert answer.json()["error"]["type"] == "auth_error"
    for headers in ({"Authorization": "Bearer sk-master"}, {"x-api-key": "sk-master"}, {"api-key": "sk-master"}):
        assert gate.chat("g", headers=headers).status_code == 200
    assert sim.requests("sk-a")[-1]["headers"]["authorization"] == "Bearer sk-a"
    assert "sk-master" not in json.dumps(sim.requests()) and "sk-master" not in gate.log


@pytest.fixture
def tls(make_sim, tmp_path):
    """A simulator behind TLS with a certificate of its own for 127.0.0.1: (sim, path of the certificate)."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return make_sim("--tls-cert", str(cert), "--tls-key", str(key)), cert


def test_tls_is_verified_by_default(hale, tls):
    sim, cert = tls
    config = {"model_list": [deployment("g", sim), deployment("lax", sim, ssl_verify=False)],
              "litellm_settings": {"num_retries": 0}}
    gate = hale(config)
    refused = gate.chat("g")
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_connect_error")
    assert sim.count("sk-a") == 0
    assert gate.chat("lax").status_code == 200
    trusting = hale(config, env={"SSL_CERT_FILE": str(cert)})
    for stream in (False, True):
        assert trusting.chat("g", stream=stream).status_code == 200
