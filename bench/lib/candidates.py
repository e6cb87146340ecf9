"""The candidates: what is measured. Each knows how to start, where to send requests, and which model to ask for.

A new peer is a class with start(), and a line in ALL. Peers that are not installed are left out, with a message.
"""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

from processes import Process, wait_port

KEY = "sk-bench"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Candidate:
    """Between start() and stop() it relays to upstream (a port) on self.port."""

    name = ""
    model = "gpt-4o"
    path = "/v1/chat/completions"

    def __init__(self, build, cpus, workers=1):
        self.build, self.cpus, self.workers = pathlib.Path(build), cpus, workers
        self.process, self.port = None, None
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-"))

    @classmethod
    def missing(cls):
        """Why it cannot run here; None: it can."""
        return None

    def headers(self, key):
        return [f"Authorization: Bearer {key}"]

    def start(self, upstream, **_):
        raise NotImplementedError

    def pids(self):
        return self.process.pids() if self.process else []

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None
        shutil.rmtree(self.directory, ignore_errors=True)


class Direct(Candidate):
    name = "direct"

    def start(self, upstream, **_):
        self.port = upstream


class Nginx(Candidate):
    name = "nginx"

    @classmethod
    def missing(cls):
        return None if shutil.which("nginx") or pathlib.Path("/usr/sbin/nginx").exists() else "not installed"

    def start(self, upstream, tls=False, **_):
        self.port = free_port()
        scheme = "https" if tls else "http"
        text = f"""
worker_processes {self.workers}; daemon off; pid {self.directory}/pid; error_log {self.directory}/error.log;
worker_rlimit_nofile 65536; events {{ worker_connections 20000; }}
http {{
  access_log off; client_max_body_size 64m; client_body_buffer_size 2m; keepalive_requests 1000000;
  client_body_temp_path {self.directory}/body; proxy_temp_path {self.directory}/proxy;
  fastcgi_temp_path {self.directory}/f; uwsgi_temp_path {self.directory}/u; scgi_temp_path {self.directory}/s;
  upstream u {{ server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{self.port} reuseport backlog=4096;
    location / {{
      proxy_pass {scheme}://u; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
      proxy_ssl_session_reuse on;
    }}
  }}
}}"""
        config = self.directory / "nginx.conf"
        config.write_text(text)
        self.process = Process([shutil.which("nginx") or "/usr/sbin/nginx", "-c", config], self.cpus)
        wait_port(self.port)


class HAProxy(Candidate):
    name = "haproxy"

    @classmethod
    def missing(cls):
        return None if shutil.which("haproxy") or pathlib.Path("/usr/sbin/haproxy").exists() else "not installed"

    def start(self, upstream, tls=False, **_):
        self.port = free_port()
        ssl = "ssl verify none" if tls else ""
        config = self.directory / "haproxy.cfg"
        config.write_text(f"""
global
  nbthread {self.workers}
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-no-delay
  http-reuse always
frontend f
  bind 127.0.0.1:{self.port} backlog 4096
  default_backend b
backend b
  server s 127.0.0.1:{upstream} {ssl} pool-max-conn 4096
""")
        self.process = Process([shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", config], self.cpus)
        wait_port(self.port)


class Hale(Candidate):
    name = "hale"
    model = "bench"

    def config(self, upstream, tls=False, deployments=1, groups=1, extra=None, **_):
        """JSON is YAML. The benchmark's group comes first; further deployments and groups are there to be many."""
        scheme = "https" if tls else "http"
        entry = {"model": "openai/gpt-4o", "api_base": f"{scheme}://127.0.0.1:{upstream}/v1", "api_key": "sk-upstream"}
        if tls:
            entry["ssl_verify"] = False
        models = [{"model_name": "bench", "litellm_params": {**entry, "user": f"d{i}"}} for i in range(deployments)]
        models += [{"model_name": f"other-{i}", "litellm_params": {**entry, "user": f"g{i}"}} for i in range(groups - 1)]
        whole = {"model_list": models, "general_settings": {"master_key": KEY},
                 "hale_settings": {"upstream_host_connections_max": 4096}}
        for key, value in (extra or {}).items():
            whole[key] = {**whole.get(key, {}), **value} if isinstance(value, dict) else value
        return whole

    def command(self, config):
        return [self.build / "src/hale", "--config", config, "--host", "127.0.0.1", "--port", "0", "--num_workers", self.workers]

    def start(self, upstream, **args):
        path = self.directory / "config.yaml"
        path.write_text(json.dumps(args.get("whole") or self.config(upstream, **args)))
        log = self.directory / "log"
        begin = time.monotonic()
        with open(log, "w", encoding="utf-8") as stderr:
            self.process = Process(self.command(path), self.cpus, stderr=stderr)
        self.port = self._ready(log, begin + 60)

    def _ready(self, log, end):
        while time.monotonic() < end:
            found = re.search(r"\bready .*\bport=(\d+).*start_ms=(\d+)", log.read_text(encoding="utf-8"))
            if found:
                self.start_ms = int(found.group(2))
                return int(found.group(1))
            if self.process.popen.poll() is not None:
                raise RuntimeError("hale ended:\n" + log.read_text(encoding="utf-8"))
            time.sleep(0.001)
        raise RuntimeError("hale is not ready")


class Portkey(Candidate):
    """npm install --prefix DIR @portkey-ai/gateway, then HALE_BENCH_PORTKEY=DIR."""

    name = "portkey"

    @classmethod
    def missing(cls):
        import os
        where = os.environ.get("HALE_BENCH_PORTKEY")
        return None if where and pathlib.Path(where, "node_modules/@portkey-ai/gateway").exists() \
            else "HALE_BENCH_PORTKEY is not set"

    def headers(self, key):
        return [*super().headers(key), "x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{self.up}/v1"]

    def start(self, upstream, **_):
        import os
        self.port, self.up = free_port(), upstream
        root = pathlib.Path(os.environ["HALE_BENCH_PORTKEY"], "node_modules/@portkey-ai/gateway")
        self.process = Process(["node", root / "build/start-server.js", f"--port={self.port}", "--headless"], self.cpus)
        wait_port(self.port)


class LiteLLM(Candidate):
    """pip install 'litellm[proxy]' in a venv, then HALE_BENCH_LITELLM=VENV."""

    name = "litellm"
    model = "bench"

    @classmethod
    def missing(cls):
        import os
        where = os.environ.get("HALE_BENCH_LITELLM")
        return None if where and pathlib.Path(where, "bin/litellm").exists() else "HALE_BENCH_LITELLM is not set"

    def start(self, upstream, **_):
        import os
        self.port = free_port()
        config = self.directory / "config.yaml"
        config.write_text(json.dumps({"model_list": [{"model_name": "bench", "litellm_params": {
            "model": "openai/gpt-4o", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "sk-upstream"}}],
            "general_settings": {"master_key": KEY}}))
        self.process = Process([pathlib.Path(os.environ["HALE_BENCH_LITELLM"], "bin/litellm"), "--config", config,
                                "--host", "127.0.0.1", "--port", str(self.port), "--num_workers", str(self.workers)],
                               self.cpus)
        wait_port(self.port, 120)


ALL = [Direct, Nginx, HAProxy, Hale, Portkey, LiteLLM]


def version(name):
    """For the report."""
    try:
        if name == "nginx":
            return subprocess.run(["/usr/sbin/nginx", "-v"], capture_output=True, text=True).stderr.strip()
        if name == "haproxy":
            return subprocess.run(["/usr/sbin/haproxy", "-v"], capture_output=True, text=True).stdout.split("\n")[0]
    except OSError:
        pass
    return ""
