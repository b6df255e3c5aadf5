"""Machines that mine bitcoin: processors, graphics cards, FPGAs, ASICs."""

from __future__ import annotations

from dataclasses import dataclass, field

from tokenroof.records.fields import dated, names, number
from tokenroof.records.provenance import Provenance
from tokenroof.support.arguments import shown
from tokenroof.support.names import normalise

__all__ = ["MINER_KINDS", "Miner"]

MINER_KINDS = ("cpu", "gpu", "fpga", "asic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Miner:
    """One mining machine.

    Only `name` and `hashrate` are required; None means unknown.

    Attributes
    ----------
    name : str
        Name, as in the catalogue or as you like it.
    hashrate : float
        Double SHA-256 per second [hash/s].
    power : float or None
        Power at the wall (of the chip or card for CPUs and GPUs) [W].
    aliases : tuple of str
        Further names.
    vendor, release, process : str
        Facts in words; `release` as year and month.
    kind : str
        cpu, gpu, fpga or asic.
    price_usd : float or None
        Launch price [USD].
    provenance : dict of str to Provenance
        Kind, source, date and unit by field.

    Raises
    ------
    TypeError, ValueError
        With the field, its value and what is allowed.

    Examples
    --------
    >>> Miner(name="mine", hashrate=200e12, power=3500).efficiency
    17.5
    """

    name: str
    hashrate: float
    power: float | None = None
    aliases: tuple[str, ...] = ()
    vendor: str = ""
    kind: str = "asic"
    release: str = ""
    process: str = ""
    price_usd: float | None = None
    notes: str = ""
    provenance: dict[str, Provenance] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"miner: name must be a string, not {shown(self.name)}")
        if not normalise(self.name):
            raise ValueError(
                f"miner: name is {shown(self.name)}; allowed: text with a letter or digit"
            )
        owner = f"miner {shown(self.name)}"
        put = object.__setattr__  # the record is frozen; this only turns numbers into floats
        put(self, "hashrate", number(owner, "hashrate", self.hashrate, kind="miner"))
        if self.power is not None:
            put(self, "power", number(owner, "power", self.power, kind="miner"))
        if self.price_usd is not None:
            put(self, "price_usd", number(owner, "price_usd", self.price_usd, zero=True))
        if self.kind not in MINER_KINDS:
            allowed = ", ".join(MINER_KINDS)
            raise ValueError(f"{owner}: kind must be one of {allowed}, not {shown(self.kind)}")
        put(self, "aliases", names(f"{owner}: aliases", self.aliases))
        dated(owner, "release", self.release)

    def __hash__(self) -> int:
        return hash((self.name, self.hashrate))

    @property
    def efficiency(self) -> float | None:
        """Energy per terahash [J/TH], ``power / hashrate * 1e12``; None if the power is unknown."""
        return None if self.power is None else self.power / self.hashrate * 1e12

    @property
    def joules_per_hash(self) -> float | None:
        """Energy per hash [J]; None if the power is unknown."""
        return None if self.power is None else self.power / self.hashrate
