"""Paths of a factory's cash in chunks: the same bits as all at once, in memory, on workers, from a store."""

import dataclasses
import os
import signal
import threading

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenroof import economics as ec
from tokenroof.economics import cash_chunks
from tokenroof.economics.cash_chunks import (
    BLOCK,
    CashWork,
    spread_in_memory,
    spread_of,
)
from tokenroof.scale.grid import Grid

MINE = ec.mine("Antminer S21", hashprice=50.0, usd_per_terahash=16.0)
WANDER = ec.Uncertainty(price_volatility=0.5, price_reversion=0.5)
RISK = {"scenario": MINE, "uncertainty": WANDER, "paths": 3 * BLOCK + 77, "seed": 5, "reserve": 1e8}


def said(found):
    plain = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
    return {name: x for name, x in plain.items() if name not in ("worth", "lowest")}


def test_chunks_are_the_whole_bit_for_bit(tmp_path):
    whole = ec.risk(**RISK)
    assert 0.0 < whole.loss < 1.0 and 0.0 < whole.ruin < 1.0 and whole.p10 < whole.mean < whole.p90
    told = []
    for chunks in (1, 2 * BLOCK, 10 * BLOCK):
        found = ec.risk(**RISK, chunks=chunks, progress=lambda *n: told.append(n))
        assert said(found) == said(whole) and found.worth.size == 0
    assert told[-1] == (RISK["paths"], RISK["paths"])
    store = tmp_path / "paths.parquet"
    for _ in range(2):  # and again, from what is there
        kept = ec.risk(**RISK, chunks=BLOCK, store=store)
        assert said(kept) == said(whole)
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_array_equal(kept.worth.compute(), whole.worth)
        np.testing.assert_array_equal(kept.lowest.compute(), whole.lowest)
    part = store / "part-0000000001.parquet"
    os.truncate(part, 100)
    assert said(ec.risk(**RISK, chunks=BLOCK, store=store)) == said(whole)
    with pytest.raises(ValueError, match="holds other points"):
        ec.risk(**RISK | {"seed": 6}, chunks=BLOCK, store=store)
    with pytest.raises(ValueError, match="chunks is 0; allowed"):
        ec.risk(**RISK, chunks=0)


@dataclasses.dataclass(frozen=True)
class Given(CashWork):
    """Present values that are given."""

    worth: np.ndarray = None

    def compute(self, block):
        return {"worth": self.worth[block[0]], "lowest": -self.worth[block[0]]}


values = st.lists(
    st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 1.0, 1.0 + 2**-52, 1e100, -1e-300]),
    min_size=2,
    max_size=40,
)


@settings(max_examples=25, deadline=None)
@given(values, st.integers(1, 41), st.none() | st.floats(0.0, 1e6))
def test_percentiles_are_numpys(worth, size, reserve):
    """In two passes, of any numbers in any chunks."""
    worth = np.array(worth)
    nothing = np.zeros(1)
    work = Given(nothing, nothing, 0, 1, Grid(("path",), (worth.size,), (size,)), worth=worth)
    found, kept = spread_of(work, 3.0, reserve, (None, None))
    assert kept is None
    p = np.percentile(worth, [10.0, 50.0, 90.0]).tolist()
    assert [found.p10, found.p50, found.p90] == p
    assert found.loss == np.mean(worth < 0.0)
    if reserve is not None:
        assert found.ruin == np.mean(-worth < -reserve)


def test_moments_are_those_of_the_paths():
    rng = np.random.default_rng(1)
    worth = 1e6 + 30.0 * rng.standard_normal(BLOCK + 900)
    found = spread_in_memory(worth, worth, 1e6 + 4.0, None)
    assert found.mean == pytest.approx(worth.mean(), rel=1e-14)
    assert found.mean_error == pytest.approx(worth.std(ddof=1) / np.sqrt(worth.size), rel=1e-9)
    assert np.isnan(found.ruin) and found.loss == 0.0


def test_what_looks_at_all_paths_hears_ctrl_c(monkeypatch):
    """Whatever it is at: passes over many paths are single calls, which no signal reaches, so that a thread makes them."""
    began, ended, at = threading.Event(), threading.Event(), []

    def long(*_):
        at.append(threading.current_thread())
        began.set()
        ended.wait(10.0)

    def interrupt():
        began.wait(10.0)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(cash_chunks, "_at_hand", long)
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        cash_chunks.spread_in_memory(np.ones(2), np.ones(2), 1.0, None)
    assert at[0].is_alive() and at != [threading.main_thread()]
    ended.set()
