"""How far predictions are from measurements: `python bench/accuracy.py --measured DIR`.

DIR holds tables as `tokenroof.calibrate` reads them (``operators/<device>/<engine>-<version>/<table>``).
Prints, per operator, device, engine and type: shapes, mean and median absolute percentage error, median
bias, and how many measurements stand within the error band that the prediction carries. Shapes that the
constants were fitted on are among them unless DIR holds others.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np

from tokenroof import _constants
from tokenroof.calibrate import SPECS, Objective, measured_tables, read_operator
from tokenroof.device import device as find_device


def judge(folder: str, operator: str) -> list[dict[str, Any]]:
    """A row per table and type of one operator."""
    spec, rows = SPECS[operator], []
    for system, engine, version, path in measured_tables(folder, operator):
        device = find_device(system)
        table = read_operator(operator, path, device)
        kinds = np.asarray(spec.kind(table.columns)).astype(str)
        for kind in np.unique(kinds):
            found = _constants.find(operator, device, engine, str(kind))
            part = table.where(kinds == kind)
            if found is None:
                rows.append({"operator": operator, "device": device.name, "type": str(kind),
                             "engine": f"{engine} {version}", "shapes": len(part)})  # fmt: skip
                continue
            objective = Objective(spec, device, str(kind), found.constants)
            model = objective.predict(np.empty(0), part)
            ratio = model / part.time
            rows.append({
                "operator": operator, "device": device.name, "engine": f"{engine} {version}",
                "type": str(kind), "shapes": len(part),
                "mape": float(np.mean(np.abs(ratio - 1))), "median": float(np.median(np.abs(ratio - 1))),
                "bias": float(np.median(ratio - 1)), "band": found.band,
                "covered": float(np.mean(np.abs(np.log(ratio)) <= found.band)), "near": found.near,
            })  # fmt: skip
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """As a table of text."""
    print(f"{'operator':18}{'device':30}{'engine':20}{'type':12}{'shapes':>8}{'mean':>8}{'median':>8}"
          f"{'bias':>8}{'band':>7}{'covered':>9}  constants of")  # fmt: skip
    for r in rows:
        head = f"{r['operator']:18}{r['device']:30}{r['engine']:20}{r['type']:12}{r['shapes']:8d}"
        if "mape" not in r:
            print(f"{head}   no constants")
            continue
        print(f"{head}{r['mape']:8.1%}{r['median']:8.1%}{r['bias']:+8.1%}{r['band']:7.2f}"
              f"{r['covered']:9.1%}  {r['near']}")  # fmt: skip


def main() -> int:
    """Print the tables; 2 for a folder without any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measured", required=True, metavar="DIR")
    parser.add_argument("--operator", action="append", choices=list(SPECS))
    parser.add_argument("--json", action="store_true", help="one JSON document")
    given = parser.parse_args()
    try:
        rows = [row for name in given.operator or SPECS for row in judge(given.measured, name)]
    except (ValueError, KeyError) as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 2
    if not rows:
        print(f"error: {given.measured} has no tables below operators/", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(rows))
    else:
        show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
