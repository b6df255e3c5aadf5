"""Arguments that are records, tables or mappings: refused by name where they are something else.

What is allowed stands in the annotation. Classes are known by name, those of other libraries too, so that
nothing is imported to check what was given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

from tokenroof.support.quoting import shown

__all__ = ["as_mapping", "kind_checks", "takes_records"]

P = ParamSpec("P")
R = TypeVar("R")
Check = tuple[str, Callable[[object], bool]]

#: Where a record comes from.
_GIVEN_BY = {
    "Device": "tokenroof.device", "Model": "tokenroof.model", "Miner": "tokenroof.miner",
    "Factory": "economics.factory", "Ladder": "economics.same_meter", "ArmsRace": "economics.race",
    "Race": "mining.generations_race", "Swing": "economics.tornado",
    "Scheduler": "serving.Scheduler.preset",
}  # fmt: skip
_WORD = r"[A-Za-z_][\w.]*"


def _is_a(name: str) -> Callable[[object], bool]:
    found: dict[type, bool] = {}

    def ok(value: object) -> bool:
        kind = type(value)
        if kind not in found:
            found[kind] = any(name == each.__name__ for each in kind.__mro__)
        return found[kind]

    return ok


def _one(text: str) -> Check | None:
    """What one alternative of an annotation allows, and whether a value is it; None: anything may do."""
    outer, _, inner = text.partition("[")
    if outer in ("Mapping", "dict"):
        return "a mapping", lambda value: isinstance(value, Mapping)
    if outer == "Callable":
        return "a function", callable
    if outer in ("Sequence", "list"):
        each = _one(inner[:-1])
        if each is None:
            return None
        said, ok = each
        return (
            f"a sequence, each {said}",
            lambda value: (
                isinstance(value, Sequence) and not isinstance(value, str) and all(map(ok, value))
            ),
        )
    name = text.rpartition(".")[2]
    if text == "str":
        return "a text", lambda value: isinstance(value, str)
    if text == "None":
        return "None", lambda value: value is None
    if (
        not re.fullmatch(_WORD, text)
        or not name[0].isupper()
        or name in ("Any", "ArrayLike", "NDArray")
    ):
        return None
    by = f", as {_GIVEN_BY[name]} gives" if name in _GIVEN_BY else ""
    return f"{_a(name)}{by}", _is_a(name)


def _briefly(value: object) -> str:
    """A number, a text or a collection as it is, another record by its kind."""
    if value is None or isinstance(
        value, (str, bytes, int, float, complex, list, tuple, dict, set)
    ):
        return shown(value)
    return _a(type(value).__name__)


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def as_mapping(name: str, value: object) -> Mapping[Any, Any]:
    """A mapping as it stands.

    Examples
    --------
    >>> as_mapping("constants", "gemm")
    Traceback (most recent call last):
    TypeError: constants is 'gemm'; allowed: a mapping
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is {shown(value)}; allowed: a mapping")
    return value


def kind_checks(function: Callable[..., object]) -> dict[str, list[Check]]:
    """What may be given where an annotation names records, tables, mappings or functions alone.

    Examples
    --------
    >>> def per_watt(device: Device, load: float, plan: Plan | None = None) -> float: ...
    >>> {name: [said for said, _ in allowed] for name, allowed in kind_checks(per_watt).items()}
    {'device': ['a Device, as tokenroof.device gives'], 'plan': ['a Plan', 'None']}
    """
    found: dict[str, list[Check]] = {}
    for name, parameter in signature(function).parameters.items():
        parts = re.split(r"\s*\|\s*(?![^\[]*\])", str(parameter.annotation))
        checks = [check for part in parts if (check := _one(part)) is not None]
        plain = all(said in ("a text", "None") for said, _ in checks)
        if len(checks) == len(parts) and not plain:
            found[name] = checks
    return found


def takes_records(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: what is no record of its parameter's annotation is refused by name.

    Raises
    ------
    TypeError
        Naming the parameter, what was given and what is allowed.

    Examples
    --------
    >>> @takes_records
    ... def peak(device: Device) -> float: ...
    >>> peak("H200-SXM")
    Traceback (most recent call last):
    TypeError: device is 'H200-SXM'; allowed: a Device, as tokenroof.device gives
    """
    names, checks = list(signature(function).parameters), kind_checks(function)

    @wraps(function)
    def wrapper(*arguments: P.args, **named: P.kwargs) -> R:
        given = dict(zip(names, arguments, strict=False)) | named
        for name, allowed in checks.items():
            if name in given and not any(ok(given[name]) for _, ok in allowed):
                each = [said for said, _ in allowed]
                said = (", or " if any("," in one for one in each) else " or ").join(each)
                raise TypeError(f"{name} is {_briefly(given[name])}; allowed: {said}")
        return function(*arguments, **named)

    return wrapper
