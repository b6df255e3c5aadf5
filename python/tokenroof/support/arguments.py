"""Numbers that a caller gives: checked, named when refused, as float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.support.labels import refuse_masked

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def is_number(value: object) -> bool:
    """Whether it is one real number, Python's or NumPy's, and no bool."""
    real = isinstance(value, (int, float, np.integer, np.floating))
    return real and not isinstance(value, bool)


def number(value: object) -> float:
    """One real number as a float; NaN for anything else, and for an integer beyond float64."""
    try:
        return float(value) if is_number(value) else np.nan  # type: ignore[arg-type]
    except OverflowError:
        return np.nan


def amounts(field: str, value: ArrayLike, *, positive: bool = False) -> NDArray[np.float64]:
    """Real, finite numbers of a load, zero or more."""
    refuse_masked(field, value)
    try:
        given = np.asarray(value)
        if given.dtype.kind in "bcSUVmM":  # text that reads as a number, or half of a complex one
            raise TypeError
        array = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{field} is {value!r}; allowed: real numbers") from None
    bad = ~(np.isfinite(array) & ((array > 0) if positive else (array >= 0)))
    if bad.any():
        first: Any = array[bad].flat[0] if array.ndim else array.item()
        kind = "> 0" if positive else ">= 0"
        raise ValueError(f"{field} is {first:g}; allowed: finite numbers {kind}")
    return array


def whole_numbers(field: str, value: ArrayLike) -> NDArray[np.float64]:
    """Whole numbers of one and more, as floats."""
    array = amounts(field, value, positive=True)
    bad = array != np.floor(array)
    if bad.any():
        raise ValueError(f"{field} is {array[bad].flat[0]:g}; allowed: whole numbers >= 1")
    return array


def count(field: str, value: object) -> int:
    """One whole number of one and more."""
    if (
        isinstance(value, (bool, np.bool_))
        or not isinstance(value, (int, np.integer))
        or not 1 <= value <= 2**53
    ):
        raise ValueError(f"{field} is {value!r}; allowed: a positive integer")
    return int(value)


def flag(field: str, value: object) -> float:
    """True or False, as kernels take it."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{field} is {value!r}; allowed: True or False")
    return float(value)


def check_shapes(**arrays: NDArray[np.float64]) -> None:
    """Reject arrays that do not broadcast, by name."""
    try:
        np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items() if array.ndim)
        raise ValueError(f"shapes are {shapes}; allowed: shapes that broadcast") from None


def together(**arrays: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Arrays of one shape."""
    check_shapes(**arrays)
    return tuple(np.broadcast_arrays(*arrays.values()))


def finite_number(name: str, value: object, low: float = 0.0, *, above: bool = False) -> float:
    """A finite number, at least (or above) `low`."""
    kind = "above" if above else "of at least"
    if not is_number(value):
        raise TypeError(f"{name} is {value!r}; allowed: a number {kind} {low:g}")
    x = number(value)
    if not np.isfinite(x) or (x <= low if above else x < low):
        raise ValueError(f"{name} is {value!r}; allowed: a finite number {kind} {low:g}")
    return x


def check_options(function: str, given: Mapping[str, object], allowed: type) -> None:
    """Reject an option by name that the record of a function's options, a TypedDict, lacks.

    Examples
    --------
    >>> from typing import TypedDict
    >>> class Options(TypedDict, total=False):
    ...     engine: str
    ...     fidelity: str
    >>> check_options("decode", {"engine": "vllm"}, Options)
    >>> check_options("decode", {"enginee": "vllm"}, Options)
    Traceback (most recent call last):
    TypeError: decode() got an unexpected option 'enginee'; allowed: engine, fidelity
    """
    names = allowed.__annotations__
    for name in given:
        if name not in names:
            raise TypeError(
                f"{function}() got an unexpected option {name!r}; allowed: {', '.join(names)}"
            )
