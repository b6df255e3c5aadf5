"""Tensor cores as fast as boards were reported to be, where a device has no measured table of its own.

What carries over from another board's table is a share of the printed peak, which stands for a printed clock.
Boards for players run above it, and multiply 16-bit numbers at half of their multiprocessors' rate, so that
neither watts nor anything else holds them back: 99 to 113 % of the peak, where shares of a data-centre board
say 78 to 95 %.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import numpy as np

from tokenroof import kernels
from tokenroof.catalogue.squares import SIDES, squares
from tokenroof.records import dtypes
from tokenroof.records.calibration import Calibration
from tokenroof.records.device import unit_peak

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenroof.catalogue.squares import Squares
    from tokenroof.records.device import Device

__all__ = ["as_published", "best_square", "in_step", "reported"]

_TURNS = 30  # each leaves a part of the error: what of a product's time is not its tensor cores'
_NEAR = 1e-9


def as_published(
    device: Device, dtype: str, constants: dict[str, float]
) -> tuple[dict[str, float], str]:
    """Constants of products with which the best square is as fast as the median board's.

    Parameters
    ----------
    device : Device
    dtype : str
        Of the weights: types count that are multiplied at the rate of the reported one.
    constants : dict
        Carried over from other devices.

    Returns
    -------
    (dict, str)
        The constants, and which boards they are of; as they were, and empty, where no board was reported.

    Examples
    --------
    >>> import tokenroof as tr
    >>> from tokenroof.inference.constants import find
    >>> fit = find("gemm", tr.device("RTX 4090"), "vllm", "bf16")
    >>> fit.constants["compute"] > 1.0, fit.origin.rpartition(", ")[2]
    (True, 'square products as of 8 reported boards')
    """
    found = reported(device, dtype)
    if found is None:
        return constants, ""
    own = constants | {"joule": 0.0, "compute": found.flops_per_s / unit_peak(device, dtype)}
    for _ in range(_TURNS):
        short = found.flops_per_s / best_square(device, found.dtype, own)
        own["compute"] *= short
        if abs(short - 1.0) < _NEAR:
            break
    return own, _said(found)


def reported(device: Device, dtype: str) -> Squares | None:
    """What boards of a device were reported to reach, if a type is multiplied at the reported one's rate.

    Parameters
    ----------
    device : Device
    dtype : str
        Of weights, or of an attention's maths and cache as ``"bf16/fp8"``.

    Returns
    -------
    Squares or None
    """
    kind = dtype.partition("/")[0]
    found = next((row for row in squares() if row.device == device.name), None)
    if found is None or unit_peak(device, kind) != unit_peak(device, found.dtype):
        return None
    return found


def in_step(
    device: Device, dtype: str, constants: dict[str, float], reached: Sequence[float]
) -> tuple[dict[str, float], str]:
    """Constants of prompts' attention whose tensor cores are to those of its products as on measured devices.

    Parameters
    ----------
    device : Device
        One that `reported` has.
    dtype : str
        As `reported` takes it.
    constants : dict
        Carried over from other devices.
    reached : sequence of float
        Share of its peak that each one's best square product reaches [1].

    Returns
    -------
    (dict, str)
        The constants, and which boards they are of.
    """
    found = reported(device, dtype)
    assert found is not None
    own = found.flops_per_s / unit_peak(device, dtype.partition("/")[0])
    factor = own / statistics.geometric_mean(reached)
    return constants | {"compute": constants["compute"] * factor}, _said(found)


def best_square(device: Device, dtype: str, constants: dict[str, float]) -> float:
    """The best rate of square products, their operands warm [FLOP/s].

    Parameters
    ----------
    device : Device
    dtype : str
    constants : dict
        Of products.

    Returns
    -------
    float
        [FLOP/s].
    """
    side, code = np.array(SIDES), dtypes.code(dtype)
    record = Calibration(constants={"gemm": constants}).pack()
    seconds = kernels.gemm_operator(device.pack(), record, side, side, side, code, code, True)[
        ..., 0
    ]
    return float((2.0 * side**3 / seconds).max())


def _said(found: Squares) -> str:
    boards = len(found.boards)
    return f"square products as of {boards} reported board{'s' if boards > 1 else ''}"
