"""Ctrl-C: how long a sweep's caller may be deaf, and what becomes of those that it waits for."""

import signal
import threading
import time
from itertools import repeat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof.scale.reductions import Frontier
from tokenroof.support.aside import aside
from tokenroof.support.order import order_by

LONG = {
    "devices": "H200-SXM", "models": "DeepSeek-V3", "plans": tr.Plan(tp=8, moe_ep=8, weights="fp8"),
    "batch": np.arange(1, 601), "context": np.arange(1000) * 16.0,
}  # fmt: skip
WAYS = {
    "in memory": {},
    "raise": {"invalid": "raise", "context": np.arange(1000)},
    "parquet": {"store": "steps.parquet", "chunks": 2**18},
    "zarr": {"store": "steps.zarr", "chunks": 2**16},
    "frontier": {"reduce": "frontier", "chunks": 2**19},
    "best plan": {"reduce": "best_plan"},
    "quantiles": {"reduce": "quantiles", "chunks": 2**19},
}


def deaf(function):
    """Most seconds of this process's processors between two signals that were heard; one comes each ms of them."""
    heard = [time.process_time()]
    before = signal.signal(signal.SIGPROF, lambda *_: heard.append(time.process_time()))
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        function()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
    heard.append(time.process_time())
    assert len(heard) > 4
    return np.diff(heard).max()


def soon(function):
    """Whether it can be within 50 ms: a busy machine may let the other thread run and not the one that waits."""
    return any(deaf(function) < 0.05 for _ in range(5))


@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
def test_ctrl_c_is_heard_within_50_ms(ways, tmp_path, monkeypatch):
    """Of the processors' time, so that what else the machine does counts for nothing."""
    monkeypatch.chdir(tmp_path)
    stores = (f"{k}-{ways['store']}" for k in range(9)) if "store" in ways else repeat(None)
    tr.sweep(**LONG | ways | {"batch": [1], "context": [1.0], "store": next(stores)})  # imports
    assert soon(lambda: tr.sweep(**LONG | ways | {"store": next(stores)}))


def test_who_waits_hears_ctrl_c_and_the_rest_is_not_begun(monkeypatch):
    begun, over = [], threading.Event()

    def slow(k):
        begun.append(k)
        if len(begun) == 2:
            signal.raise_signal(signal.SIGINT)  # in that thread: the other one is not woken by it
            over.wait(30)
        return np.zeros(1)

    work = LONG | {"batch": [1, 2, 3, 4], "context": [1.0], "reduce": "best_plan", "chunks": 1}
    fine = tr.inference.combinations.Combinations.compute
    monkeypatch.setattr(
        tr.inference.combinations.Combinations,
        "compute",
        lambda self, block: (slow(block), fine(self, block))[1],
    )
    with pytest.raises(KeyboardInterrupt):
        tr.sweep(**work)
    over.set()
    time.sleep(0.1)
    assert len(begun) == 2


def test_what_goes_wrong_aside_is_raised_here():
    assert aside(divmod, 17, 5) == (3, 2)
    with pytest.raises(ZeroDivisionError):
        aside(divmod, 17, 0)


keys = st.lists(
    st.tuples(st.integers(0, 3), st.floats(allow_nan=False), st.integers(-2, 2)), max_size=40
)


@given(keys)
def test_an_order_is_that_of_lexsort(rows):
    """Which keeps all threads waiting for as long as it takes."""
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.zeros(0)] * 3
    assert order_by(*columns).tolist() == np.lexsort(columns[::-1]).tolist()


def test_a_large_frontier_is_merged_aside():
    """The caller hears signals meanwhile: each sort lets other threads run."""
    rng = np.random.default_rng(1)
    many = 2**19
    table = {"group": rng.integers(0, 50, many), "at": np.arange(many),
             "speed": rng.random(many), "worth": rng.random(many)}  # fmt: skip
    frontier = Frontier("speed", "worth", "point")
    assert soon(lambda: aside(frontier.merge, [table]))
