"""How far predictions are from measurements: `python bench/accuracy.py --measured DIR`.

DIR holds tables as `tokenroof.calibrate` reads them (``operators/<device>/<engine>-<version>/<table>``),
serving points in closed loop (``end_to_end.csv``), or both; or is a file of such points. Prints mean and
median absolute percentage error, median bias, and how many measurements stand within the error band that
the prediction carries: operators per table and type, with totals by operator, device, engine and type;
board power where tables carry it; time per output token and to first token by engine, device and model.
Rows that are left out are counted on stderr. What the constants were fitted on is among them unless DIR
holds others: the catalogue's ``constants`` say how good they were left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from calibrate import exam_operators, exam_serving
from tokenroof.calibrate import SPECS, read_serving
from tokenroof.calibrate.points import rule

POINTS = "end_to_end.csv"


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _serving(path: str, given: argparse.Namespace) -> dict[str, Any]:
    points = read_serving(path, exclude=tuple(given.exclude), possible=not given.every)
    return {
        "counts": points.counts,
        "rows": exam_serving.judge(points, exam_serving.predict(points)),
    }


def main() -> int:
    """Print the tables; 2 for a folder without any, or with one that does not do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measured", required=True, metavar="DIR|FILE")
    parser.add_argument("--operator", action="append", choices=[*SPECS, "power", "serving"],
                        help="only these; serving: the points end to end")  # fmt: skip
    parser.add_argument("--exclude", action="append", default=[], type=rule, metavar="COLUMN=VALUE[,...]",
                        help="serving points to leave out")  # fmt: skip
    parser.add_argument("--every", action="store_true",
                        help="also serving points that physics or memory rule out")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON document")
    given = parser.parse_args()
    path = given.measured
    single = os.path.isfile(path)
    wanted = given.operator or (["serving"] if single else [*SPECS, "power", "serving"])
    points = path if single else os.path.join(path, POINTS)
    parts: list[exam_operators.Part] = []
    serving = None
    try:
        for name in () if single else wanted:
            if name in SPECS:
                parts += exam_operators.operators(path, name, _tell)
            elif name == "power":
                parts += exam_operators.powers(path, _tell)
        if "serving" in wanted and os.path.exists(points):
            serving = _serving(points, given)
    except (ValueError, KeyError, OSError) as error:
        _tell(f"error: {error.args[0] if isinstance(error, KeyError) else error}")
        return 2
    if not parts and serving is None:
        _tell(f"error: {path} has no such tables below operators/, and no {POINTS} asked for")
        return 2
    if given.json:
        rows = [part.row() for part in parts]
        found = {"operators": rows, "totals": exam_operators.totals(parts), "serving": serving}
        print(json.dumps(found))
        return 0
    if parts:
        exam_operators.show(parts)
    if serving:
        print()
        exam_serving.show(serving["rows"], serving["counts"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
