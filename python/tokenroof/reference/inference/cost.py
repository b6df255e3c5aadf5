"""What a measured form needs of a device, and what it gives: seconds, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tokenroof.reference.records.records import Record

Constants = Mapping[str, float]


@dataclass(frozen=True)
class Hardware:
    """Bytes/s, FLOP/s, multiprocessors, bytes of the L2 (NaN: unknown)."""

    bandwidth: float
    peak: float
    multiprocessors: float
    l2: float

    @classmethod
    def of(cls, device: Record, peak: float | None = None) -> Hardware:
        """From a record; the peak of 16 bits unless given."""
        rate = device["peak_bf16"] if peak is None else peak
        return cls(device["memory_bandwidth"], rate, device["sm_count"], device["l2_bytes"])


class Cost(NamedTuple):
    """Time is fixed + seconds; the longer of compute and memory names what binds."""

    fixed: float
    seconds: float
    compute: float
    memory: float
    flops: float
    bytes: float


UNKNOWN = Cost(*(math.nan,) * 6)


def faster_cost(one: Cost, other: Cost) -> Cost:
    """The way that takes less time; NaN if either is."""
    return other if other.seconds < one.seconds or math.isnan(other.seconds) else one
