"""Number types of weights, activations and caches, with the bytes that an element takes."""

from __future__ import annotations

from tokenroof import _core

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
        raise ValueError(f"{field} is {name!r}; allowed: {', '.join(NAMES)}") from None
