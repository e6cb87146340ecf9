"""Seams between the families of providers: one group with deployments of several, wildcards, aliases and ids of each."""

import json

import pytest

from daemon import deployment

KEY = {"Authorization": "Bearer sk-admin"}
TEXT = "Hello! This is a simulated answer."
MODELS = {"openai": "gpt-4o", "azure": "my-gpt", "anthropic": "claude-sim", "gemini": "gemini-2.5-flash",
          "bedrock": "anthropic.claude-sim-v1:0", "cohere": "command-sim", "groq": "llama-sim"}
FAMILIES = list(MODELS)
PAIRS = [(a, b) for a in ("openai", "anthropic", "gemini", "bedrock", "cohere") for b in ("openai", "anthropic", "gemini",
         "bedrock", "cohere") if a != b and (a == "openai" or b == "openai" or (a, b) in (("bedrock", "gemini"),
         ("cohere", "anthropic")))]


def of(provider, sim, group="g", **params):
    base = sim.url if provider == "cohere" else sim
    model = params.pop("model", MODELS[provider])
    return deployment(group, base, key="sk-" + provider, provider=provider, model=model, info={"id": f"id-{provider}"}, **params)


def gate(hale, models, **settings):
    return hale({"model_list": models, "general_settings": {"master_key": "sk-admin"},
                 "router_settings": {"disable_cooldowns": True, **settings}})


def events(answer):
    lines = [line[6:] for line in answer.iter_lines(decode_unicode=True) if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def text_of(answer, stream):
    assert answer.status_code == 200, answer.text
    if not stream:
        return answer.json()["choices"][0]["message"]["content"]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in events(answer) if c["choices"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("first,second", PAIRS)
@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 401}, {"status": 429}, {"empty": True}])
def test_another_family_answers(hale, sim, first, second, stream, fault):
    """Before the first byte a request moves to a provider of another form, and is written anew for it."""
    daemon = gate(hale, [of(first, sim, order=1), of(second, sim, order=2)], num_retries=1)
    sim.fault(f"sk-{first}", **fault)
    answer = daemon.chat("g", headers=KEY, stream=stream, max_tokens=50)
    assert text_of(answer, stream) == TEXT
    assert answer.headers["x-litellm-model-id"] == f"id-{second}"
    assert (sim.count(f"sk-{first}"), sim.count(f"sk-{second}")) == (1, 1)


@pytest.mark.parametrize("first,second", PAIRS)
def test_a_stream_that_ends_before_its_first_token_moves(hale, sim, first, second):
    daemon = gate(hale, [of(first, sim, order=1), of(second, sim, order=2)], num_retries=1)
    sim.fault(f"sk-{first}", cut_after=0 if first == "gemini" else 1)  # Gemini's first event has text already
    answer = daemon.chat("g", headers=KEY, stream=True, stream_options={"include_usage": True})
    chunks = events(answer)
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"]) == TEXT
    assert answer.headers["x-litellm-model-id"] == f"id-{second}"
    assert len({c["id"] for c in chunks}) == 1, "one stream, of one deployment"


def message(daemon, stream):
    """Anthropic's API: text, input and output tokens."""
    body = {"model": "g", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    answer = daemon.post("/v1/messages", json=body, headers=KEY)
    assert answer.status_code == 200, answer.text
    if not stream:
        whole = answer.json()
        return answer, "".join(c["text"] for c in whole["content"]), whole["usage"]
    data = [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: ")]
    assert data[0]["type"] == "message_start" and data[-1] == {"type": "message_stop"}, answer.text
    text = "".join(e["delta"].get("text", "") for e in data if e["type"] == "content_block_delta")
    (last,) = [e for e in data if e["type"] == "message_delta"]
    assert last["delta"]["stop_reason"] == "end_turn"
    return answer, text, {**data[0]["message"]["usage"], **last["usage"]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("first,second", PAIRS)
@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 401}, {"empty": True}, {"cut_after": 0}])
def test_another_family_answers_a_message(hale, sim, first, second, stream, fault):
    """The same for Anthropic's clients: from its own form to translations of translations, and back."""
    daemon = gate(hale, [of(first, sim, order=1), of(second, sim, order=2)], num_retries=1)
    sim.fault(f"sk-{first}", **fault)
    answer, text, usage = message(daemon, stream)
    assert text == TEXT and usage["output_tokens"] > 0 and usage["input_tokens"] > 0
    assert answer.headers["x-litellm-model-id"] == f"id-{second}"
    assert (sim.count(f"sk-{first}"), sim.count(f"sk-{second}")) == (1, 1)


@pytest.mark.parametrize("provider", FAMILIES)
def test_usage_of_a_stream(hale, sim, provider):
    """The last chunk has no choices and the counts when it was asked for; else no chunk has any."""
    daemon = gate(hale, [of(provider, sim)])
    asked = events(daemon.chat("g", headers=KEY, stream=True, stream_options={"include_usage": True}))
    assert asked[-1]["choices"] == [] and asked[-1]["usage"]["completion_tokens"] > 0
    usage = asked[-1]["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert [c for c in asked[:-1] if c.get("usage")] == []
    silent = events(daemon.chat("g", headers=KEY, stream=True))
    assert not any(c.get("usage") for c in silent)
    reasons = [c["choices"][0]["finish_reason"] for c in silent if c["choices"]]  # Azure has a chunk about its filters
    assert [reason for reason in reasons if reason] == ["stop"]


@pytest.mark.parametrize("provider", FAMILIES)
def test_wildcard(hale, sim, provider):
    """provider/* as the group and as the model: the name that the client adds is what the provider is asked for."""
    entry = of(provider, sim, group=f"{provider}/*", model="*")
    entry["model_info"]["health_check_model"] = f"{provider}/{MODELS[provider]}"
    daemon = gate(hale, [entry])
    answer = daemon.chat(f"{provider}/{MODELS[provider]}", headers=KEY)
    assert text_of(answer, False) == TEXT
    named = sim.requests(f"sk-{provider}")[-1]
    body = daemon.get("/health", headers=KEY, timeout=60).json()
    assert body["healthy_count"] == 1, body
    probe = sim.requests(f"sk-{provider}")[-1]
    assert probe["path"] == named["path"] and sim.count(f"sk-{provider}") == 2
    assert (probe["body"].get("model"), named["body"].get("model")) in (2 * (MODELS[provider],), (None, None))


def test_orders_and_weights(hale, sim):
    """Order first, then weights, whatever the families are; a higher order is used when all of the lower are gone."""
    daemon = gate(hale, [of("gemini", sim, order=1, weight=1), of("bedrock", sim, order=1, weight=3),
                         of("openai", sim, order=2, weight=100)], num_retries=3)
    for _ in range(120):
        assert text_of(daemon.chat("g", headers=KEY), False) == TEXT
    counts = {p: sim.count(f"sk-{p}") for p in ("gemini", "bedrock", "openai")}
    assert counts["openai"] == 0 and 12 <= counts["gemini"] <= 48 and sum(counts.values()) == 120, counts
    for p in ("gemini", "bedrock"):
        sim.fault(f"sk-{p}", status=500)
    answer = daemon.chat("g", headers=KEY)
    assert answer.headers["x-litellm-model-id"] == "id-openai"


@pytest.mark.parametrize("provider", FAMILIES)
def test_alias_and_id(hale, sim, provider):
    """Another name of the group, and the deployment's id, lead to the same request."""
    daemon = gate(hale, [of(provider, sim)], model_group_alias={"other": "g", "hidden": {"model": "g", "hidden": True}})
    for name in ("g", "other", "hidden", f"id-{provider}"):
        answer = daemon.chat(name, headers=KEY)
        assert text_of(answer, False) == TEXT
    bodies = [(r["path"], json.dumps(r["body"], sort_keys=True)) for r in sim.requests(f"sk-{provider}")]
    assert len(bodies) == 4 and len(set(bodies)) == 1


def test_health_knows_aliases(hale, sim):
    daemon = gate(hale, [of("openai", sim)], model_group_alias={"other": "g"})
    answer = daemon.get("/health?model=other", headers={"Authorization": "Bearer sk-admin"})
    assert (answer.status_code, answer.json()["healthy_count"]) == (200, 1), answer.text


def test_what_an_alias_may_stand_for(hale, sim):
    """It is stronger than a group of its name, is no alias of an alias, and may be a name that only a wildcard has."""
    daemon = gate(hale, [of("openai", sim), of("anthropic", sim, group="loser"), of("groq", sim, group="fast/*", model="*")],
                  model_group_alias={"loser": "g", "second": "third", "third": "g", "quick": "fast/llama"})
    for name, served in (("loser", "openai"), ("third", "openai"), ("quick", "groq")):
        assert daemon.chat(name, headers=KEY).headers["x-litellm-model-id"] == f"id-{served}"
    assert sim.requests("sk-groq")[-1]["body"]["model"] == "llama"
    assert daemon.chat("second", headers=KEY).status_code == 400


# endpoint -> provider, body without the model; a form when `files` is there
ENDPOINTS = {
    "/v1/chat/completions": ("openai", {"messages": [{"role": "user", "content": "hi"}]}),
    "/v1/completions": ("openai", {"prompt": "hi"}),
    "/v1/embeddings": ("openai", {"input": "hi"}),
    "/v1/images/generations": ("openai", {"prompt": "hi"}),
    "/v1/images/edits": ("openai", {"prompt": "hi", "image": b"\x89PNG"}),
    "/v1/audio/transcriptions": ("openai", {"file": b"RIFF"}),
    "/v1/audio/speech": ("openai", {"input": "hi", "voice": "alloy"}),
    "/v1/rerank": ("cohere", {"query": "q", "documents": ["a"]}),
    "/v1/ocr": ("mistral", {"document": {"type": "document_url", "document_url": "data:application/pdf;base64,AA=="}}),
    "/v1/moderations": ("openai", {"input": "hi"}),
    "/v1/responses": ("openai", {"input": "hi"}),
    "/v1/messages": ("anthropic", {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
    "/v1/messages/count_tokens": ("anthropic", {"messages": [{"role": "user", "content": "hi"}]}),
}


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("name", ["g", "other", "the-id", "star/up"])
def test_every_endpoint_by_every_name(hale, sim, name, bare):
    """Group, alias, id and wildcard, with and without /v1."""
    models = []
    for provider in ("openai", "cohere", "mistral", "anthropic"):
        for group in ("g", "star/*"):
            base = sim.base if provider in ("openai", "mistral") else sim.url
            models.append(deployment(f"{provider}-{group}", base, key=f"sk-{provider}", provider=provider,
                                     model="up" if group == "g" else "*", info={"id": f"{provider}-the-id"} if group == "g" else None))
    alias = {f"{provider}-other": f"{provider}-g" for provider in ("openai", "cohere", "mistral", "anthropic")}
    daemon = gate(hale, models, model_group_alias=alias)
    for path, (provider, body) in ENDPOINTS.items():
        files = {part: ("a", value) for part, value in body.items() if isinstance(value, bytes)}
        path = path.removeprefix("/v1") if bare else path
        if files:
            rest = {part: value for part, value in body.items() if part not in files}
            answer = daemon.post(path, data={"model": f"{provider}-{name}", **rest}, files=files, headers=KEY)
        else:
            answer = daemon.post(path, json={"model": f"{provider}-{name}", **body}, headers=KEY)
        assert answer.status_code == 200, (path, answer.text)
        seen = sim.requests(f"sk-{provider}")[-1]
        model = seen["body"]["model"] if seen.get("body") and not files else [p["text"] for p in seen["parts"] if p["name"] == "model"][0]
        assert model == "up", path
