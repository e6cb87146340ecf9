"""Real requests in the background of a test."""

import threading

import requests

KEY = {"Authorization": "Bearer sk-admin"}


class Traffic:
    """Real requests of one group, one after the other, until the block ends."""

    def __init__(self, daemon, group):
        self.daemon, self.group, self.stop, self.ok = daemon, group, threading.Event(), 0
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        with requests.Session() as session:
            session.trust_env = False
            while not self.stop.wait(0.02):
                answer = session.post(self.daemon.url + "/v1/chat/completions", headers=KEY, timeout=30, json={
                    "model": self.group, "messages": [{"role": "user", "content": "hi"}]})
                self.ok += answer.status_code == 200

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(30)
