"""Realtime sessions: WebSocket from a client through the gateway to an upstream."""

import asyncio
import json
import os
import socket
import struct
import subprocess
import time

import pytest
import websockets

import paths
from daemon import deployment
from raw import Raw
from waiting import wait_until

ADMIN = {"Authorization": "Bearer sk-admin"}
INFO = {"mode": "realtime"}


def realtime(sim, key="sk-a", group="voice", **params):
    return deployment(group, sim, key=key, model=params.pop("model", "gpt-realtime"), info=INFO, **params)


def config(*models, settings=None, **general):
    return {"model_list": list(models), "general_settings": {"master_key": "sk-admin", **general},
            "hale_settings": settings or {}, "router_settings": {"num_retries": 2, "retry_after": 0}}


def connect(daemon, model="voice", headers=ADMIN, path="/v1/realtime", query="", **args):
    args.setdefault("compression", None)
    args.setdefault("max_size", 64 << 20)
    return websockets.connect(f"ws://127.0.0.1:{daemon.port}{path}?model={model}{query}", extra_headers=headers,
                              open_timeout=30, **args)


async def event(ws):
    return json.loads(await asyncio.wait_for(ws.recv(), 30))


async def respond(ws):
    """One response.create and the types of the events that answer it."""
    await ws.send(json.dumps({"type": "response.create"}))
    types = []
    while not types or types[-1] != "response.done":
        types.append((await event(ws))["type"])
    return types


def health_of(daemon):
    return daemon.get("/health", headers=ADMIN, timeout=60).json()


# -- a session ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/realtime", "/realtime", "/openai/v1/realtime"])
def test_session(hale, sim, path):
    daemon = hale(config(realtime(sim)))

    async def talk():
        async with connect(daemon, path=path, query="&intent=transcription&x=%20y") as ws:
            created = await event(ws)
            assert created["type"] == "session.created" and created["session"]["model"] == "gpt-realtime"
            assert await respond(ws) == ["response.created", *["response.output_text.delta"] * 3, "response.done"]
            await ws.send(json.dumps({"type": "session.update"}))
            assert (await event(ws))["type"] == "session.updated"
            await asyncio.wait_for(await ws.ping(), 30)
            assert ws.response_headers["x-litellm-model-id"]
        assert ws.close_code == 1000

    asyncio.run(talk())
    (request,) = sim.requests(key="sk-a")
    assert request["path"] + "?" + request["query"] == "/v1/realtime?model=gpt-realtime&intent=transcription&x=%20y"
    headers = {k.lower(): v for k, v in request["headers"].items()}
    assert headers["authorization"] == "Bearer sk-a" and "openai-beta" not in headers and "origin" not in headers
    wait_until(lambda: sim.stats()["keys"]["sk-a"]["open"] == 0, 20, "the upstream's session to end")


def test_query_belongs_to_the_gateway(hale, sim):
    """No parameter of the client chooses another model, deployment, version or key, however it is spelt."""
    daemon = hale(config(realtime(sim, provider="azure", api_version="2025-04-01-preview")))

    async def talk():
        query = "&deployment=other&api-version=9&api-key=x&m%6fdel=other&MODEL=other&Deployment=x&key=y&ok=1&ok2"
        async with connect(daemon, query=query) as ws:
            assert (await event(ws))["type"] == "session.created"

    asyncio.run(talk())
    assert sim.requests(key="sk-a")[0]["query"] == "api-version=2025-04-01-preview&deployment=gpt-realtime&ok=1&ok2"


def test_keys(hale, sim):
    """The key in any header, or as browsers must send it: as a subprotocol, which goes no further."""
    daemon = hale(config(realtime(sim)))

    async def browser(key):
        async with connect(daemon, headers={}, subprotocols=["realtime", f"openai-insecure-api-key.{key}",
                                                             "openai-beta.realtime-v1"]) as ws:
            assert ws.subprotocol == "realtime"
            return (await event(ws))["type"]

    async def header(headers):
        async with connect(daemon, headers=headers) as ws:
            return (await event(ws))["type"]

    assert asyncio.run(browser("sk-admin")) == "session.created"
    headers = {k.lower(): v for k, v in sim.requests(key="sk-a")[-1]["headers"].items()}
    assert headers["openai-beta"] == "realtime=v1" and "sec-websocket-protocol" not in headers
    assert "sk-admin" not in str(headers)
    for headers in (ADMIN, {"api-key": "sk-admin"}, {"x-api-key": "sk-admin"}):
        assert asyncio.run(header(headers)) == "session.created"
    for attempt in (browser("sk-wrong"), header({}), header({"Authorization": "Bearer sk-wrong"})):
        with pytest.raises(websockets.InvalidStatusCode) as refused:
            asyncio.run(attempt)
        assert refused.value.status_code == 401
    assert "sk-admin" not in daemon.log and "sk-wrong" not in daemon.log
    assert sim.count("sk-a") == 4


def test_beta_of_the_client(hale, sim):
    """The beta's header is the client's to send, unless the configuration has its own."""
    daemon = hale(config(realtime(sim), realtime(sim, key="sk-b", group="other", extra_headers={"OpenAI-Beta": "own"})))

    async def talk(model):
        async with connect(daemon, model=model, headers={**ADMIN, "OpenAI-Beta": "realtime=v1"}) as ws:
            await event(ws)

    def seen(key):
        return {k.lower(): v for k, v in sim.requests(key=key)[0]["headers"].items()}["openai-beta"]

    asyncio.run(talk("voice"))
    asyncio.run(talk("other"))
    assert (seen("sk-a"), seen("sk-b")) == ("realtime=v1", "own")


def test_compression_is_between_the_ends(hale, sim):
    """The offer goes to the upstream as it is; one that does not take it leaves the client without."""
    daemon = hale(config(realtime(sim)))

    async def talk():
        async with connect(daemon, compression="deflate") as ws:
            assert (await event(ws))["type"] == "session.created"
            assert ws.extensions == []

    asyncio.run(talk())
    assert "permessage-deflate" in str(sim.requests(key="sk-a")[0]["headers"])


# -- refused handshakes ------------------------------------------------------------------------------------------

GOOD = {"Host": "hale", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Authorization": "Bearer sk-admin"}


def handshake(target="/v1/realtime?model=voice", method="GET", **changes):
    headers = {**GOOD, **{k.replace("_", "-"): v for k, v in changes.items()}}
    return "\r\n".join([f"{method} {target} HTTP/1.1", *[f"{k}: {v}" for k, v in headers.items() if v is not None], "", ""])


@pytest.mark.parametrize("status,code,text", [
    (426, "upgrade_required", handshake(Upgrade=None, Connection=None)),
    (426, "upgrade_required", handshake(Upgrade="h2c")),
    (426, "upgrade_required", handshake(Connection="keep-alive")),
    (426, "upgrade_required", handshake(Sec_WebSocket_Version="8")),
    (426, "upgrade_required", handshake(Sec_WebSocket_Version=None)),
    (400, "bad_handshake", handshake(Sec_WebSocket_Key=None)),
    (400, "bad_handshake", handshake(Sec_WebSocket_Key="short")),
    (400, "bad_handshake", handshake(Content_Length="2") + "{}"),
    (400, "missing_required_parameter", handshake("/v1/realtime")),
    (400, "missing_required_parameter", handshake("/v1/realtime?model=")),
    (400, "model_not_found", handshake("/v1/realtime?model=nobody")),
    (400, "unsupported_mode", handshake("/v1/realtime?model=claude")),
    (405, "method_not_allowed", handshake(method="POST", Content_Length="0")),
    (401, "401", handshake(Authorization=None)),
])
def test_bad_handshakes(hale, sim, status, code, text):
    daemon = hale(config(realtime(sim), deployment("claude", sim, provider="anthropic", model="claude-x")), workers=1)
    with Raw(daemon.port) as c:
        answer = c.send(text).answer()
        assert answer.status == status and answer.error()["code"] == code, answer.body
        if status == 426:
            assert answer.headers["upgrade"] == "websocket" and answer.headers["sec-websocket-version"] == "13"
        assert c.send(handshake()).head()[0] == 101, "the connection is still good for a proper one"


# -- choosing ----------------------------------------------------------------------------------------------------

FAULTS = {
    "401": {"status": 401},
    "429": {"status": 429},
    "500": {"status": 500},
    "200": {"status": 200, "body": "hello"},
    "reset": {"reset": True},
    "garbage": {"garbage": True},
    "hang": {"hang": "before_head"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_failover(hale, sim, fault):
    """A handshake that fails before 101 is another deployment's chance, and the client does not notice."""
    sim.fault("sk-a", **FAULTS[fault])
    daemon = hale(config(realtime(sim), realtime(sim, key="sk-b"), settings={"first_byte_timeout_ms": 1000}))

    async def talk():
        async with connect(daemon) as ws:
            await event(ws)
            return int(ws.response_headers["x-litellm-attempted-retries"])

    retries = []
    while len(retries) < 4 or sim.count("sk-a") == 0:
        assert len(retries) < 64, "the choice is random, but not that unfair"
        retries.append(asyncio.run(talk()))
    assert sim.count("sk-b") == len(retries)
    assert sum(retries) == sim.count("sk-a")


@pytest.mark.parametrize("members,status,code", [
    ({"status": 401}, 401, "invalid_api_key"),
    ({"status": 404}, 404, "model_not_found"),
    ({"status": 429, "retry_after": "7"}, 429, "rate_limit_exceeded"),
    ({"status": 503, "body": "<html>away</html>"}, 503, "503"),
    ({"status": 302}, 502, "upstream_bad_answer"),
    ({"reset": True}, 502, "upstream_bad_answer"),
])
def test_refused_by_the_upstream(hale, sim, members, status, code):
    sim.fault("sk-a", **members)
    daemon = hale({**config(realtime(sim)), "router_settings": {"num_retries": 0}})
    with Raw(daemon.port) as c:
        answer = c.send(handshake()).answer()
        assert answer.status == status and answer.error()["code"] == code, answer.body
        assert answer.headers.get("retry-after") == members.get("retry_after")
        assert answer.headers["x-litellm-model-id"]


def test_no_upstream(hale, sim):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    daemon = hale({**config(realtime(f"http://127.0.0.1:{port}/v1")), "router_settings": {"num_retries": 0}})
    with Raw(daemon.port) as c:
        answer = c.send(handshake()).answer()
        assert answer.status == 502 and answer.error()["code"] == "upstream_connect_error"


PROXY = "http://user:secret9pass@127.0.0.1:1"


def test_a_proxy_is_not_gone_around(hale, sim):
    """Said when the file is read and to the client; nothing goes to the upstream, and nothing to the proxy."""
    behind = realtime(sim)
    behind["model_info"] = {**INFO, "proxy": PROXY}
    daemon = hale({**config(behind), "router_settings": {"num_retries": 0}})
    assert "mode: realtime sessions do not go through a proxy, and this deployment has one" in daemon.log
    with Raw(daemon.port) as c:
        answer = c.send(handshake()).answer()
        assert answer.status == 400 and answer.error()["code"] == "unsupported_mode", answer.body
        assert "sessions do not go through a proxy" in answer.error()["message"]
    (entry,) = health_of(daemon)["unhealthy_endpoints"]
    assert (entry["state"], entry["reason"]) == ("unknown", "no_probe")
    assert sim.count("sk-a") == 0 and "secret9pass" not in daemon.log


def test_who_has_no_proxy_is_asked(hale, sim):
    behind = realtime(sim)
    behind["model_info"] = {**INFO, "proxy": PROXY}
    daemon = hale({**config(behind, behind, realtime(sim, key="sk-b")), "router_settings": {"num_retries": 0}})

    async def talk():
        async with connect(daemon) as ws:
            return (await event(ws))["type"]

    for _ in range(8):
        assert asyncio.run(talk()) == "session.created"
    assert (sim.count("sk-a"), sim.count("sk-b")) == (0, 8)


def test_the_only_one_without_a_proxy_is_sick(hale, sim):
    """Behind a proxy is not an alternative: the sick one is asked, as the last that is left."""
    sim.fault("sk-b", status=500)
    behind = realtime(sim)
    behind["model_info"] = {**INFO, "proxy": PROXY}
    daemon = hale({**config(behind, realtime(sim, key="sk-b"), background_health_checks=True, health_check_interval=300,
                            enable_health_check_routing=True), "router_settings": {"num_retries": 1, "retry_after": 0}})
    daemon.wait_log(r"-> unhealthy reason=server_error")
    with Raw(daemon.port) as c:
        answer = c.send(handshake()).answer()
        assert answer.status == 500 and "proxy" not in answer.error()["message"], answer.body
    sim.clear()
    with Raw(daemon.port) as c:
        assert c.send(handshake()).head()[0] == 101
    assert sim.count("sk-a") == 0


def test_health_decides(hale, sim):
    """What a probe found behind 101 (OpenAI looks at keys only then) keeps sessions away from that deployment."""
    sim.fault("sk-a", error_event="invalid_api_key")
    daemon = hale(config(realtime(sim), realtime(sim, key="sk-b"), background_health_checks=True,
                         health_check_interval=300, enable_health_check_routing=True))
    daemon.wait_log(r"-> unhealthy reason=unauthorized")
    wait_until(lambda: health_of(daemon)["healthy_count"] == 1, 20, "both verdicts")
    before = sim.count("sk-a")

    async def talk():
        async with connect(daemon) as ws:
            return (await event(ws))["type"]

    for _ in range(6):
        assert asyncio.run(talk()) == "session.created"
    assert sim.count("sk-a") == before


# -- bytes -------------------------------------------------------------------------------------------------------


@pytest.fixture
def tls(make_sim, tmp_path):
    """A simulator behind TLS and the certificate that vouches for it."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=llmsim", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out",
                    str(cert)], check=True, capture_output=True)
    return make_sim("--tls-cert", str(cert), "--tls-key", str(key)), cert


def test_tls_is_verified(hale, tls):
    sim, cert = tls
    models = [realtime(sim), realtime(sim, key="sk-b", group="careless", ssl_verify=False)]
    known, unknown = hale(config(*models), env={"SSL_CERT_FILE": str(cert)}), hale(config(*models))

    async def talk(daemon, model):
        async with connect(daemon, model=model) as ws:
            return (await event(ws))["type"]

    assert asyncio.run(talk(known, "voice")) == "session.created"
    assert asyncio.run(talk(unknown, "careless")) == "session.created"
    with pytest.raises(websockets.InvalidStatusCode) as refused:
        asyncio.run(talk(unknown, "voice"))
    assert refused.value.status_code == 502 and sim.count("sk-a") == 1


@pytest.mark.parametrize("secure", [False, True])
def test_big_messages_both_ways(hale, sim, tls, secure):
    """8 MiB there and back, in frames of many sizes at once, byte for byte."""
    upstream, cert = tls if secure else (sim, "/dev/null")
    daemon = hale(config(realtime(upstream)), env={"SSL_CERT_FILE": str(cert)})
    sizes = [0, 1, 125, 126, 65535, 65536, 300000, 4 << 20, 4 << 20]

    async def talk():
        async with connect(daemon, ping_interval=None) as ws:
            await event(ws)
            blobs = [os.urandom(n) for n in sizes]

            async def send():
                for blob in blobs:
                    await ws.send(blob)

            sender = asyncio.create_task(send())
            for blob in blobs:
                assert await asyncio.wait_for(ws.recv(), 60) == blob
            await sender

    asyncio.run(talk())


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(next(line.split()[1] for line in f if line.startswith("VmRSS")))


@pytest.mark.parametrize("secure", [False, True])
def test_slow_reader(hale, sim, tls, secure):
    """A client that does not read pauses its upstream: the gateway holds client_buffer_bytes_max and no more."""
    upstream, cert = tls if secure else (sim, "/dev/null")
    upstream.fault("sk-a", chunks=4000, chunk_bytes=16000)  # 64 MB of events
    daemon = hale(config(realtime(upstream), settings={"client_buffer_bytes_max": 262144}), workers=1,
                  env={"SSL_CERT_FILE": str(cert)})
    (worker,) = daemon.pids("worker")
    before = rss_kib(worker)
    with Raw(daemon.port, timeout=60) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        assert c.send(handshake()).head()[0] == 101
        text = b'{"type":"response.create"}'
        c.send(b"\x81" + bytes([0x80 | len(text)]) + b"\0\0\0\0" + text)
        total = most = 0
        while total < 64_000_000:
            if total < 1_000_000:  # as slow as it gets: the upstream is far ahead by now
                time.sleep(0.02)
            data = c.sock.recv(65536)
            assert data
            total += len(data)
            most = max(most, rss_kib(worker) - before)
    if not paths.SANITIZED:
        assert most < 6000, "64 MB passed, a part of one was here at a time"


def test_slow_upstream(hale, sim):
    """The other way: an upstream that stopped reading stops the client, not the gateway's memory."""
    sim.fault("sk-a", stall_after=1)
    daemon = hale(config(realtime(sim), settings={"client_buffer_bytes_max": 262144}), workers=1)
    (worker,) = daemon.pids("worker")
    before = rss_kib(worker)
    with Raw(daemon.port) as c:
        assert c.send(handshake()).head()[0] == 101
        c.until(b"session.created")
        c.sock.settimeout(2)
        frame = b"\x82\xff" + struct.pack(">Q", 1 << 30) + b"\0\0\0\0"
        sent = 0
        with pytest.raises(TimeoutError):
            sent += c.sock.send(frame)
            while sent < 256 << 20:
                sent += c.sock.send(b"x" * 65536)
        assert sent < 64 << 20
        if not paths.SANITIZED:
            assert rss_kib(worker) - before < 6000


# -- ends --------------------------------------------------------------------------------------------------------


def test_client_gone(hale, sim):
    """A client that vanishes takes its session at the upstream with it; nothing is left behind."""
    daemon = hale(config(realtime(sim)))

    async def vanish():
        ws = await connect(daemon)
        await event(ws)
        sock = ws.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ws.transport.abort()

    async def all_of_them():
        await asyncio.gather(*[vanish() for _ in range(20)])

    asyncio.run(all_of_them())
    wait_until(lambda: sim.stats()["keys"]["sk-a"]["open"] == 0, 20, "20 sessions to end")


def test_client_gone_in_the_handshake(hale, sim):
    sim.fault("sk-a", hang="before_head")
    daemon = hale(config(realtime(sim)))
    with Raw(daemon.port) as c:
        c.send(handshake())
        wait_until(lambda: sim.count("sk-a") == 1, 20, "the handshake to reach the upstream")
    wait_until(lambda: sim.stats()["keys"]["sk-a"]["open"] == 0, 20, "the handshake to be dropped")
    assert "attempt failed" not in daemon.log, "that is nobody's failure"


@pytest.mark.parametrize("members,code,reason", [
    ({"close_code": 4001, "error_event": "session_expired"}, 4001, "session_expired"),
    ({"error_event": "invalid_api_key"}, 4000, "invalid_request_error.invalid_api_key"),
    ({"cut_after": 1}, 1006, ""),
    ({"cut_after": 1, "reset": True}, 1006, ""),
])
def test_upstream_ends(hale, sim, members, code, reason):
    """What the upstream says last reaches the client, and then the end does."""
    sim.fault("sk-a", **members)
    daemon = hale(config(realtime(sim)))

    async def talk():
        async with connect(daemon) as ws:
            try:
                while True:
                    await event(ws)
                    if "cut_after" in members:
                        await ws.send(json.dumps({"type": "session.update"}))
            except websockets.ConnectionClosed:
                pass
        return ws.close_code, ws.close_reason

    assert asyncio.run(talk()) == (code, reason)


def test_idle(hale, sim):
    """Silence in both directions ends a session, with a reason; pings are no silence."""
    daemon = hale(config(realtime(sim), settings={"realtime_idle_timeout_ms": 1500}))

    async def silent():
        async with connect(daemon, ping_interval=None) as ws:
            await event(ws)
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(ws.recv(), 30)
            return ws.close_code, ws.close_reason

    async def pinging():
        async with connect(daemon, ping_interval=0.3) as ws:
            await event(ws)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ws.recv(), 4)
            return (await respond(ws))[-1]

    async def both():
        return await asyncio.gather(silent(), pinging())

    (code, reason), last = asyncio.run(both())
    assert code == 1001 and "realtime_idle_timeout_ms" in reason
    assert last == "response.done"
    wait_until(lambda: sim.stats()["keys"]["sk-a"]["open"] == 0, 20, "both sessions to end")


def test_bound_on_sessions(hale, sim):
    daemon = hale(config(realtime(sim), settings={"realtime_sessions_max": 2}), workers=1)

    async def talk():
        async with connect(daemon) as one, connect(daemon) as two:
            await event(one)
            await event(two)
            with pytest.raises(websockets.InvalidStatusCode) as refused:
                await connect(daemon)
            assert refused.value.status_code == 503
        for _ in range(200):
            try:
                async with connect(daemon) as three:
                    return (await event(three))["type"]
            except websockets.InvalidStatusCode:
                await asyncio.sleep(0.05)

    assert asyncio.run(talk()) == "session.created"


def test_drain(hale, sim):
    """A daemon that ends lets sessions go on for the time of the drain, then says that it goes away."""
    daemon = hale(config(realtime(sim), settings={"drain_timeout_ms": 1500}))

    async def talk():
        async with connect(daemon) as ws:
            await event(ws)
            daemon.process.terminate()
            await asyncio.to_thread(daemon.wait_log, r"drain|stop|terminat")
            assert (await respond(ws))[-1] == "response.done"
            with pytest.raises(websockets.ConnectionClosed):
                while True:
                    await event(ws)
            return ws.close_code, ws.close_reason

    assert asyncio.run(talk()) == (1001, "the gateway is shutting down")
    assert daemon.wait_exit() == 0
    assert "killed" not in daemon.log


def test_reload_keeps_sessions(hale, sim):
    """A reload replaces the workers; a session stays with its old one while that drains."""
    daemon = hale(config(realtime(sim), settings={"drain_timeout_ms": 20000}))

    async def talk():
        async with connect(daemon) as ws:
            await event(ws)
            assert await asyncio.to_thread(daemon.reload) == "done"
            assert (await respond(ws))[-1] == "response.done"
            async with connect(daemon) as new:
                await event(new)
        return ws.close_code

    assert asyncio.run(talk()) == 1000


def test_many_at_once(hale, sim):
    """200 sessions, each with its own answers; no descriptor is left when they are over."""
    daemon = hale(config(realtime(sim), realtime(sim, key="sk-b"), settings={"realtime_sessions_max": 500}))

    def descriptors():
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in daemon.pids("worker"))

    async def talk():
        async with connect(daemon) as ws:
            await event(ws)
            for _ in range(3):
                await respond(ws)
            return True

    async def all_of_them(n):
        return await asyncio.gather(*[talk() for _ in range(n)])

    asyncio.run(all_of_them(4))
    wait_until(lambda: not any(k["open"] for k in sim.stats()["keys"].values()), 20, "the first sessions to end")
    before = descriptors()
    assert all(asyncio.run(all_of_them(200)))
    wait_until(lambda: descriptors() <= before + 2, 20, "200 sessions to be closed")
