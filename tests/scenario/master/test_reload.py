"""SIGHUP: build, check, swap, drain. Nothing is lost, nothing leaks, a bad file changes nothing."""

import pathlib
import signal

import pytest
import requests

import paths
from daemon import deployment
from load import Load
from waiting import wait_until

BAD = "model_list:\n  - model_name: gpt\n    litellm_params: [12]\n"


def config(sim, *groups, **settings):
    return {"model_list": [deployment(group, sim) for group in groups], **settings}


def hup(daemon):
    """One SIGHUP; waits until the new generation serves."""
    mark = daemon.mark()
    daemon.process.send_signal(signal.SIGHUP)
    return int(daemon.wait_log(r" ready generation=(\d+) ", since=mark).group(1))


def refused(daemon, text):
    daemon.write(text)
    mark = daemon.mark()
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("reload failed, generation", since=mark)


def wait_models(daemon, *names):
    """Waits until new connections see this configuration; for a moment old workers still accept."""
    def look():
        answer = requests.get(daemon.url + "/v1/models", headers={"Connection": "close"}, timeout=30)
        return [m["id"] for m in answer.json()["data"]] == list(names)

    wait_until(look, what=f"the models {names}")


def drained(daemon):
    """Only the newest generation is left: two workers and a prober."""
    wait_until(lambda: len(daemon.children()) == 3, 40, "old generations to end")


def footprint(daemon):
    status = pathlib.Path(f"/proc/{daemon.pid}/status").read_text()
    rss = int(status.split("VmRSS:")[1].split()[0])
    maps = len(pathlib.Path(f"/proc/{daemon.pid}/maps").read_text().splitlines())
    fds = {role: len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir())) for pid, role in daemon.children().items()}
    fds["master"] = len(list(pathlib.Path(f"/proc/{daemon.pid}/fd").iterdir()))
    return rss, maps, fds


def test_new_config_is_served(hale, sim):
    daemon = hale(config(sim, "one"))
    before = daemon.children()
    daemon.write(config(sim, "one", "two"))
    assert hup(daemon) == 2
    wait_models(daemon, "one", "two")
    drained(daemon)
    assert daemon.chat("two").status_code == 200
    assert sorted(daemon.children().values()) == sorted(before.values())
    assert not set(daemon.children()) & set(before)


def test_fifty_reloads_lose_no_request(hale, sim):
    daemon = hale(config(sim, "gpt"))
    with Load(daemon, "gpt") as load:
        wait_until(lambda: load.served() > 50, what="load to run")
        for i in range(50):
            assert hup(daemon) == i + 2
        before = load.served()
        wait_until(lambda: load.served() > before + 50, what="load to go on")
    print(f"requests={load.ok} failed={len(load.failed)}")
    assert load.failed == []
    drained(daemon)


def test_burst_is_one_reload(hale, sim):
    daemon = hale(config(sim, "gpt"))
    with Load(daemon, "gpt") as load:
        for _ in range(200):
            daemon.process.send_signal(signal.SIGHUP)
        daemon.write(config(sim, "gpt", "last"))
        daemon.process.send_signal(signal.SIGHUP)  # the last wish must count
        wait_models(daemon, "gpt", "last")
    assert load.failed == []
    assert daemon.log.count("reload begins") <= 202


@pytest.mark.parametrize("text", [BAD, "model_list: [", "", "\0", "general_settings: 1\n"],
                         ids=["type", "syntax", "empty", "nul", "shape"])
def test_bad_config_changes_nothing(hale, sim, text):
    daemon = hale(config(sim, "gpt"))
    before = daemon.children()
    if text == "":
        daemon.path.unlink()  # an empty file is a valid configuration; a missing one is not
        mark = daemon.mark()
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_log("reload failed, generation 1 stays", since=mark)
    else:
        refused(daemon, text)
    daemon.wait_log(r"config\.yaml(:\d+:\d+)?: ")
    assert daemon.children() == before
    assert daemon.chat("gpt").status_code == 200
    daemon.write(config(sim, "gpt"))
    assert hup(daemon) == 2


def test_storm_of_good_and_bad(hale, sim):
    daemon = hale(config(sim, "gpt"))
    with Load(daemon, "gpt") as load:
        for i in range(20):
            refused(daemon, BAD)
            daemon.write(config(sim, "gpt", f"extra{i}"))
            assert hup(daemon) == i + 2
            wait_models(daemon, "gpt", f"extra{i}")
    assert load.failed == []
    drained(daemon)


def test_nothing_grows(hale, sim):
    daemon = hale(config(sim, *(f"m{i}" for i in range(50))))
    for _ in range(20):  # allocators settle
        hup(daemon)
    drained(daemon)
    rss, maps, fds = footprint(daemon)
    for _ in range(200):
        hup(daemon)
    drained(daemon)
    # children are gone a moment before the master has reaped them and closed their pipes
    wait_until(lambda: all(n <= fds[role] for role, n in footprint(daemon)[2].items()), what=f"at most {fds} again")
    rss_after, maps_after, _ = footprint(daemon)
    print(f"rss_kib={rss}..{rss_after} maps={maps}..{maps_after} fds={fds}")
    if not paths.SANITIZED:  # its quarantine keeps what was freed
        assert maps_after <= maps + 2
        assert rss_after <= rss + 1024


def test_health_survives(hale, sim):
    settings = {"background_health_checks": True, "health_check_interval": 3600}
    daemon = hale(config(sim, "gpt", general_settings=settings))
    wait_until(lambda: daemon.get("/health").json()["healthy_count"] == 1, what="the first probe")
    probes = sim.stats()["requests"]["total"]
    for _ in range(5):
        hup(daemon)
        answer = requests.get(daemon.url + "/health", headers={"Connection": "close"}, timeout=30)
        assert answer.json()["healthy_count"] == 1  # known at once
    assert sim.stats()["requests"]["total"] == probes  # and not asked again


def test_stream_outlives_a_reload(hale, sim):
    sim.fault(chunks=40, chunk_delay_ms=25)
    daemon = hale(config(sim, "gpt"))
    with daemon.chat("gpt", stream=True) as answer:
        lines = answer.iter_lines()
        first = next(lines)
        assert hup(daemon) == 2
        rest = [line for line in lines if line]
    assert first.startswith(b"data: ") and rest[-1] == b"data: [DONE]"
    drained(daemon)


def test_relative_config_path(hale, sim, tmp_path, monkeypatch):
    daemon = hale(config(sim, "gpt"))
    link = tmp_path / "current"
    link.symlink_to(daemon.path.parent, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    second = hale(config(sim, "unused"), "--config", "current/config.yaml")
    monkeypatch.chdir("/")
    wait_models(second, "gpt")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_text(daemon.path.read_text().replace("gpt", "new", 1))
    link.unlink()
    link.symlink_to(other, target_is_directory=True)  # as a ConfigMap is replaced
    assert hup(second) == 2
    wait_models(second, "new")
