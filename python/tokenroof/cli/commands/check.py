"""``tokenroof check``: every kernel against the reference, on this machine."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from tokenroof.cli.lengths import whole
from tokenroof.cli.output import emit, say
from tokenroof.support.formats import table


def add_arguments(command: ArgumentParser) -> None:
    command.add_argument("--seed", type=whole, default=0, help="of the random inputs")
    command.add_argument("--samples", type=whole, default=64, help="inputs per kernel")


def run(arguments: Namespace) -> int:
    from tokenroof.cli.check import run as compare

    if arguments.samples < 1:
        raise ValueError(f"--samples is {arguments.samples}; allowed: a positive integer")
    if arguments.seed < 0:
        raise ValueError(f"--seed is {arguments.seed}; allowed: an integer >= 0")
    rows = compare(samples=arguments.samples, seed=arguments.seed)
    failed = [row for row in rows if not row["ok"]]
    if arguments.json:
        emit(
            {
                "ok": not failed,
                "seed": arguments.seed,
                "samples": arguments.samples,
                "kernels": rows,
            }
        )
    else:
        table(
            ["kernel", "instruction set", "largest difference [ulp]", "allowed", ""],
            [[r["kernel"], r["isa"], f"{r['ulps']:g}", f"{r['allowed']:g}",
              "ok" if r["ok"] else f"FAILED {r['note']}"] for r in rows],
        )  # fmt: skip
        say(f"{len(rows) - len(failed)} ok, {len(failed)} failed")
    return 1 if failed else 0
