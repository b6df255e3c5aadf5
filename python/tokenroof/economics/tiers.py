"""Classes of service: what a token costs at which speed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenroof.catalogue.markets import tier_assumptions, tier_rows
from tokenroof.support.arguments import finite_number, not_empty, real_numbers, share, shown

__all__ = ["Case", "Tier", "check_tiers", "gtc2026_tiers"]

#: Speed and context of one case of a tier [token/s], [1].
Case = tuple[float, float]


@dataclass(frozen=True)
class Tier:
    """A class of service: what a token costs at which speed.

    Parameters
    ----------
    name : str
    price_per_mtok : float
        Price of a million output tokens [$].
    interactivity : float, optional
        Tokens per second of one user [token/s]; None where nobody states it.
    model : str, optional
        As the price list calls it.
    context : float, optional
        Tokens of a prompt [1]; None where nobody states it.
    interactivity_range, context_range : (float, float), optional
        Low and high of what nobody states: results are then given at both ends as well.
    stand_in : str, optional
        Model of the catalogue that is served in place of one without published shapes.
    power_share : float, optional
        Part of the site's power that a plan gives it [1].
    provenance : mapping
        Origin of each field that has one.

    Raises
    ------
    ValueError, TypeError
        Naming the field, its value and what is allowed: a number beside its own range as well.

    Examples
    --------
    >>> chat = Tier("chat", 0.6, model="gpt-oss-120b", context=4096, interactivity_range=(25, 100))
    >>> chat.cases()["middle"], chat.served
    ((50.0, 4096.0), 'gpt-oss-120b')
    """

    name: str
    price_per_mtok: float
    interactivity: float | None = None
    model: str | None = None
    context: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict, compare=False)
    interactivity_range: tuple[float, float] | None = None
    context_range: tuple[float, float] | None = None
    stand_in: str | None = None
    power_share: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name is {shown(self.name)}; allowed: text")
        put = object.__setattr__  # float64 of whatever number came
        put(self, "price_per_mtok", finite_number("price_per_mtok", self.price_per_mtok))
        for name in ("interactivity", "context"):
            if getattr(self, name) is not None:
                put(self, name, finite_number(name, getattr(self, name), above=True))
            if getattr(self, f"{name}_range") is not None:
                put(self, f"{name}_range", _range(f"{name}_range", getattr(self, f"{name}_range")))
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name}_range is {shown(getattr(self, f'{name}_range'))} beside {name} "
                        f"{shown(getattr(self, name))}; allowed: one of the two"
                    )
        for name in ("model", "stand_in"):
            if getattr(self, name) is not None and not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} is {shown(getattr(self, name))}; allowed: text or None")
        if self.power_share is not None:
            put(self, "power_share", share("power_share", self.power_share, zero=True))
        if not isinstance(self.provenance, Mapping):
            raise TypeError(f"provenance is {shown(self.provenance)}; allowed: a mapping")

    @property
    def served(self) -> str | None:
        """Name of the model that stands for it: its stand-in, or its own."""
        return self.stand_in or self.model

    @property
    def assumed(self) -> tuple[str, ...]:
        """Fields that stand on a range or a stand-in."""
        ranges = (f for f in ("interactivity", "context") if getattr(self, f"{f}_range"))
        return (*ranges, *(("model",) if self.stand_in else ()))

    def cases(self) -> dict[str, Case]:
        """Speed and context: ``easy`` (slow and short), ``middle``, ``hard`` (fast and long).

        Returns
        -------
        dict
            Of (token/s of one user, tokens of a prompt); the middle of a range is its geometric mean.

        Raises
        ------
        ValueError
            If the tier states neither a number nor a range of one of them.
        """
        speeds, contexts = (
            _ends(self.name, field, getattr(self, field), getattr(self, f"{field}_range"))
            for field in ("interactivity", "context")
        )
        names = ("easy", "middle", "hard")
        return dict(zip(names, zip(speeds, contexts, strict=True), strict=True))


def _range(name: str, value: object) -> tuple[float, float]:
    array = real_numbers(value)
    if array is None or array.shape != (2,):
        raise TypeError(f"{name} is {shown(value)}; allowed: two numbers, low and high")
    low, high = array.tolist()
    if not 0.0 < low <= high < math.inf:
        raise ValueError(f"{name} is {shown(value)}; allowed: 0 < low <= high, finite")
    return low, high


def _ends(
    tier: str, name: str, value: float | None, ends: tuple[float, float] | None
) -> tuple[float, float, float]:
    if value is not None:
        return value, value, value
    if ends is None:
        raise ValueError(f"{name} of tier {tier} is None; allowed: a number, or {name}_range")
    low, high = ends
    return low, math.sqrt(low * high), high


def check_tiers(tiers: object) -> tuple[Tier, ...]:
    """Tiers of different names, or an error that names what is wrong."""
    if isinstance(tiers, str) or not isinstance(tiers, Sequence):
        raise TypeError(f"tiers is {shown(tiers)}; allowed: a sequence of Tier")
    for tier in tiers:
        if not isinstance(tier, Tier):
            raise TypeError(f"tiers is {shown(tiers)}; allowed: a sequence of Tier")
    names = [tier.name for tier in not_empty("tiers", tiers)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"tiers has {twice} more than once; allowed: each name once")
    return tuple(tiers)


def gtc2026_tiers() -> tuple[Tier, ...]:
    """The five tiers of the GTC 2026 keynote; what nobody printed is None, with a range.

    Returns
    -------
    tuple of Tier
        By price of a million output tokens [$].

    Examples
    --------
    >>> [tier.price_per_mtok for tier in gtc2026_tiers()]
    [0.0, 3.0, 6.0, 45.0, 150.0]
    >>> medium = gtc2026_tiers()[1]
    >>> medium.interactivity, medium.interactivity_range, medium.assumed
    (None, (25.0, 100.0), ('interactivity', 'context'))
    """
    names = ("name", "price_per_mtok", "interactivity", "model", "context", "power_share")
    found, assumed = [], tier_assumptions()
    for row in tier_rows():
        extra = assumed[row["name"]]
        origins = {_FIELD[name]: origin for name, (_, origin) in extra.items()}
        found.append(Tier(
            **{name: row[name] for name in names},
            **{_FIELD[name]: value for name, (value, _) in extra.items()},
            provenance={**row["provenance"], **origins},
        ))  # fmt: skip
    return tuple(found)


_FIELD = {
    "interactivity": "interactivity_range",
    "context": "context_range",
    "stand_in": "stand_in",
}
