"""The simulated upstream, with its faults."""

import json
import pathlib
import re
import subprocess
import tempfile
import urllib.request

from processes import Process


class Sim:
    """One tests/tool/llmsim, with a certificate of its own making when tls is wanted."""

    def __init__(self, build, cpus, tls=False):
        self.directory = tempfile.TemporaryDirectory(prefix="bench-sim-")
        command = [pathlib.Path(build) / "tests/tool/llmsim", "--port", "0", "--keep", "0"]
        if tls:
            command += self._certificate()
        self.process = Process(command, cpus, stdout=subprocess.PIPE)
        self.port = int(re.search(rb"port=(\d+)", self.process.popen.stdout.readline()).group(1))

    def _certificate(self):
        cert, key = (str(pathlib.Path(self.directory.name, name)) for name in ("cert.pem", "key.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
        return ["--tls-cert", cert, "--tls-key", key]

    def pids(self):
        return self.process.pids()

    def fault(self, **members):
        """Sets one fault; without arguments all are taken away."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/_sim/fault", method="DELETE")
        if members:
            request = urllib.request.Request(request.full_url, json.dumps(members).encode())
        urllib.request.urlopen(request, timeout=10).read()

    def stop(self):
        self.process.stop()
        self.directory.cleanup()
