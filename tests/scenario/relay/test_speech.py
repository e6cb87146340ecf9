"""Speech: bytes that are passed on as they come, and never taken for a success when they are none."""

import base64
import http.client
import json
import time

import pytest
import requests

from daemon import deployment
from waiting import wait_until

BODY = {"model": "g", "input": "hi", "voice": "alloy"}
PATH = "/v1/audio/speech"


def group(sim, **general):
    return {"model_list": [deployment("g", sim, key="sk-sick", model="up", order=1),
                           deployment("g", sim, key="sk-well", model="up", order=2)],
            "router_settings": {"disable_cooldowns": True}, **general}


@pytest.mark.parametrize("path", [PATH, "/audio/speech"])
@pytest.mark.parametrize("provider", ["openai", "azure"])
def test_reaches_the_upstream_as_sent(hale, sim, path, provider):
    gate = hale({"model_list": [deployment("g", sim, provider=provider, model="up", info={"id": "one"})]})
    answer = gate.post(path, json={**BODY, "response_format": "wav", "speed": 1.25})
    assert answer.status_code == 200 and answer.content.startswith(b"RIFF") and len(answer.content) == 4096
    assert answer.headers["content-type"] == "audio/wav" and answer.headers["x-litellm-model-id"] == "one"
    seen = sim.requests("sk-a")[-1]
    assert seen["path"] == ("/v1" if provider == "openai" else "/openai/deployments/up") + "/audio/speech"
    assert seen["body"] == {**BODY, "model": "up", "response_format": "wav", "speed": 1.25}


@pytest.mark.parametrize("form,kind", [("mp3", "audio/mpeg"), ("opus", "audio/ogg"), ("flac", "audio/flac"),
                                       ("pcm", "audio/pcm"), ("aac", "audio/aac")])
def test_formats(hale, sim, form, kind):
    gate = hale({"model_list": [deployment("g", sim)]})
    answer = gate.post(PATH, json={**BODY, "response_format": form})
    direct = requests.post(sim.base + "/audio/speech", json={**BODY, "response_format": form}, timeout=30)
    assert answer.headers["content-type"] == kind and answer.content == direct.content


FAULTS = [{"status": 500}, {"status": 429}, {"empty": True}, {"empty": True, "content_type": "audio/mpeg"}, {"reset": True},
          {"body": '{"error":{"message":"no"}}'}, {"body": ' \n{"error":"no"}', "content_type": "audio/mpeg"},
          {"body": "<html>sign in</html>", "content_type": "text/html"}, {"body": "hello", "content_type": "text/plain"},
          {"body": '{"a":"' + "x" * 100000 + '"}'}, {"cut_after": 0}]


@pytest.mark.parametrize("fault", FAULTS)
def test_another_deployment_answers(hale, sim, fault):
    gate = hale(group(sim))
    sim.fault("sk-sick", **fault)
    answer = gate.post(PATH, json=BODY)
    assert answer.status_code == 200 and answer.content.startswith(b"ID3") and len(answer.content) == 4096
    assert answer.headers["x-litellm-attempted-retries"] == "1" and answer.headers["content-type"] == "audio/mpeg"


def test_when_nobody_speaks(hale, sim):
    gate = hale({"model_list": [deployment("g", sim)], "router_settings": {"num_retries": 0}})
    sim.fault("sk-a", empty=True, content_type="audio/mpeg")
    answer = gate.post(PATH, json=BODY)
    assert answer.status_code == 502 and "is empty" in answer.json()["error"]["message"]
    sim.fault("sk-a", status=400)
    assert gate.post(PATH, json=BODY).json()["error"]["message"] == "The request is not valid."


def is_cut(gate):
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=30)
    connection.request("POST", PATH, json.dumps(BODY), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()
    connection.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_cut_is_never_a_success(hale, sim, chunked):
    gate = hale(group(sim))
    sim.fault("sk-sick", cut_after=2000, chunked=chunked)
    is_cut(gate)
    assert sim.count("sk-well") == 0


def test_bytes_come_as_they_are_made(hale, sim):
    """The first audio is there long before the last."""
    gate = hale({"model_list": [deployment("g", sim)]})
    sim.fault("sk-a", slow_body_ms=3000, chunked=True)
    start = time.monotonic()
    pieces = gate.post(PATH, json=BODY, stream=True).iter_content(None)
    first = next(pieces)
    early = time.monotonic() - start
    rest = b"".join(pieces)
    assert first.startswith(b"ID3") and len(first) + len(rest) == 4096
    assert early < (time.monotonic() - start) / 2


def test_stalled_audio_is_cut(hale, sim):
    gate = hale(group(sim, hale_settings={"stream_idle_timeout_ms": 300}))
    sim.fault("sk-sick", stall_after=2000)
    is_cut(gate)


def test_slow_readers_make_the_upstream_wait(hale, sim):
    gate = hale({"model_list": [deployment("g", sim)], "hale_settings": {"client_buffer_bytes_max": 65536}}, workers=1)
    sim.fault("sk-a", chunks=2000, chunk_bytes=16384)  # 32 MB
    answer = gate.post(PATH, json=BODY, stream=True)
    assert len(answer.raw.read(1000)) == 1000
    pid = gate.pids("worker")[0]
    time.sleep(0.5)
    with open(f"/proc/{pid}/status") as status:
        (resident,) = [int(line.split()[1]) for line in status if line.startswith("VmRSS")]
    assert resident < 30_000  # KB: far less than the answer
    left = 2000 * 16384 - 1000
    while piece := answer.raw.read(1 << 20):
        left -= len(piece)
    assert left == 0


def test_client_gone(hale, sim):
    gate = hale(group(sim))
    sim.fault("sk-sick", slow_body_ms=60000, chunked=True)
    answer = gate.post(PATH, json=BODY, stream=True)
    next(answer.iter_content(10))
    answer.close()
    wait_until(lambda: sim.stats()["requests"]["open"] == 0, what="the upstream's call to end")
    assert sim.count("sk-well") == 0


def test_events(hale, sim):
    gate = hale(group(sim))
    sim.fault("sk-sick", cut_after=0)
    answer = gate.post(PATH, json={**BODY, "stream_format": "sse"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    got = [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: ")]
    assert [e["type"] for e in got] == ["speech.audio.delta"] * 8 + ["speech.audio.done"]
    assert len(base64.b64decode(got[0]["audio"])) == 96
    sim.fault("sk-sick", cut_after=4)
    broken = gate.post(PATH, json={**BODY, "stream_format": "sse"})
    assert "speech.audio.delta" in broken.text and "event: error" in broken.text and "audio.done" not in broken.text
