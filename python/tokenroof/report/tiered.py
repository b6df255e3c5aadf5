"""A GW by generation beside what is printed, and its power over tiers: as in the keynote, and at best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenroof import economics as ec
from tokenroof import plot
from tokenroof.catalogue.markets import revenue_claims
from tokenroof.economics.delivery import Fronts, delivered
from tokenroof.economics.revenue import at_fastest, effects_of, of_delivery

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CAP", "Split", "Tiered", "tiered"]

#: Part of the site's power beyond which nobody buys more of a tier.
CAP = 0.4
_SITE_MW = 1000.0
_EVEN, _BEST = "as the keynote", "at best"


@dataclass(frozen=True)
class Split:
    """A generation's power over tiers that are sold at the speeds that it reaches.

    Attributes
    ----------
    generation : str
    even, best : Allocation
        A quarter each to four tiers; and what earns most.
    by_highs : float
        The best by HiGHS' linear programme [$/year].
    sold_at : dict of str to float
        Speed of each tier: asked for, or the best reached; 0 where nothing serves it [token/s].
    """

    generation: str
    even: ec.Allocation
    best: ec.Allocation
    by_highs: float
    sold_at: dict[str, float]

    @property
    def lost(self) -> float:
        """Part of the best that the quarters leave [1]."""
        return 1.0 - self.even.revenue_per_year / self.best.revenue_per_year


@dataclass(frozen=True)
class Tiered:
    """Results that the page draws.

    Attributes
    ----------
    found : tuple of GwRevenue
    effects : tuple of Effect
    splits : tuple of Split
    """

    found: tuple[ec.GwRevenue, ...]
    effects: tuple[ec.Effect, ...]
    splits: tuple[Split, ...]

    def figures(self) -> dict[str, Any]:
        """Figures by the name of their place on the page."""
        bars = {
            f"{s.generation},\n{name}": split
            for s in self.splits
            for name, split in ((_EVEN, s.even), (_BEST, s.best))
        }
        return {
            "revenue": plot.revenue(self.found, self.others()),
            "revenue_effects": plot.revenue_effects(self.effects),
            "allocation": plot.allocation(bars),
        }

    def others(self) -> dict[str, float]:
        """Generations that are printed, of which nothing is computed [$/(GW year)]."""
        have = {row.generation for row in self.found}
        return {name: value for name, (_, value, _) in revenue_claims().items() if name not in have}

    def tables(self, frames: Any) -> dict[str, pd.DataFrame]:
        """Tables by the name of their file; `frames` is pandas."""
        rows = [
            {"generation": r.generation, **{f"{case}_per_gw_year": r.revenue[case] for case in r.revenue},
             "best_split_per_gw_year": r.best, "printed_per_gw_year": r.printed,
             "missed": "; ".join(r.missed)}
            for r in self.found
        ]  # fmt: skip
        effects = [
            {"generation": e.generation, "assumption": e.assumption, "revenue_per_gw_year": e.revenue,
             "factor": e.factor, "of_printed": e.of_printed}
            for e in self.effects
        ]  # fmt: skip
        splits = frames.concat([
            split.to_frame().assign(generation=s.generation, split=name, marginal_value=split.marginal_value)
            for s in self.splits for name, split in ((_EVEN, s.even), (_BEST, s.best))
        ])  # fmt: skip
        return {
            "revenue_per_gw": frames.DataFrame(rows), "revenue_effects": frames.DataFrame(effects),
            "allocation": splits,
        }  # fmt: skip

    def said(self) -> dict[str, Any]:
        """What the page's text says of it."""
        claims = revenue_claims()
        names = list(dict.fromkeys(e.generation for e in self.effects))
        by_name: dict[str, list[ec.Effect]] = {}
        for effect in self.effects:
            by_name.setdefault(effect.assumption, []).append(effect)
        return {
            "revenues": self.found, "revenue_others": self.others(), "effects": by_name,
            "effects_of": names, "claims_of": claims, "splits": self.splits, "cap": CAP,
        }  # fmt: skip


def tiered() -> Tiered:
    """Evaluate what the page says of a GW over tiers."""
    tiers, fronts = ec.gtc2026_tiers(), Fronts()
    named = {name: device for name, (device, _, _) in revenue_claims().items() if device}
    made = delivered(fronts, named, tiers, {})
    return Tiered(
        of_delivery(made, tiers), effects_of(fronts, named, tiers),
        tuple(_split(fronts, made, name, device) for name, device in named.items()),
    )  # fmt: skip


def _split(fronts: Fronts, made: ec.Delivery, generation: str, device: str) -> Split:
    """What a tier sells at the speed asked for, or, where this is not reached, at the best that is."""
    site, tiers = ec.Site(power_w=_SITE_MW * 1e6), at_fastest(made, generation, made.tiers)
    slower = delivered(fronts, {generation: device}, tiers, {})
    supply = slower.supply(generation)
    demand = CAP * _SITE_MW * supply
    shares = [tier.power_share or 0.0 for tier in tiers]
    return Split(
        generation, ec.allocate(site, tiers, supply, demand, split=shares),
        ec.allocate(site, tiers, supply, demand),
        ec.best_mix(site, tiers, [supply], demand=demand).revenue_per_year,
        {o.tier.name: o.interactivity if o.is_reached else 0.0 for o in slower.of(generation)},
    )  # fmt: skip
