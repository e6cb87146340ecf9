"""Forms: transcription, translation, image edits. The parts pass untouched, only the model's name changes."""

import hashlib
import json
import os
import socket

import pytest

from daemon import deployment
from waiting import wait_until

TEXT = "Hello! This is a simulated answer."
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \r\n--b\r\n\x00\xff"


def group(sim, provider="openai", **params):
    return {"model_list": [deployment("g", sim, key="sk-sick", provider=provider, model="up", order=1, **params),
                           deployment("g", sim, key="sk-well", provider=provider, model="up", order=2)],
            "router_settings": {"disable_cooldowns": True}}


def transcribe(gate, path="/v1/audio/transcriptions", file=WAV, **form):
    return gate.post(path, data={"model": "g", **form}, files={"file": ("ä \" x.wav", file, "audio/wav")})


def part(answer_or_parts, name):
    (one,) = [p for p in answer_or_parts if p["name"] == name]
    return one


@pytest.mark.parametrize("path,upstream", [("/v1/audio/transcriptions", "/audio/transcriptions"),
                                           ("/audio/transcriptions", "/audio/transcriptions"),
                                           ("/v1/audio/translations", "/audio/translations")])
@pytest.mark.parametrize("provider", ["openai", "azure"])
def test_transcription_reaches_the_upstream_as_sent(hale, sim, path, upstream, provider):
    gate = hale({"model_list": [deployment("g", sim, provider=provider, model="whisper up", info={"id": "one"})]})
    answer = transcribe(gate, path, language="de", response_format="json")
    assert answer.json()["text"] == TEXT and answer.headers["x-litellm-model-id"] == "one"
    (seen,) = sim.requests("sk-a")
    base = "/v1" if provider == "openai" else "/openai/deployments/whisper%20up"
    assert seen["path"] == base + upstream
    assert [p["name"] for p in seen["parts"]] == ["model", "language", "response_format", "file"]
    assert part(seen["parts"], "model")["text"] == "whisper up" and part(seen["parts"], "language")["text"] == "de"
    file = part(seen["parts"], "file")
    assert (file["type"], file["sha256"]) == ("audio/wav", hashlib.sha256(WAV).hexdigest())
    assert seen["headers"]["content-type"] == answer.request.headers["content-type"]
    key = "authorization" if provider == "openai" else "api-key"
    assert seen["headers"][key].endswith("sk-a") and ("api-key" in seen["headers"]) == (provider == "azure")


@pytest.mark.parametrize("form,start", [("json", '{"text"'), ("verbose_json", '{"text"'), ("text", "Hello!"), ("srt", "1\n"),
                                        ("vtt", "WEBVTT")])
def test_response_formats(hale, sim, form, start):
    gate = hale({"model_list": [deployment("g", sim)]})
    answer = transcribe(gate, response_format=form)
    assert answer.status_code == 200 and answer.text.startswith(start)
    assert answer.headers["content-type"].startswith("application/json" if "json" in form else "text/plain")


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"empty": True}, {"reset": True}, {"body": "{}"},
                                   {"garbage": True}, {"cut_after": 10}])
def test_another_deployment_answers(hale, sim, fault):
    gate = hale(group(sim))
    sim.fault("sk-sick", **fault)
    answer = transcribe(gate)
    assert answer.json()["text"] == TEXT and answer.headers["x-litellm-attempted-retries"] == "1"
    sick, well = sim.requests("sk-sick")[-1], sim.requests("sk-well")[-1]
    assert sick["parts"] == well["parts"] and sick["headers"]["content-type"] == well["headers"]["content-type"]


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_nothing_is_no_text(hale, sim, form):
    gate = hale(group(sim))
    sim.fault("sk-sick", empty=True)
    assert "Hello!" in transcribe(gate, response_format=form).text
    assert sim.count("sk-well") == 1


def test_stream(hale, sim):
    gate = hale(group(sim))
    sim.fault("sk-sick", error_after=0)
    answer = transcribe(gate, stream="true")
    assert answer.headers["content-type"].startswith("text/event-stream")
    got = [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: ")]
    assert "".join(e.get("delta", "") for e in got) == TEXT == got[-1]["text"]
    assert sim.count("sk-sick") == 1 and sim.requests("sk-well")[-1]["headers"]["accept"] == "text/event-stream"
    for fault in ({"cut_after": 3}, {"no_terminator": True}):
        sim.fault("sk-sick", **fault)
        broken = transcribe(gate, stream="true")
        assert "transcript.text.delta" in broken.text and "transcript.text.done" not in broken.text
        assert "event: error" in broken.text


def test_image_edits(hale, sim):
    gate = hale({"model_list": [deployment("g", sim, model="gpt-image-1")]})
    files = [("image[]", ("1.png", b"\x89PNG1", "image/png")), ("image[]", ("2.png", b"\x89PNG2", "image/png")),
             ("mask", ("m.png", b"\x89PNGm", "image/png"))]
    answer = gate.post("/v1/images/edits", data={"prompt": "a star", "model": "g", "n": "2"}, files=files)
    assert len(answer.json()["data"]) == 2
    seen = sim.requests("sk-a")[-1]
    assert seen["path"] == "/v1/images/edits" and [p["name"] for p in seen["parts"]][-3:] == ["image[]", "image[]", "mask"]
    assert part(seen["parts"], "model")["text"] == "gpt-image-1"
    answer = gate.post("/images/edits", data={"prompt": "x", "model": "g", "stream": "true", "partial_images": "1"},
                       files={"image": ("1.png", b"\x89PNG", "image/png")})
    assert "event: image_edit.partial_image" in answer.text and "event: image_edit.completed" in answer.text
    answer = gate.post("/v1/images/variations", data={"model": "g"}, files={"image": ("1.png", b"\x89PNG", "image/png")})
    assert answer.json()["data"] and sim.requests("sk-a")[-1]["path"] == "/v1/images/variations"


@pytest.mark.parametrize("with_model", [False, True])
def test_model_in_the_path(hale, sim, with_model):
    gate = hale({"model_list": [deployment("g", sim, model="up")]})
    answer = gate.post("/openai/deployments/g/audio/transcriptions?api-version=1",
                       data={"model": "other", "x": "1"} if with_model else {"x": "1"}, files={"file": ("a.wav", WAV)})
    assert answer.json()["text"] == TEXT
    parts = sim.requests("sk-a")[-1]["parts"]
    assert [p["name"] for p in parts] == ["model", "x", "file"] and part(parts, "model")["text"] == "up"


def test_wildcard(hale, sim):
    gate = hale({"model_list": [deployment("team/*", sim, model="*")]})
    answer = gate.post("/v1/audio/transcriptions", data={"model": "team/whisper-9"}, files={"file": ("a.wav", WAV)})
    assert answer.status_code == 200
    assert part(sim.requests("sk-a")[-1]["parts"], "model")["text"] == "whisper-9"


def disposition(name, value, more=""):
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'


FILE, MODEL, END = disposition("file", "RIFF", '; filename="a.wav"'), disposition("model", "g"), "--b--\r\n"


@pytest.mark.parametrize("body,param", [
    (FILE + END, "model"), (MODEL + END, "file"), (FILE + disposition("model", "") + END, "model"), (END, "model"),
    (MODEL + FILE + disposition("stream", "1") + END, "stream"), (FILE + disposition("model", "a\tb") + END, "model"),
    (FILE + disposition("model", "x" * 1025) + END, "model"),
    (MODEL + FILE, None), (MODEL + MODEL + FILE + END, None), (FILE + MODEL.replace("model", "Model") + END, None),
    ("x" + MODEL + FILE + END, None), (MODEL + FILE + END + "more", None), ("", None),
    (MODEL + disposition("x", "1") * 64 + FILE + END, None),
    (MODEL.replace("\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n") + FILE + END, None)])
def test_bad_forms_are_refused_here(hale, sim, body, param):
    gate = hale({"model_list": [deployment("g", sim)]})
    answer = gate.post("/v1/audio/transcriptions", data=body.encode(),
                       headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == param, answer.text
    assert param or answer.json()["error"]["code"] == "invalid_form"
    assert sim.stats()["requests"]["total"] == 0


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "multipart/form-data; boundary=c", None])
def test_another_content_type(hale, sim, kind):
    gate = hale({"model_list": [deployment("g", sim)]})
    answer = gate.post("/v1/audio/transcriptions", data=(MODEL + FILE + END).encode(),
                       headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "invalid_form"


def test_unknown_model_and_mode(hale, sim):
    gate = hale({"model_list": [deployment("c", sim, provider="anthropic", model="claude-sim")]})
    assert transcribe(gate).json()["error"]["code"] == "model_not_found"
    answer = gate.post("/v1/audio/transcriptions", data={"model": "c"}, files={"file": ("a.wav", WAV)})
    assert answer.json()["error"]["code"] == "unsupported_mode"


def test_large_uploads(hale, sim):
    gate = hale(group(sim))
    blob = os.urandom(5 << 20)
    sim.fault("sk-sick", status=500, times=1)
    answer = transcribe(gate, file=blob)
    assert answer.json()["text"] == TEXT
    for key in ("sk-sick", "sk-well"):
        file = part(sim.requests(key)[-1]["parts"], "file")
        assert (file["bytes"], file["sha256"]) == (len(blob), hashlib.sha256(blob).hexdigest())


def test_client_gone(hale, sim):
    """A client that leaves takes the upstream's call with it, and nobody is blamed."""
    gate = hale(group(sim))
    sim.fault("sk-sick", hang="before_head")
    body = (MODEL + FILE + END).encode()
    with socket.create_connection(("127.0.0.1", gate.port)) as s:
        s.sendall(b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                  b"Content-Length: %d\r\n\r\n" % len(body) + body)
        wait_until(lambda: sim.stats()["requests"]["open"] == 1, what="the upstream to have the request")
    wait_until(lambda: sim.stats()["requests"]["open"] == 0, what="the upstream's call to end")
    assert sim.count("sk-well") == 0
