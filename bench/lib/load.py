"""One measured run: load from loadgen, CPU from the kernel's accounting of everybody involved."""

import json
import subprocess
import tempfile
from dataclasses import dataclass

from candidates import KEY
from processes import cpu_us, rss_kib

CHAT = {"messages": [{"role": "user", "content": "x" * 480}], "temperature": 0.5}


@dataclass
class Shape:
    """What is sent and how."""

    connections: int = 64
    rate: float = 0        # 0: closed loop
    stream: bool = False
    content_bytes: int = 480
    get: str = ""          # a GET path instead of a chat
    key: str = KEY
    expect: int = 2        # class of the status that counts as done


def body(model, shape):
    chat = {"model": model, **CHAT, "messages": [{"role": "user", "content": "x" * shape.content_bytes}]}
    if shape.stream:
        chat["stream"] = True
    return json.dumps(chat).encode()


def command(loadgen, candidate, shape, seconds, warmup, file):
    out = [str(loadgen), "-c", str(shape.connections), "-d", str(seconds), "-w", str(warmup), "-e", str(shape.expect)]
    if shape.rate:
        out += ["-r", str(shape.rate)]
    if shape.stream:
        out.append("-s")
    for header in candidate.headers(shape.key):
        out += ["-H", header]
    if not shape.get:
        out += ["-b", file]
    return out + [str(candidate.port), shape.get or candidate.path]


def run(bench, candidate, shape, seconds, warmup=0.5):
    """Figures of one run as a flat dict; "limit" says who was the bottleneck when it was not the candidate."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body(candidate.model, shape))
        file.flush()
        argv = command(bench.loadgen, candidate, shape, seconds, warmup, file.name)
        if bench.cpus_load:
            argv = ["taskset", "-c", bench.cpus_load, *argv]
        pids, sim = candidate.pids(), bench.sim.pids()
        before, sim_before = cpu_us(pids), cpu_us(sim)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + warmup + 60)
        used, sim_used = cpu_us(pids) - before, cpu_us(sim) - sim_before
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"{candidate.name}: loadgen failed ({done.returncode}): {done.stderr}")
    got = json.loads(done.stdout)
    return figures(got, used, sim_used, rss_kib(pids), seconds + warmup, shape)


def figures(got, used, sim_used, rss, wall, shape):
    share = got["seconds"] / wall  # CPU was taken over the warm-up too
    requests = max(1, got["requests"]) / share
    events = got["events"] / share
    out = {"requests": got["requests"], "rps": got["rps"], "cpu_us_per_request": used / requests,
           "failed": got["failed_connect"] + got["failed_status"] + got["failed_cut"], "rss_kib": rss,
           "proxy_cores": used / 1e6 / wall, "sim_cores": sim_used / 1e6 / wall, "load_cores": got["cpu_s"] / wall,
           **{q: got["latency_us"][q] for q in ("p50", "p90", "p99", "p99.9")}}
    if shape.stream:
        out |= {"cpu_us_per_event": used / max(1, events), "events": got["events"],
                "first_p50": got["first_us"]["p50"], "first_p99": got["first_us"]["p99"],
                "gap_p50": got["gap_us"]["p50"], "gap_p99": got["gap_us"]["p99"]}
    return out

