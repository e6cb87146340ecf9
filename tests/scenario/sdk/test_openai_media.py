"""PyPI and npm `openai`: images, sound, moderation, files and batches, with nothing between and with hale in front."""

import base64
import io

import pytest

from daemon import deployment

TEXT = "Hello! This is a simulated answer."
SOUND = b"RIFF\r\n--\x00bytes"
BATCH = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}


@pytest.fixture(params=["llmsim", "hale", "azure"])
def place(request, sim, hale):
    """(base URL, key that the simulator sees)"""
    if request.param == "llmsim":
        return sim.base, "sk-client"
    provider = "openai" if request.param == "hale" else "azure"
    daemon = hale({"model_list": [deployment("m", sim, provider=provider, model="up")],
                   "router_settings": {"num_retries": 0, "disable_cooldowns": True}})
    return daemon.url + "/v1", "sk-a"


@pytest.fixture
def url(place):
    return place[0]


@pytest.fixture
def client(python_sdk, url):
    import openai
    with openai.OpenAI(base_url=url, api_key="sk-client", max_retries=0, timeout=30) as one:
        yield one


def sound():
    file = io.BytesIO(SOUND)
    file.name = "a.wav"
    return file


def test_images(client):
    made = client.images.generate(model="m", prompt="a cat", n=2)
    assert [base64.b64decode(d.b64_json)[:4] for d in made.data] == [b"\x89PNG"] * 2
    events = list(client.images.generate(model="m", prompt="a cat", stream=True, partial_images=2))
    assert [e.type for e in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert client.images.edit(model="m", prompt="a star", image=[sound(), sound()]).data[0].b64_json
    events = list(client.images.edit(model="m", prompt="a star", image=sound(), stream=True))
    assert [e.type for e in events] == ["image_edit.completed"]


def test_transcription(client):
    made = client.audio.transcriptions.create(model="m", file=sound())
    assert made.text == TEXT
    assert client.audio.transcriptions.create(model="m", file=sound(), response_format="text").strip() == TEXT
    verbose = client.audio.transcriptions.create(model="m", file=sound(), response_format="verbose_json",
                                                 timestamp_granularities=["word", "segment"])
    assert verbose.segments[0].text
    events = list(client.audio.transcriptions.create(model="m", file=sound(), stream=True))
    assert "".join(e.delta for e in events[:-1]) == TEXT == events[-1].text
    assert client.audio.translations.create(model="m", file=sound()).text == TEXT


def test_speech(client, tmp_path):
    with client.audio.speech.with_streaming_response.create(model="m", input="hi", voice="alloy",
                                                            response_format="wav") as answer:
        answer.stream_to_file(tmp_path / "a.wav")
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RIFF"
    assert len(client.audio.speech.create(model="m", input="hi", voice="alloy").read()) == 4096


def test_errors_have_their_class(client, place, sim):
    import openai
    for call in (lambda: client.images.generate(model="m", prompt="x"),
                 lambda: client.audio.transcriptions.create(model="m", file=sound()),
                 lambda: client.audio.speech.create(model="m", input="x", voice="alloy"), lambda: client.files.list()):
        for status, name in ((429, "RateLimitError"), (400, "BadRequestError"), (500, "InternalServerError")):
            sim.fault(place[1], status=status, times=1)
            with pytest.raises(getattr(openai, name)) as error:
                call()
            assert error.value.body["message"]


def test_files_and_batches(client):
    made = client.files.create(file=("in.jsonl", b"{}\n"), purpose="batch")
    assert made.filename == "in.jsonl" and client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == b"{}\n"
    batch = client.batches.create(input_file_id=made.id, **BATCH)
    assert client.batches.retrieve(batch.id).status == "validating"
    assert [b.id for b in client.batches.list(limit=5)] == [batch.id]
    assert client.batches.cancel(batch.id).status == "cancelling"
    assert client.files.delete(made.id).deleted and [f.id for f in client.files.list()] == []


@pytest.fixture
def openai_client(python_sdk, sim, hale):
    """For what Azure does not have."""
    import openai
    daemon = hale({"model_list": [deployment("m", sim), deployment("omni-moderation-latest", sim)]})
    with openai.OpenAI(base_url=daemon.url + "/v1", api_key="sk-client", max_retries=0, timeout=30) as one:
        yield one


def test_moderation(openai_client):
    assert openai_client.moderations.create(input="I kill you").results[0].flagged  # without a model
    assert not openai_client.moderations.create(model="m", input=["be nice"]).results[0].flagged


def test_variation(openai_client):
    assert openai_client.images.create_variation(model="m", image=sound()).data[0].b64_json


def test_azure_clients(python_sdk, node, sim, hale):
    """SDKs of Azure name the deployment in the path."""
    import openai
    daemon = hale({"model_list": [deployment("m", sim, model="up")]})
    with openai.AzureOpenAI(azure_endpoint=daemon.url, api_key="sk-client", api_version="2024-10-21", max_retries=0) as one:
        done = one.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert done.choices[0].message.content == TEXT
        stream = one.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)
        assert "".join(c.choices[0].delta.content or "" for c in stream if c.choices) == TEXT
        assert one.embeddings.create(model="m", input="hi").data[0].embedding
        assert one.audio.transcriptions.create(model="m", file=sound()).text == TEXT
        assert len(one.audio.speech.create(model="m", input="hi", voice="alloy").read()) == 4096
        assert one.images.generate(model="m", prompt="a cat").data[0].b64_json
    assert node("azure", daemon.url, {"model": "m"})["choices"][0]["message"]["content"] == TEXT


@pytest.mark.parametrize("place", ["hale"], indirect=True)
def test_node(node, url):
    assert len(node("image", url, {"model": "m", "prompt": "a cat", "n": 2})["data"]) == 2
    events = node("image_stream", url, {"model": "m", "prompt": "a cat", "partial_images": 1})
    assert [e["type"] for e in events] == ["image_generation.partial_image", "image_generation.completed"]
    assert node("edit", url, {"model": "m", "prompt": "a star"})["data"][0]["b64_json"]
    assert node("transcribe", url, {"model": "m"})["text"] == TEXT
    assert node("transcribe_stream", url, {"model": "m"})[-1]["text"] == TEXT
    assert node("translate", url, {"model": "m"})["text"] == TEXT
    assert node("speech", url, {"model": "m", "input": "hi", "voice": "alloy"}) == {"size": 4096, "start": "ID3\x04"}


@pytest.mark.parametrize("place", ["hale"], indirect=True)
def test_node_batches(node, url):
    got = node("batch", url, BATCH)
    assert got["content"] == SOUND.decode("latin1") and got["batch"]["input_file_id"] == got["file"]["id"]
    assert got["cancelled"]["status"] == "cancelling" and got["listed"] == [got["batch"]["id"]] and got["deleted"]["deleted"]


def test_node_moderation(node, sim, hale):
    daemon = hale({"model_list": [deployment("m", sim)]})
    assert node("moderate", daemon.url + "/v1", {"model": "m", "input": "I kill you"})["results"][0]["flagged"]


def test_node_broken_audio(node, sim, hale):
    """A cut is an error of the SDK, never a short file."""
    daemon = hale({"model_list": [deployment("m", sim)]})
    sim.fault("sk-a", cut_after=2000)
    got = node("speech", daemon.url + "/v1", {"model": "m", "input": "hi", "voice": "alloy"})
    assert "size" not in got and got["error"]["message"]
