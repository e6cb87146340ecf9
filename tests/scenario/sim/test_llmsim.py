"""The simulator itself: what the other tests rely on."""

import http.client
import json
import random
import socket
import ssl
import subprocess
import threading

import pytest
import requests

from waiting import wait_until

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def post(sim, key="sk-a", path="/v1/chat/completions", body=None, **args):
    headers = {"Authorization": f"Bearer {key}", **args.pop("headers", {})}
    return requests.post(sim.url + path, json=CHAT if body is None else body, headers=headers, timeout=30, **args)


def plain(sim):
    """A chat without the help of a library: http.client tells a short body from a whole one."""
    connection = http.client.HTTPConnection("127.0.0.1", sim.port, timeout=30)
    connection.request("POST", "/v1/chat/completions", json.dumps(CHAT), {"Authorization": "Bearer sk-a"})
    return connection.getresponse()


def raw(sim, data, end=True):
    """Sends bytes and returns everything that comes back until the end."""
    with socket.create_connection(("127.0.0.1", sim.port), timeout=30) as s:
        s.sendall(data)
        if end:
            s.shutdown(socket.SHUT_WR)
        got = b""
        while piece := s.recv(65536):
            got += piece
        return got


def events(answer):
    return [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]


def test_chat(sim):
    body = post(sim).json()
    assert body["object"] == "chat.completion" and body["model"] == "gpt-4o"
    assert body["choices"][0]["message"] == {
        "role": "assistant", "content": "Hello! This is a simulated answer.", "refusal": None, "annotations": []}
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]


def test_max_tokens_truncates(sim):
    choice = post(sim, body={**CHAT, "max_tokens": 1}).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello", "length")


def test_stream_with_usage(sim):
    answer = post(sim, body={**CHAT, "stream": True, "stream_options": {"include_usage": True}})
    data = events(answer)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert data[-1] == "[DONE]"
    chunks = [json.loads(d) for d in data[:-1]]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]) \
        == "Hello! This is a simulated answer."
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 8
    assert all(c["usage"] is None for c in chunks[:-1])


def test_azure(sim):
    url = "/openai/deployments/my-gpt/chat/completions"
    good = requests.post(sim.url + url + "?api-version=2024-10-21", json={"messages": []},
                         headers={"api-key": "az"}, timeout=30)
    assert good.json()["model"] == "my-gpt" and good.headers["x-ms-region"] == "East US"
    assert requests.post(sim.url + url, json={"messages": []}, timeout=30).status_code == 404
    assert sim.count("az") == 1


def test_anthropic(sim):
    head = {"x-api-key": "ant", "anthropic-version": "2023-06-01"}
    body = {"model": "claude-sim", "max_tokens": 3, "messages": [{"role": "user", "content": "hi"}]}
    answer = requests.post(sim.url + "/v1/messages", json=body, headers=head, timeout=30).json()
    assert answer["content"] == [{"type": "text", "text": "Hello! This"}]
    assert answer["stop_reason"] == "max_tokens" and answer["usage"]["output_tokens"] == 3
    stream = requests.post(sim.url + "/v1/messages", json={**body, "stream": True}, headers=head, timeout=30)
    kinds = [json.loads(e)["type"] for e in events(stream)]
    assert kinds == ["message_start", "content_block_start", "ping", *3 * ["content_block_delta"],
                     "content_block_stop", "message_delta", "message_stop"]
    del body["max_tokens"]
    wrong = requests.post(sim.url + "/v1/messages", json=body, headers=head, timeout=30)
    assert wrong.status_code == 400 and wrong.json()["error"]["type"] == "invalid_request_error"


def test_embeddings(sim):
    body = {"model": "e", "input": ["a,\"]", "b"], "dimensions": 5}
    data = post(sim, path="/v1/embeddings", body=body).json()["data"]
    assert [len(d["embedding"]) for d in data] == [5, 5] and data[0]["embedding"] != data[1]["embedding"]
    tokens = {"model": "e", "input": [1, 2, 3]}
    assert len(post(sim, path="/embeddings", body=tokens).json()["data"]) == 1


def test_completions_and_models(sim):
    body = post(sim, path="/v1/completions", body={"model": "m", "prompt": "x"}).json()
    assert body["object"] == "text_completion" and body["choices"][0]["text"]
    data = events(post(sim, path="/v1/completions", body={"model": "m", "prompt": "x", "stream": True}))
    assert data[-1] == "[DONE]" and json.loads(data[0])["choices"][0]["text"] == "Hello"
    assert requests.get(sim.url + "/v1/models", timeout=30).json()["data"][0]["id"] == "gpt-4o"


@pytest.mark.parametrize("status", [401, 404, 408, 429, 500, 503])
def test_fault_status_of_one_key(sim, status):
    sim.fault("sk-a", status=status, retry_after="2", headers={"x-extra": "yes"})
    answer = post(sim)
    assert answer.status_code == status and answer.json()["error"]["message"]
    assert answer.headers["retry-after"] == "2" and answer.headers["x-extra"] == "yes"
    assert post(sim, key="sk-b").status_code == 200
    sim.clear("sk-a")
    assert post(sim).status_code == 200


def test_fault_of_everybody_times_and_every(sim):
    sim.fault(status=500, times=2)
    assert [post(sim).status_code for _ in range(4)] == [500, 500, 200, 200]
    sim.fault(status=503, every=3)
    assert [post(sim).status_code for _ in range(6)] == [200, 200, 503, 200, 200, 503]
    sim.fault("sk-a", status=429)
    assert post(sim).status_code == 429


def test_faults_in_a_row(sim):
    sim.fault("sk-a", status=500, times=1)
    sim.fault("sk-a", status=429, times=1, add=True)
    assert [post(sim).status_code for _ in range(3)] == [500, 429, 200]


def test_fault_matches(sim):
    sim.fault("sk-a", status=500, match_max_tokens=16)
    assert post(sim).status_code == 200
    assert post(sim, body={**CHAT, "max_tokens": 1}).status_code == 500
    assert post(sim, body={**CHAT, "max_tokens": 17}).status_code == 200
    sim.fault("sk-a", status=500, match_model="gpt-4o")
    assert post(sim, body={**CHAT, "model": "other"}).status_code == 200
    assert post(sim).status_code == 500


def test_token_rules_of_newer_models(sim):
    sim.fault("sk-a", min_tokens=16)
    answer = post(sim, body={**CHAT, "max_tokens": 1})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "integer_below_min_value"
    assert post(sim, body={**CHAT, "max_tokens": 16}).status_code == 200
    sim.fault("sk-a", require_completion_tokens=True)
    answer = post(sim, body={**CHAT, "max_tokens": 16})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "unsupported_parameter"
    assert post(sim, body={**CHAT, "max_completion_tokens": 16}).status_code == 200


def test_body_faults(sim):
    sim.fault("sk-a", body='{"own":1}', status=418)
    assert post(sim).json() == {"own": 1}
    sim.fault("sk-a", empty=True)
    answer = post(sim)
    assert (answer.status_code, answer.content) == (200, b"")
    assert post(sim, body={**CHAT, "stream": True}).content == b""
    sim.fault("sk-a", garbage=True)
    with pytest.raises(ValueError):
        post(sim).json()
    sim.fault("sk-a", chunked=True)
    answer = post(sim)
    assert answer.headers["transfer-encoding"] == "chunked" and answer.json()["object"] == "chat.completion"


def test_delay_and_slow_body(sim):
    sim.fault("sk-a", delay_ms=150)
    assert post(sim).elapsed.total_seconds() >= 0.15
    sim.fault("sk-a", slow_body_ms=200)
    answer = plain(sim)
    length = int(answer.getheader("content-length"))
    assert 0 < len(answer.read1(65536)) < length


def test_stream_faults(sim):
    stream = {**CHAT, "stream": True}
    sim.fault("sk-a", no_terminator=True)
    assert events(post(sim, body=stream))[-1] != "[DONE]"
    sim.fault("sk-a", error_after=2)
    assert json.loads(events(post(sim, body=stream))[-1])["error"]["type"] == "server_error"
    sim.fault("sk-a", chunks=3, chunk_bytes=1000)
    text = [json.loads(e)["choices"][0]["delta"].get("content") for e in events(post(sim, body=stream))[1:4]]
    assert [len(t) for t in text] == [1000, 1000, 1000]
    for how in ({"cut_after": 3}, {"cut_after": 3, "reset": True}):
        sim.fault("sk-a", **how)
        with pytest.raises(requests.exceptions.RequestException):
            post(sim, body=stream)


def test_cut_body_and_reset(sim):
    sim.fault("sk-a", cut_after=10)
    with pytest.raises(http.client.IncompleteRead) as short:
        plain(sim).read()
    assert len(short.value.partial) == 10
    sim.fault("sk-a", reset=True)
    with pytest.raises(requests.exceptions.ConnectionError):
        post(sim)


@pytest.mark.parametrize("how", [{"hang": "before_head"}, {"hang": "after_head"}, {"stall_after": 2}])
def test_hang_does_not_block_the_control_path(sim, how):
    sim.fault(**how)
    with pytest.raises((requests.exceptions.Timeout, requests.exceptions.ConnectionError)):
        requests.post(sim.url + "/v1/chat/completions", json={**CHAT, "stream": True}, timeout=0.3)
    wait_until(lambda: sim.stats()["gone"] == 1)
    assert sim.stats()["requests"]["open"] == 0


def test_stall_with_comments(sim):
    sim.fault("sk-a", stall_after=1, comments=True, chunk_delay_ms=5)
    with post(sim, body={**CHAT, "stream": True}, stream=True) as answer:
        lines = answer.iter_lines()
        got = [next(lines) for _ in range(8)]
    assert got.count(b": keep-alive") >= 2


def test_stats_and_requests(sim):
    post(sim, key="sk-1")
    post(sim, key="sk-2", path="/v1/embeddings?x=1", body={"model": "e", "input": "a"}, headers={"X-Mine": "1"})
    stats = sim.stats()
    assert stats["keys"]["sk-1"]["paths"] == {"/v1/chat/completions": 1}
    assert stats["requests"] == {"total": 2, "open": 0, "open_max": 1}
    (last,) = sim.requests("sk-2")
    assert (last["method"], last["path"], last["query"]) == ("POST", "/v1/embeddings", "x=1")
    assert last["headers"]["x-mine"] == "1" and last["body"] == {"model": "e", "input": "a"}
    assert len(sim.requests()) == 2 and len(sim.requests(n=1)) == 1
    sim.reset()
    assert sim.stats()["requests"]["total"] == 0 and sim.requests() == []


def test_open_max(sim):
    sim.fault(hang="before_head")
    held = []
    body = json.dumps(CHAT).encode()
    for _ in range(5):
        s = socket.create_connection(("127.0.0.1", sim.port))
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        held.append(s)
    wait_until(lambda: sim.stats()["requests"]["open"] == 5)
    for s in held:
        s.close()
    wait_until(lambda: sim.stats()["requests"]["open"] == 0)
    assert sim.stats()["requests"]["open_max"] == 5 and sim.stats()["gone"] == 5


def test_pipelining_keeps_order(sim):
    sim.fault("slow", delay_ms=100)
    one = json.dumps(CHAT).encode()
    data = b""
    for key in (b"slow", b"quick", b"quick"):
        data += b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\napi-key: %s\r\nContent-Length: %d\r\n\r\n" \
            % (key, len(one)) + one
    data += b"GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    got = raw(sim, data, end=False)
    heads = [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]]
    assert heads == [b"200", b"200", b"200", b"404"]


def test_chunked_request_and_expect(sim):
    body = json.dumps(CHAT).encode()
    chunks = b"%x\r\n%s\r\n%x;ext=1\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (5, body[:5], len(body) - 5, body[5:])
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert raw(sim, head + chunks, end=False).startswith(b"HTTP/1.1 200")
    assert sim.requests()[-1]["body"] == CHAT
    with socket.create_connection(("127.0.0.1", sim.port), timeout=30) as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n"
                  b"Content-Length: %d\r\n\r\n" % len(body))
        assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(body)
        assert s.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
])
def test_bad_requests(sim, data):
    assert raw(sim, data, end=False).startswith(b"HTTP/1.1 400")
    assert sim.stats()["bad_requests"] == 1


def test_bad_faults_are_refused(sim):
    for bad in ({"no_such": 1}, {"status": "x"}, {"status": 99}, {"hang": "here"}, {"headers": {"a": "b\r\nc: d"}}, []):
        answer = requests.post(sim.url + "/_sim/fault", json=bad, timeout=30)
        assert answer.status_code == (200 if bad == [] else 400), bad
    assert requests.post(sim.url + "/_sim/fault", data="{", timeout=30).status_code == 400


def test_faults_of_the_command_line(make_sim):
    sim = make_sim("--fault", "sk-a:status=500,delay_ms=1", "--fault", "sk-b:retry_after=7,status=429")
    assert post(sim).status_code == 500
    assert post(sim, key="sk-b").headers["retry-after"] == "7"


def test_tls(make_sim, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
                    "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    sim = make_sim("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    sim.fault("sk-a", chunks=50, chunk_bytes=16000)  # more than one TLS record and one socket buffer
    answer = post(sim, body={**CHAT, "stream": True}, verify=str(tmp_path / "cert.pem"))
    assert events(answer)[-1] == "[DONE]" and len(answer.content) > 800000
    with socket.create_connection(("127.0.0.1", sim.port), timeout=30) as s:
        s.sendall(b"GET / HTTP/1.1\r\n\r\n")  # no TLS at all
        try:
            while s.recv(1000):
                pass
        except ConnectionError:
            pass
    context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    with context.wrap_socket(socket.create_connection(("127.0.0.1", sim.port)), server_hostname="127.0.0.1") as s:
        s.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(12) == b"HTTP/1.1 200"


def test_workers_share_a_port(make_sim):
    sim = make_sim("--workers", "3", "--fault", "sk-a:status=429")
    assert {post(sim, key=f"k{i}").status_code for i in range(20)} == {200}
    assert post(sim).status_code == 429
    assert requests.get(sim.url + "/_sim/stats", timeout=30).status_code == 409


def test_slow_reader_of_a_long_stream(sim):
    """More than the socket buffers hold: the simulator waits for the reader instead of collecting it all."""
    sim.fault(chunks=3000, chunk_bytes=8000)
    with post(sim, body={**CHAT, "stream": True}, stream=True) as answer:
        total = sum(len(piece) for piece in answer.iter_content(4096))
    assert total > 24_000_000


def test_broken_requests_do_no_harm(sim):
    """Requests with random damage; afterwards it must answer as ever and have nothing open."""
    rnd = random.Random(7)
    body = json.dumps({**CHAT, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 3}).encode()
    good = [
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: %d\r\n\r\n"
        % len(body) + body,
        b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"inp\r\n1\r\n\"\r\n0\r\n\r\n",
        b"POST /openai/deployments/d/chat/completions?api-version=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /_sim/fault HTTP/1.1\r\nHost: x\r\nContent-Length: 27\r\n\r\n{\"key\":\"k\",\"cut_after\":2   }",
        b"GET /_sim/requests?n=%41&key=%2 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"DELETE /_sim/fault HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    tokens = [b"\r\n", b"\0", b"\xff", b'"', b"\\", b"{", b"[", b"]", b"}", b",", b":", b" ", b"0", b"99999999999999999"]

    def damaged():
        data = bytearray(rnd.choice(good) + rnd.choice(good))
        for _ in range(rnd.randrange(4)):
            at = rnd.randrange(len(data))
            how = rnd.randrange(3)
            if how == 0:
                data[at:at + rnd.randrange(9)] = b""
            elif how == 1:
                data[at:at] = rnd.choice(tokens)
            else:
                data[at] = rnd.randrange(256)
        return bytes(data)

    def one(data):
        with socket.create_connection(("127.0.0.1", sim.port), timeout=30) as s:
            try:
                for at in range(0, len(data), 100):
                    s.sendall(data[at:at + 100])
                if rnd.random() < 0.5:
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(65536):
                        pass
            except OSError:  # it closed first, as it may
                pass

    for _ in range(100):
        threads = [threading.Thread(target=one, args=(damaged(),)) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    sim.clear()
    assert post(sim).status_code == 200
    wait_until(lambda: sim.stats()["requests"]["open"] == 0)
    sim.requests()
