"""Classes of service: what a token costs at which speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenroof.support.arguments import finite_number


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
    context : float, optional
        Tokens [1].
    provenance : mapping
        Origin of each field that has one.
    """

    name: str
    price_per_mtok: float
    interactivity: float | None = None
    model: str | None = None
    context: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name is {self.name!r}; allowed: text")
        put = object.__setattr__  # float64 of whatever number came
        put(self, "price_per_mtok", finite_number("price_per_mtok", self.price_per_mtok))
        for name in ("interactivity", "context"):
            if getattr(self, name) is not None:
                put(self, name, finite_number(name, getattr(self, name), above=True))
        if self.model is not None and not isinstance(self.model, str):
            raise TypeError(f"model is {self.model!r}; allowed: text or None")
        if not isinstance(self.provenance, Mapping):
            raise TypeError(f"provenance is {self.provenance!r}; allowed: a mapping")


def gtc2026_tiers() -> tuple[Tier, ...]:
    """The five tiers of the GTC 2026 keynote; what nobody printed is None.

    Returns
    -------
    tuple of Tier
        By price of a million output tokens [$].

    Examples
    --------
    >>> [tier.price_per_mtok for tier in gtc2026_tiers()]
    [0.0, 3.0, 6.0, 45.0, 150.0]
    """
    from tokenroof.catalogue import tier_rows

    names = ("name", "price_per_mtok", "interactivity", "model", "context", "provenance")
    return tuple(Tier(**{name: row[name] for name in names}) for row in tier_rows())
