"""Where the programs under test are: HALE_BUILDDIR, or the source tree itself."""

import os
import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HALE_BUILDDIR") or SOURCE).resolve()
HALE = BUILD / "src" / "hale"
LLMSIM = BUILD / "tests" / "tool" / "llmsim"

# Freed memory stays in the quarantine of AddressSanitizer: how much memory a process has says nothing then.
SANITIZED = (BUILD / "Makefile").exists() and bool(
    re.search(r"^HALE_CFLAGS = .*-fsanitize=", (BUILD / "Makefile").read_text(), re.M))

# What a sanitizer or an assertion of ours writes when something is wrong.
ALARMS = ("panic", "ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error")


def clean_env(extra=None):
    """The environment of a daemon under test: nothing of the developer's own keys, proxies or settings."""
    keep = ("PATH", "HOME", "TMPDIR", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")
    env = {name: os.environ[name] for name in keep if name in os.environ}
    env.update(extra or {})
    return env
