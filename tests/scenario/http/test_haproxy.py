"""HAProxy in front: the health check it makes and ordinary traffic."""

import contextlib
import signal
import socket
import subprocess
import textwrap

import requests

from daemon import deployment
from waiting import wait_until


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def haproxy(tmp_path, *ports):
    front, stats = free_port(), tmp_path / "stats.sock"
    servers = "\n".join(f"    server hale{i} 127.0.0.1:{port} check inter 100ms fall 2 rise 1" for i, port in enumerate(ports))
    config = tmp_path / "haproxy.cfg"
    config.write_text(textwrap.dedent(f"""\
        global
            stats socket {stats} level admin
        defaults
            mode http
            timeout connect 2s
            timeout client 30s
            timeout server 30s
            timeout http-request 5s
            timeout http-keep-alive 5s
            option redispatch 1
            retries 2
            retry-on conn-failure empty-response
        listen llm
            bind 127.0.0.1:{front}
            balance roundrobin
            option httpchk
            http-check send meth GET uri /health/readiness ver HTTP/1.1 hdr Host hale
            http-check expect status 200
        """) + servers + "\n")
    process = subprocess.Popen(["haproxy", "-db", "-q", "-f", str(config)], stderr=subprocess.PIPE)
    try:
        wait_until(lambda: stats.exists() or process.poll() is not None, what="HAProxy to start")
        assert process.poll() is None, process.stderr.read().decode()
        yield f"http://127.0.0.1:{front}", stats
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stderr.close()


def states(stats):
    """{server: state} as HAProxy sees it."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(stats))
        s.sendall(b"show stat\n")
        text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    rows = [line.split(",") for line in text.splitlines() if line.startswith("llm,hale")]
    return {row[1]: row[17] for row in rows}


def one_chat(url, stream=False):
    body = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    answer = requests.post(url + "/v1/chat/completions", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_ordinary_traffic(hale, sim, tmp_path):
    daemon = hale({"model_list": [deployment("gpt", sim)]})
    with haproxy(tmp_path, daemon.port) as (url, stats):
        wait_until(lambda: states(stats).get("hale0") == "UP", what="the check to pass")
        for _ in range(20):
            assert '"choices"' in one_chat(url)
        assert one_chat(url, stream=True).rstrip().endswith("data: [DONE]")
        assert requests.get(url + "/health/liveliness", timeout=30).status_code == 200
    assert sim.count("sk-a") == 21
