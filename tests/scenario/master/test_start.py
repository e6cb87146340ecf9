"""Start: what is refused, with which exit code and which words; where the sockets come from."""

import socket
import subprocess

import pytest
import requests
import yaml

import paths
from daemon import deployment

CONFIG = {"model_list": [deployment("gpt", "http://127.0.0.1:9/v1")]}
KEY = {**CONFIG, "general_settings": {"master_key": "sk-master"}}


def test_bad_config_is_exit_code_2(hale):
    daemon = hale("model_list:\n  - model_name: gpt\n    litellm_params: [not, a, map]\n", ready=False)
    assert daemon.wait_exit() == 2
    daemon.wait_log(r"config\.yaml:3:\d+: ")
    assert "started" not in daemon.log


def test_missing_config_is_exit_code_2(hale, tmp_path):
    daemon = hale(CONFIG, "--config", tmp_path / "none.yaml", ready=False)
    assert daemon.wait_exit() == 2
    daemon.wait_log("none.yaml")


def test_port_in_use_is_exit_code_2(hale):
    first = hale(CONFIG)
    second = hale(CONFIG, "--port", first.port, ready=False)  # same user: SO_REUSEPORT alone would let it in
    assert second.wait_exit() == 2
    second.wait_log(rf"port={first.port}: address in use")
    assert first.get("/health/liveliness").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_no_key_means_loopback(hale, host):
    daemon = hale(CONFIG, "--host", host, ready=False)
    assert daemon.wait_exit() == 2
    line = daemon.wait_log("master_key.*").group(0)
    assert "--insecure" in line and "--host 127.0.0.1" in line


def test_insecure_or_key_may_listen_anywhere(hale):
    assert hale(CONFIG, "--host", "0.0.0.0", "--insecure").get("/health/liveliness").status_code == 200
    assert hale(KEY, "--host", "0.0.0.0").get("/health/liveliness").status_code == 200


def test_reload_cannot_take_the_key_away(hale):
    daemon = hale(KEY, "--host", "0.0.0.0")
    before = daemon.children()
    daemon.write(CONFIG)
    mark = daemon.mark()
    daemon.process.send_signal(1)
    daemon.wait_log("reload failed, generation 1 stays: the new configuration has no master_key", since=mark)
    assert daemon.children() == before
    assert daemon.get("/v1/models").status_code == 401


def test_names_are_resolved(hale):
    daemon = hale(CONFIG, "--host", "localhost")
    assert requests.get(f"http://localhost:{daemon.port}/health/liveliness", timeout=10).status_code == 200


def activated(tmp_path, sockets, workers):
    """hale with these listening sockets at descriptors 3, 4 ..., as systemd starts it."""
    path = tmp_path / "activated.yaml"
    path.write_text(yaml.safe_dump(CONFIG))

    # The shell gives its own pid to LISTEN_PID: exec keeps it.
    fds = " ".join(f"{3 + i}<&{s.fileno()}" for i, s in enumerate(sockets))
    script = f'exec {fds}; LISTEN_PID=$$ LISTEN_FDS={len(sockets)} exec "$@"'
    return subprocess.Popen(
        ["/bin/bash", "-c", script, "sh", str(paths.HALE), "--config", str(path), "--num_workers", str(workers)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=paths.clean_env(),
        pass_fds=[s.fileno() for s in sockets])


def listening(reuse, port=0):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuse)
    s.bind(("127.0.0.1", port))
    s.listen(64)
    return s


@pytest.mark.parametrize("reuse", [0, 1], ids=["shared", "one_per_worker"])
def test_systemd_sockets(tmp_path, reuse):
    first = listening(reuse)
    port = first.getsockname()[1]
    sockets = [first] + ([listening(1, port)] if reuse else [])
    early = socket.create_connection(("127.0.0.1", port))  # comes before hale does, and is served
    early.settimeout(20)
    process = activated(tmp_path, sockets, 2)
    try:
        early.sendall(b"GET /health/liveliness HTTP/1.1\r\nHost: x\r\n\r\n")
        assert early.recv(4096).startswith(b"HTTP/1.1 200")
        for line in process.stderr:
            if " ready generation=1 " in line:
                assert f"port={port} " in line
                break
        for _ in range(20):
            assert requests.get(f"http://127.0.0.1:{port}/health/liveliness", timeout=10).status_code == 200
    finally:
        process.terminate()
        early.close()
        process.stderr.read()
        assert process.wait(20) == 0
    # systemd still has the sockets: connections wait for the next hale.
    socket.create_connection(("127.0.0.1", port)).close()
    for s in sockets:
        s.close()


def test_a_thousand_deployments_start(hale):
    config = {"model_list": [deployment(f"m{i % 100}", "http://127.0.0.1:9/v1", key=f"sk-{i}") for i in range(1000)]}
    daemon = hale(config)
    assert len(daemon.get("/v1/models").json()["data"]) == 100
    print(daemon.wait_log(r"ready generation=1 .*").group(0))
