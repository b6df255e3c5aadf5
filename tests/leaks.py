"""Calls, refused calls and calls that end half-way, for a search of what is never freed: run by `sanitize.sh`."""

import contextlib
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "kernels"))
import test_many_threads as calls

import tokenroof as tr
from tokenroof import mining


def refused() -> None:
    """Each way out of the compiled core that is not its end."""
    with contextlib.suppress(TypeError, ValueError):
        tr.kernels.attainable("x", 1.0, 1.0)
    with contextlib.suppress(TypeError, ValueError):
        tr.kernels.decode_time(np.ones(3), np.ones(3), np.ones(3), np.ones(3))
    with contextlib.suppress(TypeError, ValueError):
        mining.scan(bytes(79), count=1)
    for mark in calls.test_a_callback_that_fails_ends_all_threads.pytestmark:
        for call in mark.args[1]:
            calls.test_a_callback_that_fails_ends_all_threads(call)


for turn in range(2):  # what a second call loses of the first is found
    for call in (calls.step, calls.prompts, calls.elements, calls.digests, calls.scan, calls.runs,
                 calls.cash, calls.pool):  # fmt: skip
        call(turn)
    refused()
