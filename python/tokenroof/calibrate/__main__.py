"""Command line: ``python -m tokenroof.calibrate DIR [--out DIR] [--operator NAME ...]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tokenroof.calibrate import SPECS, fit_tables, write_constants
from tokenroof.calibrate._power import fit_power


def main(arguments: list[str] | None = None) -> int:
    """Fit, print a line per fit, write the files; 2 for input that does not do."""
    parser = argparse.ArgumentParser(
        prog="python -m tokenroof.calibrate",
        description="Fit the operators' constants on measured tables.",
        epilog="example: python -m tokenroof.calibrate tables --out constants --operator gemm",
    )
    parser.add_argument("folder", help="with operators/<device>/<engine>-<version>/<table>.parquet")
    parser.add_argument("--out", default=".", help="folder for the TOML files [here]")
    parser.add_argument("--operator", action="append", choices=[*SPECS, "power"], help="only these")
    parser.add_argument("--rows", type=int, default=2500, help="rows that a fit uses [2500]")
    given = parser.parse_args(arguments)
    out = Path(given.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for operator in given.operator or [*SPECS, "power"]:
            if operator == "power":
                rows = fit_power(given.folder, print)
            else:
                rows = fit_tables(given.folder, operator, given.rows, print)
            write_constants(out / f"{operator}.toml", operator, rows)
            print(f"wrote {out / operator}.toml: {len(rows)} fits")
    except (ValueError, KeyError, OSError) as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
