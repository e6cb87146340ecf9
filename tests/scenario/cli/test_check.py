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
    assert [line.split() for line in done.stdout.splitlines()[1:3]] == [
        ["gpt", "openai", "chat", "(default)", "POST", "https://api.openai.com/v1/chat/completions"],
        ["vectors", "openai", "embedding", "(by", "name)", "POST", "https://api.openai.com/v1/embeddings"],
    ]
    assert done.stdout.splitlines()[-1] == "c.yaml: valid, 0 errors, 0 warnings"


def test_modes(tmp_path):
    """What each deployment is taken for, what says so, where its probe goes, and which have none."""
    (tmp_path / "c.yaml").write_text("""\
model_list:
- model_name: list
  litellm_params: {model: azure/b, api_base: 'https://user:secret9pass@r.example', api_version: "1"}
  model_info: {mode: batch}
- model_name: film
  litellm_params: {model: openai/sora-2}
  model_info: {mode: video_generation}
- model_name: judge
  litellm_params: {model: azure/omni-moderation-latest, api_base: 'https://r.example'}
- model_name: star
  litellm_params: {model: openai/*}
- model_name: other
  litellm_params: {model: openai/*}
  model_info: {health_check_model: groq/whisper-large-v3}
""")
    done = hale("check", "c.yaml", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        'c.yaml:7:22: mode: video_generation is known to LiteLLM, not probed by hale (warning)',
        "c.yaml:9:27: model: no probe for mode moderation of provider azure: the state will stay unknown (warning)",
    ]
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()[1:6]]
    assert lines[0].startswith("list azure batch (configured) GET https://") and "secret9pass" not in done.stdout
    assert lines[0].endswith("r.example/openai/batches?api-version=1")
    assert lines[1:] == [
        "film openai video_generation (configured) no probe: Mode video_generation not supported: known to LiteLLM, "
        "not probed by hale",
        "judge azure moderation (by name) no probe: Mode moderation not supported for provider azure. See modes here: "
        "https://docs.litellm.ai/docs/proxy/health",
        "star openai chat (default) no probe: Unable to health check wildcard model for provider openai. Set "
        "model_info.health_check_model to one of its models.",
        "other groq audio_transcription (by name) POST https://api.groq.com/openai/v1/audio/transcriptions",
    ]


def test_unknown_mode(tmp_path):
    (tmp_path / "c.yaml").write_text("model_list:\n- model_name: a\n  litellm_params: {model: openai/a}\n"
                                     "  model_info: {mode: audio_transcripton}\n- model_name: b\n"
                                     "  litellm_params: {model: openai/b}\n  model_info:\n    mode: nonsense\n")
    done = hale("check", "c.yaml", cwd=tmp_path)
    known = ("use one of chat, completion, embedding, image_generation, image_edit, audio_transcription, audio_speech, "
             "rerank, batch, realtime, ocr, responses, moderation, anthropic_messages (or, without a probe, "
             "video_generation, evaluation, search, vector_store, guardrail)")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        'c.yaml:4:22: mode: "audio_transcripton" is no mode, did you mean "audio_transcription"?; ' + known,
        'c.yaml:8:11: mode: "nonsense" is no mode; ' + known,
    ]


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
