"""Every setting that docs/config.md lists refuses nonsense and what is out of its bounds, with file, line and column.

The list is the program's own reference, so that a new setting cannot be forgotten.
"""

import re
import subprocess

import pytest

import paths

TOP = ("general_settings", "router_settings", "litellm_settings", "hale_settings")
ENTRY = "model_list:\n- model_name: a\n  litellm_params:\n    model: openai/x\n"
PLACES = {**{name: f"{name}:\n  {{}}: {{}}\n" for name in TOP}, "model_list: litellm_params": ENTRY + "    {}: {}\n",
          "model_list: model_info": ENTRY + "  model_info:\n    {}: {}\n"}
# LiteLLM ignores a list here, and so does hale: with a warning
LENIENT = ("health_check_params",)


def check(directory, text):
    (directory / "c.yaml").write_text(text)
    done = subprocess.run([str(paths.HALE), "check", "c.yaml"], cwd=directory, env=paths.clean_env(), capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=60)
    return done.returncode, done.stderr


def settings():
    """(section, name, what is allowed)"""
    text = subprocess.run([str(paths.HALE), "check", "--print-reference"], env=paths.clean_env(), capture_output=True,
                          text=True, check=True).stdout
    section = None
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:]
        row = re.match(r"\| `(\w+)` \| ([^|]+?) \|", line)
        if row and section in PLACES and row[2] not in ("any", "-") and row[1] != "model":
            yield section, row[1], row[2]


def refuses(directory, section, name, value, said):
    code, error = check(directory, PLACES[section].format(name, value))
    line = PLACES[section].count("\n")
    return (code == 0) == (name in LENIENT) and re.search(rf"^c\.yaml:{line}:\d+: {name}: .*{said}", error, re.M)


@pytest.mark.parametrize("section", PLACES)
def test_nonsense_and_bounds(tmp_path, section):
    rows = [row for row in settings() if row[0] == section]
    assert len(rows) > 5
    for _, name, allowed in rows:
        nonsense = "[1]" if allowed == "map" else "{a: 1}" if "list" in allowed else "[[1]]"
        assert refuses(tmp_path, section, name, nonsense, ""), (name, nonsense)
        if bounds := re.search(r"(-?[\d.e+]+)\.\.(-?[\d.e+]+)", allowed):
            for value in (int(float(bounds[2])) + 1, int(float(bounds[1])) - 1):
                said = f"{value} is out of range, use (a number )?" + re.escape(bounds[0])
                assert refuses(tmp_path, section, name, value, said), (name, value)
