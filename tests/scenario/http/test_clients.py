"""Clients that are slow, vanish or never stop talking; and what they leave behind: nothing."""

import os
import pathlib
import socket

import paths
from daemon import deployment
from raw import Raw, chat, head, post
from waiting import wait_until

CHAT = "/v1/chat/completions"
GET = "GET /health/liveliness HTTP/1.1\r\nHost: hale\r\n\r\n"


def start(hale, sim, env=None, **settings):
    return hale({"model_list": [deployment("gpt", sim)], "hale_settings": settings}, env=env, workers=1)


def open_upstream(sim):
    return sim.stats()["keys"].get("sk-a", {}).get("open", 0)


def gone_upstream(sim):
    return sim.stats()["keys"].get("sk-a", {}).get("gone", 0)


def test_slow_head_and_body(hale, sim):
    daemon = start(hale, sim, client_header_timeout_ms=300, client_body_timeout_ms=300)
    for first in ("GET /health/liveliness HTTP/1.1\r\nX-Slow: ", head(CHAT, "Content-Length: 1000")):
        with Raw(daemon.port) as c:
            c.send(first)
            c.sock.settimeout(0.02)
            for _ in range(1000):  # bytes keep coming, the deadline does not move
                c.send("x")
                try:
                    if not c._more():
                        break
                except socket.timeout:
                    continue
                if b"\r\n\r\n" in c.buffer:
                    break
            c.sock.settimeout(20)
            answer = c.answer()
            assert (answer.status, answer.error()["code"]) == (408, "request_timeout")
            assert c.ended()


def test_vanishes_while_waiting(hale, sim):
    daemon = start(hale, sim)
    sim.fault("sk-a", hang="before_head")
    with Raw(daemon.port) as c:
        c.send(post(CHAT, chat()))
        wait_until(lambda: open_upstream(sim) == 1, what="the request to arrive upstream")
    wait_until(lambda: open_upstream(sim) == 0, what="the upstream request to be cancelled")
    sim.clear()
    with Raw(daemon.port) as c:  # nobody's failure: the deployment is not cooling down
        assert c.send(post(CHAT, chat())).answer().status == 200


def test_half_close_is_answered(hale, sim):
    daemon = start(hale, sim)
    sim.fault("sk-a", delay_ms=300)
    with Raw(daemon.port) as c:
        c.send(post(CHAT, chat()))
        c.sock.shutdown(socket.SHUT_WR)
        assert c.answer().status == 200
        assert c.ended()


def test_vanishes_in_the_stream(hale, sim):
    daemon = start(hale, sim)
    sim.fault("sk-a", chunks=100000, chunk_delay_ms=5)
    with Raw(daemon.port) as c:
        c.send(post(CHAT, chat(stream=True)))
        c.until(b"data: ")
        c.until(b"data: ")
    wait_until(lambda: open_upstream(sim) == 0, what="the upstream stream to be cancelled")
    assert gone_upstream(sim) == 1


def test_stops_reading(hale, sim):
    """A stalled reader pauses its upstream, and is dropped after the write timeout."""
    daemon = start(hale, sim, client_write_timeout_ms=500, client_buffer_bytes_max=65536)
    sim.fault("sk-a", chunks=1000000, chunk_bytes=16000)
    worker = daemon.pids("worker")[0]
    with Raw(daemon.port) as c:
        c.send(post(CHAT, chat(stream=True)))
        c.until(b"data: ")
        wait_until(lambda: open_upstream(sim) == 0, what="the stream to be given up")
    assert rss(worker) < 64 << 20


def test_reload_is_no_alarm(hale, sim):
    """A checker with a kept-alive connection to a worker that a reload replaces hears that all is well."""
    daemon = start(hale, sim)
    with Raw(daemon.port) as c:
        assert c.send(GET).answer().status == 200
        daemon.reload()
        try:
            answer = c.send(GET).answer()
        except AssertionError:  # this machine slept through the grace: a clean close
            assert c.ended()
        else:
            assert (answer.status, answer.headers["connection"]) == (200, "close")


def rss(pid):
    return int((pathlib.Path("/proc") / str(pid) / "statm").read_text().split()[1]) * 4096


def fds(pid):
    return len(list((pathlib.Path("/proc") / str(pid) / "fd").iterdir()))


def abuse(port, n):
    """n short visits, each of another bad kind."""
    bad = [
        b"", b"\x16\x03\x01\x02", b"GET / HTTP/1.1\nHost: a\n\n", post(CHAT, b"{"), post(CHAT, chat("nobody")),
        post(CHAT, chat())[:-5], head(CHAT, "Content-Length: 99999999").encode(), post(CHAT, chat(stream=True)),
        head(CHAT, "Transfer-Encoding: chunked").encode() + b"zz\r\n", GET.encode() * 3 + b"GET",
        head("/" + "x" * 9000, method="GET").encode(), post(CHAT, chat()),
    ]
    for i in range(n):
        with socket.create_connection(("127.0.0.1", port), 20) as s:
            s.settimeout(20)
            s.sendall(bad[i % len(bad)])
            if i % 3 == 0:
                s.shutdown(socket.SHUT_WR)
            if i % 4 == 0 and bad[i % len(bad)]:
                try:
                    s.recv(100)
                except ConnectionResetError:
                    pass
            elif i % 5 == 0:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_nothing_stays_behind(hale, sim):
    # AddressSanitizer keeps freed memory for a while: not so much of it here.
    env = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}
    daemon = start(hale, sim, env, client_header_timeout_ms=1000, client_body_timeout_ms=1000)
    worker = daemon.pids("worker")[0]
    abuse(daemon.port, 600)
    wait_until(lambda: open_upstream(sim) == 0, what="upstream requests to end")
    base = None

    def settled():
        nonlocal base
        base = fds(worker)
        return base < 80

    wait_until(settled, what="connections of the warm-up to end")
    memory = rss(worker)
    abuse(daemon.port, 3000)
    wait_until(lambda: fds(worker) <= base + 8, what="descriptors to come back")
    if not paths.SANITIZED:
        assert rss(worker) < memory + (4 << 20)
    assert daemon.pids("worker")[0] == worker
    with Raw(daemon.port) as c:
        assert c.send(post(CHAT, chat())).answer().status == 200
