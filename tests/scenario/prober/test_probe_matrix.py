"""What each mode asks of each provider of the OpenAI family and of Azure, and which answers count.

One daemon has a deployment for every cell, each with a key of its own, so that one round of GET /health probes all.
"""

import base64
import email
import email.policy
import http.server
import io
import re
import struct
import threading
import wave
import zlib

import pytest

from daemon import deployment

KEY = {"Authorization": "Bearer sk-admin"}
PROMPT = "test from litellm"

# mode -> path behind the base, JSON members besides the model (None: no JSON body)
MODES = {
    "chat": ("/chat/completions", {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 1}),
    "completion": ("/completions", {"prompt": PROMPT, "max_tokens": 1}),
    "embedding": ("/embeddings", {"input": [PROMPT]}),
    "image_generation": ("/images/generations", {"prompt": PROMPT}),
    "image_edit": ("/images/edits", None),
    "audio_transcription": ("/audio/transcriptions", None),
    "audio_speech": ("/audio/speech", {"input": PROMPT, "voice": "alloy"}),
    "rerank": ("/rerank", {"query": PROMPT, "documents": ["my sample text"]}),
    "batch": ("/batches", None),
    "ocr": ("/ocr", {}),
    "responses": ("/responses", {"input": PROMPT}),
    "moderation": ("/moderations", {"input": PROMPT}),
}
TEXT = ["chat", "completion", "embedding"]
AUDIO = ["audio_transcription", "audio_speech"]
ALL = [mode for mode in MODES if mode != "ocr"]
PROVIDERS = {
    "openai": ALL,
    "azure": [mode for mode in ALL if mode not in ("rerank", "moderation")],
    "groq": TEXT + AUDIO + ["responses", "batch"],
    "together_ai": TEXT + AUDIO + ["image_generation", "rerank", "batch"],
    "deepseek": ["chat", "completion"],
    "openrouter": TEXT + ["responses"],
    "xai": ["chat", "completion", "image_generation", "responses", "batch"],
    "fireworks_ai": TEXT + ["rerank", "responses"],
    "perplexity": ["chat"],
    "mistral": ["chat", "embedding", "audio_transcription", "moderation", "ocr"],
    "jina_ai": ["embedding", "rerank"],
    "voyage": ["embedding"],
    "hosted_vllm": ALL,
    "vllm": ALL,
    "ollama": TEXT + ["responses"],
    "lm_studio": TEXT + ["responses"],
    "custom_openai": ALL,
    "openai_like": ALL,
}
CELLS = [(provider, mode) for provider, modes in PROVIDERS.items() for mode in modes]


def key_of(provider, mode):
    return f"sk-{provider}-{mode}"


def config(sim, cells, general=None, **info):
    models = [deployment(f"{provider}-{mode}", sim, key=key_of(provider, mode), provider=provider, model="d",
                         info={"id": f"{provider}:{mode}", "mode": mode, **info}) for provider, mode in cells]
    return {"model_list": models, "general_settings": {"master_key": "sk-admin", **(general or {})}}


def health(daemon):
    answer = daemon.get("/health", headers=KEY, timeout=60)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return ({e["model_id"]: e for e in body["healthy_endpoints"]}, {e["model_id"]: e for e in body["unhealthy_endpoints"]})


def check_wav(data):
    with wave.open(io.BytesIO(data)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 16000)
        frames = sound.readframes(sound.getnframes())
    assert len(frames) == 16000 and len(data) == 16044
    samples = struct.unpack("<8000h", frames)
    assert max(samples) == 2304 and min(samples) == -2304


def check_png(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, pixels, kinds = 8, b"", []
    while at < len(data):
        size, = struct.unpack(">I", data[at:at + 4])
        kind, content = data[at + 4:at + 8], data[at + 8:at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0] == zlib.crc32(kind + content)
        kinds.append(kind)
        pixels += content if kind == b"IDAT" else b""
        at += 12 + size
    assert kinds == [b"IHDR", b"IDAT", b"IEND"] and at == len(data)
    assert struct.unpack(">IIBB", data[16:26]) == (256, 256, 8, 6)
    assert len(zlib.decompress(pixels)) == 256 * (1 + 4 * 256)


def check_pdf(data):
    assert data.startswith(b"%PDF-1.4\n") and data.endswith(b"%%EOF\n") and b"(test) Tj" in data
    table = int(data.split(b"startxref\n")[1].split(b"\n")[0])
    rows = data[table:].split(b"\n")
    assert rows[:2] == [b"xref", b"0 6"]
    for number in range(1, 6):
        at = int(rows[2 + number][:10])
        assert data[at:].startswith(b"%d 0 obj\n" % number)


# The parts of forms: texts, then the file (name, file name, type, size).
FORMS = {
    "image_edit": ([("prompt", "Add a small yellow star.")], ("image", "image_health_check.png", "image/png", 764)),
    "audio_transcription": ([("response_format", "verbose_json")],
                            ("file", "audio_health_check.wav", "audio/x-wav", 16044)),
}


def check_form(mode, request, headers):
    texts, file = FORMS[mode]
    assert headers["content-type"].startswith("multipart/form-data; boundary=")
    *parts, last = request["parts"]
    assert [(p["name"], p["text"]) for p in parts] == [("model", "d"), *texts]
    assert tuple(last[name] for name in ("name", "filename", "type", "bytes")) == file


def check_request(provider, mode, request):
    path, members = MODES[mode]
    headers = {name.lower(): value for name, value in request["headers"].items()}
    if provider == "azure":
        below = mode not in ("batch", "responses")
        assert request["path"] == ("/openai/deployments/d" if below else "/openai") + path
        assert request["query"] == "api-version=2024-10-21"
        assert headers["api-key"] == key_of(provider, mode) and "authorization" not in headers
    else:
        assert request["path"] == "/v1" + path and not request["query"]
        assert headers["authorization"] == f"Bearer {key_of(provider, mode)}" and "api-key" not in headers
    if mode == "batch":
        assert request["method"] == "GET" and not request["body"] and "content-type" not in headers
        return
    assert request["method"] == "POST"
    if members is None:
        check_form(mode, request, headers)
        return
    assert headers["content-type"] == "application/json"
    body = request["body"]
    if mode == "ocr":
        document = body.pop("document")
        head, _, data = document.pop("document_url").partition(",")
        assert document == {"type": "document_url"} and head == "data:application/pdf;base64"
        check_pdf(base64.b64decode(data, validate=True))
    assert body == {"model": "d", **members}


def test_requests(hale, make_sim):
    """Every cell sends its request once, and the simulator, which is strict about them, gives an answer that counts."""
    sim = make_sim()
    daemon = hale(config(sim, CELLS))
    healthy, unhealthy = health(daemon)
    assert unhealthy == {} and len(healthy) == len(CELLS)
    for provider, mode in CELLS:
        requests = sim.requests(key=key_of(provider, mode))
        assert len(requests) == 1, (provider, mode)
        check_request(provider, mode, requests[0])


class Upstream(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent and answers with the members that the two multipart modes want."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
        parts = {p.get_param("name", header="content-disposition"): p.get_payload(decode=True) for p in form.iter_parts()}
        self.server.forms.append((self.path, parts))
        answer = b'{"text":"","data":[{"url":"http://x/y.png"}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


@pytest.fixture
def upstream():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    server.forms = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_files_are_what_they_say(hale, upstream):
    """The sound is a sound and the picture a picture, read by somebody else's code."""
    base = f"http://127.0.0.1:{upstream.server_port}/v1"
    daemon = hale(config(base, [("openai", "image_edit"), ("openai", "audio_transcription")]))
    assert len(health(daemon)[0]) == 2
    forms = dict(upstream.forms)
    assert forms["/v1/images/edits"]["model"] == b"d"
    check_png(forms["/v1/images/edits"]["image"])
    check_wav(forms["/v1/audio/transcriptions"]["file"])


# Answers that must not count: fault, reason, the modes that it would be an answer of.
NOT_ANSWERS = {
    "empty": ({"empty": True}, "bad_body", []),
    "html": ({"body": "<html><title>Open WebUI</title></html>", "content_type": "text/html"}, "bad_body", []),
    "error": ({"body": '{"error":{"message":"no"}}'}, "bad_body", []),
    "limited": ({"body": '{"error":{"message":"slow down","code":429}}'}, "rate_limited", []),
    "foreign": ({"body": '{"object":"thing","id":"x","results":[],"data":[{}],"choices":[],"pages":[]}'}, "bad_body",
                ["batch"]),
    "cut": ({"cut_after": 10}, "connect_error", []),
    "down": ({"status": 500}, "server_error", []),
    "key": ({"status": 401}, "unauthorized", []),
    "missing": ({"status": 404}, "not_found", []),
}


@pytest.mark.parametrize("name", NOT_ANSWERS)
def test_what_does_not_count(hale, make_sim, name):
    fault, reason, fine = NOT_ANSWERS[name]
    cells = [(p, m) for p, m in CELLS if p in ("openai", "azure", "mistral")]
    sim = make_sim()
    sim.fault("*", **fault)
    daemon = hale(config(sim, cells))
    healthy, unhealthy = health(daemon)
    assert sorted(healthy) == sorted(f"{p}:{m}" for p, m in cells if m in fine)
    for ident, entry in unhealthy.items():
        assert entry["reason"] == reason, (ident, entry)
    assert len(unhealthy) + len(healthy) == len(cells)
    for provider, mode in cells:
        assert sim.count(key_of(provider, mode)) == 1, "a probe is one request"


REFUSED = {"status": 400, "body": '{"error":{"message":"Unknown parameter: \'quality\'.","code":"unknown_parameter"}}'}


def test_refused_extras_are_dropped(hale, make_sim):
    """What an upstream does not take is left out, remembered, and never the deployment's fault."""
    sim = make_sim()
    cells = [("openai", "image_generation"), ("openai", "audio_speech"), ("openai", "audio_transcription")]
    for cell in cells:
        sim.fault(key_of(*cell), **REFUSED, times=1)
    daemon = hale(config(sim, cells, health_check_params={"quality": "x", "voice": "nova"}))
    healthy, _ = health(daemon)
    assert len(healthy) == 3
    image, speech, sound = (sim.requests(key=key_of(*cell)) for cell in cells)
    assert image[0]["body"]["quality"] == "x" and image[1]["body"] == {"model": "d", "prompt": PROMPT}
    assert speech[1]["body"] == {"model": "d", "input": PROMPT, "voice": "alloy"}
    assert [p["name"] for p in sound[1]["parts"]] == ["model", "file"]
    assert len(health(daemon)[0]) == 3
    assert [len(sim.requests(key=key_of(*cell))) for cell in cells] == [3, 3, 3], "the form is remembered"


def test_refused_altogether(hale, make_sim):
    """A refusal that no form ends says nothing about the deployment; equal forms are not sent twice."""
    sim = make_sim()
    cells = [(p, m) for p, m in CELLS if p == "openai" and m != "image_generation"]
    sim.fault("*", **REFUSED)
    daemon = hale(config(sim, cells))
    healthy, unhealthy = health(daemon)
    assert {e["reason"] for e in unhealthy.values()} == {"bad_probe"} and not healthy
    assert {e["state"] for e in unhealthy.values()} == {"unknown"}
    counts = {mode: sim.count(key_of("openai", mode)) for _, mode in cells}
    assert counts.pop("chat") == 2 and counts.pop("completion") == 2 and counts.pop("audio_transcription") == 2
    assert set(counts.values()) == {1}


@pytest.mark.parametrize("mode", ["image_generation", "image_edit"])
def test_a_refused_picture_is_healthy(hale, make_sim, mode):
    sim = make_sim()
    sim.fault("*", status=400, body='{"error":{"code":"moderation_blocked","message":"rejected by the safety system"}}')
    daemon = hale(config(sim, [("openai", mode)]))
    healthy, _ = health(daemon)
    entry = healthy[f"openai:{mode}"]
    assert "error" not in entry and entry["state"] == "healthy"
    sim.fault("*", status=401)
    assert health(daemon)[1][f"openai:{mode}"]["exception_status"] == 401


def test_long_audio(hale, make_sim):
    """More sound than is kept is still sound."""
    sim = make_sim()
    sim.fault("*", chunks=100, chunk_bytes=10000)
    daemon = hale(config(sim, [("openai", "audio_speech"), ("azure", "audio_speech")]))
    assert len(health(daemon)[0]) == 2


def test_failed_requests_are_shown(hale, make_sim):
    """raw_request_typed_dict of every mode: members and parts, notes instead of files, no key."""
    sim = make_sim()
    sim.fault("*", status=500)
    cells = [(p, m) for p, m in CELLS if p in ("openai", "mistral")]
    daemon = hale(config(sim, cells))
    answer = daemon.get("/health", headers=KEY, timeout=60)
    assert len(answer.content) < 40_000 and "Bearer sk-" not in answer.text
    assert not any(key_of(*cell) in answer.text for cell in cells)
    shown = {e["model_id"]: e["raw_request_typed_dict"] for e in answer.json()["unhealthy_endpoints"]}
    assert len(shown) == len(cells)
    for provider, mode in cells:
        raw = shown[f"{provider}:{mode}"]
        body = raw["raw_request_body"]
        assert raw["raw_request_headers"]["Authorization"].startswith("Be****")
        if mode == "batch":
            assert body is None
            continue
        assert body.pop("extra_body") == {} and body.pop("model") == "d"
        if mode in FORMS:
            texts, (name, _, kind, size) = FORMS[mode]
            assert body == {**dict(texts), name: f"<{size} bytes of {kind}>"}
        elif mode == "ocr":
            assert body["document"]["type"] == "document_url"
            assert re.fullmatch(r"<\d+ bytes of application/pdf>", body["document"]["document_url"])
        else:
            assert body == MODES[mode][1]


# LiteLLM's case 55: no list of batches, so a completion is asked for.
@pytest.mark.parametrize("provider", ["openrouter", "mistral"])
def test_batch_without_a_list(hale, make_sim, provider):
    sim = make_sim()
    daemon = hale(config(sim, [(provider, "batch")]))
    assert len(health(daemon)[0]) == 1
    request, = sim.requests(key=key_of(provider, "batch"))
    assert request["path"] == "/v1/chat/completions" and request["body"]["max_tokens"] == 1


def test_batch_region(hale, make_sim):
    sim = make_sim()
    sim.fault("*", headers={"x-ms-region": "East US"})
    daemon = hale(config(sim, [("azure", "batch")]))
    assert health(daemon)[0]["azure:batch"]["x-ms-region"] == "East US"


@pytest.mark.parametrize("provider,mode", [("azure", "rerank"), ("deepseek", "embedding"), ("openai", "video_generation")])
def test_cannot_be_probed(hale, make_sim, provider, mode):
    """Unknown, never unhealthy: nothing is sent, and traffic goes there."""
    sim = make_sim()
    daemon = hale(config(sim, [(provider, mode)], {"enable_health_check_routing": True}))
    entry = health(daemon)[1][f"{provider}:{mode}"]
    assert (entry["state"], entry["reason"]) == ("unknown", "no_probe")
    assert f"Mode {mode} not supported" in entry["error"]
    assert sim.count(key_of(provider, mode)) == 0


def test_unknown_mode_stops_a_start(hale, make_sim):
    daemon = hale(config(make_sim(), [("openai", "nonsense")]), ready=False)
    daemon.wait_exit()
    assert 'mode: "nonsense" is no mode; use one of chat, completion' in daemon.log
