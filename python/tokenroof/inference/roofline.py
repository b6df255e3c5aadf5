"""Rooflines of catalogue devices: roofs, ridge points, and where a step stands under them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.inference.door import as_device
from tokenroof.records import dtypes
from tokenroof.records.device import unit_peak
from tokenroof.support.arguments import amounts
from tokenroof.support.kinds import takes_records
from tokenroof.support.labels import keeps_labels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.inference.step import Step
    from tokenroof.records.device import Device


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
    return _peak(as_device(device), dtype)


def _peak(device: Device, dtype: str) -> float:
    dtypes.code(dtype)
    return unit_peak(device, dtype)


@keeps_labels
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
    out: Any = kernels.attainable(_peak(d, dtype), d.memory_bandwidth, x)
    return np.asarray(out)


def ridge(device: str | Device, dtype: str = "bf16") -> float:
    """Ridge point of a device [FLOP/B].

    Examples
    --------
    >>> round(ridge("H100-SXM"), 1)
    295.3
    """
    d = as_device(device)
    return float(kernels.ridge_point(_peak(d, dtype), d.memory_bandwidth))


@takes_records
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
