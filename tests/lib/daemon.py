"""The real daemon as an object: forked as in production, on a free port, with its log in memory."""

import os
import pathlib
import re
import signal
import subprocess
import textwrap
import threading

import requests
import yaml

import paths
from waiting import wait_until

READY = re.compile(r"\bready .*\bport=(\d+)")


def deployment(group, sim, key="sk-a", provider="openai", model="gpt-4o", info=None, **params):
    """One entry of model_list that points to a simulator (or to a URL given as text)."""
    base = sim if isinstance(sim, str) else sim.base if provider not in ("azure", "anthropic", "gemini", "bedrock") else sim.url
    entry = {"model_name": group, "litellm_params": {"model": f"{provider}/{model}", "api_base": base, "api_key": key}}
    if provider == "bedrock":  # the simulator's secret of a key id
        del entry["litellm_params"]["api_key"]
        entry["litellm_params"].update(aws_access_key_id=key, aws_secret_access_key=f"secret-of-{key}",
                                       aws_region_name="us-east-1")
    if provider == "azure":
        entry["litellm_params"]["api_version"] = "2024-10-21"
    entry["litellm_params"].update(params)
    if info:
        entry["model_info"] = info
    return entry


class Daemon:
    """hale --config FILE. config is a dict or YAML text; extra arguments go to the command line."""

    def __init__(self, directory, config, *args, env=None, workers=2):
        self.path = pathlib.Path(directory) / "config.yaml"
        self.write(config)
        self.lines, self.changed = [], threading.Condition()
        self.port = None
        self.process = subprocess.Popen(
            [str(paths.HALE), "--config", str(self.path), "--host", "127.0.0.1", "--port", "0",
             "--num_workers", str(workers), *map(str, args)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=paths.clean_env(env))
        self.pid = self.process.pid
        self.family = set()  # every process that was ever seen below the master
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.session = requests.Session()
        self.session.trust_env = False

    # -- config and log ------------------------------------------------------------------------------------

    def write(self, config):
        """Replaces the config file as a whole; a running daemon looks at it when it is told to reload."""
        text = textwrap.dedent(config) if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False)
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.rename(self.path)

    def _read(self):
        for raw in self.process.stderr:
            with self.changed:
                self.lines.append(raw.decode(errors="replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.lines.append("(end of log)")
            self.changed.notify_all()

    @property
    def log(self):
        with self.changed:
            return "\n".join(self.lines)

    def mark(self):
        """The place in the log where it ends now: wait_log(since=) looks behind it."""
        with self.changed:
            return len(self.lines)

    def wait_log(self, pattern, timeout=20.0, since=0):
        """Waits for a line that matches and returns the match."""
        regex = re.compile(pattern)
        found = None

        def look():
            nonlocal found, since
            while since < len(self.lines) and not found:
                found = regex.search(self.lines[since])
                since += 1
            return found or (self.lines and self.lines[-1] == "(end of log)")

        with self.changed:
            self.changed.wait_for(look, timeout)
        assert found, f"no log line matches {pattern!r} within {timeout} s; the log:\n{self.tail()}"
        return found

    def tail(self, n=60):
        with self.changed:
            return "\n".join(self.lines[-n:])

    # -- life ----------------------------------------------------------------------------------------------

    def wait_ready(self, timeout=20.0):
        self.port = int(self.wait_log(READY.pattern, timeout).group(1))
        self.url = f"http://127.0.0.1:{self.port}"
        self.children()
        return self

    def reload(self, config=None, wait=True):
        """SIGHUP, after replacing the config when one is given. Waits for the outcome: "done" or "failed"."""
        if config is not None:
            self.write(config)
        mark = self.mark()
        self.process.send_signal(signal.SIGHUP)
        if wait:
            return self.wait_log(r" reload (done|failed),", since=mark).group(1)
        return None

    def children(self):
        """{pid: title} of the processes below the master, as ps shows them. Two generations have the same titles."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(parent) != self.pid or state in "ZX":
                    continue
                title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if title:  # a process without memory is on its way out
                found[int(entry.name)] = title
                self.family.add(int(entry.name))
        return found

    def pids(self, role):
        """Pids of "worker" (in order of their index), "prober" ..."""
        match = sorted((title, pid) for pid, title in self.children().items() if title.startswith(f"hale: {role}"))
        return [pid for _, pid in match]

    def kill(self, role, index=0, sig=signal.SIGKILL):
        """Signals one child and returns its pid."""
        pid = self.pids(role)[index]
        os.kill(pid, sig)
        return pid

    def alive(self):
        return self.process.poll() is None

    def wait_exit(self, timeout=20.0):
        """Waits for the end of the master and returns its exit code."""
        self.process.wait(timeout)
        self.reader.join(timeout)
        return self.process.returncode

    def stop(self, timeout=20.0, code=0):
        """SIGTERM; it must end in time, with this exit code, and with a clean log."""
        self.session.close()
        if self.alive():
            self.children()
            self.process.send_signal(signal.SIGTERM)
        try:
            got = self.wait_exit(timeout)
        except subprocess.TimeoutExpired:
            log = self.tail()
            self.destroy()
            raise AssertionError(f"hale did not end within {timeout} s of SIGTERM; the log:\n{log}") from None
        assert got == code, f"hale ended with {got} instead of {code}; the log:\n{self.tail()}"
        self.check_log()
        self.wait_family()

    def check_log(self):
        bad = [line for line in self.log.split("\n") if any(alarm in line for alarm in paths.ALARMS)]
        assert not bad, "alarms in the log:\n" + "\n".join(bad) + "\n\n" + self.tail()

    def wait_family(self, timeout=20.0):
        """No child may outlive the master."""
        def left():
            return [pid for pid in self.family if self._is_ours(pid)]

        wait_until(lambda: not left(), timeout, "children of hale to end")

    @staticmethod
    def _is_ours(pid):
        try:
            return (pathlib.Path("/proc") / str(pid) / "cmdline").read_bytes().startswith(b"hale:")
        except (FileNotFoundError, ProcessLookupError):
            return False

    def destroy(self):
        """For a test that failed already: everything ends now."""
        self.children()
        for pid in [self.pid, *self.family]:
            if pid == self.pid and self.alive() or pid != self.pid and self._is_ours(pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.process.wait(10)
        self.session.close()

    # -- requests ------------------------------------------------------------------------------------------

    def request(self, method, path, **args):
        args.setdefault("timeout", 30)
        return self.session.request(method, self.url + path, **args)

    def get(self, path, **args):
        return self.request("GET", path, **args)

    def post(self, path, json=None, **args):
        return self.request("POST", path, json=json, **args)

    def chat(self, model, text="hi", **members):
        """One chat completion; members join the body."""
        headers = members.pop("headers", None)
        body = {"model": model, "messages": [{"role": "user", "content": text}], **members}
        return self.post("/v1/chat/completions", json=body, headers=headers, stream=bool(members.get("stream")))
