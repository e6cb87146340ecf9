"""Bounded load on a daemon: a few threads with one kept-alive connection each, and every failure on record.

No retries and no pools: what the daemon does to a connection is what the record shows. A request fails when it
gets no complete answer, or one with another status than 200. A connection on which the server said "Connection:
close" is opened anew, as every client does.
"""

import http.client
import json
import threading
import time


class Load:
    """with Load(daemon, "gpt") as load: ...; afterwards load.ok, load.failed.

    pauses: one thread for each number; so many seconds lie between its requests (0: none).
    """

    def __init__(self, daemon, model, pauses=(0, 0, 0, 0.003, 0.01, 0.05), seconds=120, headers=None):
        self.port, self.headers = daemon.port, {"Content-Type": "application/json", **(headers or {})}
        self.body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]})
        self.ok, self.failed, self.lock = 0, [], threading.Lock()
        self.ending, self.deadline = threading.Event(), time.monotonic() + seconds
        self.threads = [threading.Thread(target=self._run, args=(pause,), daemon=True) for pause in pauses]

    def _one(self, connection):
        connection.request("POST", "/v1/chat/completions", self.body, self.headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            return f"status {answer.status}: {text[:200]!r}"
        json.loads(text)
        return None

    def _run(self, pause):
        connection, served = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30), 0
        while not self.ending.is_set() and time.monotonic() < self.deadline:
            fresh = connection.sock is None
            try:
                wrong = self._one(connection)
            except Exception as error:  # noqa: BLE001: whatever a client can see
                wrong = f"{type(error).__name__}: {error} (request {served} of this connection, fresh={fresh})"
                connection.close()
            served = 0 if connection.sock is None else served + 1
            with self.lock:
                if wrong:
                    self.failed.append(wrong)
                else:
                    self.ok += 1
            if pause:
                self.ending.wait(pause)
        connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)
        return self

    def served(self):
        with self.lock:
            return self.ok + len(self.failed)
