"""hale check and the small verbs: what they print and how they exit."""

import random
import subprocess

import pytest

import paths

GOOD = """\
model_list:
- model_name: gpt
  litellm_params: {model: openai/gpt-4o, api_key: os.environ/NO_SUCH_KEY}
- model_name: vectors
  litellm_params: {model: openai/text-embedding-3-small}
"""


def hale(*args, cwd, **env):
    return subprocess.run([str(paths.HALE), *args], cwd=cwd, env=paths.clean_env(env), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60)


@pytest.mark.parametrize("spelling", [["check", "c.yaml"], ["-t", "c.yaml"], ["--check", "--config", "c.yaml"]])
def test_valid(tmp_path, spelling):
    (tmp_path / "c.yaml").write_text(GOOD)
    done = hale(*spelling, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[0] == "2 deployments in 2 groups"
    assert "vectors" in done.stdout and "embedding 1" in done.stdout
    assert done.stdout.splitlines()[-1] == "c.yaml: valid, 0 errors, 0 warnings"


def test_errors_in_file_order(tmp_path):
    (tmp_path / "c.yaml").write_text("general_settings:\n  health_check_interval: 0\nrouter_settings:\n"
                                     "  health_check_concurrency: 4\n  timeout: never\nmodel_list: 5\n")
    done = hale("check", "c.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "c.yaml:2:26: health_check_interval: 0 is out of range, use 1..86400 (seconds)",
        "c.yaml:4:29: health_check_concurrency: 'health_check_concurrency' is NOT a valid router_settings parameter. "
        "Please move it to 'general_settings'.",
        "c.yaml:5:12: timeout: \"never\" is not a number, use a number 0.001..86400 (seconds)",
        "c.yaml:6:13: model_list: a number where a list is expected",
    ]


def test_twenty_errors_and_a_count(tmp_path):
    (tmp_path / "c.yaml").write_text("model_list:\n" + "- {}\n" * 30)
    done = hale("check", "c.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 21
    assert done.stderr.splitlines()[-1] == "... and 40 more errors"


def test_strict_makes_warnings_errors(tmp_path):
    (tmp_path / "c.yaml").write_text(GOOD + "general_settings: {helth_check_interval: 5}\n")
    done = hale("check", "c.yaml", cwd=tmp_path)
    assert done.returncode == 0
    assert 'did you mean "health_check_interval"? (warning)' in done.stderr
    assert hale("check", "--strict", "c.yaml", cwd=tmp_path).returncode == 1


@pytest.mark.parametrize("args", [["check", "none.yaml"], ["check", "."], ["check"], ["--frobnicate"], ["--port", "x"]])
def test_usage_and_unreadable(tmp_path, args):
    done = hale(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr


def test_hostile_files_end_with_a_message(tmp_path):
    laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    for text in [laughs.encode(), b"a: " + b"[" * 100000, b"a: b\nc: \x00d\n", random.Random(1).randbytes(10_000_000), b"a: &a [*a]\n",
                 b"{" * 1000000, b"a: [" + b"a," * 4000000, b"- " * 100000, b"a: \xff", b"a:\n\t- b\n"]:
        (tmp_path / "c.yaml").write_bytes(text)
        done = hale("check", "c.yaml", cwd=tmp_path)
        assert done.returncode == 1, text[:40]
        assert done.stderr.startswith("c.yaml:"), done.stderr


def test_secrets_do_not_show(tmp_path):
    (tmp_path / "c.yaml").write_text("general_settings: {master_key: [sk-very-secret], database_url: {a: sk-very-secret}}\n"
                                     "model_list: [{model_name: a, litellm_params: {model: openai/a, api_key: [sk-very-secret]}}]\n")
    done = hale("check", "c.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "very-secret" not in done.stdout + done.stderr


def test_version_and_help(tmp_path):
    assert hale("--version", cwd=tmp_path).stdout.startswith("hale/")
    assert "--num_workers" in hale("--help", cwd=tmp_path).stdout
