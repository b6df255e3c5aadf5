"""A factory's cash year by year, from docs/economics.md and its sources, one year after the other.

Short, Packey and Holt, NREL/TP-462-5173, 1995 (flows at the ends of years, capital recovery); IRS,
Publication 946, table A-1 (writing off), and losses carried forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["factory_cash"]

_HOURS = 8760
_TABLES = {
    "macrs3": [33.33, 44.45, 14.81, 7.41],
    "macrs5": [20.0, 32.0, 19.2, 11.52, 11.52, 5.76],
    "macrs7": [14.29, 24.49, 17.49, 12.49, 8.93, 8.92, 8.93, 4.46],
    "bonus": [100.0],
}


def factory_cash(scenario: Mapping[str, Any]) -> list[dict[str, float]]:
    """Amounts of each year by name, of a scenario's keys by full name."""
    x = scenario
    opens = x["shell.build_years"] + x["shell.delay_years"]  # the first income comes at its end
    end = opens + x["finance.years"] - 1
    mw = x["site.power_mw"] / x["site.pue"]
    bought = _bought(x, opens, end, mw)
    years = [_year(x, year, opens, end, mw, bought) for year in range(end + 1)]
    if x["income.kind"] == "lease":
        early = x["income.prepaid_share"] * years[opens]["revenue"]
        years[opens]["revenue"] -= early
        years[opens - 1]["revenue"] += early
    _borrow(x, years, opens)
    _tax(x, years)
    for amounts in years:
        kept = amounts["earned"] + amounts["residual"] - amounts["capex"]
        amounts["free"] = kept - amounts["unlevered_tax"]
        served = amounts["interest"] + amounts["principal"]
        amounts["equity"] = kept - amounts["tax"] + amounts["draw"] - served
    return years


def _bought(x: Mapping[str, Any], opens: int, end: int, mw: float) -> list[dict[str, Any]]:
    """Computers that are paid in a year: price, years that they stand, part of the power, performance."""
    out, filled = [], 0.0
    for first, until_filled in x["computers.phases"] or [(1, 1.0)]:
        part, filled = until_filled - filled, until_filled
        year = opens - 1 + (first - 1)
        while year < end:
            age = year - (opens - 1)
            price = part * mw * x["computers.capex_per_it_mw"]
            out.append({
                "paid": year, "part": part, "last": min(year + x["computers.life_years"], end),
                "price": price * (1 + x["computers.price_growth"]) ** age,
                "makes": (1 + x["computers.performance_growth"]) ** age,
            })  # fmt: skip
            year += x["computers.life_years"]
    return out


def _left(price: float, age: int, life: int, residual: float, counts: float) -> float:
    """What the end of life leaves, and the part that counts of what the years to it would take."""
    to_come = (life - age) / life if age < life else 0.0
    return price * residual + counts * to_come * (price - price * residual)


def _latest(rows: Any, since_opening: int, otherwise: float) -> float:
    """What the last row that has begun says."""
    found = otherwise
    for first, value in rows:
        if first <= since_opening + 1:
            found = value
    return found


def _year(
    x: Mapping[str, Any], year: int, opens: int, end: int, mw: float, bought: list[dict[str, Any]]
) -> dict[str, float]:
    out = dict.fromkeys(
        ("revenue", "curtailment", "power", "operation", "depreciation", "residual"), 0.0
    )
    shell, plan = x["shell.capex_per_it_mw"] * mw, x["finance.years"]
    out["capex"] = shell / x["shell.build_years"] if year < x["shell.build_years"] else 0.0
    counts = x["finance.unexpired_share"]
    shell_left = _left(shell, plan, x["shell.life_years"], x["shell.residual_share"], counts)
    if year >= opens:
        out["depreciation"] += (shell - shell_left) / plan
    if year == end:
        out["residual"] += shell_left
    for lot in bought:
        _own(x, lot, year, out)
    if year >= opens:
        _run(x, year - opens, mw, sum(_makes(x, lot, year) for lot in bought), out)
    return out


def _own(x: Mapping[str, Any], lot: dict[str, Any], year: int, out: dict[str, float]) -> None:
    """What one lot of computers costs, is written off, and leaves."""
    life = x["computers.life_years"]
    if year == lot["paid"]:
        out["capex"] += lot["price"]
    if not lot["paid"] < year <= lot["last"]:
        return
    table = _TABLES.get(x["finance.depreciation"], [100.0 / life] * life)
    held = table[: lot["last"] - lot["paid"]]
    age = year - lot["paid"]
    if age <= len(held):
        out["depreciation"] += lot["price"] * held[age - 1] / 100.0
    if year == lot["last"]:
        counts = x["finance.unexpired_share"]
        value = _left(lot["price"], age, life, x["computers.residual_share"], counts)
        out["residual"] += value
        # what the books have, less what it is sold for: a loss is written off, a gain is taxed
        out["depreciation"] += lot["price"] * (1 - sum(held) / 100.0) - value


def _makes(x: Mapping[str, Any], lot: dict[str, Any], year: int) -> float:
    stands = lot["paid"] < year <= lot["paid"] + x["computers.life_years"]
    return lot["part"] * lot["makes"] if stands else 0.0


def _run(x: Mapping[str, Any], k: int, mw: float, makes: float, out: dict[str, float]) -> None:
    """A year of operation, k years after the first."""
    filled = _latest(x["computers.phases"], k, 0.0 if x["computers.phases"] else 1.0)
    price = x["site.price_per_mwh"] * (1 + x["site.price_growth"]) ** k
    run = taken = shed = bill = most = 0.0
    for hour in range(24):
        use = (x["site.use_by_hour"] or [1.0] * 24)[hour]
        now = price * (x["site.price_by_hour"] or [1.0] * 24)[hour]
        drawn = use + (1 - use) * x["site.idle_power"]
        if now <= x["site.curtail_above"]:
            run, taken, bill = run + use / 24, taken + drawn / 24, bill + drawn * now / 24
            most = max(most, drawn)
        else:
            shed += drawn / 24
    energy = x["site.power_mw"] * filled * _HOURS * x["site.availability"]
    kw = 1000 * x["site.power_mw"] * filled * most
    peak = 12 * kw * x["site.demand_charge"] * (1 + x["site.price_growth"]) ** k
    kind, up = x["income.kind"], x["site.availability"]
    out["energy_mwh"] = energy * taken
    if not (kind == "lease" and x["income.tenant_pays_power"]):
        out["power"] = energy * bill + peak
    out["curtailment"] = energy * shed * x["site.curtailment_income"]
    keep = x["shell.om_share"] * x["shell.capex_per_it_mw"]
    keep += x["computers.om_share"] * x["computers.capex_per_it_mw"] * filled
    out["operation"] = keep * mw * (1 + x["finance.inflation"]) ** k
    of_time = makes * _latest(x["income.software"], k, 1.0) * run * up
    sold = {
        "nothing": 0.0,
        "tokens": x["income.tokens_per_s_per_mw"] * 3600 * _HOURS / 1e6 * x["income.sold_share"]
        * x["income.price_per_mtok"] * of_time,
        "lease": x["income.lease_per_mw_year"] * filled,
        "gpu_hours": 1e6 / x["income.gpu_watts"] * _HOURS * x["income.rented_share"]
        * x["income.price_per_gpu_hour"] * of_time,
        "hashes": 1e6 / x["income.joules_per_terahash"] / 1000 * 365 * x["income.hashprice"] * of_time,
    }[kind]  # fmt: skip
    pays = (1 - x["income.tenant_default"]) ** k
    paid = pays + (1 - pays) * x["income.backstop_share"]
    course = _latest(x["income.price_course"], k, 1.0) * (1 + x["income.price_growth"]) ** k
    out["revenue"] = sold * mw * course * paid


def _borrow(x: Mapping[str, Any], years: list[dict[str, float]], opens: int) -> None:
    """A part of the first capital; interest while building, equal payments, the rest when the plan ends."""
    owed = 0.0
    for year, amounts in enumerate(years):
        amounts["draw"] = x["finance.loan_to_cost"] * amounts["capex"] if year < opens else 0.0
        amounts["interest"] = x["finance.coupon"] * owed if 0 < year < opens else 0.0
        amounts["principal"] = 0.0
        owed += amounts["draw"]
    lasts, rate = x["finance.loan_years"], x["finance.coupon"]
    payment = owed * rate / (1 - (1 + rate) ** -lasts) if rate else owed / lasts
    for amounts in years[opens : opens + lasts]:
        amounts["interest"] = owed * rate
        amounts["principal"] = payment - owed * rate
        owed -= amounts["principal"]
    if lasts > len(years) - opens:
        years[-1]["principal"] += owed


def _tax(x: Mapping[str, Any], years: list[dict[str, float]]) -> None:
    losses = {"tax": 0.0, "unlevered_tax": 0.0}
    for amounts in years:
        licence = x["income.licence_fee"] * amounts["revenue"]
        spent = amounts["power"] + amounts["operation"] + licence
        amounts["earned"] = amounts["revenue"] + amounts["curtailment"] - spent
        for name, before in (("unlevered_tax", 0.0), ("tax", amounts["interest"])):
            gain = amounts["earned"] - amounts["depreciation"] - before - losses[name]
            losses[name] = max(-gain, 0.0)
            amounts[name] = x["finance.tax_rate"] * max(gain, 0.0)
