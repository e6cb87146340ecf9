"""The scenarios. A plain one is a Shape that every candidate gets in turn; a special one is a function of its own."""

from dataclasses import dataclass, field

from load import Shape

THROUGHPUT = ["cpu_us_per_request", "rps", "p50", "p99", "rss_kib", "failed"]
LATENCY = ["cpu_us_per_request", "p50", "p90", "p99", "p99.9", "failed"]
STREAM = ["cpu_us_per_event", "first_p50", "first_p99", "gap_p50", "gap_p99", "rss_kib", "failed"]


@dataclass
class Scenario:
    name: str
    text: str
    shape: Shape
    columns: list = field(default_factory=lambda: THROUGHPUT)
    saturated: bool = True
    fault: dict = field(default_factory=dict)  # of the simulator, for every key
    only: tuple = ()                           # candidates that can do this; empty: all
    seconds: float = 0                         # at least so long: long enough for whole streams
    tls: bool = False                          # to the upstream
    added: bool = False                        # show latency above direct


PLAIN = [
    Scenario("chat-1", "600 B chat, 1 connection, closed loop.", Shape(1), saturated=False, added=True),
    Scenario("chat-64", "600 B chat, 64 kept connections, closed loop.", Shape(64)),
    Scenario("chat-1000", "600 B chat, 1,000 kept connections, closed loop.", Shape(1000)),
    Scenario("chat-2000rps", "600 B chat at a constant 2,000 requests a second over 64 connections.", Shape(64, rate=2000),
             LATENCY, False, added=True),
    Scenario("prompt-64k", "64 KiB prompt, 64 connections.", Shape(64, content_bytes=64 << 10)),
    Scenario("prompt-1m", "1 MiB prompt, 16 connections.", Shape(16, content_bytes=1 << 20)),
    Scenario("sse-asap", "Streams of 100 events of 200 B as fast as possible, 64 at once.", Shape(64, stream=True), STREAM,
             fault={"chunks": 100, "chunk_bytes": 1}),
    Scenario("sse-200", "200 streams of 100 events, 10 ms apart.", Shape(200, stream=True), STREAM, False,
             fault={"chunks": 100, "chunk_bytes": 1, "chunk_delay_ms": 10}, seconds=4),
    Scenario("sse-2000", "2,000 streams of 100 events, 100 ms apart.", Shape(2000, stream=True), STREAM, False,
             fault={"chunks": 100, "chunk_bytes": 1, "chunk_delay_ms": 100}, seconds=22),
    Scenario("sse-200-1ms", "200 streams of 100 events, 1 ms apart: more than a core can pass on.", Shape(200, stream=True),
             STREAM, fault={"chunks": 100, "chunk_bytes": 1, "chunk_delay_ms": 1}, seconds=4),
    Scenario("sse-2000-1ms", "2,000 streams of 100 events, 1 ms apart: the same, tenfold.", Shape(2000, stream=True),
             STREAM, fault={"chunks": 100, "chunk_bytes": 1, "chunk_delay_ms": 1}, seconds=10),
    Scenario("unauthorized", "Requests with a wrong key, refused with 401 by hale itself.",
             Shape(64, key="sk-wrong", expect=4), only=("hale",)),
    Scenario("tls-64", "600 B chat, 64 connections, TLS to the upstream.", Shape(64), tls=True,
             only=("nginx", "haproxy", "hale")),
]
