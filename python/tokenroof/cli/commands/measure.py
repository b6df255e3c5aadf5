"""``tokenroof measure``: the ceilings of this machine."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from tokenroof.cli.lengths import amount, whole
from tokenroof.cli.local import measured
from tokenroof.cli.output import emit, say
from tokenroof.support.formats import si, table


def add_arguments(command: ArgumentParser) -> None:
    command.add_argument("--seconds", type=amount, default=1.0, help="for each group of probes [s]")
    command.add_argument("--threads", type=whole, help="threads; all processors by default")
    command.add_argument(
        "--remeasure", action="store_true", help="measure anew, whatever is remembered"
    )


def run(arguments: Namespace) -> int:
    from tokenroof.measure.kept import cache_path

    found = measured(
        arguments.seconds, arguments.threads, arguments.remeasure, quiet=arguments.json
    )
    file = str(cache_path(arguments.threads))
    if arguments.json:
        emit({**found.as_dict(), "file": file})
        return 0
    table(
        ["probe", "median", "best", "95 % interval of the median", "spread", "repeats"],
        [[name, si(r.value, r.unit, 4), si(r.best, r.unit, 4),
          f"{si(r.low, r.unit, 4)} to {si(r.high, r.unit, 4)}", f"{r.spread:.1%}", f"{r.repeats}"]
         for name, r in found.readings.items()],
        title=f"{found.name}, {found.cores} threads, {found.date}",
    )  # fmt: skip
    watts = si(found.watts, "W") if found.watts else "power"
    say(f"{watts} {found.watts_note}")
    say(f"remembered in {file}")
    return 0
