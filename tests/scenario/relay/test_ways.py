"""The way to an upstream, per deployment: HTTP/2, and proxies."""

import contextlib
import re
import shutil
import socket
import subprocess
import threading

import pytest

from daemon import deployment
from waiting import wait_until

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def http2(sim, tmp_path):
    """HAProxy as the HTTP/2 server in front of the simulator: (base, certificate). It tells the
    simulator which version it was spoken to in."""
    both, cert, key = tmp_path / "both.pem", tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    both.write_text(cert.read_text() + key.read_text())
    tls = free_port()
    config = tmp_path / "h2.cfg"
    config.write_text(f"""
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend in
    bind 127.0.0.1:{tls} ssl crt {both} alpn h2,http/1.1
    http-request set-header x-version %[req.ver]
    http-request set-header x-connection %[src_port]
    default_backend sim
backend sim
    server sim 127.0.0.1:{sim.port}
""")
    with (tmp_path / "h2.log").open("w") as log:
        process = subprocess.Popen([HAPROXY, "-db", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def listens():
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", tls), 1).close()
            return True
        assert process.poll() is None, (tmp_path / "h2.log").read_text()
        return False

    wait_until(listens)
    yield f"https://127.0.0.1:{tls}/v1", cert
    process.terminate()
    process.wait(20)


class Proxy:
    """A proxy that notes what it is asked for: CONNECT, and plain requests with an absolute address."""

    def __init__(self, authorization=None):
        self.asked, self.heads, self.authorization = [], [], authorization
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    @staticmethod
    def _copy(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(65536)
            if not piece:
                return
            head += piece
        head, _, rest = head.partition(b"\r\n\r\n")
        line, _, headers = head.decode().partition("\r\n")
        method, target, _ = line.split()
        self.asked.append((method, target))
        self.heads.append(headers.lower())
        if method == "CONNECT":
            host, port = target.rsplit(":", 1)
            upstream = socket.create_connection((host, int(port)))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            host, _, path = target.removeprefix("http://").partition("/")
            name, port = host.rsplit(":", 1)
            upstream = socket.create_connection((name, int(port)))
            upstream.sendall(f"{method} /{path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n\r\n".encode())
        upstream.sendall(rest)
        threading.Thread(target=self._copy, args=(upstream, client), daemon=True).start()
        self._copy(client, upstream)

    def stop(self):
        self.listener.close()


@pytest.fixture
def proxy():
    one = Proxy()
    yield one
    one.stop()


def version(sim, key="sk-a"):
    return {r["headers"].get("x-version") for r in sim.requests(key)}


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
def test_http2_where_it_is_wanted(hale, sim, http2):
    tls, cert = http2
    gate = hale({"model_list": [deployment("two", tls, key="sk-two", info={"http2": True}),
                                deployment("one", tls, key="sk-one"),
                                deployment("plain", sim, key="sk-plain", info={"http2": True})]},
                env={"SSL_CERT_FILE": str(cert)})
    assert "http2: HTTP/2 needs an https:// address" in gate.log
    for name in ("two", "one", "plain"):
        for stream in (False, True):
            answer = gate.chat(name, stream=stream)
            assert answer.status_code == 200, answer.text
            assert not stream or answer.text.endswith("data: [DONE]\n\n")
    assert (version(sim, "sk-two"), version(sim, "sk-one"), version(sim, "sk-plain")) == ({"2.0"}, {"1.1"}, {None})


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
def test_http2_shares_one_connection(hale, sim, http2):
    tls, cert = http2
    gate = hale({"model_list": [deployment("two", tls, info={"http2": True})]}, env={"SSL_CERT_FILE": str(cert)}, workers=1)
    assert gate.chat("two").status_code == 200  # the connection is there
    sim.fault("sk-a", delay_ms=300)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(gate.chat("two").status_code)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert answers == [200] * 8
    assert len({r["headers"]["x-connection"] for r in sim.requests("sk-a")}) == 1
    assert sim.stats()["keys"]["sk-a"]["open_max"] > 1


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
def test_a_probe_takes_the_way_of_requests(hale, sim, http2, proxy):
    tls, cert = http2
    gate = hale({"model_list": [deployment("two", tls, key="sk-two", info={"http2": True}),
                                deployment("one", tls, key="sk-one"),
                                deployment("via", sim, key="sk-via", info={"proxy": proxy.url})]},
                env={"SSL_CERT_FILE": str(cert)})
    assert gate.get("/health").json()["healthy_count"] == 3
    assert (version(sim, "sk-two"), version(sim, "sk-one")) == ({"2.0"}, {"1.1"})
    assert proxy.asked == [("POST", f"{sim.base}/chat/completions")]


def test_a_proxy_for_one_deployment(hale, sim, proxy):
    gate = hale({"model_list": [deployment("via", sim, key="sk-via", info={"proxy": proxy.url}),
                                deployment("straight", sim, key="sk-straight")]},
                env={"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"})
    for stream in (False, True):
        assert gate.chat("via", stream=stream).status_code == 200
        assert gate.chat("straight", stream=stream).status_code == 200
    assert set(proxy.asked) == {("POST", f"{sim.base}/chat/completions")}
    assert all("sk-straight" not in head for head in proxy.heads)


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
def test_a_proxy_sees_no_request_inside_tls(hale, sim, http2, proxy):
    tls, cert = http2
    gate = hale({"model_list": [deployment("via", tls), deployment("two", tls, info={"http2": True}),
                                deployment("local", sim, key="sk-local", info={"proxy": "none"})],
                 "hale_settings": {"upstream_proxy": proxy.url.replace("//", "//user:pa55word@")}},
                env={"SSL_CERT_FILE": str(cert)})
    for name in ("via", "two", "local"):
        answer = gate.chat(name)
        assert answer.status_code == 200, answer.text
    assert {method for method, _ in proxy.asked} == {"CONNECT"}
    assert all("sk-a" not in head and "proxy-authorization: basic" in head for head in proxy.heads)
    assert "pa55word" not in gate.log + gate.get("/health").text + gate.get("/v1/model/info").text


def test_a_dead_proxy_is_a_connect_error(hale, sim):
    gate = hale({"model_list": [deployment("via", sim, info={"proxy": f"http://127.0.0.1:{free_port()}"})],
                 "litellm_settings": {"num_retries": 0}})
    answer = gate.chat("via")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_connect_error")
    entry = gate.get("/health").json()["unhealthy_endpoints"][0]
    assert entry["reason"] == "connect_error" and sim.count("sk-a") == 0


@pytest.mark.parametrize("value", ["ftp://x:1", "127.0.0.1:3128", "http://", "http://a b"])
def test_what_is_no_proxy_is_said(hale, sim, value, tmp_path):
    gate = hale({"model_list": [deployment("via", sim, info={"proxy": value})]}, ready=False)
    assert gate.process.wait(20) == 2
    text = gate.wait_log("this is no proxy").string
    assert re.search(r"config\.yaml:\d+:\d+: proxy: ", text) and "socks5h://" in text and f" {value}," not in text


FAMILIES = {"openai": "gpt-4o", "azure": "gpt", "anthropic": "claude-sim", "gemini": "gemini-2.5-flash",
            "bedrock": "anthropic.claude-sim-v1:0", "cohere": "command-sim"}


def check_every_kind(gate):
    """Chat of every family, whole and streamed; forms, bytes and lists of the last one; then all probes."""
    for name in FAMILIES:
        for stream in (False, True):
            answer = gate.chat(name, stream=stream)
            assert answer.status_code == 200 and "simulated" in answer.text, (name, answer.text)
            assert not stream or answer.text.endswith("data: [DONE]\n\n"), name
    sound = gate.post("/v1/audio/speech", json={"model": "openai", "input": "hi", "voice": "alloy"})
    assert (sound.status_code, len(sound.content)) == (200, 4096)
    heard = gate.post("/v1/audio/transcriptions", data={"model": "openai"}, files={"file": ("a.wav", b"RIFF" * 9999)})
    assert heard.status_code == 200 and heard.json()["text"], heard.text
    made = gate.post("/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", b"{}\n")})
    assert made.status_code == 200, made.text
    assert gate.get(f"/v1/files/{made.json()['id']}/content").content == b"{}\n"
    told = gate.post("/v1/messages", json={"model": "gemini", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]})
    assert told.status_code == 200 and told.json()["content"][0]["text"], told.text
    health = gate.get("/health", timeout=60).json()
    assert health["unhealthy_endpoints"] == [] and health["healthy_count"] == len(FAMILIES)


def family(provider, base, **info):
    base = base if provider == "openai" else base.removesuffix("/v1")
    return deployment(provider, base, key=f"sk-{provider}", provider=provider, model=FAMILIES[provider], info=info)


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
def test_every_kind_over_http2(hale, sim, http2):
    tls, cert = http2
    gate = hale({"model_list": [family(p, tls, http2=True) for p in FAMILIES]}, env={"SSL_CERT_FILE": str(cert)})
    check_every_kind(gate)
    for provider in FAMILIES:
        assert version(sim, f"sk-{provider}") == {"2.0"}, provider


def test_every_kind_through_a_proxy(hale, sim, proxy):
    gate = hale({"model_list": [family(p, sim.base, proxy=proxy.url) for p in FAMILIES]})
    check_every_kind(gate)
    assert len(proxy.asked) == sum(sim.count(f"sk-{p}") for p in FAMILIES), "nothing went around it"
