"""The kernels on CUDA devices, where this build and this machine have them.

Every kernel of `tokenroof.kernels` is here by the same name, over arrays that are on a device: CuPy, Torch,
JAX, Numba, whatever has ``__cuda_array_interface__`` or DLPack. They broadcast, take any strides and
``out=``, settle types as NumPy does, run on the array library's current stream or on ``stream=``, and give
the result in that library. `available` says whether something can run, `why_not` what is missing, `devices`
what there is; none of them fails, and nothing here needs a driver to be imported.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tokenroof import _core, _device_call, kernels
from tokenroof._device_arrays import Array
from tokenroof._device_call import DeviceKernel
from tokenroof._device_libraries import LEGACY_STREAM, stream_handle

if TYPE_CHECKING:
    from tokenroof._cuda_probe import CudaMachine

_NAMES = tuple(kernels.__test__)

__all__ = [
    "Array", "CudaDevice", "DeviceKernel", "asarray", "available", "devices", "probe", "why_not", *_NAMES,
]  # fmt: skip


@dataclass(frozen=True)
class CudaDevice:
    """One CUDA device of this machine.

    Parameters
    ----------
    index : int
        Number by which CUDA knows it.
    name : str
        Its maker's name for it.
    compute_capability : tuple of int
        Major and minor.
    memory_bytes : int
        Memory [B].
    sm_count : int
        Multiprocessors.
    l2_bytes : int
        L2 cache [B].
    clock_hz, memory_clock_hz : float
        Peak clocks [Hz]; 0 where the driver does not say.
    memory_bus_bits : int
        Width of the memory's bus [bit].
    pci_bus : str
        Its place in the machine.
    """

    index: int
    name: str
    compute_capability: tuple[int, int]
    memory_bytes: int
    sm_count: int
    l2_bytes: int
    clock_hz: float
    memory_clock_hz: float
    memory_bus_bits: int
    pci_bus: str


@functools.cache
def _import() -> tuple[ModuleType | None, str]:
    """The compiled part, or None and why it is not there."""
    try:
        from tokenroof import _cuda
    except ImportError as error:
        state = str(_core.build_config()["cuda"])
        if state.startswith("built without"):
            return None, state
        return None, f"the CUDA module does not load: {error}"
    return _cuda, ""


def _module() -> ModuleType:
    """The compiled part, where something can run.

    Raises
    ------
    RuntimeError
        With the reason, where nothing can.
    """
    reason = why_not()
    if reason:
        raise RuntimeError(f"no CUDA here: {reason}")
    module = _import()[0]
    assert module is not None
    return module


def why_not() -> str:
    """What keeps kernels from running on a device here; empty where nothing does.

    Examples
    --------
    >>> available() == (why_not() == "")
    True
    """
    module, reason = _import()
    if module is None:
        return reason
    return str(module.why_not())


def available() -> bool:
    """Whether kernels can run on a CUDA device here.

    Examples
    --------
    >>> available() in (True, False)
    True
    """
    return not why_not()


def devices() -> list[CudaDevice]:
    """The CUDA devices that this process sees; none where `available` is False.

    Returns
    -------
    list of CudaDevice

    Examples
    --------
    >>> len(devices()) > 0 or not available()
    True
    """
    module = _import()[0]
    if module is None:
        return []
    found: list[dict[str, Any]] = module.devices()
    return [CudaDevice(**one) for one in found]


def probe(device: int = 0, seconds: float = 1.0, **more: Any) -> CudaMachine:
    """Measure ceilings of a device: `tokenroof._cuda_probe.probe` says what of.

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
    from tokenroof._cuda_probe import probe as run

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
    module = _module()
    count = len(module.devices())
    if isinstance(device, bool) or not isinstance(device, int) or not 0 <= device < count:
        raise ValueError(f"device is {device!r}; allowed: 0 to {count - 1}")
    handle = LEGACY_STREAM if stream is None else stream_handle(stream)
    return _device_call.asarray(module, x, dtype, device, handle)


def _loader() -> ModuleType:
    return _module()  # looked up at each call, so that it may be replaced


globals().update({name: DeviceKernel(name, _loader) for name in _NAMES})
