"""Arguments of commands that look for what a replica can promise: lengths, bounds, how it is proved."""

from __future__ import annotations

import csv
import math
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenroof.cli.arguments import refuse_given
from tokenroof.cli.lengths import add_lengths, amount, whole
from tokenroof.support.arguments import shown
from tokenroof.support.whole import whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.slo import SLO

__all__ = [
    "FLAGS", "add_load", "add_promise", "add_proof", "bound", "promised", "said", "scheduler_of",
    "ticker", "write_rows",
]  # fmt: skip

_PERCENTILES = "percentile over 0 and below 100, or mean"
_TIMES = {"ttft": "to the first token", "tpot": "per token after it", "itl": "between two tokens",
          "e2e": "to the last token"}  # fmt: skip


#: The options that fields are given by, for errors that name a field.
FLAGS = {
    "input_tokens": "--input-tokens", "output_tokens": "--output-tokens", "burstiness": "--burstiness",
    "requests": "--requests", "seeds": "--seeds", "tolerance": "--tolerance", "preset": "--scheduler",
    "ttft_s": "--slo-ttft", "tpot_s": "--slo-tpot", "itl_s": "--slo-itl", "e2e_s": "--slo-e2e",
    "percentile": "--percentile", "requests_per_minute": "--demand", "availability": "--availability",
    "target": "--target", "spare": "--spare", "speculation": "--draft", "draft": "--draft",
    "method": "--draft", "power_cap_w": "--power-cap-w",
    "host_tier": "--host-tier", "capacity_bytes": "--host-tier", "bytes_per_s": "--host-bandwidth",
}  # fmt: skip


def bound(text: str) -> tuple[float, float | str]:
    """Seconds and a percentile: ``0.5@99``, ``0.5@mean``, or ``0.5`` for that of ``--percentile``.

    Examples
    --------
    >>> bound("0.5@99"), bound("0.02@mean"), bound("2")
    ((0.5, 99.0), (0.02, 'mean'), (2.0, ''))
    """
    seconds, _, percentile = text.partition("@")
    try:
        at = percentile if percentile in ("", "mean") else float(percentile.removeprefix("p"))
        many = float(seconds)
    except ValueError:
        raise ArgumentTypeError(
            f"{shown(text)}; allowed: seconds, or seconds@percentile, such as 0.5@99 or 0.02@mean"
        ) from None
    if not isinstance(at, str) and not 0.0 < at < 100.0:
        raise ArgumentTypeError(
            f"{shown(text)}; allowed: a {_PERCENTILES}, as in 0.5@99 or 0.02@mean"
        )
    return many, at


def add_load(command: ArgumentParser) -> None:
    """Lengths of requests, as `sizes_of` takes them."""
    load = command.add_argument_group("load")
    add_lengths(load)
    load.add_argument(
        "--spread", type=amount, default=0.0, help="deviation of both over their means (lognormal)"
    )


def add_promise(command: ArgumentParser) -> None:
    """Bounds on times, as `promised` takes them."""
    promise = command.add_argument_group("promise")
    for name, text in _TIMES.items():
        promise.add_argument(
            f"--slo-{name}", type=bound, metavar="SECONDS[@PERCENTILE]", help=f"most seconds {text}"
        )
    promise.add_argument("--percentile", default="99", help="of bounds without their own; or mean")


def add_proof(command: ArgumentParser) -> None:
    """How loads are played."""
    proof = command.add_argument_group("proof by simulation")
    proof.add_argument("--seeds", type=whole, default=3, help="runs of each load")
    proof.add_argument("--requests", type=whole, help="that count in a run; by default enough")
    proof.add_argument(
        "--results", type=Path, help="file that keeps runs, so that a search goes on where it was"
    )


def scheduler_of(arguments: Namespace) -> Scheduler | None:
    """The preset that was named."""
    from tokenroof.serving.simulation.scheduler import Scheduler

    return None if arguments.scheduler is None else Scheduler.preset(arguments.scheduler)


def promised(arguments: Namespace) -> list[SLO]:
    """One objective for each percentile that bounds have."""
    from tokenroof.serving.slo import SLO

    bounds = [value for name in _TIMES if (value := getattr(arguments, f"slo_{name}")) is not None]
    if bounds and all(at != "" for _, at in bounds):
        refuse_given(
            arguments, ("percentile",), "where each bound has its own", "with a bound that has none"
        )
    by: dict[float | None, dict[str, Any]] = {}
    for name in _TIMES:
        given = getattr(arguments, f"slo_{name}")
        if given is not None:
            seconds, at = given
            by.setdefault(_percentile(arguments.percentile if at == "" else at), {})[
                f"{name}_s"
            ] = seconds
    if not by:
        options = ", ".join(f"--slo-{name}" for name in _TIMES)
        raise ValueError(f"no promise given; allowed: at least one of {options}")
    return [SLO(percentile=at, **bounds) for at, bounds in by.items()]


def _percentile(text: str | float) -> float | None:
    if text == "mean":
        return None
    try:
        at = float(text)
    except ValueError:
        at = math.nan
    if not 0.0 < at < 100.0:
        raise ValueError(f"--percentile is {shown(text)}; allowed: a {_PERCENTILES}")
    return at


def said(slos: Sequence[SLO]) -> str:
    """Bounds in words.

    Examples
    --------
    >>> from tokenroof.serving.slo import SLO
    >>> said([SLO(ttft_s=0.5, percentile=99), SLO(tpot_s=0.02)])
    'TTFT p99 <= 0.5 s, TPOT mean <= 0.02 s'
    """
    return ", ".join(
        f"{name.removesuffix('_s').upper()} {'mean' if one.percentile is None else f'p{one.percentile:g}'} "
        f"<= {value:g} s"
        for one in slos
        for name, value in one.bounds.items()
    )  # fmt: skip


def ticker() -> Callable[[int, int], Any] | None:
    """Progress on a terminal, one line that changes; None elsewhere."""
    if not sys.stderr.isatty():
        return None
    loads = iter(range(1, sys.maxsize))

    def tick(done: int, of: int) -> None:
        end = "\n" if done == of else ""
        print(f"\r{next(loads)} loads played, {done} of {of} candidates done ", end=end,
              file=sys.stderr, flush=True)  # fmt: skip

    return tick


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Rows as CSV; what is not finite is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with whole_file(path) as beside, beside.open("w", newline="") as file:
        table = csv.DictWriter(file, names)
        table.writeheader()
        for row in rows:
            table.writerow({k: v for k, v in row.items() if not _endless(v)})


def _endless(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
