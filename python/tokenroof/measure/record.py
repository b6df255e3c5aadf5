"""What was measured of a machine, as a record and as a `Device`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tokenroof.support.arguments import shown
from tokenroof.support.sampling import Reading

if TYPE_CHECKING:
    from tokenroof.records.device import Device

__all__ = ["Machine"]

_UNITS = {"FLOP/s", "op/s", "B/s", "s", "Hz", "hash/s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What one machine reached.

    Attributes
    ----------
    name : str
        Processor, as the operating system names it.
    cores : int
        Logical processors that this process may use; all of them were used.
    readings : dict of str to Reading
        Every probe by name: ``flops.fp64.x86_64_v4``, ``integer.add32.generic``,
        ``bandwidth.memory.triad.2`` (2 threads), ``latency.L1``, ``cost.thread_wake``,
        ``product.fp32.8`` (of 8 rows), ``clock``, ``hash.core`` ...
    hash_backend : str
        Scanner of the hashrate.
    watts : float or None
        Mean power of the processor packages while it computed; None if it cannot be read [W].
    watts_note : str
        Where that comes from, or why there is none.
    memory_bytes, cache_bytes : float or None
        Main memory, and the last-level cache that the bandwidth was measured beyond [B].
    date : str
        Day of the measurement.
    seconds : float
        Time that it all took [s].
    """

    name: str
    cores: int
    readings: dict[str, Reading]
    hash_backend: str = ""
    memory_bytes: float | None = None
    cache_bytes: float | None = None
    watts: float | None = None
    watts_note: str = ""
    date: str = ""
    seconds: float = 0.0
    kind: str = field(default="measured", init=False)

    def named(self, prefix: str) -> dict[str, Reading]:
        """The readings whose name begins with `prefix` and a dot, by the rest of it."""
        start = prefix + "."
        return {k.removeprefix(start): v for k, v in self.readings.items() if k.startswith(start)}

    @property
    def peak(self) -> dict[str, float]:
        """Multiply-adds in registers by type: the best of all instruction sets and repeats [FLOP/s]."""
        peak: dict[str, float] = {}
        for name, reading in self.named("flops").items():
            kind = name.partition(".")[0]
            peak[kind] = max(peak.get(kind, 0.0), reading.best)
        return peak

    @property
    def isa(self) -> str:
        """Instruction set that reached the most in fp64."""
        found = {k: v.best for k, v in self.named("flops.fp64").items()}
        return max(found, key=found.__getitem__)

    @property
    def bandwidth(self) -> dict[str, float]:
        """Memory traffic of all cores by kind, best of the repeats, without cache lines that a write
        fetches first [B/s]; ``_nt``: with stores that pass the caches by."""
        end = f".{self.cores}"
        return {
            k.removesuffix(end): v.best
            for k, v in self.named("bandwidth.memory").items()
            if k.endswith(end)
        }

    @property
    def memory_bandwidth(self) -> float:
        """The most that any of the loops moved: a roof is what nothing exceeds [B/s]."""
        return max(self.bandwidth.values())

    @property
    def hashrate(self) -> float | None:
        """Double SHA-256 of block headers, all cores, best of the repeats; None if not measured [hash/s]."""
        found = self.readings.get("hash.all")
        return None if found is None else found.best

    @property
    def joules_per_terahash(self) -> float | None:
        """Energy per 10^12 hashes; None if the power or the hashrate is unknown [J/TH]."""
        if self.watts is None or not self.hashrate:
            return None
        return self.watts / self.hashrate * 1e12

    @property
    def clock_hz(self) -> float | None:
        """Clock while it computed, by additions that wait for each other; None if unknown [Hz]."""
        found = self.readings.get("clock")
        return None if found is None else found.best

    def device(self) -> Device:
        """Return the machine as a `Device`, usable wherever a catalogue name is.

        Examples
        --------
        >>> import tokenroof as tr
        >>> here = tr.measure.machine(seconds=0.1).device()
        >>> bool(tr.roofline.ridge(here, "fp32") > 0)
        True
        """
        from tokenroof.mining.hash_roofline import local_core
        from tokenroof.records.device import Device
        from tokenroof.records.provenance import Provenance

        core, clock = local_core(), self.readings.get("clock")
        wide = max(self.bandwidth, key=self.bandwidth.__getitem__)
        sources = {
            f"peak_{kind}": max(
                (r for name, r in self.named("flops").items() if name.startswith(f"{kind}.")),
                key=lambda r: r.best,
            )
            for kind in self.peak
        }
        sources["memory_bandwidth"] = self.readings[f"bandwidth.memory.{wide}.{self.cores}"]
        if clock is not None:
            sources["boost_clock_hz"] = clock
        measured = {
            name: reading.best
            for name, reading in self.readings.items()
            if name.startswith(
                ("product.", "attention.", "gated.", "cost.", "hash.core", "hash.roll")
            )
        }
        sources |= {name: self.readings[name] for name in measured}
        return Device(
            name=f"this machine ({self.name}, {self.cores} cores)",
            aliases=("local",),
            kind="cpu",
            family="" if core is None else core["name"],
            release=self.date,
            memory_bandwidth=self.memory_bandwidth,
            memory_bytes=self.memory_bytes,
            peak=self.peak,
            l2_bytes=self.cache_bytes,
            sm_count=self.cores,
            boost_clock_hz=self.clock_hz,
            tdp_w=self.watts,
            notes=f"measured on {self.date} with {self.isa}; power {self.watts_note}",
            measured=measured,
            provenance={
                name: Provenance("measured", _said(reading), reading.date, reading.unit)
                for name, reading in sources.items()
            },
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as a dict that JSON can hold, what follows from others included."""
        names = [n for n in self.__dataclass_fields__ if n != "readings"]
        derived = ("isa", "peak", "bandwidth", "memory_bandwidth", "hashrate", "joules_per_terahash",
                   "clock_hz")  # fmt: skip
        return {
            **{name: getattr(self, name) for name in (*names, *derived)},
            "readings": {name: reading.as_dict() for name, reading in self.readings.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Machine:
        """The record that `as_dict` wrote; what follows from others is computed anew.

        Raises
        ------
        ValueError
            If a field is missing, of a wrong type, or no number that was measured.
        """
        try:
            readings = {str(name): _reading(name, row) for name, row in data["readings"].items()}
            words = {k: data[k] for k in ("name", "hash_backend", "watts_note", "date")}
            numbers = {k: data[k] for k in ("memory_bytes", "cache_bytes", "watts")}
            cores, seconds = data["cores"], data["seconds"]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"not a measured machine: {shown(error)}; allowed: what as_dict gives"
            ) from None
        for name, value in words.items():
            if not isinstance(value, str):
                raise ValueError(f"{name} is {shown(value)}; allowed: a string")
        for name, value in {**numbers, "seconds": seconds}.items():
            if value is not None and not _positive(value):
                raise ValueError(f"{name} is {shown(value)}; allowed: a number > 0")
        if isinstance(cores, bool) or not isinstance(cores, int) or not 1 <= cores <= 4096:
            raise ValueError(f"cores is {shown(cores)}; allowed: 1 to 4096")
        made = cls(**words, **numbers, cores=cores, seconds=float(seconds), readings=readings)
        if not {"fp64", "fp32"} <= set(made.peak) or not made.bandwidth:
            raise ValueError("readings lack flops or bandwidth.memory; allowed: with both")
        made.device()  # whatever no device could be is no reading either
        return made


def _said(reading: Reading) -> str:
    return (
        f"tokenroof.measure on this machine: best of {reading.repeats} repeats; median "
        f"{reading.value:.4g}, 95 % interval {reading.low:.4g} to {reading.high:.4g}, "
        f"interquartile spread {reading.spread:.1%}"
    )


def _positive(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 < value <= sys.float_info.max  # NaN, and integers that no float holds, are neither


def _reading(name: str, row: Mapping[str, Any]) -> Reading:
    for key in ("value", "best", "low", "high"):
        if not _positive(row[key]):
            raise ValueError(f"{name}: {key} is {shown(row[key])}; allowed: a number > 0")
    spread, repeats, unit, day = row["spread"], row["repeats"], row["unit"], row["date"]
    if spread != 0 and not _positive(spread):
        raise ValueError(f"{name}: spread is {shown(spread)}; allowed: a number >= 0")
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise ValueError(f"{name}: repeats is {shown(repeats)}; allowed: a positive integer")
    if unit not in _UNITS or not isinstance(day, str):
        raise ValueError(
            f"{name}: unit is {shown(unit)}, date {shown(day)}; allowed: {', '.join(sorted(_UNITS))}"
        )
    value, best, low, high = (float(row[k]) for k in ("value", "best", "low", "high"))
    return Reading(value, best, low, high, float(spread), repeats, unit, day)
