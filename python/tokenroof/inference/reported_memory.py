"""Shares of the memory's bandwidth that carry over to another board, by what boards were reported to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof.catalogue.decodes import codes_left, decodes, reached

if TYPE_CHECKING:
    from tokenroof.records.device import Device

__all__ = ["both_reported", "elementwise_share", "memory_ratio"]


def _holds_codes(device: Device) -> bool:
    return "inline ecc" in device.memory_type.lower()


def _reported(device: Device) -> bool:
    """Whether a board of the device was reported, its memory with codes as the device's, or without."""
    codes = next((row.codes for row in decodes() if row.device == device.name), None)
    return codes is not None and codes == _holds_codes(device)


def both_reported(device: Device, source: Device) -> bool:
    """Whether boards of both devices were reported."""
    return _reported(device) and _reported(source)


def memory_ratio(device: Device, source: Device) -> float:
    """Share of the memory's bandwidth that a device reaches, to that of another that was measured.

    Parameters
    ----------
    device, source : Device

    Returns
    -------
    float
        Of boards of both, where both were reported; else what codes of errors in the memory of one leave [1].

    Examples
    --------
    >>> import tokenroof as tr
    >>> measured = tr.device("L40S")
    >>> [round(memory_ratio(tr.device(name), measured), 3) for name in ("RTX 4090", "RTX 2080 Ti", "L4")]
    [1.107, 1.099, 1.0]
    """
    if both_reported(device, source):
        return reached()[device.name] / reached()[source.name]
    left = codes_left()
    return (left if _holds_codes(device) else 1.0) / (left if _holds_codes(source) else 1.0)


def elementwise_share(device: Device) -> float:
    """Share of the memory's bandwidth at which kernels read and write that do next to no work.

    Boards with GDDR were measured: copies, scales and triads reach 0.91 on an RTX 4090 (xytpai/nvbench;
    karpathy/llm.c, pull request 377), 0.89 to 0.95 on an L40 and an A40 (te42kyfo/gpu-benches, gpu-stream),
    RMSNorm 0.91 on an A10G and 0.94 on an L20 (flashinfer-ai/flashinfer, pull request 3280). Of stacked
    memory the same tests say 0.66 to 0.74 on an H200 and 0.88 on an A100; 0.6 is an estimate, with which the
    engines' constants were fitted.

    Parameters
    ----------
    device : Device

    Returns
    -------
    float
        [1].
    """
    return 0.9 if "gddr" in device.memory_type.lower() else 0.6
