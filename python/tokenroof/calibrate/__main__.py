"""Command line: ``python -m tokenroof.calibrate DIR [--out DIR] [--operator NAME] [--exclude RULE]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tokenroof.calibrate.engines import fit_engines, write_engines
from tokenroof.calibrate.files import write_constants
from tokenroof.calibrate.operator_fits import fit_tables
from tokenroof.calibrate.operators import SPECS
from tokenroof.calibrate.points import read_serving, rule
from tokenroof.calibrate.power import fit_power
from tokenroof.calibrate.slower import mark_slower
from tokenroof.calibrate.tables import NoTablesError
from tokenroof.catalogue.fits import first_from

ENGINE = "engine"
POINTS = "end_to_end.csv"


def _fit(operator: str, given: argparse.Namespace, out: Path) -> None:
    if operator == ENGINE:
        points = read_serving(Path(given.folder, POINTS), exclude=tuple(given.exclude))
        print("; ".join(f"{reason}: {number}" for reason, number in points.counts.items()))
        with first_from(out):  # beside the operators as fitted just now
            found = fit_engines(points, progress=print)
        write_engines(out / "engine.toml", found, given.exclude)
        print(found.summary())
        print(f"wrote {out / ENGINE}.toml: {len(found.rows)} engines")
        return
    if operator == "power":
        rows = fit_power(given.folder, print)
    else:
        rows = fit_tables(given.folder, operator, given.rows, print)
    for line in mark_slower(operator, rows):
        print(line)
    write_constants(out / f"{operator}.toml", operator, rows)
    print(f"wrote {out / operator}.toml: {len(rows)} fits")


def main(arguments: list[str] | None = None) -> int:
    """Fit, print a line per fit, write the files; 2 for input that does not do."""
    parser = argparse.ArgumentParser(
        prog="python -m tokenroof.calibrate",
        description="Fit the constants of operators, of board power and, last, of engines on tables.",
        epilog="example: python -m tokenroof.calibrate tables --out constants --operator gemm. "
        "TOKENROOF_CONSTANTS=constants then puts them before the catalogue's.",
    )
    parser.add_argument("folder", help="with operators/<device>/<engine>-<version>/<table>.parquet")
    parser.add_argument("--out", default=".", help="folder for the TOML files [here]")
    parser.add_argument(
        "--operator",
        action="append",
        choices=[*SPECS, "power", ENGINE],
        help="only these; engine: the engines' overheads, on DIR/" + POINTS,
    )
    parser.add_argument("--rows", type=int, default=2500, help="rows that a fit uses [2500]")
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        type=rule,
        metavar="COLUMN=VALUE[,...]",
        help="serving points to leave out, such as those of another kind of load",
    )
    given = parser.parse_args(arguments)
    out = Path(given.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        wanted = given.operator or [
            *SPECS,
            "power",
            *([ENGINE] if Path(given.folder, POINTS).exists() else []),
        ]
        fitted = 0
        for operator in wanted:
            try:
                _fit(operator, given, out)
            except NoTablesError as error:
                if given.operator:
                    raise
                print(f"left out: {error}")
                continue
            fitted += 1
        if not fitted:
            raise ValueError(f"{given.folder} has neither tables below operators/ nor {POINTS}")
    except (ValueError, KeyError, OSError, ImportError) as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
