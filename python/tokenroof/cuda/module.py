"""The compiled part for CUDA, where this build and this machine have it, and the devices that it sees."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from tokenroof import _core

__all__ = ["CudaDevice", "available", "devices", "load", "module", "why_not"]


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
def load() -> tuple[ModuleType | None, str]:
    """The compiled part, or None and why it is not there."""
    try:
        from tokenroof import _cuda
    except ImportError as error:
        state = str(_core.build_config()["cuda"])
        if state.startswith("built without"):
            return None, state
        return None, f"the CUDA module does not load: {error}"
    return _cuda, ""


def module() -> ModuleType:
    """The compiled part, where something can run.

    Raises
    ------
    RuntimeError
        With the reason, where nothing can.
    """
    reason = why_not()
    if reason:
        raise RuntimeError(f"no CUDA here: {reason}")
    found = load()[0]
    assert found is not None
    return found


def why_not() -> str:
    """What keeps kernels from running on a device here; empty where nothing does.

    Returns
    -------
    str
        A sentence: what is missing, and where to get it.

    Examples
    --------
    >>> from tokenroof.cuda import available, devices, why_not
    >>> available() == (why_not() == "")
    True
    """
    found, reason = load()
    if found is None:
        return reason
    return str(found.why_not())


def available() -> bool:
    """Whether kernels can run on a CUDA device here.

    Returns
    -------
    bool

    Examples
    --------
    >>> from tokenroof.cuda import available, devices, why_not
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
    >>> from tokenroof.cuda import available, devices
    >>> len(devices()) > 0 or not available()
    True
    """
    found = load()[0]
    if found is None:
        return []
    rows: list[dict[str, Any]] = found.devices()
    return [CudaDevice(**one) for one in rows]
