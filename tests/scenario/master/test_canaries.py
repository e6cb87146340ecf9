"""Canaries: every kind of secret, of every provider, on every endpoint, with upstreams that repeat what they know.

No canary may be in an answer, in the log with --detailed_debug, in a process title, or in what the command line prints.
"""

import itertools
import json
import re
import subprocess

import pytest
import yaml

import paths
from raw import Raw

MASTER = "master-canary-0001"
KEY = {"Authorization": f"Bearer {MASTER}"}
BARE = ("azure", "anthropic", "gemini", "bedrock", "cohere", "cohere_chat", "ollama", "ollama_chat")
BEDROCK = "anthropic.claude-sim-v1:0"
# Of the environment: keys that no file names.
VARIABLES = {"GROQ_API_KEY": "groq-canary-0002", "AWS_SESSION_TOKEN": "session-canary-0003",
             "AWS_ACCESS_KEY_ID": "AKIDcanary0004", "AWS_SECRET_ACCESS_KEY": "secret-of-AKIDcanary0004",
             "DATABASE_URL": "postgresql://hale:database-canary-0005@127.0.0.1:1/x"}
# path, body without the model; a form when it holds bytes
ENDPOINTS = {
    "chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "completions": {"prompt": "hi"},
    "embeddings": {"input": "hi"},
    "images/generations": {"prompt": "hi"},
    "images/edits": {"prompt": "hi", "image": b"\x89PNG"},
    "audio/transcriptions": {"file": b"RIFF"},
    "audio/speech": {"input": "hi", "voice": "alloy"},
    "rerank": {"query": "q", "documents": ["a"]},
    "ocr": {"document": {"type": "document_url", "document_url": "data:application/pdf;base64,AA=="}},
    "moderations": {"input": "hi"},
    "responses": {"input": "hi"},
    "messages": {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "messages/count_tokens": {"messages": [{"role": "user", "content": "hi"}]},
}


def command(*args, env=None):
    done = subprocess.run([str(paths.HALE), *map(str, args)], env=paths.clean_env(env), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120)
    return done.stdout + done.stderr


def providers():
    text = command("check", "--print-reference")
    return re.findall(r"^\| `(\w+)` \|", text[text.index("\n## Providers"):], re.M)


def models(sim):
    """One of each provider, then one for each other place where a secret may stand."""
    def entry(name, **params):
        info = params.pop("info", {})
        return {"model_name": name, "litellm_params": params, "model_info": {"id": name, "health_check_timeout": 5, **info}}

    for provider in providers():
        base = sim.url if provider in BARE else sim.base
        yield entry(provider, model=f"{provider}/{BEDROCK if provider == 'bedrock' else 'up'}", api_base=base,
                    api_key=f"{provider}-canary-0006", aws_region_name="us-east-1", api_version="1")
    yield entry("signed", model=f"bedrock/{BEDROCK}", api_base=sim.url, aws_access_key_id="AKIDcanary0007",
                aws_secret_access_key="secret-of-AKIDcanary0007", aws_session_token="token-canary-0008",
                aws_region_name="us-east-1")
    yield entry("signed-env", model=f"bedrock/{BEDROCK}", api_base=sim.url, aws_region_name="us-east-1")
    yield entry("foreign", model="openai/*", info={"health_check_model": "groq/llama"})
    yield entry("headers", model="openai/up", api_base=sim.base, api_key="headers-canary-0009",
                extra_headers={"x-api-key": "extra-canary-0010", "Authorization": "Bearer extra-canary-0011"})
    yield entry("ad", model="azure/up", api_base=sim.url, azure_ad_token="ad-canary-0012", client_secret="client-canary-0013")
    yield entry("userinfo", model="openai/up", api_base=sim.base.replace("//", "//user:base-canary-0014@"), api_key="k-canary-0015")
    for scheme in ("http", "socks5", "socks5h"):
        yield entry(f"proxy-{scheme}", model="openai/up", api_base=sim.base, api_key="p-canary-0016",
                    info={"proxy": f"{scheme}://user:proxy-canary-0017@127.0.0.1:1"})
    yield entry("voice", model="openai/gpt-realtime", api_base=sim.base, api_key="voice-canary-0018", info={"mode": "realtime"})
    yield entry("gone", model="openai/up", api_base="http://127.0.0.1:1/v1", api_key="gone-canary-0019")


def ask(daemon, path, body, model, headers, stream):
    files = {part: ("a", value) for part, value in body.items() if isinstance(value, bytes)}
    rest = {"model": model, **{part: value for part, value in body.items() if part not in files}}
    if stream:
        rest["stream"] = "true" if files else True
    how = {"data": rest, "files": files} if files else {"json": rest}
    answer = daemon.post(path, headers=headers, **how)
    return f"{answer.headers}\n{answer.text}"


def upgrade(daemon, model, key):
    with Raw(daemon.port) as c:
        c.send(f"GET /v1/realtime?model={model}&api_key={key} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
               f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{key}\r\n\r\n")
        return c.sock.recv(65536).decode(errors="replace")


def leaks(name, text):
    return [f"{name}: ...{text[max(m.start() - 60, 0):m.end() + 30]}..." for m in itertools.islice(re.finditer("canary", text), 3)]


@pytest.fixture
def config(sim):
    return {"model_list": list(models(sim)), "general_settings": {"master_key": MASTER},
            "router_settings": {"num_retries": 0, "disable_cooldowns": True},
            "hale_settings": {"connect_timeout_ms": 500}}


def test_daemon(hale, sim, config):
    daemon = hale(config, "--detailed_debug", env={**VARIABLES, "GROQ_API_BASE": sim.base})
    names = [entry["model_name"] for entry in config["model_list"]]
    echo = json.dumps({"error": {"message": "I know " + " ".join(re.findall(
        r"[\w-]*canary[\w-]*\d", json.dumps([config, VARIABLES])))}})
    assert echo.count("canary") > 40
    found, answers = [], 0
    # as it should be; refused; broken; an error in a 200; an error inside a stream
    faults = [None, {"status": 401, "body": echo}, {"status": 500, "body": echo, "content_type": "text/plain"},
              {"status": 200, "body": echo}, {"status": 200, "body": f"data: {echo}\n\n", "content_type": "text/event-stream"}]
    for number, fault in enumerate(faults):
        sim.clear()
        if fault:
            sim.fault("*", **fault)
        for path, body in ENDPOINTS.items():
            for name in names if path in ("chat/completions", "messages") else ("openai", "azure", "cohere", "mistral", "gemini", "anthropic"):
                for stream in (False, True) if "completions" in path or path in ("messages", "responses") else (False,):
                    found += leaks(f"{path} {name} fault {number}", ask(daemon, f"/v1/{path}", body, name, KEY, stream))
                    answers += 1
        found += leaks(f"realtime fault {number}", upgrade(daemon, "voice", MASTER))
        pages = ["/health", "/v1/model/info", "/v1/models", "/health/readiness/details", "/health/backlog",
                 "/health?model=voice", "/health?model=signed"]
        if fault and fault["status"] != 200:  # with 200 they are files, passed on to the byte
            pages += ["/v1/files", "/v1/batches"]
        for page in pages:
            text = daemon.get(page, headers=KEY, timeout=90).text
            found += leaks(f"{page} fault {number}", text)
    assert answers > 500
    # clients' own keys, wrong ones, in every place that takes one
    for headers in ({"Authorization": "Bearer client-canary-0020"}, {"x-api-key": "client-canary-0021"}, {"api-key": "client-canary-0022"}):
        found += leaks("wrong key", ask(daemon, "/v1/chat/completions", ENDPOINTS["chat/completions"], "openai", headers, False))
    found += leaks("wrong key", upgrade(daemon, "voice", "client-canary-0023"))
    assert daemon.reload() == "done"
    found += leaks("log", daemon.log)
    for title in daemon.children().values():
        found += leaks("title", title)
    assert not found, f"{len(found)} leaks:\n" + "\n".join(sorted(found)[:40])


def test_commands(sim, config, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    env = {**VARIABLES, "GROQ_API_BASE": sim.base}
    found = []
    for fault in (None, {"status": 401, "body": '{"error":{"message":"openai-canary-0006 secret-of-AKIDcanary0007"}}'}):
        sim.clear()
        if fault:
            sim.fault("*", **fault)
        for verb in (["check"], ["check", "--strict"], ["plan"], ["probe", "--dry-run"], ["probe"]):
            text = command(verb[0], file, *verb[1:], env=env)
            assert ("mistral" in text) != ("--strict" in verb), text
            found += leaks(" ".join(verb), text)
    assert not found, "\n".join(found)


# where a bad value is reported, the value must not be
BAD = [
    ("model_info: {proxy: 'ftp://user:canary-0030@h'}", "proxy"),
    ("model_info: {proxy: ['canary-0031']}", "proxy"),
    ("litellm_params: {model: openai/x, api_key: ['canary-0032']}", "api_key"),
    ("litellm_params: {model: bedrock/x, aws_secret_access_key: {a: canary-0033}}", "aws_secret_access_key"),
    ("litellm_params: {model: bedrock/x, aws_session_token: ['canary-0034']}", "aws_session_token"),
]


@pytest.mark.parametrize("text,name", BAD)
def test_bad_values(tmp_path, text, name):
    params = "" if "litellm_params" in text else "litellm_params: {model: openai/x}, "
    (tmp_path / "c.yaml").write_text("model_list:\n- {model_name: a, " + params + text + "}\n")
    said = command("check", tmp_path / "c.yaml")
    assert re.search(rf"c\.yaml:2:\d+: {name}: ", said), said
    assert "canary" not in said
