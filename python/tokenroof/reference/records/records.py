"""Packed records by name: a mapping as it is, a vector by the order that the kernels export."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Signature, signature
from typing import Any, TypeVar, cast

__all__ = ["unpack"]

Record = Mapping[str, float]
F = TypeVar("F", bound=Callable[..., Any])


def unpack(fields: Sequence[str], vector: Sequence[float]) -> dict[str, float]:
    """A packed record by name.

    Examples
    --------
    >>> unpack(("tp", "pp"), [8.0, 1.0])
    {'tp': 8.0, 'pp': 1.0}
    """
    if len(vector) != len(fields):
        raise ValueError(f"record has {len(vector)} values; allowed: {len(fields)}")
    return {name: float(value) for name, value in zip(fields, vector, strict=True)}


def takes_records(*kinds: str) -> Callable[[F], F]:
    """Let the first arguments of a function be packed vectors as well as mappings."""

    def decorate(function: F) -> F:
        @wraps(function)
        def wrapper(*arguments: Any, **named: Any) -> Any:
            records = [
                value if isinstance(value, Mapping) else _by_name(kind, value)
                for kind, value in zip(kinds, arguments, strict=False)
            ]
            return function(*records, *arguments[len(records) :], **named)

        return cast(F, wrapper)

    return decorate


def takes_fields(record: Callable[..., tuple[float, ...]]) -> Callable[[F], F]:
    """Let a function whose last argument is such a record take its fields one by one instead."""

    def decorate(function: F) -> F:
        own = signature(function)
        *first, _ = own.parameters.values()
        fields = [p.replace(annotation="float") for p in signature(record).parameters.values()]
        of_call = Signature([*first, *fields], return_annotation=own.return_annotation)

        @wraps(function)
        def wrapper(*arguments: Any, **named: Any) -> Any:
            values = of_call.bind(*arguments, **named).args
            return function(*values[: len(first)], record(*values[len(first) :]))

        wrapper.__signature__ = of_call  # type: ignore[attr-defined]
        return cast(F, wrapper)

    return decorate


def _by_name(kind: str, vector: Sequence[float]) -> dict[str, float]:
    from tokenroof import _core

    return unpack(getattr(_core, f"{kind.upper()}_FIELDS"), vector)
