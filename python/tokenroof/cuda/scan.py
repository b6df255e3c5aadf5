"""Header scans on CUDA devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenroof.cuda.module import devices, module, why_not
from tokenroof.support.arguments import shown

__all__ = ["devices_of", "least_rolled", "part"]

_OLDEST = (7, 5)  # compute capability


def devices_of(name: str, argument: str = "backend") -> list[int]:
    """Numbers of the devices that a name asks for: all by "cuda", one by "cuda:1".

    Raises
    ------
    ValueError
        If there are none, or not that one, with the reason.
    """
    if reason := why_not():
        raise ValueError(f"{argument} is {shown(name)}; not allowed here: {reason}")
    usable = [d.index for d in devices() if d.compute_capability >= _OLDEST]
    if name == "cuda":
        return usable
    number = name.removeprefix("cuda:")
    if not number.isdecimal() or int(number) not in usable:
        allowed = ", ".join(f"'cuda:{i}'" for i in usable)
        raise ValueError(f"{argument} is {shown(name)}; allowed here: 'cuda', {allowed}")
    return [int(number)]


def part(
    numbers: list[int], raw: bytes, start: int, count: int, aim: bytes, step: int, versions: int,
    tell: Callable[[int, int], Any] | None, **mask: int,
) -> tuple[list[tuple[int, int]], int, float, float, str, bool]:  # fmt: skip
    """Hits, hashes, seconds, processor seconds, what failed, and whether that was a lack of memory."""
    found: tuple[list[tuple[int, int]], int, float, float, str, bool] = module().scan(
        raw, start, count, aim, step, versions, numbers, tell, **mask
    )
    return found


def least_rolled() -> int:
    """From so many versions on, lanes are versions."""
    return int(module().SCAN_LEAST_ROLLED)
