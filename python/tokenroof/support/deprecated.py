"""How a public name goes: it works on, and says what to write instead and which version ends it.

The rule is docs/project/deprecation.md; this is its one mechanism. Nothing is on its way out now.
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["deprecated", "renamed", "warn_of"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def warn_of(old: str, instead: str, ends: str, *, stacklevel: int = 2) -> None:
    """Warn whoever called the function that calls this.

    Parameters
    ----------
    old, instead : str
        What goes, and what to write in its place.
    ends : str
        The version that has it no more.
    stacklevel : int
        As `warnings.warn` counts it from that function: 2 is its caller.
    """
    said = f"{old} ends with tokenroof {ends}; use {instead}"
    warnings.warn(said, DeprecationWarning, stacklevel=stacklevel + 1)


def deprecated(instead: str, ends: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Of a function or method that goes: it does what it did, with a warning at each call.

    Examples
    --------
    >>> @deprecated("tr.decode", ends="0.3")
    ... def step(device):
    ...     return device
    >>> step("H200-SXM")  # doctest: +SKIP
    DeprecationWarning: step() ends with tokenroof 0.3; use tr.decode
    """

    def of(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def warned(*args: _P.args, **given: _P.kwargs) -> _R:
            warn_of(f"{function.__name__}()", instead, ends)
            return function(*args, **given)

        return warned

    return of


def renamed(ends: str, **names: str) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """Of a function with arguments that have other names now: ``renamed("0.3", watts="power_w")``.

    Raises
    ------
    TypeError
        If a call gives one argument by both names.

    Examples
    --------
    >>> @renamed("0.3", watts="power_w")
    ... def idle(power_w):
    ...     return power_w / 4.0
    >>> idle(watts=700.0)  # doctest: +SKIP
    DeprecationWarning: watts of idle() ends with tokenroof 0.3; use power_w
    """

    def of(function: Callable[..., _R]) -> Callable[..., _R]:
        @functools.wraps(function)
        def warned(*args: Any, **given: Any) -> _R:
            for old in [name for name in names if name in given]:
                new = names[old]
                if new in given:
                    raise TypeError(f"{old} is {new} by its old name; allowed: {new} alone")
                warn_of(f"{old} of {function.__name__}()", new, ends)
                given[new] = given.pop(old)
            return function(*args, **given)

        return warned

    return of
