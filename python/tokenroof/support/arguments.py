"""Numbers that a caller gives: checked, named when refused, as float64."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from tokenroof.support.labels import refuse_labelled
from tokenroof.support.names import near_matches
from tokenroof.support.quoting import shown as shown
from tokenroof.support.units import check_unit

if TYPE_CHECKING:
    from types import CodeType

    from numpy.typing import ArrayLike, NDArray


def is_integer(value: object) -> TypeGuard[int]:
    """Whether it is one integer, Python's or NumPy's: no truth value, and no span of time."""
    whole = isinstance(value, (int, np.integer))
    return whole and not isinstance(value, (bool, np.bool_, np.timedelta64))


def is_number(value: object) -> bool:
    """Whether it is one real number, Python's or NumPy's: no truth value, text or span of time."""
    return is_integer(value) or isinstance(value, (float, np.floating, Fraction, Decimal))


def number(value: object) -> float:
    """One real number as a float; NaN for anything else, infinite for one beyond float64."""
    return _as_float(value) if is_number(value) else np.nan


def real_numbers(value: object) -> NDArray[np.float64] | None:
    """Real numbers as float64; None for anything else among them.

    The one answer to what a number is, for one and for many: integers and floats of Python and NumPy
    of any width, decimals and fractions. Truth values, text, None, complex numbers, dates and spans of
    time are none, in lists and arrays of objects too. What float64 cannot hold is infinite.

    Examples
    --------
    >>> from decimal import Decimal
    >>> real_numbers([Decimal("0.1"), 2])
    array([0.1, 2. ])
    >>> real_numbers([True, 2]) is real_numbers("2") is real_numbers(np.timedelta64(2)) is None
    True
    """
    if is_number(value):
        return np.asarray(_as_float(value))
    if _hides_no_number(value):
        return None
    try:
        given = np.asarray(value)
    except (ValueError, TypeError, OverflowError):  # rows of unlike length
        return None
    if given.dtype.kind == "O":
        items = given.ravel().tolist()
        if not all(map(is_number, items)):
            return None
        return np.array([_as_float(item) for item in items], dtype=np.float64).reshape(given.shape)
    if given.dtype.kind not in "iuf":
        return None
    with np.errstate(over="ignore"):  # of wider floats
        return given.astype(np.float64)


def place(bad: NDArray[np.bool_]) -> str:
    """Where the first is that is not allowed, as errors name it: empty for a number alone, also in an array.

    Examples
    --------
    >>> place(np.array([False, True])), place(np.array([[False], [True]])), place(np.array(True))
    ('[1]', '[1, 0]', '')
    """
    return f"{np.argwhere(bad)[0].tolist()}" if bad.size > 1 else ""


def refuse(
    name: str, array: NDArray[np.float64], bad: NDArray[np.bool_], allowed: str, *, exact: bool = False,
) -> None:  # fmt: skip
    """Refuse an array for the first of its numbers that is not allowed, by its place; `exact`: 2.0, not 2.

    Raises
    ------
    ValueError
        With the name, the place, the number, and what is allowed.

    Examples
    --------
    >>> q = np.array([0.1, 1.5])
    >>> refuse("q", q, q > 1.0, "0 to 1")
    Traceback (most recent call last):
    ValueError: q[1] is 1.5; allowed: 0 to 1
    """
    if bad.any():
        found = float(array[bad].flat[0])
        said = repr(found) if exact or float(f"{found:g}") != found else f"{found:g}"
        raise ValueError(f"{name}{place(bad)} is {said}; allowed: {allowed}")


def no_numbers(name: str, value: object, allowed: str) -> TypeError:
    """The error (not raised) for what `real_numbers` refuses: one among others by its place, else the whole.

    Examples
    --------
    >>> print(no_numbers("batch", [1, "2"], "real numbers"), no_numbers("batch", ["2"], "one"), sep="\\n")
    batch[1] is '2'; allowed: real numbers
    batch is '2'; allowed: one
    """
    at: list[int] = []
    found, alone = value, True
    while isinstance(found, (list, tuple)) or (
        isinstance(found, np.ndarray) and found.dtype.kind == "O" and found.ndim
    ):
        first = next((i for i, one in enumerate(found) if real_numbers(one) is None), None)
        if first is None:  # rows of unlike length
            return TypeError(f"{name} is {shown(value)}; allowed: {allowed}")
        at.append(first)
        alone &= len(found) == 1
        found = found[first]
    return TypeError(f"{name}{'' if alone else at} is {shown(found)}; allowed: {allowed}")


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf
    except ValueError:  # a signalling NaN of Decimal
        return np.nan


def _hides_no_number(value: object) -> bool:
    """Whether there is a truth value in a list, which NumPy would take for a number."""
    if isinstance(value, (list, tuple)):
        return any(map(_hides_no_number, value))
    return isinstance(value, (bool, np.bool_))


def reals(
    name: str,
    value: ArrayLike,
    low: float | None = 0.0,
    *,
    above: bool = False,
    below: float | None = None,
) -> NDArray[np.float64]:
    """Finite numbers in a range; an error names the first that is not, and its place."""
    allowed = "finite numbers"
    if low is not None:
        allowed += f" {'>' if above else '>='} {low:g}"
    if below is not None:
        allowed += f" and < {below:g}"
    refuse_labelled(name, value)
    array = real_numbers(value)
    if array is None:
        raise no_numbers(name, value, allowed)
    bad = ~_inside(array, low, above=above)
    if below is not None:
        bad |= array >= below
    if bad.any():
        found = float(array[bad].flat[0])
        # what float64 cannot hold is quoted as it came
        said = shown(value) if np.isinf(found) and is_integer(value) else repr(found)
        raise ValueError(f"{name}{place(bad)} is {said}; allowed: {allowed}")
    check_unit(name, array)
    return array


def _inside(
    array: NDArray[np.float64], low: float | None, *, above: bool = False
) -> NDArray[np.bool_]:
    inside = np.asarray(np.isfinite(array))
    return inside if low is None else inside & ((array > low) if above else (array >= low))


def amounts(field: str, value: ArrayLike, *, positive: bool = False) -> NDArray[np.float64]:
    """Real, finite numbers of a load, zero or more."""
    refuse_labelled(field, value)
    array = real_numbers(value)
    if array is None:
        raise no_numbers(field, value, "real numbers")
    bad = ~_inside(array, 0.0, above=positive)
    if bad.any():
        first = float(array[bad].flat[0])
        kind = "> 0" if positive else ">= 0"
        said = shown(value) if np.isinf(first) and is_integer(value) else f"{first:g}"
        raise ValueError(f"{field}{place(bad)} is {said}; allowed: finite numbers {kind}")
    check_unit(field, array)
    return array


#: The most of what is counted: float64 holds no odd number beyond, and times of it may overflow.
MOST_COUNTED = 2.0**53


def loads(**given: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Sequences and tokens of a step, by name: from zero to what can be counted, of shapes that broadcast.

    Examples
    --------
    >>> loads(batch=[1, 2], context=1e308)
    Traceback (most recent call last):
    ValueError: context is 1e+308; allowed: at most 2**53
    """
    arrays = {name: amounts(name, value) for name, value in given.items()}
    for name, array in arrays.items():
        refuse(name, array, array > MOST_COUNTED, "at most 2**53")
    check_shapes(**arrays)
    return tuple(arrays.values())


def kept(name: str, value: ArrayLike, low: float | None = 0.0) -> Any:
    """`reals` of what brings labels or a mask, which stay: as float64 all the same."""
    array = reals(name, value, low)
    labelled = hasattr(value, "__array_ufunc__") and not isinstance(value, np.generic)
    return value.astype(np.float64) if labelled and type(value) is not np.ndarray else array  # type: ignore[union-attr]


def whole_numbers(field: str, value: ArrayLike) -> NDArray[np.float64]:
    """Whole numbers of one and more, as floats."""
    array = amounts(field, value, positive=True)
    refuse(field, array, array != np.floor(array), "whole numbers >= 1")
    return array


def count(field: str, value: object) -> int:
    """One whole number of one and more."""
    if not is_integer(value) or not 1 <= value <= 2**53:
        raise ValueError(f"{field} is {shown(value)}; allowed: a positive integer")
    return int(value)


def whole_number(name: str, value: object, low: int, high: int | None = None) -> int:
    """One whole number in a range; both ends belong to it.

    Examples
    --------
    >>> whole_number("seed", 7, 0)
    7
    """
    allowed = f"an integer >= {low}" if high is None else f"an integer from {low} to {high}"
    if not is_integer(value):
        raise TypeError(f"{name} is {shown(value)}; allowed: {allowed}")
    if value < low or (high is not None and value > high):
        raise ValueError(f"{name} is {shown(value)}; allowed: {allowed}")
    return int(value)


def not_empty(name: str, values: Any) -> Any:
    """What holds something; an error names what holds nothing, of which nothing could be told.

    Examples
    --------
    >>> not_empty("batch", [1])
    [1]
    """
    if len(values) == 0:
        raise ValueError(f"{name} is empty; allowed: at least one")
    return values


def as_seed(value: object) -> int:
    """The seed of what is drawn: one of 64 bits.

    Examples
    --------
    >>> as_seed(7)
    7
    """
    if not is_integer(value) or not 0 <= value < 2**64:
        raise ValueError(f"seed is {shown(value)}; allowed: whole numbers from 0 to 2**64 - 1")
    return int(value)


def flag(field: str, value: object) -> float:
    """True or False, as kernels take it."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{field} is {shown(value)}; allowed: True or False")
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
    bound = "" if low == -np.inf else f" {'above' if above else 'of at least'} {low:g}"
    if not is_number(value):
        raise TypeError(f"{name} is {shown(value)}; allowed: a number{bound}")
    x = number(value)
    if not np.isfinite(x) or (x <= low if above else x < low):
        raise ValueError(f"{name} is {shown(value)}; allowed: a finite number{bound}")
    check_unit(name, x)
    return x


def share(name: str, value: object, *, zero: bool = False) -> float:
    """A part of the whole: above zero, or from zero on."""
    part = finite_number(name, value, above=not zero)
    if part > 1.0:
        raise ValueError(
            f"{name} is {shown(value)}; allowed: {'from 0 to 1' if zero else 'above 0, at most 1'}"
        )
    return part


def check_options(function: str, given: Mapping[str, object], allowed: type) -> None:
    """Reject an option by name that the record of a function's options, a TypedDict, lacks.

    Called in that function, it names its other arguments too, of which an option may be a slip.

    Examples
    --------
    >>> from typing import TypedDict
    >>> class Options(TypedDict, total=False):
    ...     engine: str
    ...     fidelity: str
    >>> check_options("decode", {"engine": "vllm"}, Options)
    >>> check_options("decode", {"enginee": "vllm"}, Options)
    Traceback (most recent call last):
    TypeError: decode() got an unexpected option 'enginee'; allowed: engine, fidelity (did you mean 'engine'?)
    """
    names = allowed.__annotations__
    for name in given:
        if name not in names:
            every = [*names, *_arguments(sys._getframe(1).f_code, function)]
            near = near_matches(name, every)
            hint = f" (did you mean {', '.join(map(repr, near))}?)" if near else ""
            raise TypeError(
                f"{function}() got an unexpected option {shown(name)}; allowed: {', '.join(every)}{hint}"
            )


def _arguments(code: CodeType, function: str) -> list[str]:
    """Names of the arguments of this function, if it is the code's."""
    if code.co_name != function.rpartition(".")[2]:
        return []
    return list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
