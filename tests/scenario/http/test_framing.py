"""Where a request ends: nothing ambiguous is answered twice, relayed twice, or believed."""

import pytest

from daemon import deployment
from raw import Raw, chat, head, post

CHAT = "/v1/chat/completions"
GET = "GET /health/liveliness HTTP/1.1\r\nHost: hale\r\n\r\n"
INNER = post(CHAT, chat()).decode()

SMUGGLED = {
    "length and coding": head(CHAT, "Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n",
    "coding and length": head(CHAT, "Transfer-Encoding: chunked", "Content-Length: 5") + "0\r\n\r\n",
    "two lengths": head(CHAT, "Content-Length: 0", f"Content-Length: {len(INNER)}"),
    "list of lengths": head(CHAT, "Content-Length: 0, 5"),
    "signed length": head(CHAT, "Content-Length: +0"),
    "hidden coding": head(CHAT, "Transfer-Encoding: \x0bchunked", "Content-Length: 5"),
    "coding with a space": head(CHAT, "Transfer-Encoding : chunked"),
    "two codings": head(CHAT, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    "folded coding": head(CHAT, "Transfer-Encoding:", " chunked"),
    "unknown coding": head(CHAT, "Transfer-Encoding: cow"),
    "coding in HTTP/1.0": head(CHAT, "Transfer-Encoding: chunked", version="HTTP/1.0") + "0\r\n\r\n",
    "bare LF": head(CHAT, "X: y\nTransfer-Encoding: chunked"),
    "bare CR": head(CHAT, "X: y\rContent-Length: 5"),
    "two hosts": head(CHAT, "Host: other", "Content-Length: 0"),
    "no host": f"POST {CHAT} HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "chunk size with sign": head(CHAT, "Transfer-Encoding: chunked") + "+0\r\n\r\n",
    "chunk size with 0x": head(CHAT, "Transfer-Encoding: chunked") + "0x0\r\n\r\n",
    "chunk with bare LF": head(CHAT, "Transfer-Encoding: chunked") + "0\n\n",
    "chunk too long": head(CHAT, "Transfer-Encoding: chunked") + "2\r\nabc\r\n0\r\n\r\n",
    "huge chunk": head(CHAT, "Transfer-Encoding: chunked") + "ffffffffffffffff0\r\n",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": "GET /health/liveliness\r\n\r\n",
    "proxy request": "CONNECT upstream:443 HTTP/1.1\r\nHost: upstream\r\n\r\n",
}


@pytest.fixture
def daemon(hale, sim):
    return hale({"model_list": [deployment("gpt", sim)]}, workers=1)


def test_smuggling(daemon, sim):
    """The request behind the ambiguous one is never answered and never relayed."""
    for what, request in SMUGGLED.items():
        with Raw(daemon.port) as c:
            answer = c.send(request + INNER).answer()
            assert 400 <= answer.status < 506 and answer.status not in (500, 502, 503, 504), what
            answer.error()
            assert answer.headers["connection"] == "close", what
            assert c.ended(), what
    assert sim.count("sk-a") == 0


def test_chunked_with_trailers(daemon, sim):
    body = chat()
    with Raw(daemon.port) as c:
        c.send(head(CHAT, "Transfer-Encoding: chunked"))
        for piece in (body[:10], body[10:]):
            c.send(f"{len(piece):x};name=value\r\n{piece}\r\n")
        c.send("0\r\nX-Checksum: 1\r\nContent-Length: 99\r\nTransfer-Encoding: cow\r\n\r\n" + GET)
        assert c.answer().status == 200
        assert c.answer().status == 200
    request = sim.requests(key="sk-a")[0]
    assert "checksum" not in str(request["headers"]).lower()


def test_pipelining_in_order(daemon, sim):
    sim.fault("sk-a", delay_ms=100, times=1)
    with Raw(daemon.port) as c:
        c.send(post(CHAT, chat()).decode() + GET + post(CHAT, chat("nobody")).decode() + GET)
        kinds = [c.answer() for _ in range(4)]
    assert [a.status < 300 for a in kinds] == [True, True, False, True]
    assert "choices" in kinds[0].json()


def test_every_byte_alone(daemon):
    with Raw(daemon.port) as c:
        for byte in post(CHAT, chat()):
            c.send(bytes([byte]))
        assert c.answer().status == 200


def test_limits_of_the_head(daemon):
    for lines, status, code in (
        (["X: " + "y" * 40000], 431, "headers_too_large"),
        (["X: y"] * 200, 431, "too_many_headers"),
    ):
        with Raw(daemon.port) as c:
            answer = c.send(head("/health/liveliness", *lines, method="GET")).answer()
            assert (answer.status, answer.error()["code"]) == (status, code)
            assert c.ended()
    with Raw(daemon.port) as c:
        assert c.send(head("/health/liveliness?" + "q" * 9000, method="GET")).answer().status == 414


def test_methods(daemon):
    with Raw(daemon.port) as c:
        for method, status in (("PATCH", 405), ("DELETE", 405), ("PUT", 405), ("POST", 405), ("OPTIONS", 200)):
            answer = c.send(head("/health/liveliness", "Content-Length: 0", method=method)).answer()
            assert answer.status == status, method
            if status == 405:
                assert "GET" in answer.headers["allow"]
        assert c.send(head("/health/liveliness", method="BREW")).answer().status == 501
        assert c.ended()


def test_expect_continue(daemon):
    body = chat()
    with Raw(daemon.port) as c:
        c.send(head(CHAT, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert c.head()[0] == 100
        assert c.send(body).answer().status == 200
