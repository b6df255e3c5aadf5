"""Which times of a table can be: refuses a wrong unit, and leaves out rows that are impossible alone.

Two yardsticks: the datasheet's bound, and a typical kernel: the operator's form with the constants that its
fits start from. In 128 readings of real tables of seven devices the medians of a type were 0.34 to 46 times
the typical kernel, and at most 11 times it and its launch by a host; in another unit (1000 times shorter or
longer) they are at most 0.046 and at least 210. No row was more than 153 times slower or 106 times faster
than its type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof import _core, kernels
from tokenroof.calibrate.fitting import Objective
from tokenroof.calibrate.specs import Spec, codes
from tokenroof.calibrate.tables import Table
from tokenroof.records.calibration import Calibration

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.records.device import Device

# Measured over the datasheet's time: clocks above the nominal one, and rounding, allow for so much.
_PEAK = 0.8
# Medians of a type over the typical kernel; the upper one over that and the host that launches it [s].
_SHORT, _LONG, _HOST = 0.1, 50.0, 20e-6
# A row so many times slower or faster than the rest of its type is in another unit than they.
_ALONE = 200.0
# Where more than this share of a type's rows is impossible, the table is wrong, not some rows.
_SHARE = 0.25


def datasheet(spec: Spec, device: Device, table: Table) -> NDArray[np.float64]:
    """Shortest time that the datasheet allows [s]."""
    fields = getattr(kernels, spec.kernel)(
        device.pack(), Calibration.ideal().pack(), *spec.arguments(table.columns)
    )
    names = list(_core.OPERATOR_FIELDS)
    if spec.moves_memory:
        return np.asarray(fields[..., names.index("time")])
    # data that is read again and again comes from caches: only the work bounds it
    flops = fields[..., names.index("flops")]
    return np.asarray(flops / max(device.peak.values()))


def typical(spec: Spec, device: Device, kind: str, table: Table) -> NDArray[np.float64]:
    """Time of rows of one type with the constants that fits start from [s]."""
    starts = {name: place.start for name, place in spec.constants.items()} | spec.fixed(kind)
    return Objective(spec, device, kind, starts).predict(np.empty(0), table)


def possible(spec: Spec, device: Device, table: Table) -> Table:
    """The rows that can be; their counts say how many could not.

    Raises
    ------
    ValueError
        For an unknown type; and for a wrong unit: if the rows of a type are much too fast or too slow
        together, or more than a quarter of them alone.
    """
    for name in spec.types:
        if name.endswith("dtype"):
            codes(np.unique(table.columns[name].astype(str)))  # names an unknown one
    kinds = np.asarray(spec.kind(table.columns)).astype(str)
    bound = datasheet(spec, device, table)
    beyond = np.zeros(len(table), dtype=bool)  # faster than the peak
    slow, fast, idle = (
        beyond.copy(),
        beyond.copy(),
        beyond.copy(),
    )  # idle: one rank exchanges nothing
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        if spec.skip("", kind):  # rows of another operator
            continue
        usual = typical(spec, device, kind, table.where(rows))
        idle[rows] = usual <= 0.0
        rows, usual = rows[usual > 0.0], usual[usual > 0.0]
        if not rows.size:
            continue
        time = table.time[rows]
        short, long = time / usual, time / (usual + _HOST)
        beyond[rows] = time < _PEAK * bound[rows]
        slow[rows] = long > _ALONE * np.median(long)
        fast[rows] = (short * _ALONE < np.median(short)) & ~beyond[rows]
        what = f"{spec.operator} on {device.name}, {kind},"
        _refuse(what, float(np.median(short)), float(np.median(long)))
        impossible = (beyond | slow | fast)[rows]
        if impossible.mean() > _SHARE:
            raise ValueError(
                f"{impossible.mean():.0%} of the times of {what} are impossible: {beyond[rows].sum()} faster "
                f"than the datasheet's peak, {slow[rows].sum()} and {fast[rows].sum()} over {_ALONE:g} times "
                f"slower and faster than the rest; allowed: {_SHARE:.0%}. One unit, of this device?"
            )
    kept = table.where(~(beyond | slow | fast | idle))
    if not len(kept):
        raise ValueError(
            f"table of {spec.operator} has no usable row: {int(idle.sum())} do nothing"
        )
    kept.counts |= {
        "nothing to do": int(idle.sum()),
        "faster than the peak": int(beyond.sum()),
        f"over {_ALONE:g} times slower than the rest": int(slow.sum()),
        f"over {_ALONE:g} times faster than the rest": int(fast.sum()),
    }
    return kept


def _refuse(what: str, short: float, long: float) -> None:
    unit = "Is the unit right? Pass unit='s', 'ms' or 'us'"
    if short < _SHORT:
        raise ValueError(
            f"times of {what} are {1 / short:.3g} times shorter than a typical kernel's in the median; "
            f"allowed: up to {1 / _SHORT:g}. {unit}"
        )
    if long > _LONG:
        raise ValueError(
            f"times of {what} are {long:.3g} times longer than a typical kernel's and its launch in the "
            f"median; allowed: up to {_LONG:g}. {unit}"
        )
