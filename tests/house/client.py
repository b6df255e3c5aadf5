"""A program that uses what is public: checked with ``mypy --strict``, and run."""

from __future__ import annotations

from typing import assert_type

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import tokenroof as tr
from tokenroof import Calibration, Deployment, Device, Miner, Model, Plan, Step
from tokenroof.mining import HashrateEstimate, PoolIncome


def slowest(step: Step) -> float:
    return float(step.time_s.max())


def records() -> None:
    assert_type(tr.device("H200-SXM"), Device)
    assert_type(tr.model("Llama-3.1-8B"), Model)
    assert_type(tr.miner("Antminer S21"), Miner)
    assert_type(Plan(tp=2).devices, int)


def steps() -> None:
    own = Calibration(launch_s=1e-6)
    step = tr.decode("H200-SXM", "Llama-3.1-8B", tr.Plan(tp=2), batch=[1, 64], fidelity=own)
    assert_type(step, Step)
    assert_type(step.time_s, NDArray[np.float64])
    assert_type(step.bound, NDArray[np.str_])
    assert_type(step.error_band, float)
    assert_type(step.device, Device)
    assert_type(step.calibration, Calibration)
    assert_type(slowest(tr.prefill("H200-SXM", "Llama-3.1-8B", tokens=512)), float)
    assert_type(tr.operators.gemm("H100-SXM", 8, 512, 512), tr.operators.Operator)
    assert_type(tr.calibration.estimate(tr.device("H100-SXM")), Calibration)
    assert_type(tr.serving.curve("H200-SXM", "Llama-3.1-8B", concurrency=[1]), xr.Dataset)
    assert_type(tr.sweep(["H200-SXM"], ["Llama-3.1-8B"], batch=[1]), xr.Dataset)


def kernels() -> None:
    assert_type(tr.kernels.attainable(1e15, 1e12, 2.0), np.float64)
    assert_type(tr.kernels.attainable(1e15, np.linspace(1e12, 2e12), 2.0), NDArray[np.float64])
    assert_type(tr.kernels.ridge_point([1e15, 2e15], 1e12), NDArray[np.float64])
    vectors = tr.device("H200-SXM").pack(), Calibration.ideal().pack(), tr.model("GPT-2").pack()
    time = tr.kernels.decode_time(*vectors, Plan().pack(), np.arange(1.0, 9.0), 100.0)
    assert_type(time, NDArray[np.float64])
    assert_type(tr.kernels.sha256d(np.zeros((2, 80), np.uint8)), NDArray[np.uint8])
    assert_type(tr.kernels.attainable.nin, int)


def mining() -> None:
    assert_type(tr.mining.hashprice(1e14, 1e5), float | NDArray[np.float64])
    assert_type(tr.mining.work(0x1D00FFFF), int)
    assert_type(tr.mining.supply(840_000), int)


if __name__ == "__main__":
    for run in (records, steps, kernels, mining):
        run()
    named = (Deployment, HashrateEstimate, PoolIncome)
    assert all(isinstance(kind, type) for kind in named)
