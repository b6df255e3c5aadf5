"""Rooflines of catalogue devices: roofs, ridge points, and where a step stands under them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof._inputs import amounts, as_device

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.device import Device
    from tokenroof.step import Step


def peak(device: str | Device, dtype: str = "bf16") -> float:
    """Dense peak of the unit that multiplies this type [FLOP/s].

    Raises
    ------
    KeyError
        For an unknown device.
    ValueError
        For an unknown type, or a device without a unit for it or a wider one.

    Examples
    --------
    >>> peak("H100-SXM", "bf16")
    989400000000000.0
    """
    from tokenroof import _core, dtypes

    d = as_device(device)
    dtypes.code(dtype)
    unit = {
        "int4": "bf16", "mxfp4": "bf16", "fp8_block": "fp8", "mxfp4_mxfp8": "fp8", "nvfp4": "fp4",
    }.get(dtype, dtype)  # fmt: skip
    value = float(d.pack()[_core.DEVICE_FIELDS.index(f"peak_{unit}")])
    if not np.isfinite(value):
        raise ValueError(f"dtype is {dtype!r} on {d.name}; allowed: {', '.join(d.peak)}")
    return value


def roof(device: str | Device, intensity: ArrayLike, dtype: str = "bf16") -> NDArray[np.float64]:
    """Rate that a kernel of this arithmetic intensity can reach [FLOP/s].

    Parameters
    ----------
    device : str or Device
    intensity : array_like
        Arithmetic intensity [FLOP/B].
    dtype : str
        Type of the maths.

    References
    ----------
    Williams, Waterman, Patterson, CACM 52(4), 2009, section 3.

    Examples
    --------
    >>> float(roof("H100-SXM", 64.0))
    214400000000000.0
    """
    d = as_device(device)
    x = amounts("intensity", intensity)
    out: Any = kernels.attainable(peak(d, dtype), d.memory_bandwidth, x)  # type: ignore[attr-defined]
    return np.asarray(out)


def ridge(device: str | Device, dtype: str = "bf16") -> float:
    """Ridge point of a device [FLOP/B].

    Examples
    --------
    >>> round(ridge("H100-SXM"), 1)
    295.3
    """
    d = as_device(device)
    return float(kernels.ridge_point(peak(d, dtype), d.memory_bandwidth))  # type: ignore[attr-defined]


def point(step: Step) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Arithmetic intensity [FLOP/B] of a step, and its rate per device [FLOP/s].

    Examples
    --------
    >>> import tokenroof as tr
    >>> x, y = point(tr.decode("H100-SXM", "Llama-3.1-8B", batch=64))
    >>> bool(y < roof("H100-SXM", x))
    True
    """
    return step.flops / step.bytes, step.flops / step.time_s / step.plan.devices
