"""What a scenario stands on, in one line: what is sold, its price and course, machines, power, years."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof.catalogue.subsidy import next_halving
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from tokenroof.economics.scenarios.scenario import Scenario

__all__ = ["course_of", "premises", "use_of"]

_SHOWN = 3  # rows of a course


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
        "tokens": _tokens(plan),
    }.get(income.kind, "nothing sold")
    words = [f"{said}{', ' if course_of(plan) else ''}{course_of(plan)}", *_machines(plan)]
    words += _shell(plan)
    words += [f"{counted(plan.finance.years, 'year')}", f"PUE {site.pue:.4g}"]
    if income.kind == "lease" and income.tenant_pays_power:
        words.append("power paid by the tenant")
    else:
        words.append(f"power at {site.price_per_mwh:g} $/MWh{_growth(site.price_growth)}")
    words.append(f"discounted by {plan.finance.discount_rate:.1%}")
    if plan.finance.tax_rate:
        words.append(f"tax {plan.finance.tax_rate:.0%}")
    return ", ".join(words)


def _tokens(plan: Scenario) -> str:
    """Price and rate of tokens; what they are made of, while they are those of the sale."""
    income, sale = plan.income, plan.sale
    price, rate = (
        f"{income.price_per_mtok:.3g} $/Mtok",
        f"{use_of(plan):.0%} of {income.tokens_per_s_per_mw:.3g} token/(s MW) sold",
    )
    if sale is not None and income.price_per_mtok == sale.billed:
        price = f"{income.price_per_mtok:.3g} $/Mtok of answers ({sale.price_words()})"
    if sale is not None and income.tokens_per_s_per_mw == sale.rate:
        rate += f" at {sale.speed_words()}"
    return f"{price}, {rate}"


def course_of(plan: Scenario) -> str:
    """How the price moves over the years; of a hashprice also that no halving is counted, where none is."""
    income = plan.income
    rows = [row for row in income.price_course if row[0] <= plan.finance.years]
    said = [f"{factor:.3g} times from year {year} on" for year, factor in rows[:_SHOWN]]
    said += [f"{counted(len(rows) - _SHOWN, 'change')} more"] if len(rows) > _SHOWN else []
    said += [_growth(income.price_growth).strip()] if income.price_growth else []
    if income.kind == "hashes" and not rows:
        said = said or ["constant"]
        said.append(f"no halving (the next is expected {next_halving()})")
    return ", ".join(said)


def _machines(plan: Scenario) -> list[str]:
    """What the computers cost; those that cost nothing stand already."""
    income, each = plan.income, plan.computers.capex_per_it_mw
    gpu = plan.gpu
    said = [] if gpu is None else [f"{gpu.watts:,.0f} W a GPU"]
    if income.kind not in ("hashes", "gpu_hours", "tokens"):
        return said
    if not each:
        return [*said, "machines stand already, at 0 $"]
    if gpu is not None:
        return [*said, f"{each * gpu.watts / 1e6:,.0f} $ a GPU"]
    if income.kind == "hashes":
        return [f"machines at {each * income.joules_per_terahash / 1e6:.3g} $/(TH/s)"]
    return [f"machines at {each / 1e6:.3g} M$ by MW of computers"]


def _shell(plan: Scenario) -> list[str]:
    """What the shell costs, and by which power: that of the meter too, which scenarios of other PUE share."""
    each = plan.shell.capex_per_it_mw
    if not each or plan.income.kind == "nothing":  # most mines stand already, or are containers
        return []
    said = f"shell at {each / 1e6:.3g} M$ by MW of"
    if plan.gpu is not None and plan.site.pue == 1.0:  # whose watts are all in
        return [f"{said} the meter"]
    if plan.site.pue == 1.0:
        return [
            f"{said} computers{'' if plan.income.kind == 'hashes' else ', here all of the meter'}"
        ]
    return [f"{said} computers, {each / plan.site.pue / 1e6:.3g} by MW of the meter"]


def _growth(rate: float) -> str:
    return f" {rate:+.1%} a year" if rate else ""
