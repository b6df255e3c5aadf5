"""What a GW earns in a year by generation, from its own frontier, beside what the keynote says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.catalogue.markets import revenue_claims
from tokenroof.economics.allocation import allocate
from tokenroof.economics.delivery import (
    CASES,
    Delivery,
    DeliveryOptions,
    Fronts,
    deliver,
    delivered,
)
from tokenroof.economics.site import Site
from tokenroof.economics.tiers import Tier, check_tiers, gtc2026_tiers
from tokenroof.support.arguments import check_options, finite_number
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from typing import Unpack

    from tokenroof.records.device import Device

__all__ = [
    "Effect",
    "GwRevenue",
    "at_fastest",
    "effects_of",
    "of_delivery",
    "revenue_effects",
    "revenue_per_gw",
]

#: Within which factor of the printed figure a figure counts as near it.
NEAR = 1.5


@by_value
@dataclass(frozen=True)
class GwRevenue:
    """A GW and year of one generation.

    Attributes
    ----------
    generation : str
    revenue : dict of str to float
        By case of what nobody states: ``easy``, ``middle``, ``hard`` [$/(GW year)].
    by_tier : dict of str to float
        Of the middle case, with the keynote's split [$/(GW year)].
    best : float
        Of the split that earns most, middle case [$/(GW year)].
    printed : float
        The keynote's figure; NaN where it has none [$/(GW year)].
    missed : tuple of str
        What it does not reach in the middle case, with the best speed: its part of the power earns nothing.
    """

    generation: str
    revenue: dict[str, float]
    by_tier: dict[str, float]
    best: float
    printed: float
    missed: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """Middle case over what is printed [1]."""
        return self.revenue["middle"] / self.printed

    @property
    def is_near(self) -> bool:
        """Whether the middle case is within a factor of 1.5 of what is printed."""
        return bool(1.0 / NEAR <= self.ratio <= NEAR)


def revenue_per_gw(
    generations: Sequence[str | Device] | Mapping[str, Any] | None = None,
    tiers: Sequence[Tier] | None = None,
    input_price: float = 0.0,
    **options: Unpack[DeliveryOptions],
) -> tuple[GwRevenue, ...]:
    """What a GW earns in a year with a fixed split over tiers, from each generation's own frontier.

    Parameters
    ----------
    generations : sequence of str or Device, or mapping, optional
        As in `deliver`. By default the keynote's that one device makes: Grace Blackwell and Vera Rubin. A
        name of the keynote is put beside its figure.
    tiers : sequence of Tier, optional
        Each with its `power_share`, without which it gets nothing; the keynote's by default. The GW is
        provisioned power.
    input_price : float
        Price of a prompt's token over that of an output token [1]; 0: prices pay for output alone.
    output_tokens, ttft_max, fidelity, engine, power, pue, systems : optional
        As in `deliver`.

    Returns
    -------
    tuple of GwRevenue
        Nothing in them is tuned to the printed figures; `revenue_effects` says what each assumption does.

    Raises
    ------
    KeyError, ValueError, TypeError
        As `deliver`; for shares that sum to more than 1.

    Examples
    --------
    >>> found = revenue_per_gw(["H200-SXM"])[0]
    >>> found.revenue["easy"] > found.revenue["middle"] > found.revenue["hard"] >= 0.0
    True
    """
    check_options("revenue_per_gw", options, DeliveryOptions)
    asked = gtc2026_tiers() if tiers is None else check_tiers(tiers)
    ratio = finite_number("input_price", input_price)
    made = deliver(_named(generations), asked, **options)
    return of_delivery(made, asked, ratio, float(options.get("output_tokens", 1024.0)))


def of_delivery(
    made: Delivery, tiers: Sequence[Tier], ratio: float = 0.0, answer: float = 1024.0
) -> tuple[GwRevenue, ...]:
    """What `revenue_per_gw` returns of what was delivered: prompts billed at `ratio` of an answer's price."""
    return tuple(_one(made, name, tiers, ratio, answer) for name in made.devices)


def _named(generations: Any) -> Any:
    if generations is not None:
        return generations
    return {name: device for name, (device, _, _) in revenue_claims().items() if device}


def _one(
    made: Delivery, name: str, tiers: Sequence[Tier], ratio: float, answer: float
) -> GwRevenue:
    site, shares = Site(power_w=1e9), [tier.power_share or 0.0 for tier in tiers]
    earned = {}
    for case in CASES:
        offers = made.of(name, case)
        # a prompt is billed with the answer that follows it
        billed = [
            replace(t, price_per_mtok=t.price_per_mtok * (1.0 + ratio * o.context / answer))
            for t, o in zip(tiers, offers, strict=True)
        ]
        supply = made.supply(name, case)
        earned[case] = allocate(site, billed, supply, split=shares)
        if case == "middle":
            best = allocate(site, billed, supply).revenue_per_year
    printed = revenue_claims().get(name, ("", np.nan, None))[1]
    middle = earned["middle"]
    return GwRevenue(
        name, {case: each.revenue_per_year for case, each in earned.items()},
        dict(zip(middle.tiers, middle.revenue.tolist(), strict=True)), best, float(printed),
        tuple(o.gap() for o in made.of(name) if not o.is_reached and o.tier.power_share),
    )  # fmt: skip


@dataclass(frozen=True)
class Effect:
    """The same GW with one assumption changed.

    Attributes
    ----------
    assumption : str
        What is assumed in its place.
    generation : str
    revenue : float
        Middle case [$/(GW year)].
    factor : float
        Over the revenue without the change; inf where that is 0 [1].
    of_printed : float
        Over the keynote's figure [1].
    """

    assumption: str
    generation: str
    revenue: float
    factor: float
    of_printed: float


_BILLED = {
    "prompts billed at a quarter of an answer's price": 0.25, "prompts billed as answers": 1.0,
}  # fmt: skip
_OTHERS: dict[str, dict[str, Any]] = {
    "answers of 8,192 tokens": {"output_tokens": 8192.0},
    "any wait for the first token": {"ttft_max": None},
    "datasheet peaks reached": {"fidelity": "datasheet"},
    "power of the boards alone": {"power": "board"},
}


def revenue_effects(
    generations: Sequence[str | Device] | Mapping[str, Any] | None = None,
    tiers: Sequence[Tier] | None = None,
) -> tuple[Effect, ...]:
    """What each assumption of `revenue_per_gw` does: one is changed, the others stay.

    Beside the options of `revenue_per_gw`: the slow and the fast ends of what nobody states, prompts of 2,048
    tokens at every tier, and a Premium of the fastest speed that is reached in place of 400 token/s.

    Parameters
    ----------
    generations, tiers : optional
        As in `revenue_per_gw`.

    Returns
    -------
    tuple of Effect
        By generation, in the order of the assumptions; the first of each is the base.

    Raises
    ------
    KeyError, ValueError, TypeError
        As `revenue_per_gw`.

    Examples
    --------
    >>> base, *others = revenue_effects(["H200-SXM"])
    >>> base.assumption, base.factor, len(others)
    ('as assumed', 1.0, 10)
    """
    asked = gtc2026_tiers() if tiers is None else check_tiers(tiers)
    return effects_of({}, _named(generations), asked)


def effects_of(fronts: Fronts, named: Any, asked: Sequence[Tier]) -> tuple[Effect, ...]:
    """What `revenue_effects` returns, with frontiers that are known already."""
    made = delivered(fronts, named, asked, {})
    base = of_delivery(made, asked)
    variants = {"as assumed": base}
    for name, ratio in _BILLED.items():
        variants[name] = of_delivery(made, asked, ratio)
    for name, changed in _OTHERS.items():
        variants[name] = revenue_per_gw(named, asked, **changed)
    short = [replace(t, context=2048.0, context_range=None) for t in asked]
    variants["prompts of 2,048 tokens"] = revenue_per_gw(named, short)
    found = []
    for i, of in enumerate(base):
        values = {name: rows[i].revenue["middle"] for name, rows in variants.items()}
        values["the slow and short ends"] = of.revenue["easy"]
        values["the fast and long ends"] = of.revenue["hard"]
        slower = at_fastest(made, of.generation, asked)
        again = of_delivery(delivered(fronts, named, slower, {}), slower)
        values["tiers at the fastest speed that is reached"] = again[i].revenue["middle"]
        found += [
            Effect(
                name, of.generation, value, _over(value, values["as assumed"]), value / of.printed
            )
            for name, value in values.items()
        ]
    return tuple(found)


def _over(value: float, base: float) -> float:
    if base:
        return value / base
    return np.inf if value else 1.0


def at_fastest(made: Delivery, name: str, tiers: Sequence[Tier]) -> list[Tier]:
    """Tiers of which one that is not reached is sold at the generation's best speed, at the same price."""
    return [
        replace(tier, interactivity=offer.fastest * (1.0 - 1e-9), interactivity_range=None)
        if not offer.is_reached and offer.fastest
        else tier
        for tier, offer in zip(tiers, made.of(name), strict=True)
    ]
