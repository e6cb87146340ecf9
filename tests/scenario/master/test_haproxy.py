"""HAProxy in front, with etc/haproxy.cfg.example: stopping one of two hosts loses nothing."""

import pathlib
import shutil
import socket
import subprocess

import pytest

import paths
from daemon import deployment
from load import Load
from waiting import wait_until

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Haproxy:
    """The example of the documentation; only addresses and ports differ."""

    def __init__(self, directory, *daemons):
        self.port = free_port()
        text = (paths.SOURCE / "etc" / "haproxy.cfg.example").read_text()
        text = text.replace("bind :8080", f"bind 127.0.0.1:{self.port}")
        for i, daemon in enumerate(daemons, 1):
            text = text.replace(f"192.0.2.1{i}:4000", f"127.0.0.1:{daemon.port}")
        assert "192.0.2." not in text
        path = pathlib.Path(directory) / "haproxy.cfg"
        path.write_text(text)
        self.log = (pathlib.Path(directory) / "haproxy.log").open("w+")
        self.process = subprocess.Popen([HAPROXY, "-W", "-db", "-f", str(path)], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)

    def text(self):
        return pathlib.Path(self.log.name).read_text()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
def test_rolling_restart_loses_nothing(hale, sim, tmp_path):
    sim.fault(delay_ms=20)
    # Longer than HAProxy needs to see it: inter 1s, fastinter 250ms, fall 2.
    config = {"model_list": [deployment("gpt", sim)], "hale_settings": {"drain_announce_ms": 3000}}
    daemons = [hale(config), hale(config)]
    proxy = Haproxy(tmp_path, *daemons)
    try:
        wait_until(lambda: answers(proxy.port), what="haproxy to listen")
        wait_until(lambda: "gone" not in proxy.text(), what="haproxy to run")
        with Load(proxy, "gpt") as load:
            wait_until(lambda: load.served() > 50, what="load to run")
            daemons[0].stop()
            wait_until(lambda: "Server hale/hale1 is DOWN" in proxy.text(), what="haproxy to notice")
            again = hale(config, "--port", daemons[0].port)
            wait_until(lambda: "Server hale/hale1 is UP" in proxy.text(), 60, "haproxy to take it back")
            daemons[1].stop()
            before = load.served()
            wait_until(lambda: load.served() > before + 50, what="load to go on")
            assert again.alive()
        print(f"requests={load.ok} failed={len(load.failed)}")
        assert load.failed == [], proxy.text()[-3000:]
    finally:
        proxy.stop()
