"""The official SDKs, against hale and against the simulator alone.

tests/lib/sdk-setup installs them into the build directory. When a registry could not be reached it leaves the reason in
a file, and the tests are skipped with that text.
"""

import json
import subprocess
import sys

import pytest

import paths
from daemon import deployment

SDK = paths.BUILD / "sdk"


def reason(name):
    """Why the SDKs of this language are not there, or None."""
    if (SDK / f"{name}.done").exists():
        return None
    try:
        return (SDK / f"{name}.skip").read_text().strip()
    except FileNotFoundError:
        return "tests/lib/sdk-setup was not run"


@pytest.fixture(scope="session")
def python_sdk():
    """Makes `import openai` and `import anthropic` find the ones of the build directory."""
    if why := reason("python"):
        pytest.skip(why)
    (site,) = (SDK / "venv" / "lib").glob("python3*/site-packages")
    sys.path.insert(0, str(site))
    yield
    sys.path.remove(str(site))


@pytest.fixture(scope="session")
def python_process():
    """Runs a script beside this file with the SDKs' own Python, for what cannot live in the process of the tests:
    python_process("realtime.py", base, ...) returns what it printed as JSON."""
    if why := reason("python"):
        pytest.skip(why)

    def run(script, *args):
        path = paths.SOURCE / "tests" / "scenario" / "sdk" / script
        done = subprocess.run([str(SDK / "venv" / "bin" / "python"), str(path), *args], env=paths.clean_env(),
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def node():
    """Runs a function of sdk.cjs with Node.js and returns what it returned: node("chat", base, key, ...)."""
    if why := reason("node"):
        pytest.skip(why)

    def run(function, *args):
        script = paths.SOURCE / "tests" / "scenario" / "sdk" / "sdk.cjs"
        env = paths.clean_env({"NODE_PATH": str(SDK / "node" / "node_modules")})
        done = subprocess.run(["node", str(script), function, json.dumps(args)], env=env, capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


class Target:
    """A base URL to give to an OpenAI SDK, a simulator behind it, and the key that the simulator sees."""

    def __init__(self, url, sim, key):
        self.url, self.sim, self.key = url, sim, key


@pytest.fixture(params=["llmsim", "hale", "azure", "anthropic", "gemini", "bedrock", "cohere"])
def target(request, sim, hale):
    """The same tests with nothing between, and with hale in front of the six kinds of upstream."""
    if request.param == "llmsim":
        return Target(sim.base, sim, "sk-client")
    provider = "openai" if request.param == "hale" else request.param
    models = {"openai": "gpt-4o", "azure": "my-gpt", "anthropic": "claude-sim", "gemini": "gemini-2.5-flash",
              "bedrock": "us-west-2/anthropic.claude-sim-v1:0", "cohere": "command-sim"}
    own = {"gemini": "text-embedding-004", "cohere": "embed-sim"}
    embed = (provider, own[provider]) if provider in own else ("openai", "text-embedding-3-small")
    daemon = hale({
        "model_list": [
            deployment("gpt-4o", sim, key="sk-a", provider=provider, model=models[provider]),
            deployment("embed", sim, key="sk-a", model=embed[1], provider=embed[0]),
        ],
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    })
    return Target(daemon.url + "/v1", sim, "sk-a")


@pytest.fixture(params=["llmsim", "anthropic", "openai", "azure", "gemini", "bedrock", "cohere"])
def claude(request, sim, hale):
    """What `target` is to the OpenAI SDKs, for Anthropic's: their base URL has no /v1."""
    if request.param == "llmsim":
        return Target(sim.url, sim, "sk-client")
    model = "us-west-2/anthropic.claude-sim-v1:0" if request.param == "bedrock" else "claude-sim"
    base = sim.url if request.param == "cohere" else sim
    daemon = hale({
        "model_list": [deployment("claude-sim", base, key="sk-a", provider=request.param, model=model)],
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    })
    return Target(daemon.url, sim, "sk-a")
