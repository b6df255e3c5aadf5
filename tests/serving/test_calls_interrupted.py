"""Ctrl-C within 50 ms of CPU time, whatever plays or searches; `bench/interrupted.py` says it of long runs."""

import runpy
import time
from pathlib import Path

import numpy as np
import pytest

from tokenroof import serving

BENCH = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "interrupted.py"))
WHERE = ("H200-SXM", "Llama-3.1-8B", None)
SIZES = {"input_tokens": 500, "output_tokens": 200}
SLO = serving.SLO(ttft_s=0.5, percentile=99)


def _pools():
    system = serving.disaggregate(("H200-SXM", None, 2), ("H200-SXM", None, 2), model=WHERE[1])
    scale = serving.Autoscale(1, 2, 20.0)
    load = serving.poisson(40.0, requests=20_000, **SIZES)
    serving.simulate(system, None, None, load, autoscale=scale)


CASES = {
    "pools": _pools,
    "tune": lambda: serving.tune(*WHERE, SLO, **SIZES, requests=500, seeds=2),
    "capacity": lambda: serving.capacity(
        *WHERE, SLO, 500, 200, prove=True, requests=1000, tolerance=0.001
    ),
    "curve": lambda: serving.curve(*WHERE, concurrency=np.arange(1, 1201)),
    "frontier": lambda: serving.frontier(*WHERE[:2], systems=True, devices=256),
    "same_meter": lambda: BENCH["_ladder"](1),
    "risk": lambda: BENCH["_risk"](300_000),
    "equilibrium": lambda: BENCH["_equilibrium"](200_000),
}


@pytest.mark.parametrize("name", CASES)
def test_ctrl_c_is_heard(name):
    call = CASES[name]
    begin = time.perf_counter()
    call()  # tables and imports
    after = 0.4 * (time.perf_counter() - begin)
    longest, _, where = BENCH["deaf"](call)
    assert longest < 0.050, where
    assert BENCH["left"](call, after) < 0.050


def test_a_call_apart_gives_and_fails_as_it_does():
    from tokenroof.support.aside import aside

    assert aside(max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        aside(lambda: 1 / 0)
