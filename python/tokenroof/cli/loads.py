"""Loads of a simulation: arrivals at a rate, users in closed loop, or a recorded trace."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from tokenroof.cli.lengths import add_lengths, amount, settle_lengths, sizes_of, whole
from tokenroof.support.arguments import shown
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from argparse import _ArgumentGroup

    from tokenroof.serving.requests.record import Requests

__all__ = ["add_loads", "loads_of", "said_of_trace", "settle_loads"]

# the options that say something of one kind of load alone
_OF_LOADS = {
    "rate": ("burstiness",), "concurrency": ("think",),
    "trace": ("layout", "columns", "unit_s", "skip_failed", "sort", "hash_block"),
}  # fmt: skip


def add_loads(command: ArgumentParser) -> None:
    """A group of arguments for `loads_of`."""
    load = command.add_argument_group("load")
    load.add_argument("--rate", type=amount, help="Poisson arrivals per second")
    load.add_argument(
        "--burstiness", type=amount, help="1: Poisson, as by default; below: in bursts"
    )
    load.add_argument("--concurrency", type=whole, help="users in closed loop, in place of --rate")
    load.add_argument("--think", type=amount, help="their seconds between requests; 0")
    _add_trace(load)
    load.add_argument(
        "--requests", type=whole, help="how many; 1000, of a trace all, or so many of the first"
    )
    add_lengths(load)
    load.add_argument("--spread", type=amount, help="deviation of both over their means; 0")
    load.add_argument("--seed", type=whole, default=0, help="of the load")
    load.add_argument("--seeds", type=whole, default=1, help="so many runs, of seeds that count on")


def _add_trace(load: _ArgumentGroup) -> None:
    load.add_argument("--trace", type=Path, help="a file of recorded requests, in place of both")
    load.add_argument(
        "--layout",
        help="of the trace: mooncake, azure, burstgpt, bailian, vllm-bench, csv; "
        "csv by its ending, or mooncake",
    )  # fmt: skip
    load.add_argument(
        "--columns", type=_columns, metavar="FIELD=NAME,...",
        help="what the trace calls arrival, input_tokens, output_tokens",
    )  # fmt: skip
    load.add_argument("--unit-s", type=amount, help="seconds of the trace's unit of time")
    load.add_argument(
        "--skip-failed", action="store_true", default=None, help="leave out rows without tokens"
    )
    load.add_argument(
        "--sort",
        action="store_true",
        default=None,
        help="rows of the trace that stand in any order",
    )
    load.add_argument("--hash-block", type=whole, help="tokens of the trace's blocks; 0: no hashes")


def _columns(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(field and name for field, _, name in pairs):
        raise ArgumentTypeError(f"{shown(text)}; allowed: FIELD=NAME, as input_tokens=prompt_len")
    return {field.strip(): name.strip() for field, _, name in pairs}


def settle_loads(arguments: Namespace) -> None:
    """Refuse what says nothing of the load that was asked for, and settle its lengths."""
    _refuse_beside(arguments)
    settle_lengths(arguments)


def _refuse_beside(arguments: Namespace) -> None:
    """Refuse, by name, options that say nothing of the load that was asked for."""
    for leader, names in _OF_LOADS.items():
        if getattr(arguments, leader) is None:
            for name in names:
                if getattr(arguments, name) is not None:
                    raise ValueError(
                        f"--{name.replace('_', '-')} is given; allowed with --{leader}"
                    )
    if arguments.trace is None:
        return
    for name in ("input_tokens", "output_tokens", "load", "spread"):
        if getattr(arguments, name) is not None:
            raise ValueError(
                f"--{name.replace('_', '-')} is given with --trace, whose rows have their own lengths; "
                "allowed: without it"
            )
    if arguments.priorities is None and (arguments.seeds > 1 or arguments.seed):
        name = "seeds" if arguments.seeds > 1 else "seed"
        raise ValueError(
            f"--{name} is {getattr(arguments, name)} with --trace, where nothing is drawn; allowed: without "
            "it, or with --priorities"
        )


def loads_of(arguments: Namespace) -> list[Requests]:
    """A load for each seed."""
    from tokenroof import serving

    if arguments.seeds < 1:
        raise ValueError(f"--seeds is {arguments.seeds}; allowed: whole numbers from 1")
    loads = [_load(arguments, arguments.seed + i) for i in range(arguments.seeds)]
    if arguments.priorities is None:
        return loads
    shares = _shares(arguments.priorities)
    return [serving.prioritised(one, shares, arguments.seed + i) for i, one in enumerate(loads)]


def _load(arguments: Namespace, seed: int) -> Requests:
    from tokenroof import serving

    given = [
        name for name in ("rate", "concurrency", "trace") if getattr(arguments, name) is not None
    ]
    if len(given) != 1:
        raise ValueError(
            f"{' and '.join('--' + name for name in given) or 'no load'} given; "
            "allowed: one of --rate, --concurrency, --trace"
        )
    if arguments.trace is not None:
        return serving.trace(
            arguments.trace, arguments.layout or _layout_of(arguments.trace), hash_block=arguments.hash_block,
            limit=arguments.requests, columns=arguments.columns, unit_s=arguments.unit_s,
            failed="skip" if arguments.skip_failed else "refuse", sort=bool(arguments.sort),
        )  # fmt: skip
    many = 1000 if arguments.requests is None else arguments.requests
    sizes = sizes_of(arguments)
    if arguments.concurrency is not None:
        return serving.users(
            arguments.concurrency, many, arguments.think or 0.0,
            input_tokens=sizes["input_tokens"], output_tokens=sizes["output_tokens"], seed=seed,
        )  # fmt: skip
    return serving.gamma(
        arguments.rate, 1.0 if arguments.burstiness is None else arguments.burstiness, requests=many,
        input_tokens=sizes["input_tokens"], output_tokens=sizes["output_tokens"], seed=seed,
    )  # fmt: skip


def said_of_trace(arguments: Namespace, load: Requests) -> list[str]:
    """In words what of a trace is not played, and what was asked for that it does not have."""
    said = []
    if arguments.skip_failed:
        said.append(f"{counted(load.left_out, 'row', ',')} of the trace without tokens left out")
    if arguments.trace is not None and len(load) < (arguments.requests or 0):
        said.append(
            f"the trace has {counted(len(load), 'request')}, fewer than --requests {arguments.requests}"
        )
    return said


def _layout_of(path: Path) -> str:
    """The layout that a file's ending names: a table is one of the user's own, or of this command."""
    plain = path.name.lower().removesuffix(".gz")
    return "csv" if plain.endswith((".csv", ".tsv")) else "mooncake"


def _shares(text: str) -> dict[int, float]:
    try:
        pairs = [part.split(":") for part in text.split(",")]
        shares = {int(priority): float(share) for priority, share in pairs}
    except ValueError:
        raise ValueError(f"--priorities is {shown(text)}; allowed: as 0:0.2,5:0.8") from None
    total = sum(shares.values())
    if len(shares) < len(pairs):
        raise ValueError(f"--priorities is {shown(text)}; allowed: each priority once")
    if not abs(total - 1.0) <= 0.011:  # thirds may be rounded
        raise ValueError(
            f"--priorities is {shown(text)}, whose shares are {total:g} together; allowed: shares of 1"
        )
    return shares
