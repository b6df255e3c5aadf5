"""What a request costs while it runs, counted by the allocator of the C library."""

import ctypes
import sys

import numpy as np
import pytest

from tokenroof.serving import Scheduler, StepTime, simulate

FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")  # fmt: skip


class Info(ctypes.Structure):
    """As glibc's malloc.h has it."""

    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]


def allocated() -> int:
    """Bytes that are in use, of all of malloc's arenas."""
    tell = ctypes.CDLL(None).mallinfo2
    tell.restype = Info
    found = tell()
    return int(found.uordblks + found.hblkhd)


class Enough(Exception):
    """Counted."""


def while_it_runs(requests: int, places: int, **knobs) -> int:
    """Bytes while so many of the requests run, and the others wait."""
    load = {
        "arrival": np.zeros(requests),
        "input_tokens": 500 + np.arange(requests) % 100,
        "output_tokens": 2**23 - 8,
    }
    engine = Scheduler.preset(
        "vllm-0.33",
        num_blocks=2**31 - 2,
        max_num_seqs=places,
        max_num_batched_tokens=2**30,
        **knobs,
    )
    seen = [allocated()]

    def count(done: int, of: int) -> None:
        seen.append(allocated())
        begun = seen[-1] > seen[0] + 2**24  # a table of ends, before the first is admitted
        if (begun and abs(seen[-1] - seen[-2]) < 2**14) or len(seen) > 100:
            raise Enough

    with pytest.raises(Enough):
        simulate(None, None, None, load, engine, step_time=StepTime(10**6), progress=count)
    return seen[-1] - seen[0]


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
@pytest.mark.parametrize("loop", ["sync", "async"])
def test_a_request_that_runs_takes_less_than_200_bytes(loop):
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("asks glibc 2.33 or later")
    n = 30_000
    waiting, running = (while_it_runs(n, places, loop=loop) for places in (16, n))
    each = (running - waiting) / n
    assert 100 < each < 200, each
