"""Records that hold arrays: equal where all that they hold is, as after pickle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, overload

import numpy as np

__all__ = ["by_value", "same"]

T = TypeVar("T")


def same(a: Any, b: Any) -> bool:
    """Whether two values are of one type and equal: arrays element by element, and NaN equal to NaN."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ma.MaskedArray):
        return same(np.ma.getmaskarray(a), np.ma.getmaskarray(b)) and same(a.filled(0), b.filled(0))
    if isinstance(a, np.ndarray):
        return _same_arrays(a, b)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a) if f.compare)
    for labelled in ("identical", "equals"):  # of xarray; of pandas and polars
        if hasattr(a, labelled):
            return bool(getattr(a, labelled)(b))
    return bool(a == b) or bool(a != a and b != b)


def _same_arrays(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.names:
        return all(_same_arrays(a[name], b[name]) for name in a.dtype.names)
    return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


@overload
def by_value(cls: type[T], /) -> type[T]: ...
@overload
def by_value(*names: str) -> Callable[[type[T]], type[T]]: ...
def by_value(*given: Any) -> Any:
    """Make objects of a class equal where these attributes are, by default the fields of a dataclass.

    They have no hash, as their arrays may change, unless their class defines its own.
    """
    if given and isinstance(given[0], type):
        return _compared(given[0], tuple(f.name for f in fields(given[0]) if f.compare))
    return lambda cls: _compared(cls, given)


def _compared(cls: type[T], names: tuple[str, ...]) -> type[T]:
    def __eq__(self: Any, other: object) -> Any:
        if type(other) is not type(self):
            return NotImplemented
        return all(same(getattr(self, name), getattr(other, name)) for name in names)

    __eq__.__qualname__ = f"{cls.__qualname__}.__eq__"
    own = cls.__dict__.get("__hash__")
    generated = is_dataclass(cls) and cls.__dataclass_params__.eq  # type: ignore[attr-defined]
    cls.__eq__ = __eq__  # type: ignore[method-assign]
    cls.__hash__ = None if generated else own  # type: ignore[assignment,method-assign]
    return cls
