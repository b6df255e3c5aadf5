"""Constants of the operators, fitted on measured tables (extra ``analysis``).

``python -m tokenroof.calibrate DIR`` fits every operator that the folder has tables of,
``DIR/operators/<device>/<engine>-<version>/<table>.parquet`` or ``.csv``, and writes a TOML file each: the
catalogue's were made so. `fit_operator` does the same for one table of your own device.
"""

from __future__ import annotations

from tokenroof.calibrate.engines import EngineFit, fit_engines, write_engines
from tokenroof.calibrate.files import write_constants
from tokenroof.calibrate.fitting import Errors, Objective
from tokenroof.calibrate.operator_fits import fit_operator, fit_tables
from tokenroof.calibrate.operators import SPECS, measured_tables, read_operator
from tokenroof.calibrate.points import Points, read_serving
from tokenroof.calibrate.tables import Table

__all__ = [
    "SPECS",
    "EngineFit",
    "Errors",
    "Objective",
    "Points",
    "Table",
    "fit_engines",
    "fit_operator",
    "fit_tables",
    "measured_tables",
    "read_operator",
    "read_serving",
    "write_constants",
    "write_engines",
]


def __dir__() -> list[str]:
    return sorted(__all__)
