"""Uses of a MW at one meter: what each earns, costs and is worth, and what breaks it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.economics.scenarios.premises import premises, use_of
from tokenroof.economics.scenarios.result import Factory, factory
from tokenroof.economics.scenarios.scenario import Scenario, scenario_keys
from tokenroof.support.arguments import not_empty, share, shown
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require
from tokenroof.support.units import said_once, searched

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Ladder", "Rung", "rung", "same_meter"]


@by_value
@dataclass(frozen=True)
class Rung:
    """One use of a MW at the meter.

    Attributes
    ----------
    name : str
    revenue_per_mwh, margin_per_mwh : float
        Of the first year of operation, before and after electricity [$/MWh].
    capex_per_mw : float
        First capital by utility power [$/MW].
    months_to_revenue : int
        From now, when the last of the first capital is paid, to the end of the first month of income: 1
        unless ``shell.build_years`` or ``shell.delay_years`` say more. A hall that is converted stands empty
        for `convert_hall`'s ``conversion_years`` before: 13 where that is a year [month].
    break_even_power : float
        Price of electricity at which the first year's earnings (EBITDA) are nothing; inf where somebody else
        pays it [$/MWh].
    npv_per_mw : float
        Net present value by utility power [$/MW].
    residual_per_mw : float
        What it credits at the end of the plan for shell and computers that are left, by utility power,
        before it is discounted [$/MW]; ``finance.unexpired_share`` of 0 counts none of their lives.
    irr : tuple of float
        Rates of return before debt; none where nothing is invested first, which `premises` say [1/year].
    breaks : str
        Key of the scenario that needs the least relative change to make the net present value nothing.
    breaks_at : float
        That change: the key's value is multiplied by it [1]; NaN where none does within a factor of 1,000.
    use : float
        Part of what the computers can make that is sold; a lease is paid all the time [1].
    watts_per_gpu : float
        Power that counts for one GPU with its share of the hall; NaN where there is none [W].
    premises : str
        What it stands on: price, use, power, years, electricity; years that earn less than they cost; that
        nothing is invested first, where years lose later.
    factory : Factory

    Examples
    --------
    >>> from tokenroof.economics import mine, same_meter
    >>> (rung,) = same_meter([mine("Antminer S21", 50.0)], power_mw=20, price_per_mwh=50).rungs
    >>> round(rung.revenue_per_mwh, 2), round(rung.break_even_power, 2), rung.breaks
    (115.58, 115.58, 'site.price_per_mwh')
    """

    name: str
    revenue_per_mwh: float
    margin_per_mwh: float
    capex_per_mw: float
    months_to_revenue: int
    break_even_power: float
    npv_per_mw: float
    residual_per_mw: float
    irr: tuple[float, ...]
    breaks: str
    breaks_at: float
    use: float
    watts_per_gpu: float
    premises: str
    factory: Factory


@by_value
@dataclass(frozen=True)
class Ladder:
    """Uses of one meter, in the order they were given.

    Attributes
    ----------
    rungs : tuple of Rung
    power_mw : float
        [MW].
    price_per_mwh : float
        Of electricity in the first year [$/MWh].
    """

    rungs: tuple[Rung, ...]
    power_mw: float
    price_per_mwh: float

    def __str__(self) -> str:
        meter = f"{self.power_mw:g} MW at {self.price_per_mwh:g} $/MWh"
        lines = [f"{meter}; $/MWh of the first year, before and after power"]
        for each in self.rungs:
            money = f"{each.revenue_per_mwh:,.0f}, {each.margin_per_mwh:,.0f} left, "
            money += f"{each.npv_per_mw / 1e6:,.2f} M$/MW"
            money += " of present value"
            if each.residual_per_mw:
                money += f" (with {each.residual_per_mw / 1e6:,.2f} M$/MW that is left at the end)"
            money += f", first income in month {each.months_to_revenue}"
            lines += [f"{each.name}: {money}", f"  at {each.premises}"]
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """A row for each use."""
        names = [name for name in Rung.__annotations__ if name != "factory"]
        rows = [{name: getattr(each, name) for name in names} for each in self.rungs]
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(rows, columns=names)
        return frame


def same_meter(
    options: Sequence[Scenario],
    power_mw: float = 1.0,
    price_per_mwh: float | None = None,
    *,
    use: float | None = None,
) -> Ladder:
    """What each of several uses makes of one meter.

    Parameters
    ----------
    options : sequence of Scenario
        Of `mine`, `lease_shell`, `rent_gpus`, `sell_tokens`, or your own.
    power_mw : float
        Utility power of each [MW].
    price_per_mwh : float, optional
        Electricity in the first year [$/MWh]; by default that which options took from a file of newer
        prices, or 50.
    use : float, optional
        Part of what GPUs can make that is rented or sold, for all options alike [1]; by default each
        option's own, which its rung says.

    Returns
    -------
    Ladder
        ``print`` has a line for each with what it stands on.

    Raises
    ------
    ValueError, TypeError
        For what is no scenario, a number out of range, or options that count the same device by different
        watts, discount by different rates, or took different prices of electricity from files, by name.

    Notes
    -----
    A GPU counts by the same watts whether its hours or its tokens are sold: `rent_gpus` and `sell_tokens`
    take them from the same table. Rented hours are paid whether they are used or not, all of them by
    default; of tokens 60 % of what a benchmark yields are sold: ``use`` gives both one number.

    The first month of income counts from when the last of the first capital is paid: month 1 of a hall that
    stands. `convert_hall` converts one for a year first, so that the same use starts in month 13 there;
    ``with_values({"shell.delay_years": 1})`` of an option counts that year here too.

    Examples
    --------
    >>> from tokenroof.economics import lease_shell, mine, rent_gpus
    >>> uses = [mine("Antminer S19 XP", 38.5), lease_shell("Hut 8 River Bend"), rent_gpus("H200-SXM", 44_175)]
    >>> ladder = same_meter(uses, power_mw=20, price_per_mwh=50)
    >>> [rung.revenue_per_mwh < after.revenue_per_mwh for rung, after in zip(ladder.rungs, ladder.rungs[1:])]
    [True, True]
    """
    if not isinstance(options, Sequence) or not all(isinstance(o, Scenario) for o in options):
        raise TypeError(f"options is {shown(options)}; allowed: a sequence of Scenario")
    not_empty("options", options)
    _check_watts(options)
    _check_rates(options)
    price = _electricity(options) if price_per_mwh is None else price_per_mwh
    part = None if use is None else share("use", use, zero=True)
    with said_once():
        rungs = tuple(
            rung(option.with_values(_meter(option, power_mw, price) | _used(option, part)))
            for option in options
        )
    return Ladder(rungs, float(power_mw), float(price))


_PRICE = "site.price_per_mwh"


def _from_file(option: Scenario) -> bool:
    """Whether its electricity is that of a file of newer prices."""
    return option.market is not None and any(key == _PRICE for key, _, _ in option.market.keys)


def _electricity(options: Sequence[Scenario]) -> float:
    """The price that options took from a file, or the default [$/MWh]."""
    filed = [option for option in options if _from_file(option)]
    for option in filed:
        if option.site.price_per_mwh != filed[0].site.price_per_mwh:
            raise ValueError(
                f"options take electricity at {filed[0].site.price_per_mwh:g} $/MWh ({filed[0].name}) and "
                f"{option.site.price_per_mwh:g} $/MWh ({option.name}) from files; allowed: one meter's, or "
                "price_per_mwh"
            )
    return filed[0].site.price_per_mwh if filed else 50.0


def _meter(option: Scenario, power_mw: float, price: float) -> dict[str, float]:
    """What all options share; a price that the option has from its file stays said of it."""
    own = _from_file(option) and option.site.price_per_mwh == price
    return {"site.power_mw": power_mw} | ({} if own else {_PRICE: price})


_USES = {"tokens": "income.sold_share", "gpu_hours": "income.rented_share"}


def _used(option: Scenario, part: float | None) -> dict[str, float]:
    key = _USES.get(option.income.kind)
    return {} if part is None or key is None else {key: part}


def _check_watts(options: Sequence[Scenario]) -> None:
    """Refuse one device that counts by different watts: their MW would not be the same."""
    known: dict[str, tuple[Scenario, float]] = {}
    for option in options:
        if option.gpu is None:
            continue
        other, watts = known.setdefault(option.gpu.device, (option, option.gpu.watts))
        if watts != option.gpu.watts:
            raise ValueError(
                f"options count a {option.gpu.device} by {watts:g} W ({other.name}) and "
                f"{option.gpu.watts:g} W ({option.name}); allowed: one of them, by watts= of both"
            )


def _check_rates(options: Sequence[Scenario]) -> None:
    """Refuse present values at several rates: they cannot be compared."""
    first = options[0]
    for option in options:
        rate, other = (o.finance.discount_rate for o in (first, option))
        if rate != other:
            raise ValueError(
                f"options discount by {rate:g} ({first.name}) and {other:g} ({option.name}); allowed: one "
                "finance.discount_rate of all, by with_values"
            )


def rung(scenario: Scenario) -> Rung:
    """One use of a meter; `Rung` has units and meanings."""
    found = factory(scenario)
    flow, mw = found.flow, scenario.site.power_mw
    start = scenario.shell.build_years + scenario.shell.delay_years
    energy = mw * 8760.0 * scenario.site.availability  # what the meter could count
    earned = float(flow.revenue[start] + flow.curtailment[start])
    left = earned - float(flow.power[start])
    with searched():
        breaks, at = _what_breaks(scenario)
        even = _break_even(scenario, start)
    return Rung(
        scenario.name, earned / energy, left / energy, float(flow.capex[:start].sum()) / mw,
        12 * (start - 1) + 1, even, found.npv / mw, float(flow.residual[-1]) / mw, found.irr,
        breaks, at, use_of(scenario),
        float("nan") if scenario.gpu is None else scenario.gpu.watts,
        ", ".join(filter(None, (premises(scenario) + _losses(found), found.return_note))), found,
    )  # fmt: skip


def _losses(found: Factory) -> str:
    """Years that earn less than they cost: the plan goes on, `risk` and `convert_hall` may stop."""
    years = [int(year) for year in np.flatnonzero(found.flow.ebitda < 0.0)]
    if not years:
        return ""
    span = f"year {years[0]}" + (f" to {years[-1]}" if len(years) > 1 else "")
    return f", at a loss of {-found.flow.ebitda[years].sum() / 1e6:.3g} M$ before tax in {span}: not stopped"


def _break_even(scenario: Scenario, start: int) -> float:
    """Price of electricity without earnings in the first year [$/MWh]: what is earned is linear in it."""
    site = scenario.site
    if not np.isinf(site.curtail_above):  # then it is not: what is dear is not taken
        return float("nan")
    free, dear = (
        float(factory(scenario.with_values({"site.price_per_mwh": price})).flow.ebitda[start])
        for price in (0.0, 1.0)
    )
    return free / (free - dear) if free > dear else float("inf")


_LEVERS = (
    "site.price_per_mwh", "shell.capex_per_it_mw", "computers.capex_per_it_mw", "income.price_per_mtok",
    "income.tokens_per_s_per_mw", "income.lease_per_mw_year", "income.price_per_gpu_hour", "income.hashprice",
    "income.joules_per_terahash",
)  # fmt: skip


def _what_breaks(scenario: Scenario) -> tuple[str, float]:
    """The key that needs the least relative change to make the net present value nothing, and the change."""
    values, best = scenario.values(), ("", float("nan"))
    kinds = {about.name: about.of for about in scenario_keys()}
    for name in _LEVERS:
        if not values[name] or kinds[name] not in ("", scenario.income.kind):
            continue

        def worth(factor: float, name: str = name) -> float:
            return factory(scenario.with_values({name: values[name] * factor})).npv

        factor = _root(worth)
        if not np.isnan(factor) and not abs(np.log(factor)) >= abs(np.log(best[1])):
            best = (name, factor)
    return best


def _root(worth: Callable[[float], float]) -> float:
    """The factor nearest to 1 at which something is worth nothing, between 1/1000 and 1000; NaN without."""
    here = worth(1.0)
    if here == 0.0:
        return 1.0
    optimize = require("scipy.optimize", extra="analysis")
    found = []
    for way in (-1.0, 1.0):
        ends = way * np.geomspace(0.1, np.log(1e3), 8)  # of the logarithm: the nearest first
        last = 0.0
        for end in ends:
            if np.sign(worth(float(np.exp(end)))) != np.sign(here):
                found.append(
                    optimize.brentq(lambda x: worth(float(np.exp(x))), last, end, xtol=1e-14)
                )
                break
            last = end
    return float(np.exp(min(found, key=abs))) if found else float("nan")
