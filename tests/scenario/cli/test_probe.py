"""hale probe and hale plan: what a probe sends and gets, and what a day of them costs."""

import re
import subprocess

import pytest
import yaml

import paths
from daemon import deployment


def run(tmp_path, config, *args):
    path = tmp_path / "c.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False))
    verb, *rest = args
    return subprocess.run([str(paths.HALE), verb, str(path), *rest], env=paths.clean_env(), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60)


def two(sim, **general):
    return {"model_list": [deployment("g", sim, key="sk-secret-a", info={"id": "a"}),
                           deployment("h", sim, key="sk-secret-b", model="gpt-4o-mini", info={"id": "b"})],
            "general_settings": general}


def test_probe_shows_request_and_answer(tmp_path, sim):
    done = run(tmp_path, two(sim), "probe", "--model", "g")
    assert (done.returncode, done.stderr) == (0, "")
    (seen,) = sim.requests()
    lines = done.stdout.splitlines()
    assert lines[0] == "g: openai/gpt-4o, mode chat, id a"
    assert lines[1] == f"> POST {sim.base}/chat/completions"
    assert "> Authorization: Be****-a" in lines and "> Content-Type: application/json" in lines
    assert seen["headers"]["authorization"] == "Bearer sk-secret-a"
    assert '> {"model":"gpt-4o","messages":[{"role":"user","content":"test from litellm"}],"max_tokens":1}' in lines
    assert "< 200" in lines and any(line.startswith('< {"id":"chatcmpl-') for line in lines)
    assert re.fullmatch(r"healthy: ok; 1 request, \d+ ms, \d+ tokens", lines[-2])
    assert "sk-secret" not in done.stdout


def test_probe_of_all_says_what_is_wrong(tmp_path, sim):
    sim.fault("sk-secret-b", status=401, body='{"error": {"message": "Incorrect API key provided: sk-secret-b"}}')
    done = run(tmp_path, two(sim), "probe")
    assert done.returncode == 1
    assert "healthy: ok" in done.stdout
    assert "unhealthy: unauthorized, Incorrect API key provided: " in done.stdout and "< 401" in done.stdout
    assert "sk-secret" not in done.stdout


def test_probe_shows_every_form_that_is_tried(tmp_path, sim):
    sim.fault("sk-secret-a", require_completion_tokens=True)
    done = run(tmp_path, two(sim), "probe", "--id", "a")
    assert done.returncode == 0
    assert done.stdout.count("> POST") == len(sim.requests()) > 1
    assert '"max_completion_tokens":16' in done.stdout and "< 400" in done.stdout


def test_probe_does_not_command_the_terminal(tmp_path, sim):
    sim.fault("sk-secret-a", status=500, body="\x1b[2Jwiped\x07")
    done = run(tmp_path, two(sim), "probe", "--id", "a")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout


def test_dry_run_sends_nothing(tmp_path, sim):
    done = run(tmp_path, two(sim), "probe", "--dry-run")
    assert done.returncode == 0
    assert done.stdout.count("> POST") == 2 and done.stdout.count("not sent: about ") == 2
    assert sim.requests() == [] and "sk-secret" not in done.stdout


def test_a_closed_port(tmp_path):
    done = run(tmp_path, two("http://127.0.0.1:9/v1"), "probe", "--id", "a")
    assert done.returncode == 1 and "unhealthy: connect_error" in done.stdout


@pytest.mark.parametrize("args, text", [
    (["probe", "--model", "nope"], 'no deployment has the model "nope"'),
    (["plan", "--id", "nope"], 'no deployment has the id "nope"'),
    (["probe", "--model", "g", "--id", "a"], "--model or --id, not both"),
    (["plan", "--dry-run"], "--dry-run belongs to hale probe"),
    (["check", "--model", "g"], "--model and --id belong to hale probe and hale plan"),
])
def test_usage(tmp_path, sim, args, text):
    done = run(tmp_path, two(sim), *args)
    assert done.returncode == 2 and text in done.stderr


def test_bad_configuration(tmp_path):
    for verb in ("probe", "plan"):
        done = run(tmp_path, "general_settings: {health_check_interval: 0}\n", verb)
        assert done.returncode == 1 and "c.yaml:1:" in done.stderr and done.stdout == ""


def test_plan(tmp_path, sim):
    config = two(sim, health_check_interval=60)
    config["model_list"] += [deployment("alias", sim, key="sk-secret-a"),
                             deployment("quiet", sim, key="sk-c", info={"disable_background_health_check": True})]
    done = run(tmp_path, config, "plan")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    name, model, probes, tokens, day = rows["g"].split()
    assert (name, model, probes) == ("g", "openai/gpt-4o", "1440")
    assert int(day) == 1440 * int(tokens) > 0
    assert "served by the probe of g, id a" in rows["alias"]
    assert "disable_background_health_check" in rows["quiet"]
    assert rows["2"].startswith("2 deployments, every 60 s: 2880 probes and about ")
    assert "background health checks are off" in done.stdout
    assert sim.requests() == []


def test_plan_is_what_happens(tmp_path, sim, hale):
    """A second of the plan, against a second of the daemon."""
    config = two(sim, background_health_checks=True, health_check_interval=1)
    plan = run(tmp_path, config, "plan").stdout
    assert "172800 probes" in plan and "background health checks are off" not in plan
    hale(config).wait_log("background_health_check_loop_started .*model_count_enabled=2")


def test_plan_knows_limits(tmp_path, sim):
    config = two(sim, health_check_daily_token_limit=5000)
    config["model_list"][0]["model_info"]["health_check_daily_token_limit"] = 100
    done = run(tmp_path, config, "plan")
    assert re.search(r"^g .* stops at 100 a day$", done.stdout, re.M), done.stdout
    assert re.search(r"^h .* stops at 5000 a day$", done.stdout, re.M)
    assert "health_check_daily_token_limit ends the probes of a day at 5000 tokens" in done.stdout
