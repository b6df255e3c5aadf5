"""What a scenario stands on, in one line: what is sold at which price, how much of it, power, years."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenroof.economics.scenarios.scenario import Scenario

__all__ = ["premises", "use_of"]


def use_of(plan: Scenario) -> float:
    """Part of what the computers can make that is sold [1]; a lease is paid all the time."""
    income = plan.income
    return {"tokens": income.sold_share, "gpu_hours": income.rented_share}.get(income.kind, 1.0)


def premises(plan: Scenario) -> str:
    """What is sold, how much of it, of which power, for how long, on which electricity."""
    site, income = plan.site, plan.income
    said = {
        "hashes": f"{income.hashprice:g} $/(PH/s day) at {income.joules_per_terahash:g} J/TH",
        "lease": f"rent of {income.lease_per_mw_year / 1e6:.2f} M$ by MW of computers and year",
        "gpu_hours": f"rent of {income.price_per_gpu_hour:g} $/GPU-h, {use_of(plan):.0%} rented",
        "tokens": f"{income.price_per_mtok:.3g} $/Mtok, {use_of(plan):.0%} of "
        f"{income.tokens_per_s_per_mw:.3g} token/(s MW) sold",
    }.get(income.kind, "nothing sold")
    words = [said + _growth(income.price_growth)]
    if (
        income.kind == "hashes" and plan.shell.capex_per_it_mw
    ):  # most mines stand already, or are containers
        words.append(f"shell at {plan.shell.capex_per_it_mw / 1e6:.3g} M$ by MW of computers")
    if plan.gpu is not None:
        words.append(f"{plan.gpu.watts:,.0f} W a GPU")
        each = plan.computers.capex_per_it_mw * plan.gpu.watts / 1e6
        words.append(f"{each:,.0f} $ a GPU")
    words += [f"{plan.finance.years} years", f"PUE {site.pue:.4g}"]
    if income.kind == "lease" and income.tenant_pays_power:
        words.append("power paid by the tenant")
    else:
        words.append(f"power at {site.price_per_mwh:g} $/MWh{_growth(site.price_growth)}")
    words.append(f"discounted by {plan.finance.discount_rate:.1%}")
    if plan.finance.tax_rate:
        words.append(f"tax {plan.finance.tax_rate:.0%}")
    return ", ".join(words)


def _growth(rate: float) -> str:
    return f" {rate:+.1%} a year" if rate else ""
