"""HTTP by hand: bytes on a socket, for what no client library would send."""

import json
import socket


class Answer:
    """One answer: status, headers (lower case), body."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def error(self):
        """The members of the OpenAI envelope; an AssertionError when it is none."""
        error = self.json()["error"]
        assert set(error) == {"message", "type", "param", "code"} and error["message"], self.body
        return error


class Raw:
    """A connection. with Raw(port) as c: c.send(...); c.answer(); c.ended()."""

    def __init__(self, port, timeout=20):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        """Sends what the server still takes; its answer says what it thought of it."""
        try:
            self.sock.sendall(data.encode() if isinstance(data, str) else data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def until(self, mark):
        """Everything up to and with mark."""
        while mark not in self.buffer:
            assert self._more(), f"closed before {mark!r}: {self.buffer[-500:]!r}"
        text, mark, self.buffer = self.buffer.partition(mark)
        return text + mark

    def _exactly(self, n):
        while len(self.buffer) < n:
            assert self._more(), f"closed {n - len(self.buffer)} bytes early"
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def head(self):
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), {k.lower(): v for k, v in headers.items()}

    def answer(self):
        """The next answer, interim ones skipped."""
        status, headers = self.head()
        while status < 200:
            status, headers = self.head()
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.until(b"\r\n"), 16):
                body += self._exactly(size)
                self.until(b"\r\n")
            self.until(b"\r\n")
        else:
            body = self._exactly(int(headers.get("content-length", 0)))
        return Answer(status, headers, body)

    def ended(self):
        """True when the server closed and nothing was left to read."""
        rest = self.buffer
        while self._more():
            rest = self.buffer
        return rest == b""


def head(path, *lines, method="POST", version="HTTP/1.1"):
    """A request head with Host and JSON content type."""
    return "\r\n".join([f"{method} {path} {version}", "Host: hale", "Content-Type: application/json", *lines, "", ""])


def post(path, body, *lines):
    """A whole request with Content-Length."""
    data = body if isinstance(body, bytes) else body.encode()
    return head(path, f"Content-Length: {len(data)}", *lines).encode() + data


def chat(model="gpt", **members):
    """A chat completion that is fine."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], **members})
