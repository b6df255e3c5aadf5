"""Counts of numbers that share their sign, exponent and first bits of the mantissa."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.scale.reductions.tables import together
from tokenroof.support.order import order_by

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.scale.reductions.tables import Table

__all__ = ["RELATIVE", "bins_of", "counted", "merged_counts", "middle"]

#: Bits of a float64's mantissa, and how many of them a bin of a quantile has.
_MANTISSA, _KEPT = 52, 11
#: Bits that such a bin leaves out.
_BITS = _MANTISSA - _KEPT
#: How far the middle of a bin is from its ends, over either.
RELATIVE = 2.0**-12


def bins_of(values: NDArray[np.float64], kept: int = _KEPT) -> NDArray[np.int64]:
    """Bins in the order of the numbers: their bits, those of negative ones turned round, without the last.

    Numbers of one bin share their sign, exponent and the first `kept` bits of the mantissa.

    Examples
    --------
    >>> bins_of(np.array([-1.0, 0.0, 1.0, 1.0001])).argsort().tolist()
    [0, 1, 2, 3]
    """
    bits = np.ascontiguousarray(values + 0.0).view(np.int64)  # -0.0 is 0.0
    return np.asarray(
        np.where(bits < 0, bits ^ np.int64(2**63 - 1), bits) >> max(0, _MANTISSA - kept)
    )


def middle(bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """The middle of bins' numbers, infinite for those of infinity."""
    bits = (bins << _BITS) + (np.int64(1) << (_BITS - 1))
    bits = np.where(bits < 0, bits ^ np.int64(2**63 - 1), bits)
    found = np.ascontiguousarray(bits).view(np.float64)
    return np.asarray(np.where(np.isnan(found), np.copysign(np.inf, found), found))


def counted(i: int, group: NDArray[np.int64], bins: NDArray[np.int64]) -> Table:
    """Counts of pairs of group and bin, of the variable `i`."""
    low = bins.min(initial=0)
    width = bins.max(initial=0) - low + 1
    keys, counts = np.unique(group * width + (bins - low), return_counts=True)
    return {
        "variable": np.full(keys.size, i, dtype=np.int64),
        "group": keys // width,
        "bin": keys % width + low,
        "count": counts.astype(np.int64),
    }


def merged_counts(tables: Sequence[Table], others: Sequence[str] = ()) -> Table:
    """Sums of counts; `others` are columns of rows that are there once."""
    table = together(tables)
    order = order_by(table["variable"], table["group"], table["bin"])
    held = {name: column[order] for name, column in table.items()}
    change = np.zeros(order.size, dtype=bool)
    change[:1] = True
    for name in ("variable", "group", "bin"):
        change[1:] |= held[name][1:] != held[name][:-1]
    starts = np.flatnonzero(change)
    counts = np.add.reduceat(held["count"], starts) if starts.size else held["count"]
    keys = ("variable", "group", "bin", *others)
    return {name: held[name][starts] for name in keys} | {"count": counts}
