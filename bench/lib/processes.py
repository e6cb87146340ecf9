"""Processes of a candidate: starting, CPU time from the kernel's own accounting, memory, ending by pid."""

import os
import pathlib
import signal
import subprocess
import time

PROC = pathlib.Path("/proc")


def children(pid):
    """Pids below pid, itself included."""
    found, todo = [], [pid]
    parent = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parent.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    while todo:
        one = todo.pop()
        found.append(one)
        todo += parent.get(one, [])
    return found


def cpu_us(pids):
    """Microseconds on a processor, all threads, user and system."""
    total = 0
    for pid in pids:
        try:
            for task in (PROC / str(pid) / "task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            pass
    return total / 1000


def rss_kib(pids):
    """Proportional set size: memory shared by workers counts once."""
    total = 0
    for pid in pids:
        try:
            for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total


def wait_port(port, seconds=30):
    """Until something accepts connections there."""
    import socket
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


class Process:
    """One started program and everything it forks; pinned to processors when asked."""

    def __init__(self, command, cpus=None, **args):
        if cpus is not None:
            command = ["taskset", "-c", cpus, *command]
        args.setdefault("stdout", subprocess.DEVNULL)
        args.setdefault("stderr", subprocess.DEVNULL)
        self.popen = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, **args)
        self.pid = self.popen.pid

    def pids(self):
        return children(self.pid)

    def stop(self):
        family = self.pids()
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                pass
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.popen.wait()
