"""Fixtures of the whole-daemon tests: every test has its own processes, ports and directory."""

import itertools

import pytest

from daemon import Daemon
from llmsim import Sim


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.failed_call = outcome.get_result().failed


@pytest.fixture
def make_sim():
    """Factory of simulated upstreams: make_sim("--fault", "sk-a:status=500") -> Sim."""
    sims = []

    def make(*args):
        sims.append(Sim(*args))
        return sims[-1]

    yield make
    for one in sims:
        one.stop()


@pytest.fixture
def sim(make_sim):
    """One simulated upstream."""
    return make_sim()


@pytest.fixture
def hale(request, tmp_path):
    """Factory of daemons: hale(config, *arguments, env=None, workers=2, ready=True) -> Daemon.

    At the end of the test each that still runs must stop properly, and no log may show a panic or a report of a
    sanitizer. When the test failed, its log is printed instead.
    """
    daemons, number = [], itertools.count()

    def start(config, *args, env=None, workers=2, ready=True):
        directory = tmp_path / f"hale{next(number)}"
        directory.mkdir()
        one = Daemon(directory, config, *args, env=env, workers=workers)
        daemons.append(one)
        return one.wait_ready() if ready else one

    yield start
    failed = getattr(request.node, "failed_call", True)
    for one in daemons:
        if failed:
            one.destroy()
            print(f"--- log of {one.path}\n{one.tail(200)}")
        elif one.alive():
            one.stop()
        else:
            one.check_log()
