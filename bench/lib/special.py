"""Scenarios that are more than one load on every candidate: hale's own promises, measured."""

import contextlib
import os
import pathlib
import signal
import threading
import time

import candidates
import load
from load import Shape
from processes import cpu_us, rss_kib


@contextlib.contextmanager
def hale(bench, **start):
    one = candidates.Hale(bench.build, bench.cpus_proxy)
    try:
        one.start(bench.sim.port, **start)
        yield one
    finally:
        one.stop()
        bench.sim.fault()


def title(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode().strip()
    except OSError:
        return ""


def probers(one):
    return [pid for pid in one.pids() if title(pid) == "hale: prober"]


def section(name, text, rows, head):
    lines = [f"### {name}", "", text, "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(f"{c:,.1f}" if isinstance(c, float) else str(c) for c in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def failover(bench):
    """Two deployments; the first answers 500, or refuses connections: what the detour costs."""
    rows = []
    for kind in ("healthy", "status 500", "refused"):
        base = f"http://127.0.0.1:{bench.sim.port}/v1"
        bad = "http://127.0.0.1:9/v1" if kind == "refused" else base
        whole = {"model_list": [
            {"model_name": "bench", "litellm_params": {"model": "openai/gpt-4o", "api_base": bad, "api_key": "sk-sick", "weight": 1}},
            {"model_name": "bench", "litellm_params": {"model": "openai/gpt-4o", "api_base": base, "api_key": "sk-well", "weight": 0}}],
            "general_settings": {"master_key": candidates.KEY}}
        if kind == "status 500":
            bench.sim.fault(key="sk-sick", status=500)
        with hale(bench, whole=whole) as one:
            got = load.run(bench, one, Shape(64), bench.seconds)
        rows.append((kind, got["cpu_us_per_request"], got["rps"], got["p50"], got["p99"], got["failed"]))
    return rows, section("failover", "Two deployments, all weight on the first; requests that fail there are answered by the second.",
                         rows, ["first deployment", "CPU µs/req", "req/s", "p50 µs", "p99 µs", "failed"])


def health_while_saturated(bench):
    """Liveness and /health with 1,000 deployments while chats saturate the worker."""
    rows = []
    probing = {"general_settings": {"background_health_checks": True, "health_check_interval": 300}}
    with hale(bench, groups=1000, extra=probing) as one:
        for path, connections, rate in (("/health/liveliness", 32, 200), ("/health", 8, 20)):
            chats = threading.Thread(target=load.run, args=(bench, one, Shape(64), bench.seconds + 1))
            chats.start()
            got = load.run(bench, one, Shape(connections, rate=rate, get=path), bench.seconds)
            chats.join()
            rows.append((path, got["p50"], got["p99"], got["p99.9"], got["failed"]))
    return rows, section("health-saturated", "1,000 deployments, 64 connections of chats keep the one worker busy.", rows,
                         ["path", "p50 µs", "p99 µs", "p99.9 µs", "failed"])


def disturbed(bench):
    """Latency of requests at a constant rate while something happens inside the daemon."""
    rows = []
    quiet = {"general_settings": {"background_health_checks": False}}
    probing = {"general_settings": {"background_health_checks": True, "health_check_interval": 5}}

    def killer(one):
        for pid in probers(one):  # none while the last one killed is not replaced yet
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def hup(one):
        one.process.popen.send_signal(signal.SIGHUP)

    for name, extra, groups, act in (("nothing", quiet, 1, None), ("10,000 deployments probed in 5 s", probing, 10000, None),
                                     ("SIGHUP each 0.3 s", quiet, 100, hup), ("prober killed each 0.3 s", probing, 100, killer)):
        with hale(bench, extra=extra, groups=groups) as one:
            over = threading.Event()

            def disturb():
                while not over.wait(0.3):
                    act(one)

            thread = threading.Thread(target=disturb) if act else None
            if thread:
                thread.start()
            try:
                got = load.run(bench, one, Shape(64, rate=1000), bench.seconds)
            finally:
                over.set()
                if thread:
                    thread.join()
        rows.append((name, got["p50"], got["p99"], got["p99.9"], got["failed"]))
    return rows, section("disturbed", "600 B chats at 1,000 requests a second over 64 connections while …", rows,
                         ["what happens", "p50 µs", "p99 µs", "p99.9 µs", "failed"])


def vm_rss_kib(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def memory(bench):
    """Idle memory by process and deployments; memory per open stream."""
    rows = []
    for deployments in (1, 1000, 10000):
        with hale(bench, groups=deployments) as one:
            for pid in sorted(one.pids()):
                if title(pid).startswith("hale:"):
                    rows.append((deployments, title(pid), vm_rss_kib(pid), rss_kib([pid])))
    with hale(bench) as one:
        bench.sim.fault(key="*", chunks=1000, chunk_bytes=1, chunk_delay_ms=1000)
        before = rss_kib(one.pids())
        thread = threading.Thread(target=load.run, args=(bench, one, Shape(1000, stream=True), 4))
        thread.start()
        time.sleep(3)
        rows.append((1, "one of 1,000 open streams", "–", (rss_kib(one.pids()) - before) / 1000))
        thread.join()
    return rows, section("memory", "Idle, one worker.", rows, ["deployments", "process", "RSS KiB", "PSS KiB"])


def growth(bench):
    """Cost of a request as the group and the configuration grow; start to ready."""
    rows = []
    for deployments, groups in ((1, 1), (10, 1), (100, 1), (1000, 1), (10000, 1), (1, 10), (1, 100), (1, 1000)):
        with hale(bench, deployments=deployments, groups=groups) as one:
            got = load.run(bench, one, Shape(64), bench.seconds)
            rows.append((deployments, groups, got["cpu_us_per_request"], got["p50"], one.start_ms))
    return rows, section("growth", "600 B chats over 64 connections; start to ready as the master reports it.", rows,
                         ["deployments in the group", "groups", "CPU µs/req", "p50 µs", "start ms"])


def idle_probing(bench):
    """CPU of the prober when 10,000 deployments are probed each 60 s."""
    extra = {"general_settings": {"background_health_checks": True, "health_check_interval": 60}}
    with hale(bench, groups=10000, extra=extra) as one:
        time.sleep(2)
        pids = probers(one)
        before = cpu_us(pids)
        seconds = 60  # one interval, whatever --seconds says
        time.sleep(seconds)
        share = (cpu_us(pids) - before) / 1e4 / seconds
    rows = [("10,000", "60 s", share)]
    return rows, section("probing", "The prober's share of one processor.", rows, ["deployments", "interval", "% of a core"])


def verdict(bench):
    """How soon a verdict counts: a probe on demand from the worker's question to the worker's answer."""
    rows = []
    with hale(bench) as one:
        got = load.run(bench, one, Shape(1, get="/health?model=bench"), bench.seconds)
        rows.append(("question, probe, verdict in the table, read by the worker, answer", got["p50"], got["p99"], got["failed"]))
        got = load.run(bench, one, Shape(1), bench.seconds)
        rows.append(("a relayed chat, for comparison", got["p50"], got["p99"], got["failed"]))
    return rows, section("verdict", "One connection, one deployment; both contain one request to the same upstream.", rows,
                         ["way", "p50 µs", "p99 µs", "failed"])


ALL = {"verdict": verdict, "failover": failover, "health-saturated": health_while_saturated, "disturbed": disturbed, "memory": memory,
       "growth": growth, "probing": idle_probing}
