"""Command line: ``python -m tokenroof.catalogue --audit [--only SORT] [--json] [--strict]``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

from tokenroof.catalogue.audit import MONTHS, PRICE_MONTHS, WHAT, audit
from tokenroof.catalogue.neighbours import THRESHOLD


def main(arguments: list[str] | None = None) -> int:
    """Print what was found; 0, or with ``--strict`` 1 where something was; 2 for a date that is none."""
    parser = argparse.ArgumentParser(
        prog="python -m tokenroof.catalogue",
        description="What in the catalogue is old, estimated, without a source, or out of line with its "
        "neighbours: counts, then one line per entry.",
        epilog="example: python -m tokenroof.catalogue --audit --only old --price-months 6",
    )
    parser.add_argument("--audit", action="store_true", required=True, help="look it over")
    parser.add_argument(
        "--only",
        action="append",
        choices=[what.replace(" ", "-") for what in WHAT],
        help="only these",
    )
    parser.add_argument(
        "--months", type=int, default=MONTHS, help=f"age above which a fact is old [{MONTHS}]"
    )
    parser.add_argument(
        "--price-months", type=int, default=PRICE_MONTHS,
        help=f"the same of a price or a rate [{PRICE_MONTHS}]",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD,
        help=f"robust z-score above which a number is out of line [{THRESHOLD:g}]",
    )  # fmt: skip
    parser.add_argument("--today", metavar="DATE", help="ages are counted to it [the clock's]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 where something was found"
    )
    given = parser.parse_args(arguments)
    try:
        found = audit(
            today=given.today, months=given.months, price_months=given.price_months,
            threshold=given.threshold,
        )  # fmt: skip
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if given.only:
        wanted = {only.replace("-", " ") for only in given.only}
        found = replace(found, findings=tuple(f for f in found.findings if f.what in wanted))
    print(json.dumps(found.as_dict(), indent=1) if given.json else found)
    return int(given.strict and bool(found.findings))


if __name__ == "__main__":
    sys.exit(main())
