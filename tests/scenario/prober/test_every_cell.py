"""Every cell of the table of providers and modes that this build has: healthy against a faithful upstream, by one request to
the right address, and unhealthy when that address answers 200 with nothing.

The cells are not listed here. `hale check` says which there are, so a new row or mode is probed here without anybody's
thinking of it; what has no known address below fails.
"""

import re
import subprocess

import pytest
import yaml

import paths

KEY = {"Authorization": "Bearer sk-admin"}
NO_BASE_PATH = ("azure", "anthropic", "gemini", "bedrock", "cohere", "cohere_chat", "ollama", "ollama_chat")
# OpenAI's form, behind the base
PATHS = {
    "chat": "POST /v1/chat/completions", "completion": "POST /v1/completions", "embedding": "POST /v1/embeddings",
    "image_generation": "POST /v1/images/generations", "image_edit": "POST /v1/images/edits",
    "audio_transcription": "POST /v1/audio/transcriptions", "audio_speech": "POST /v1/audio/speech",
    "rerank": "POST /v1/rerank", "batch": "GET /v1/batches", "realtime": "GET /v1/realtime?model=up",
    "ocr": "POST /v1/ocr", "responses": "POST /v1/responses", "moderation": "POST /v1/moderations",
}
AZURE = {**{mode: path.replace("/v1", "/openai/deployments/up") + "?api-version=1" for mode, path in PATHS.items()},
         "batch": "GET /openai/batches?api-version=1", "responses": "POST /openai/responses?api-version=1",
         "realtime": "GET /openai/realtime?api-version=1&deployment=up"}
COHERE = {"chat": "POST /v2/chat", "embedding": "POST /v2/embed", "rerank": "POST /v2/rerank"}
# Those of other forms. What is not here is an error for these, and PATHS for everybody else.
OTHER = {
    "azure": AZURE, "cohere": COHERE, "cohere_chat": COHERE,
    "anthropic": {"chat": "POST /v1/messages", "anthropic_messages": "POST /v1/messages"},
    "gemini": {"chat": "POST /v1beta/models/up:generateContent", "embedding": "POST /v1beta/models/up:batchEmbedContents",
               "image_generation": "POST /v1beta/models/up:generateContent"},
    "bedrock": {"chat": "POST /model/up/converse", "embedding": "POST /model/amazon.titan-embed-sim/invoke"},
}
MODELS = {("bedrock", "embedding"): "amazon.titan-embed-sim"}  # where another name than "up" must be known
NO_CELL = re.compile(r"(Unsupported model: \S+ )?Mode \w+ not supported for provider \w+\.")
CHECK = re.compile(r"^ +(\w+)-(\w+) +\1 +\2 \(configured\) +(no probe: |(?:GET|POST) )(.*)$")


def hale_check(*args):
    done = subprocess.run([str(paths.HALE), "check", *map(str, args)], env=paths.clean_env(), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def reference():
    """The providers and modes of this build, from its own reference."""
    text = hale_check("--print-reference")
    providers = re.findall(r"^\| `(\w+)` \|", text[text.index("\n## Providers"):], re.M)
    modes = re.search(r"^\| `mode` \| ([a-z_, ]+) \|", text, re.M).group(1).split(", ")
    return providers, modes


def entry(base, provider, mode):
    params = {"model": f"{provider}/{MODELS.get((provider, mode), 'up')}", "api_base": base if provider in NO_BASE_PATH else base + "/v1",
              "api_key": f"sk-{provider}-{mode}"}
    if provider == "azure":
        params["api_version"] = "1"
    if provider == "bedrock":  # a bearer key, so that the simulator tells the requests apart by it
        params["aws_region_name"] = "us-east-1"
    return {"model_name": f"{provider}-{mode}", "litellm_params": params,
            "model_info": {"id": f"{provider}-{mode}", "mode": mode, "health_check_timeout": 20}}


@pytest.fixture
def cells(sim, tmp_path):
    """{(provider, mode): "METHOD address"} of everything that has a probe."""
    providers, modes = reference()
    assert len(providers) > 20 and len(modes) > 12
    path, found = tmp_path / "cells.yaml", {}
    for mode in modes:  # it lists so many deployments, not any number
        path.write_text(yaml.safe_dump({"model_list": [entry(sim.url, provider, mode) for provider in providers]}))
        lines = [line for line in map(CHECK.match, hale_check(path).splitlines()) if line]
        assert [(line[1], line[2]) for line in lines] == [(provider, mode) for provider in providers]
        assert all(NO_CELL.match(line[4]) for line in lines if line[3] == "no probe: ")
        found |= {(line[1], mode): line[3] + line[4] for line in lines if line[3] != "no probe: "}
    assert {mode for _, mode in found} == set(modes) and {provider for provider, _ in found} == set(providers)
    return found


def health(daemon, group=None):
    answer = daemon.get("/health", headers=KEY, params={"model": group} if group else None, timeout=90)
    body = answer.json()
    return [{e["model_id"]: e for e in body[name]} for name in ("healthy_endpoints", "unhealthy_endpoints")]


def seen(sim, cell):
    """The one request with the cell's key, as "METHOD /path?query"."""
    got = sim.requests(key="sk-%s-%s" % cell)
    assert len(got) == 1, (cell, got)
    return f"{got[0]['method']} {got[0]['path']}" + (f"?{got[0]['query']}" if got[0]["query"] else "")


def test_every_cell(hale, sim, cells):
    daemon = hale({"model_list": [entry(sim.url, *cell) for cell in cells], "general_settings": {"master_key": "sk-admin"}})
    healthy, unhealthy = health(daemon)
    assert {i: (e["reason"], e["error"]) for i, e in unhealthy.items()} == {}
    assert set(healthy) == {"%s-%s" % cell for cell in cells}
    assert {e["reason"] for e in healthy.values()} == {"ok"}
    for cell, planned in cells.items():
        # without a list of batches: what its batches consist of
        mode = "chat" if cell[1] == "batch" and planned.startswith("POST") else cell[1]
        want = OTHER.get(cell[0], PATHS)[mode]
        got = seen(sim, cell)
        assert sorted(re.split("[?&]", got)) == sorted(re.split("[?&]", want)), cell
        method, _, url = planned.partition(" ")
        assert f"{method} {url}" == f"{got.split(' ')[0]} {sim.url}{got.split(' ')[1]}", cell  # and `hale check` said so

    sim.fault("*", status=200, empty=True)
    healthy, unhealthy = health(daemon)
    assert healthy == {}
    assert {e["reason"] for e in unhealthy.values()} == {"bad_body"}
    assert set(unhealthy) == {"%s-%s" % cell for cell in cells}


def test_one_cell_by_its_group(hale, sim, cells):
    """GET /health?model= asks that cell alone: 200, and 503 when the answer is empty."""
    some = {}
    for provider, mode in cells:  # the first provider of each mode
        some.setdefault(mode, (provider, mode))
    daemon = hale({"model_list": [entry(sim.url, *cell) for cell in cells], "general_settings": {"master_key": "sk-admin"}})
    for status in (200, 503):
        for cell in some.values():
            answer = daemon.get("/health", headers=KEY, params={"model": "%s-%s" % cell}, timeout=60)
            body = answer.json()
            assert (answer.status_code, body["healthy_count"] + body["unhealthy_count"]) == (status, 1), (cell, body)
            assert sim.count("sk-%s-%s" % cell) == (1 if status == 200 else 2)
        sim.fault("*", status=200, empty=True)
    asked = {key for key, of in sim.stats()["keys"].items() if of.get("total")}
    assert asked == {"sk-%s-%s" % cell for cell in some.values()}
