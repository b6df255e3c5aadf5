"""Revenue per MWh at the same meter: of every miner, and of every device and model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tokenroof import catalogue, kernels
from tokenroof.catalogue import latest, quotes
from tokenroof.economics import Market, token_quotes
from tokenroof.plot.style import plain
from tokenroof.report.data import INPUT_TOKENS, LEAST_SPEED, MODELS, OUTPUT_TOKENS
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from tokenroof.measure import Machine
    from tokenroof.records.device import Device

__all__ = ["meter"]


def meter(
    table: pd.DataFrame, machine: Machine, devices: Sequence[Device]
) -> tuple[pd.DataFrame, list[dict[str, Any]], dict[str, Any]]:
    """Revenue per MWh of every miner, and of every device and model that is fast enough.

    Returns
    -------
    rows : pandas.DataFrame
        All of them, the best first within mining and within each model.
    claims : list of dict
        Printed values that were not computed here.
    used : dict
        The quotes and assumptions, each with its date and source.
    """
    pd = require("pandas", extra="report")
    market = Market.latest()
    pue = latest("pue", "air-cooled mining container")
    prices = {name: token_quotes(name) for name in MODELS}
    used = {
        "hashprice": latest("btc_hashprice"),
        "pue": pue,
        "electricity": latest("electricity_industrial", "US average"),
        "prices": prices,
        "sold": market.utilization,
    }
    rows = _miners(market, pue.value, machine) + _tokens(market, prices, table, devices)
    frame = pd.DataFrame(rows)
    frame["mining"] = frame["group"] == "mining"
    order = {name: i for i, name in enumerate(["mining", *MODELS])}
    frame["order"] = frame["group"].map(order)
    frame = frame.sort_values(["order", "usd_per_mwh"], ascending=[True, False], kind="stable")
    return frame.drop(columns=["order"]).reset_index(drop=True), _claims(), used


def _miners(market: Market, pue: float, machine: Machine) -> list[dict[str, Any]]:
    """The catalogue's miners, and this machine if its power is known."""
    rows = []
    for m in catalogue.all_miners():
        if m.efficiency is None:
            continue
        revenue = float(kernels.mining_revenue_per_mwh(market.hashprice, m.efficiency, pue))
        rows.append(_row(m.name, "mining", revenue, m.vendor, m.kind, m.release,
                         f"<b>{plain(m.name)}</b> ({m.release})<br>{m.efficiency:.4g} J/TH<br>"
                         f"${revenue:,.2f} per MWh"))  # fmt: skip
    if machine.joules_per_terahash is not None:
        revenue = float(
            kernels.mining_revenue_per_mwh(market.hashprice, machine.joules_per_terahash, 1.0)
        )
        rows.append(
            _row("this machine", "mining", revenue, "", "cpu", machine.date, plain(machine.name))
        )
    return rows


def _tokens(
    market: Market,
    prices: dict[str, tuple[Any, Any]],
    table: pd.DataFrame,
    devices: Sequence[Device],
) -> list[dict[str, Any]]:
    """The best point of each device and model that gives its users the least speed."""
    fast = table[table["interactivity"] >= LEAST_SPEED]
    ratio = INPUT_TOKENS / OUTPUT_TOKENS
    made = {d.name: d for d in devices}
    rows = []
    for (name, model), part in fast.groupby(["device", "model"], sort=False):
        best = part.loc[part["output_tokens_per_s_per_mw"].idxmax()]
        d = made[name]
        into, out = prices[model]
        per_mtok = out.value + ratio * into.value
        rate = float(best["output_tokens_per_s_per_mw"])
        revenue = float(kernels.token_revenue_per_mwh(rate * market.utilization, per_mtok))
        band = float(best["error_band"])
        text = (
            f"<b>{plain(name)}</b>, {plain(model)}<br>{rate:,.0f} output tok/s/MW at "
            f"{best['interactivity']:.0f} tok/s/user<br>plan {plain(best['plan'])}, batch "
            f"{best['concurrency']:g}<br>${revenue:,.0f} per MWh (±{band:.0%})"
        )
        row = _row(name, model, revenue, d.vendor, d.family, d.release, text)
        rows.append(row | {"low": revenue / (1 + band), "high": revenue * (1 + band),
                           "output_tokens_per_s_per_mw": rate, "plan": best["plan"],
                           "concurrency": best["concurrency"],
                           "interactivity": best["interactivity"]})  # fmt: skip
    return rows


def _row(
    name: str, group: str, revenue: float, vendor: str, family: str, release: str, text: str
) -> dict[str, Any]:
    return {
        "name": name, "group": group, "usd_per_mwh": revenue, "low": math.nan, "high": math.nan,
        "vendor": vendor, "family": family, "release": release, "text": text,
    }  # fmt: skip


def _claims() -> list[dict[str, Any]]:
    return [
        {
            "name": f"keynote: {q.region.split(' (')[0]}",
            "usd_per_mwh": q.value / (365 * 24 * 1000),
            "text": f"{plain(q.region)}<br>${q.value:,.0f} per GW and year"
            f"<br>{q.kind}: {plain(q.source)}, {q.date}",
        }
        for q in quotes("keynote_revenue_per_gw")
    ]
