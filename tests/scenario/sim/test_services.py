"""The simulator's operations beyond chat: strict about requests, in the words of the APIs."""

import base64
import json

import pytest
import requests

KEY = {"Authorization": "Bearer sk-a"}
WAV = ("a.wav", b"RIFF\x00\x01\x02\xff", "audio/wav")


def post(sim, path, body=None, **args):
    return requests.post(sim.url + path, json=body, headers={**KEY, **args.pop("headers", {})}, timeout=30, **args)


def events(answer):
    return [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: ")]


@pytest.mark.parametrize("path", ["/v1/images/generations", "/images/generations", "/openai/v1/images/generations",
                                  "/openai/deployments/dalle/images/generations?api-version=2024-10-21"])
def test_images(sim, path):
    answer = post(sim, path, {"model": "gpt-image-1", "prompt": "a cat", "n": 2}).json()
    assert [base64.b64decode(d["b64_json"])[:4] for d in answer["data"]] == [b"\x89PNG"] * 2
    url = post(sim, path, {"model": "dall-e-3", "prompt": "a cat", "response_format": "url"}).json()
    assert url["data"][0]["url"].startswith("https://")
    assert post(sim, path, {"model": "x"}).json()["error"]["param"] == "prompt"


def test_image_streams(sim):
    body = {"model": "gpt-image-1", "prompt": "a cat", "stream": True, "partial_images": 2}
    answer = post(sim, "/v1/images/generations", body)
    assert [e["type"].partition(".")[2] for e in events(answer)] == ["partial_image", "partial_image", "completed"]
    form = {"model": "gpt-image-1", "prompt": "a cat", "stream": "true"}
    answer = post(sim, "/v1/images/edits", data=form, files={"image[]": ("a.png", b"png", "image/png")})
    assert [e["type"] for e in events(answer)] == ["image_edit.completed"]


def test_speech(sim):
    body = {"model": "tts-1", "input": "hi", "voice": "alloy"}
    for form, kind, magic in (("mp3", "audio/mpeg", b"ID3"), ("wav", "audio/wav", b"RIFF"), ("opus", "audio/ogg", b"OggS")):
        answer = post(sim, "/v1/audio/speech", {**body, "response_format": form})
        assert (answer.headers["content-type"], answer.content[:len(magic)]) == (kind, magic)
        assert len(answer.content) == 4096
    sim.fault("sk-a", chunks=100, chunk_bytes=10000)
    assert len(post(sim, "/v1/audio/speech", body).content) == 1_000_000
    sim.clear()
    stream = events(post(sim, "/v1/audio/speech", {**body, "stream_format": "sse"}))
    assert [e["type"] for e in stream] == ["speech.audio.delta"] * 8 + ["speech.audio.done"]
    assert post(sim, "/v1/audio/speech", {"model": "tts-1", "input": "hi"}).json()["error"]["param"] == "voice"


def test_transcription(sim):
    def ask(path="/v1/audio/transcriptions", **form):
        return post(sim, path, data={"model": "whisper-1", **form}, files={"file": WAV})

    assert ask().json()["text"] == "Hello! This is a simulated answer."
    assert ask(response_format="verbose_json").json()["segments"]
    assert ask("/v1/audio/translations", response_format="verbose_json").json()["task"] == "translate"
    assert ask(response_format="text").text == "Hello! This is a simulated answer.\n"
    assert ask(response_format="srt").text.startswith("1\n") and ask(response_format="vtt").text.startswith("WEBVTT")
    stream = events(ask(stream="true"))
    assert "".join(e.get("delta", "") for e in stream) == stream[-1]["text"] and stream[-1]["type"].endswith("done")
    parts = {p["name"]: p for p in sim.requests("sk-a")[-1]["parts"]}
    assert parts["model"]["text"] == "whisper-1" and parts["file"]["bytes"] == len(WAV[1])
    assert (parts["file"]["filename"], parts["file"]["type"]) == ("a.wav", "audio/wav")


@pytest.mark.parametrize("body", [
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b\r\n',  # no end
    b'x--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n',  # a preamble
    b'--b\nContent-Disposition: form-data; name="model"\n\nm\n--b--\n',
    b'--b\r\nContent-Disposition: form-data\r\n\r\nm\r\n--b--\r\n',
    b'--b\r\nContent-Type: text/plain\r\n\r\nm\r\n--b--\r\n',
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\nmore'])
def test_forms_are_taken_strictly(sim, body):
    answer = post(sim, "/v1/audio/transcriptions", data=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 400 and "multipart" in answer.json()["error"]["message"]
    assert sim.requests("sk-a")[-1]["parts"] is None


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank"])
def test_rerank(sim, path):
    body = {"model": "r", "query": "q", "documents": ["a", "b", "c"], "top_n": 2, "return_documents": True}
    got = post(sim, path, body).json()["results"]
    assert [(r["index"], r["document"]["text"]) for r in got] == [(0, "a"), (1, "b")]
    assert got[0]["relevance_score"] > got[1]["relevance_score"]
    assert post(sim, path, {**body, "documents": []}).status_code == 400
    assert post(sim, "/v1/v2/rerank", body).status_code == 404


def test_ocr_and_moderation(sim):
    document = {"type": "document_url", "document_url": "data:application/pdf;base64,AA=="}
    assert post(sim, "/v1/ocr", {"model": "m", "document": document}).json()["pages"][0]["markdown"]
    assert post(sim, "/v1/ocr", {"model": "m", "document": {"type": "document_url"}}).status_code == 400
    got = post(sim, "/v1/moderations", {"input": ["be nice", "I kill you"]}).json()["results"]
    assert [g["flagged"] for g in got] == [False, True]


def test_files_and_batches_belong_to_a_key(sim):
    made = post(sim, "/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", b"{}\n\x00\xff")}).json()
    assert (made["object"], made["filename"], made["bytes"]) == ("file", "in.jsonl", 5)
    one = f"{sim.base}/files/{made['id']}"
    assert requests.get(one, headers=KEY, timeout=30).json() == made
    assert requests.get(one + "/content", headers=KEY, timeout=30).content == b"{}\n\x00\xff"
    assert requests.get(one, headers={"Authorization": "Bearer sk-b"}, timeout=30).status_code == 404
    batch = post(sim, "/v1/batches", {"input_file_id": made["id"], "endpoint": "/v1/chat/completions",
                                      "completion_window": "24h"}).json()
    assert batch["status"] == "validating"
    assert requests.get(sim.base + "/batches", headers=KEY, timeout=30).json()["data"] == [batch]
    assert post(sim, f"/v1/batches/{batch['id']}/cancel").json()["status"] == "cancelling"
    assert requests.delete(one, headers=KEY, timeout=30).json()["deleted"] is True
    azure = requests.get(sim.url + "/openai/files?api-version=1", headers={"api-key": "sk-a"}, timeout=30)
    assert azure.json()["data"] == []
    assert requests.get(sim.url + "/openai/files", headers={"api-key": "sk-a"}, timeout=30).status_code == 404
