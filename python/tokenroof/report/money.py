"""What a MW earns by its uses, the arms race, and what matters most: the page's part that can be asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import economics as ec
from tokenroof import plot
from tokenroof.catalogue import latest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Money", "money", "question"]

#: Of the tokens that are sold, and the GPU whose MW is compared.
MODEL, GPU = "gpt-oss-120b", "H200-SXM"
#: Part of the GPUs that is rented, or of the tokens that is sold.
USE = 0.6
#: Price of a GPU with its share of server and network [$], electricity [$/MWh].
GPU_PRICE, POWER_PRICE = 40_000.0, 50.0


@dataclass(frozen=True)
class Money:
    """Results that the page draws.

    Attributes
    ----------
    ladder : Ladder
    miners, inference : ArmsRace
    planned : Factory
        The rung of rented GPUs, whose cash and swings are drawn.
    swings : tuple of Swing
    """

    ladder: ec.Ladder
    miners: ec.ArmsRace
    inference: ec.ArmsRace
    planned: ec.Factory
    swings: tuple[ec.Swing, ...]

    def figures(self) -> dict[str, Any]:
        """Figures by the name of their place on the page."""
        return {
            "ladder": plot.ladder(self.ladder), "race": plot.arms_race(self.miners, self.inference),
            "tornado": plot.tornado(self.swings, self.planned.equity_npv),
            "cash_flow": plot.cash_flow(self.planned),
        }  # fmt: skip

    def tables(self, frames: Any) -> dict[str, pd.DataFrame]:
        """Tables by the name of their file; `frames` is pandas."""
        race = frames.concat(
            [
                found.to_frame().assign(kind=found.kind, unit=found.unit)
                for found in (self.miners, self.inference)
            ]
        )
        swings = frames.DataFrame(
            [{"name": s.name, "low": s.low, "high": s.high, "npv_low": s.npv_low, "npv_high": s.npv_high}
             for s in self.swings]
        )  # fmt: skip
        return {
            "ladder": self.ladder.to_frame(), "race": race, "tornado": swings,
            "cash_flow": self.planned.to_frame(),
        }  # fmt: skip

    def said(self) -> dict[str, Any]:
        """What the page's text says of the ladder and of the race, and asks of them."""
        asked = question(self.ladder)
        halving = {}
        for name, race in (("miners", self.miners), ("inference", self.inference)):
            years, low, high = race.halving_years()
            halving[name] = f"{years:.2g} ({low:.2g} to {high:.2g})"
        return {
            "question": asked, "question_json": json.dumps(asked).replace("</", "<\\/"),
            "ladder_js": (Path(__file__).parent / "ladder.js").read_text(encoding="utf-8"),
            "halving": halving, "lives": self.lives(), "gpu_price": GPU_PRICE,
            "token_model": MODEL, "token_gpu": GPU,
        }  # fmt: skip

    def lives(self) -> list[ec.Life]:
        """Of the miners, then of the GPUs, the last four that a successor has overtaken."""
        found: list[ec.Life] = []
        for race in (self.miners, self.inference):
            over = [life for life in race.lives(POWER_PRICE) if life.successor]
            found += sorted(over, key=lambda life: -life.loses_money)[:4]
        return found


def money() -> Money:
    """Evaluate what the page says of money."""
    rent = {"income.rented_share": USE, "shell.residual_share": 0.0}
    uses = [
        ec.mine("Antminer S19 XP"), ec.mine("Antminer S21"), ec.lease_shell(),
        ec.rent_gpus(GPU, GPU_PRICE).with_values(rent),
        ec.sell_tokens(GPU, MODEL, GPU_PRICE).with_values({"income.sold_share": USE}),
    ]  # fmt: skip
    ladder = ec.same_meter(uses, power_mw=1.0, price_per_mwh=POWER_PRICE)
    planned = ladder.rungs[3].factory
    values = planned.scenario.values()
    ranges: dict[str, tuple[Any, Any]] = {
        name: (0.7 * values[name], 1.3 * values[name])
        for name in ("income.price_per_gpu_hour", "income.rented_share", "computers.capex_per_it_mw",
                     "shell.capex_per_it_mw", "site.price_per_mwh")
    }  # fmt: skip
    ranges |= {"income.price_growth": (-0.2, 0.1), "finance.discount_rate": (0.06, 0.12)}
    return Money(
        ladder,
        ec.race("miners"),
        ec.race("inference"),
        planned,
        ec.tornado(planned.scenario, ranges),
    )


def question(ladder: ec.Ladder) -> dict[str, Any]:
    """What the page needs to compute the ladder at other prices: cash is linear in them.

    Raises
    ------
    ValueError
        For a rung whose cash is not: taxed, curtailed, or with a price of the peak.
    """
    rungs = []
    for rung in ladder.rungs:
        flow, plan = rung.factory.flow, rung.factory.scenario
        start = plan.shell.build_years + plan.shell.delay_years
        linear = (
            not plan.finance.tax_rate
            and not plan.site.demand_charge
            and np.isinf(plan.site.curtail_above)
        )
        if not linear:
            raise ValueError(
                f"{rung.name} has a tax, a curtailment or a price of the peak; allowed: none"
            )
        kind = plan.income.kind
        price, share = {
            "hashes": (plan.income.hashprice, 1.0),
            "tokens": (plan.income.price_per_mtok, plan.income.sold_share),
            "gpu_hours": (plan.income.price_per_gpu_hour, plan.income.rented_share),
        }.get(kind, (1.0, 1.0))  # fmt: skip
        earned = flow.revenue - flow.licence
        rungs.append({
            "name": rung.name, "kind": kind, "price": price, "share": share, "start": start,
            "revenue": flow.revenue.tolist(), "earned": earned.tolist(), "power": flow.power.tolist(),
            "rest": (flow.free - earned + flow.power).tolist(), "operation": float(flow.operation[start]),
            "energy": plan.site.power_mw * 8760.0 * plan.site.availability,
            "rate": plan.finance.discount_rate, "mw": plan.site.power_mw, "capex": rung.capex_per_mw,
            "months": rung.months_to_revenue,
        })  # fmt: skip
    tokens = next((r["price"] for r in rungs if r["kind"] == "tokens"), 1.0)
    return {
        "price_per_mwh": ladder.price_per_mwh, "rungs": rungs,
        "asked": {"power": ladder.price_per_mwh, "hashprice": latest("btc_hashprice").value, "use": USE,
                  "tokens": tokens},
    }  # fmt: skip
