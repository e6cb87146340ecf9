"""Keys stay inside: no core dumps, nothing in process titles, logs or answers."""

import pathlib

from daemon import deployment

KEYS = ("sk-master-0123456789", "sk-upstream-0123456789")


def test_no_core_dumps(hale, sim):
    """The limit is 1, not 0: with 0 the kernel would still feed a core_pattern pipe."""
    gate = hale({"model_list": [deployment("g", sim)]})
    for pid in [gate.pid, *gate.children()]:
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        line = next(one for one in limits.splitlines() if one.startswith("Max core file size"))
        assert line.split()[4:6] == ["1", "1"], (pid, line)


def test_keys_appear_nowhere(hale, sim):
    config = {"model_list": [deployment("g", sim, key=KEYS[1]), deployment("g", sim, key=KEYS[1] + "-b")],
              "general_settings": {"master_key": KEYS[0]}}
    gate = hale(config, "--detailed_debug")
    head = {"Authorization": f"Bearer {KEYS[0]}"}
    sim.fault("*", status=401, body='{"error":{"message":"Incorrect API key provided: ' + KEYS[1] + '"}}')
    texts = [gate.chat("g", headers=head).text]
    texts += [gate.get(path, headers=head).text
              for path in ("/health", "/v1/model/info", "/v1/models", "/health/readiness/details", "/health/backlog")]
    gate.reload()
    texts += [gate.log, *gate.children().values()]
    for text in texts:
        assert not any(key in text for key in KEYS)
