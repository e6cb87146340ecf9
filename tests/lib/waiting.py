"""The one place of the tests that waits by looking again and again."""

import time


def wait_until(fn, timeout=20.0, what=None):
    """Calls fn until it returns something true and returns that; an AssertionError shows the last value."""
    end = time.monotonic() + timeout
    pause = 0.002
    while True:
        value = fn()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"not within {timeout} s: {what or fn}; last value: {value!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
