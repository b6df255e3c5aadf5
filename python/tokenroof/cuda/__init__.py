"""The kernels on CUDA devices, where this build and this machine have them.

Every kernel of `tokenroof.kernels` is here by the same name, over arrays that are on a device: CuPy, Torch,
JAX, Numba, whatever has ``__cuda_array_interface__`` or DLPack. They broadcast, take any strides and
``out=``, settle types as NumPy does, run on the array library's current stream or on ``stream=``, and give
the result in that library. `available` says whether something can run, `why_not` what is missing, `devices`
what there is; none of them fails, and nothing here needs a driver to be imported.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from tokenroof import kernels
from tokenroof.cuda import call as _call
from tokenroof.cuda import module as _compiled
from tokenroof.cuda.arrays import Array
from tokenroof.cuda.call import DeviceKernel
from tokenroof.cuda.libraries import LEGACY_STREAM, stream_handle
from tokenroof.cuda.module import CudaDevice, available, devices, why_not
from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    from tokenroof.cuda.probes import CudaMachine

_NAMES = tuple(kernels.__test__)

__all__ = [
    "Array", "CudaDevice", "DeviceKernel", "asarray", "available", "devices", "probe", "why_not", *_NAMES,
]  # fmt: skip


def probe(device: int = 0, seconds: float = 1.0, **more: Any) -> CudaMachine:
    """Measure ceilings of a device: `tokenroof.cuda.probes.probe` says what of.

    Parameters
    ----------
    device : int
        Number of the device.
    seconds : float
        Limit of the time for each group of probes [s].
    **more
        ``groups`` and ``progress``.

    Returns
    -------
    CudaMachine
        Readings of the same form as those of `tokenroof.measure.machine`; its `device` is one for models.

    Raises
    ------
    RuntimeError
        If nothing can run here, with the reason, or the device fails.
    ValueError, TypeError
        Naming the argument, its value and what is allowed.
    tokenroof.measure.ProbeError
        If a probe's results are not those of the work that it claims.

    Examples
    --------
    >>> not available() or probe(0, seconds=0.1).memory_bandwidth > 0
    True
    """
    from tokenroof.cuda.probes import probe as run

    return run(device, seconds, **more)


def asarray(x: Any, dtype: Any = None, *, device: int = 0, stream: Any = None) -> Array:
    """Copy numbers of the host to a device.

    Parameters
    ----------
    x : array_like
        On the host.
    dtype : dtype, optional
        Its own without it.
    device : int, optional
        Number of the device.
    stream : int or stream, optional
        Where the copy is put; it is done when this returns.

    Returns
    -------
    Array
        Which CuPy, Torch, JAX and Numba take by protocol.

    Raises
    ------
    RuntimeError
        If nothing can run here.
    ValueError
        If there is no such device.
    MemoryError
        If its memory is full.

    Examples
    --------
    >>> not available() or asarray([1.0, 2.0]).shape == (2,)
    True
    """
    module = _compiled.module()
    count = len(module.devices())
    if isinstance(device, bool) or not isinstance(device, int) or not 0 <= device < count:
        raise ValueError(f"device is {shown(device)}; allowed: 0 to {count - 1}")
    handle = LEGACY_STREAM if stream is None else stream_handle(stream)
    return _call.asarray(module, x, dtype, device, handle)


def _loader() -> ModuleType:
    return _compiled.module()  # looked up at each call, so that it may be replaced


globals().update({name: DeviceKernel(name, _loader) for name in _NAMES})


def __dir__() -> list[str]:
    return sorted(__all__)
