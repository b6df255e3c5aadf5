"""How numbers are written on a command line, and the lengths of requests: two options, or a load by name."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any

from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    from argparse import _ActionsContainer

__all__ = ["add_lengths", "amount", "settle_lengths", "sizes_of", "tokens", "whole"]

_FIELDS = ("input_tokens", "output_tokens")


def amount(text: str) -> float:
    """A number.

    Examples
    --------
    >>> amount("0.5"), amount("1e6")
    (0.5, 1000000.0)
    """
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"{shown(text)}; allowed: a number, such as 2 or 1e6") from None


def whole(text: str) -> int:
    """A whole number; digits count as they stand, however many.

    Examples
    --------
    >>> whole("2000"), whole("1e6")
    (2000, 1000000)
    """
    try:
        return int(text)
    except ValueError:
        value = _finite(text)
    if value != math.floor(value):
        raise ArgumentTypeError(f"{shown(text)}; allowed: a whole number, such as 2000 or 1e6")
    return int(value)


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ArgumentTypeError(f"{shown(text)}; allowed: a whole number, such as 2000 or 1e6")
    return value


def tokens(text: str) -> int | float:
    """Tokens: ``8k`` are 8,192, as in the names of loads.

    Examples
    --------
    >>> tokens("8k"), tokens("8192"), tokens("0.5")
    (8192, 8192, 0.5)
    """
    thousands = text[-1:] in ("k", "K")
    try:
        value = float(text[:-1] if thousands else text) * (1024 if thousands else 1)
    except ValueError:
        raise ArgumentTypeError(
            f"{shown(text)}; allowed: tokens, such as 8192 or 8k (8,192)"
        ) from None
    return int(value) if math.isfinite(value) and value == math.floor(value) else value


def add_lengths(group: _ActionsContainer) -> None:
    """Options for `settle_lengths`."""
    for name, what in zip(_FIELDS, ("a prompt", "an answer"), strict=True):
        group.add_argument(
            f"--{name.replace('_', '-')}", type=tokens, metavar="TOKENS",
            help=f"mean of {what}, as 8192 or 8k; 1024",
        )  # fmt: skip
    group.add_argument("--load", help="1k/1k, 1k/8k, 8k/1k or 32k/8k, in place of both")


def settle_lengths(arguments: Namespace) -> None:
    """Put the lengths that were asked for, in whichever way, where both options have theirs.

    Raises
    ------
    ValueError
        For a load that has no such name, beside a length, and one of sessions.
    """
    given = [name for name in _FIELDS if getattr(arguments, name) is not None]
    if arguments.load is None:
        for name in _FIELDS:
            if name not in given:
                setattr(arguments, name, 1024)
        return
    if given:
        raise ValueError(
            f"--load is {arguments.load} beside {', '.join(given)}; allowed: one of them"
        )
    from tokenroof.serving.session_load import preset, presets

    plain = ", ".join(one.name for one in presets() if one.sessions is None)
    allowed = f"allowed: {plain}, or any lengths by --input-tokens and --output-tokens, as 2k"
    try:
        found = preset(arguments.load)
    except KeyError:
        raise ValueError(f"--load is {shown(arguments.load)}; {allowed}") from None
    if found.sessions is not None:
        raise ValueError(f"--load is {shown(arguments.load)}, of sessions; {allowed}")
    arguments.input_tokens, arguments.output_tokens = (
        int(found.input_tokens),
        int(found.output_tokens),
    )


def sizes_of(arguments: Namespace) -> dict[str, Any]:
    """Lengths of requests: numbers without a spread.

    Raises
    ------
    ValueError
        For a mean that no distribution of whole numbers from 1 has, and for a spread that is none.
    """
    from tokenroof.serving.requests.lengths import Lengths

    means = {name: getattr(arguments, name) for name in _FIELDS}
    if not arguments.spread:
        return means
    for name, mean in means.items():
        if not mean >= 1:
            raise ValueError(
                f"--{name.replace('_', '-')} is {mean:g} with --spread; allowed: a mean of at least 1 token"
            )
    return {name: Lengths.lognormal(mean, arguments.spread) for name, mean in means.items()}
