"""Number types of weights, activations and caches, with the bytes that an element takes."""

from __future__ import annotations

from collections.abc import Container

from tokenroof import _core
from tokenroof.support.arguments import shown

#: Names, in the order of their codes in packed records.
NAMES: tuple[str, ...] = _core.DTYPES

#: Bytes of a stored element, its share of the block's scales included.
BYTES: dict[str, float] = _core.DTYPE_BYTES

#: Bytes of an activation that meets a weight of this type.
ACTIVATION_BYTES: dict[str, float] = _core.ACTIVATION_BYTES

CODES: dict[str, int] = {name: code for code, name in enumerate(NAMES)}


def code(name: str, field: str = "dtype") -> int:
    """Code of a type in packed records.

    Raises
    ------
    ValueError
        If there is no type of this name.

    Examples
    --------
    >>> code("bf16")
    2
    """
    try:
        return CODES[name]
    except (KeyError, TypeError):
        raise ValueError(f"{field} is {shown(name)}; allowed: {', '.join(NAMES)}") from None


# Weights that a device without the unit unpacks to 16 bits: the unit, and what they are then.
_WEIGHT_ONLY = {
    "nvfp4": ("fp4", "nvfp4_bf16"), "fp8": ("fp8", "fp8_bf16"), "fp8_block": ("fp8", "fp8_bf16"),
    "mxfp8": ("fp8", "fp8_bf16"),
}  # fmt: skip


def weight_only(name: str, units: Container[str]) -> str:
    """The type as it runs on a device that has these units.

    Examples
    --------
    >>> weight_only("nvfp4", ("bf16", "fp8")), weight_only("fp8", ("bf16", "fp8"))
    ('nvfp4_bf16', 'fp8')
    """
    unit, unpacked = _WEIGHT_ONLY.get(name, ("", ""))
    return unpacked if unit and unit not in units else name


def attention(maths: str, cache: str) -> str:
    """The name under which constants of attention on prompts are kept: type of the maths, then of the cache.

    Examples
    --------
    >>> attention("bf16", "bf16"), attention("bf16", "fp8"), attention("fp8", "fp8")
    ('bf16', 'bf16/fp8', 'fp8')
    """
    wide = ACTIVATION_BYTES[maths] >= 2.0
    return "bf16/fp8" if wide and BYTES[cache] < 2.0 else "bf16" if wide else maths
