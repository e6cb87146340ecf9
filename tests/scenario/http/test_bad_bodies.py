"""What clients get wrong inside the body: a clear 4xx in OpenAI's envelope, nothing reaches an upstream."""

import pytest

from daemon import deployment
from raw import Raw, chat, head, post

CHAT = "/v1/chat/completions"

BODIES = {
    "empty": b"",
    "space": b"  \r\n ",
    "not JSON": b"model=gpt",
    "cut": b'{"model": "gpt", "messages": [{"role"',
    "garbage behind": chat().encode() + b" x",
    "two objects": chat().encode() * 2,
    "list": b'[{"model": "gpt"}]',
    "string": b'"gpt"',
    "number": b"1",
    "null": b"null",
    "no model": b'{"messages": []}',
    "model is null": b'{"model": null, "messages": []}',
    "model is a number": b'{"model": 4, "messages": []}',
    "model is a list": b'{"model": ["gpt"], "messages": []}',
    "model is an object": b'{"model": {"a": 1}, "messages": []}',
    "model is empty": b'{"model": "", "messages": []}',
    "model twice": b'{"model": "other", "messages": [], "model": "gpt"}',
    "model twice, escaped": b'{"model": "gpt", "messages": [], "mo\\u0064el": "other"}',
    "stream is a text": b'{"model": "gpt", "stream": "yes", "messages": []}',
    "stream is a number": b'{"model": "gpt", "stream": 1, "messages": []}',
    "invalid UTF-8": b'{"model": "gpt", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
    "overlong UTF-8": b'{"model": "gpt", "messages": [{"role": "user", "content": "\xc0\xaf"}]}',
    "surrogate in UTF-8": b'{"model": "gpt", "messages": [{"role": "user", "content": "\xed\xa0\x80"}]}',
    "NUL": b'{"model": "gpt\x00", "messages": []}',
    "control byte": b'{"model": "gpt", "messages": [{"role": "user", "content": "\x01"}]}',
    "single quotes": b"{'model': 'gpt'}",
    "comma at the end": b'{"model": "gpt", "messages": [],}',
    "bare word": b'{"model": gpt}',
    "deep nesting": b'{"model": "gpt", "messages": ' + b"[" * 100000 + b"]" * 100000 + b"}",
    "deep and cut": b'{"model": "gpt", "messages": ' + b'{"a":' * 100000,
    "UTF-16": chat().encode("utf-16"),
}


@pytest.fixture
def daemon(hale, sim):
    return hale({"model_list": [deployment("gpt", sim)]}, workers=1)


def test_bad_bodies(daemon, sim):
    """All of them on one connection: none may take it down."""
    seen = {}
    with Raw(daemon.port) as c:
        for what, body in BODIES.items():
            answer = c.send(post(CHAT, body)).answer()
            seen[what] = answer.status
            if 400 <= answer.status < 500:
                answer.error()
        assert c.send(post(CHAT, chat())).answer().status == 200
    assert {what: status for what, status in seen.items() if not 400 <= status < 500} == {}
    assert sim.count("sk-a") == 1


def test_unknown_model(daemon, sim):
    with Raw(daemon.port) as c:
        answer = c.send(post(CHAT, chat("nobody"))).answer()
    assert answer.status in (400, 404)
    assert "nobody" in answer.error()["message"]
    assert sim.count("sk-a") == 0


def test_long_model_name(daemon):
    with Raw(daemon.port) as c:
        for n in (1000, 100000):
            answer = c.send(post(CHAT, chat("x" * n))).answer()
            assert answer.status in (400, 404)
            assert len(answer.body) < 5000


def test_body_limit(hale, sim):
    daemon = hale({"model_list": [deployment("gpt", sim)], "hale_settings": {"body_bytes_max": 100000}}, workers=1)
    large = chat(filler="x" * 100000)
    with Raw(daemon.port) as c:
        answer = c.send(post(CHAT, large)).answer()
        assert (answer.status, answer.error()["code"]) == (413, "body_too_large")
        assert answer.headers["connection"] == "close"
        assert c.ended()
    with Raw(daemon.port) as c:
        c.send(head(CHAT, "Transfer-Encoding: chunked") + f"{len(large):x}\r\n{large}\r\n0\r\n\r\n")
        assert c.answer().status == 413
    near = chat(filler="x" * 90000)
    with Raw(daemon.port) as c:
        assert c.send(post(CHAT, near)).answer().status == 200
    assert sim.count("sk-a") == 1
    assert sim.requests(key="sk-a")[0]["body_bytes"] > 90000


def test_members_that_are_kept(daemon, sim):
    """What hale does not know it does not touch: order, spaces, large numbers and escapes arrive as they were sent."""
    odd = ('{ "zz" : 1.0e+2,"n":123456789012345678901234567890, "model":"gpt" ,'
           '"messages":[ {"role":"user","content":"\\u00e9\\/"} ]}')
    with Raw(daemon.port) as c:
        assert c.send(post(CHAT, odd)).answer().status == 200
    assert sim.requests(key="sk-a")[-1]["body_text"] == odd.replace('"gpt"', '"gpt-4o"')
