"""hale --health against a running gateway: output, keys, exit codes."""

import json
import subprocess

import pytest

import paths
from daemon import deployment


def ask(port, *args, **env):
    return subprocess.run([str(paths.HALE), "--health", "--host", "127.0.0.1", "--port", str(port), *args],
                          env=paths.clean_env(env), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


@pytest.fixture
def gateway(hale, sim):
    def start(*keys):
        return hale({"model_list": [deployment("gpt", sim, key=key) for key in keys],
                     "general_settings": {"master_key": "sk-master"}})

    return start


def test_healthy(gateway):
    daemon = gateway("sk-a")
    done = ask(daemon.port, "--api_key", "sk-master")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["healthy_count"] == 1


def test_key_from_environment_or_config(gateway):
    daemon = gateway("sk-a")
    assert ask(daemon.port, LITELLM_MASTER_KEY="sk-master").returncode == 0
    assert ask(daemon.port, "--config", str(daemon.path)).returncode == 0


def test_unhealthy_is_exit_code_1(hale, make_sim):
    sick = make_sim("--fault", "sk-a:status=500")
    daemon = hale({"model_list": [deployment("gpt", sick)]})
    done = ask(daemon.port)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["unhealthy_count"] == 1


def test_wrong_key_is_exit_code_2(gateway):
    daemon = gateway("sk-a")
    done = ask(daemon.port)
    assert done.returncode == 2
    assert "--api_key" in done.stderr


def test_out_of_reach_is_exit_code_2(hale):
    daemon = hale({"model_list": []})
    port = daemon.port
    daemon.stop()
    done = ask(port)
    assert done.returncode == 2
    assert "out of reach" in done.stderr
