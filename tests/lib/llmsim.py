"""The simulated upstream (tests/tool/llmsim) as an object."""

import subprocess
import urllib.parse

import requests

import paths


class Sim:
    """One llmsim process on a free port. It ends when its stdin is closed, so it cannot outlive the test run."""

    def __init__(self, *args):
        self.process = subprocess.Popen(
            [str(paths.LLMSIM), "--port", "0", "--until-eof", *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=paths.clean_env())
        line = self.process.stdout.readline()
        if not line.startswith("listening port="):
            raise AssertionError(f"llmsim did not start: {line!r} {self.process.stderr.read()!r}")
        self.port = int(line.rpartition("=")[2])
        self.scheme = "https" if "--tls-cert" in args else "http"
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        self.base = self.url + "/v1"  # what api_base of an OpenAI-compatible deployment is
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = False

    def _call(self, method, path, **args):
        answer = self.session.request(method, f"{self.url}/_sim/{path}", timeout=30, **args)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fault(self, key="*", **members):
        """Sets the fault of a key, replacing an earlier one of that key (add=True: after it)."""
        return self._call("POST", "fault", json={"key": key, **members})

    def clear(self, key=None):
        """Removes the faults of one key, or all."""
        return self._call("DELETE", "fault", params={"key": key} if key else None)

    def stats(self):
        return self._call("GET", "stats")

    def requests(self, key=None, n=None):
        """The last requests, oldest first: method, path, query, headers, body ..."""
        query = {name: value for name, value in (("key", key), ("n", n)) if value is not None}
        return self._call("GET", "requests?" + urllib.parse.urlencode(query))["requests"]

    def count(self, key):
        """How many requests came with this key."""
        return self.stats()["keys"].get(key, {}).get("total", 0)

    def reset(self):
        return self._call("POST", "reset")

    def stop(self):
        """Ends it and says so when it did not end well."""
        if self.process.stdin.closed:
            return
        self.session.close()
        self.process.stdin.close()
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("llmsim did not end") from None
        text = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        assert code == 0 and not any(alarm in text for alarm in paths.ALARMS), f"llmsim: exit code {code}\n{text}"
