"""A hall of miners and what it may become: what is asked, checked and resolved once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict

from tokenroof.catalogue.contracts import Deal, deal
from tokenroof.catalogue.hours import gpu_hour
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.catalogue.market_columns import unread
from tokenroof.catalogue.quote import MarketData, MarketLike
from tokenroof.economics.offers import gpu_price, priced_devices
from tokenroof.economics.prices import power_price
from tokenroof.economics.risk import Uncertainty
from tokenroof.economics.scenarios.premises import course_of
from tokenroof.economics.scenarios.result import Factory, factory
from tokenroof.economics.scenarios.scenario import Scenario, scenario_keys
from tokenroof.economics.uses import lease_shell, mine, rent_gpus, shell_by_meter
from tokenroof.support.arguments import finite_number, flag, share, shown, whole_number
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from tokenroof.economics.scenarios.sections import Power
    from tokenroof.records.miner import Miner

__all__ = ["Case", "ConversionOptions", "Way", "assumptions", "case_of"]


class ConversionOptions(TypedDict, total=False):
    """Options of `convert_hall`, which describes them."""

    hashprice: float | None
    usd_per_gpu: Mapping[str, float] | None
    contract: str | Deal
    shell_per_mw: float | None
    conversion_years: int
    part: float
    book_value: float
    resale: float
    mine_while_building: bool
    miner_years: int
    hall: Mapping[str, Any]
    converted: Mapping[str, Any]
    wait_years: int
    wander: Uncertainty
    rents: Uncertainty
    paths: int
    seed: int
    market: MarketLike | None


@dataclass(frozen=True)
class Way:
    """Something that the hall may become; nothing if it is off."""

    name: str
    kind: str
    factory: Factory | None
    start: int = 0


@dataclass(frozen=True)
class Case:
    mining: Factory
    ways: tuple[Way, ...]
    part: float
    power: float
    price: float
    book: float
    resale: float
    building: bool
    conversion: int
    dates: int
    years: int
    wander: Uncertainty
    rents: Uncertainty
    count: int
    seed: int
    notes: tuple[tuple[str, str], ...]


#: Of hashprice and power, and of rents: what `convert_hall` takes where nobody says.
WANDER = Uncertainty(
    price_volatility=0.55, supply_response=0.5, power_volatility=0.25, power_reversion=0.5
)
RENTS = Uncertainty(price_volatility=0.35, price_reversion=0.4)


def case_of(
    miner: str | Miner, power_mw: float, price: float | None, to: Sequence[Any], options: Mapping[str, Any],
    newer: MarketData | None = None,
) -> Case:  # fmt: skip
    o = ConversionOptions(**options)  # type: ignore[typeddict-item]
    power = finite_number("power_mw", power_mw, above=True)
    part = share("part", o.get("part", 1.0))
    years = whole_number("miner_years", o.get("miner_years", 5), 1, 30)
    waits = whole_number("wait_years", o.get("wait_years", 3), 0, years)
    conversion = whole_number("conversion_years", o.get("conversion_years", 1), 0, 10)
    shared = {"site.price_per_mwh": power_price(price, 50.0, newer, -1e6)}
    hall, more = (_keys(name, o.get(name, {})) for name in ("hall", "converted"))
    mining = mine(miner, o.get("hashprice"))
    notes: list[tuple[str, str]] = []
    scenarios = _scenarios(to, o, notes)
    rates = _rates(hall, more, scenarios)
    mining = mining.with_values(
        shared | {"site.power_mw": power, "finance.years": years} | hall | rates
    )
    said = [("hashprice", f"{mining.income.hashprice:g} $/(PH/s day), {course_of(mining)}")]
    said += _cited(mining)
    said += _of_file(newer, price)
    taken = {"site.power_mw": power * part, "shell.delay_years": conversion} | shared
    ways = [Way("switch it off", "off", None)]
    ways += [_way(plan.with_values(taken | _that_count(plan, more) | rates)) for plan in scenarios]
    if unused := set(more).difference(*(_that_count(plan, more) for plan in scenarios)):
        kinds = ", ".join(dict.fromkeys(str(plan.income.kind) for plan in scenarios))
        raise ValueError(
            f"converted has {sorted(unused)}, of what is not sold; allowed: keys that count for one of "
            f"{kinds}; those of the miners, as income.hashprice, in hall"
        )
    for name, default in (("wander", WANDER), ("rents", RENTS)):
        if not isinstance(o.get(name, default), Uncertainty):
            raise TypeError(f"{name} is {shown(o.get(name))}; allowed: an Uncertainty")
    return Case(
        factory(mining), tuple(ways), part, power, shared["site.price_per_mwh"],
        finite_number("book_value", o.get("book_value", 0.0)), finite_number("resale", o.get("resale", 0.0)),
        bool(flag("mine_while_building", o.get("mine_while_building", False))), conversion, waits + 1, years,
        o.get("wander", WANDER), o.get("rents", RENTS),
        whole_number("paths", o.get("paths", 20_000), 100, 2**24),
        whole_number("seed", o.get("seed", 0), 0, 2**63),
        (*said, *notes),
    )  # fmt: skip


#: What all choices are reckoned by, so that they can be compared.
_COMMON = ("finance.discount_rate", "finance.tax_rate")


def _rates(
    hall: Mapping[str, Any], more: Mapping[str, Any], plans: Sequence[Scenario]
) -> dict[str, Any]:
    """One rate and one tax for all choices: what somebody said, if nobody says otherwise."""
    found: dict[str, Any] = {}
    neutral = Scenario().values()
    for key in _COMMON:
        told = {
            name: given[key]
            for name, given in (("hall", hall), ("converted", more))
            if key in given
        }
        if key not in more:
            told |= {plan.name: plan.values()[key] for plan in plans
                     if key in plan.named or plan.values()[key] != neutral[key]}  # fmt: skip
        if len(set(map(str, told.values()))) > 1:
            each = ", ".join(f"{value} of {name}" for name, value in told.items())
            raise ValueError(f"{key} is {each}; allowed: one for all that is compared")
        if told:
            found[key] = next(iter(told.values()))
    return found


def _of_file(newer: MarketData | None, price: float | None) -> list[tuple[str, str]]:
    """Electricity of a file of newer prices, and what it has besides and nothing uses."""
    if newer is None:
        return []
    rows = newer.newest("electricity_industrial").values() if price is None else ()
    found = [("site.price_per_mwh", f"{1e3 * q.value:g}: {q.source}, {q.date}") for q in rows]
    power = () if price is None else newer.newest("electricity_industrial").values()
    left = unread(newer, but=power)
    return [*found, *([(f"not used of {newer.name}", "; ".join(left))] if left else [])]


def _keys(name: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise TypeError(f"{name} is {shown(given)}; allowed: a mapping of a scenario's keys")
    return dict(given)


def _that_count(plan: Scenario, values: Mapping[str, Any]) -> dict[str, Any]:
    """Of these keys those that count for the plan; one that does not exist is refused there.

    A lease has its contract's income, and no computers.
    """
    of = {about.name: about.of for about in scenario_keys()}
    kind = plan.income.kind
    found = {name: x for name, x in values.items() if of.get(name, "") in ("", kind)}
    if kind == "lease":
        found = {
            n: x for n, x in found.items() if n.partition(".")[0] not in ("income", "computers")
        }
    return found


def _way(scenario: Scenario) -> Way:
    kind = "lease" if scenario.income.kind == "lease" else "convert"
    return Way(
        scenario.name,
        kind,
        factory(scenario),
        scenario.shell.build_years + scenario.shell.delay_years,
    )


def _scenarios(
    to: Sequence[Any], o: ConversionOptions, notes: list[tuple[str, str]]
) -> list[Scenario]:
    """The lease, then each conversion; what they stand on goes to the notes."""
    if isinstance(to, (str, bytes)) or not isinstance(to, Sequence):
        raise TypeError(f"to is {shown(to)}; allowed: a sequence of devices or scenarios")
    given = o.get("contract", "Hut 8 River Bend")
    contract = given if isinstance(given, Deal) else deal(given)
    lease = lease_shell(contract)
    shell = o.get("shell_per_mw")
    of_mw = (shell_by_meter(contract)[0] if shell is None
             else finite_number("shell_per_mw", shell))  # fmt: skip
    notes += [("lease", f"terms of {contract.name} ({contract.date}; {contract.provenance.kind})"),
              ("hall for AI", f"{of_mw / 1e6:.2f} M$ by MW at the meter")]  # fmt: skip
    found = [lease.with_values({"shell.capex_per_it_mw": of_mw * lease.site.pue})]
    prices = _prices(o.get("usd_per_gpu"), to)
    for item in to:
        if isinstance(item, Scenario):
            found.append(item)
            continue
        name = find_device(item).name
        each = prices[name] if name in prices else _price(name, notes)
        plan = rent_gpus(item, each).with_values({"shell.capex_per_it_mw": of_mw})
        notes += _cited(plan)
        hour = gpu_hour(name)
        notes.append((
            f"{name} hour",
            f"rents for {hour.rent:g} $ with {hour.watts:g} W, costs {hour.owning:g} $ to own ({hour.date})",
        ))  # fmt: skip
        found.append(replace(plan, name=f"convert to {name}"))
    return found


def _prices(given: Any, to: Sequence[Any]) -> dict[str, float]:
    """Prices of GPUs by the names of the catalogue."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f"usd_per_gpu is {shown(given)}; allowed: a mapping of devices to prices")
    asked = [find_device(item).name for item in to if not isinstance(item, Scenario)]
    found: dict[str, float] = {}
    for item, price in given.items():
        name = find_device(item).name
        if name in found:
            raise ValueError(f"usd_per_gpu has {name} twice; allowed: each once")
        if name not in asked:
            raise ValueError(
                f"usd_per_gpu has {shown(item)}; allowed: of {', '.join(asked) or 'nothing'}"
            )
        found[name] = price
    return found


def _cited(plan: Scenario) -> list[tuple[str, str]]:
    """What of the income comes from a file of market data."""
    keys = () if plan.market is None else plan.market.keys
    return [(key, f"{value:g}: {said}") for key, value, said in keys if key.startswith("income.")]


def _word(name: str) -> str:
    """A name without spaces, for a command line."""
    return name.replace(" ", "-")


def _price(name: str, notes: list[tuple[str, str]]) -> float:
    """Of a GPU [$]; what it is goes to the notes."""
    found = gpu_price(name)
    if found is None:
        raise ValueError(
            f"usd_per_gpu has no {name}, which nobody quotes; quoted are {', '.join(priced_devices())}; "
            f"allowed: its price, usd_per_gpu={{{shown(name)}: 30_000}} or --set "
            f"usd_per_gpu.{_word(name)}=30000"
        )
    each, what, quote = found
    notes.append((f"{name} price", f"{each:,.0f} $, {what} ({quote.date}; {quote.kind})"))
    return each


def assumptions(case: Case) -> tuple[tuple[str, str], ...]:
    mining, wander, rents = case.mining.scenario, case.wander, case.rents
    site = mining.site
    rows = [
        ("miners", f"{mining.income.joules_per_terahash:g} J/TH, PUE {site.pue:g}, "
                   f"{counted(case.years, 'year')} left"),
        *case.notes,
        ("conversion", f"{counted(case.conversion, 'year')} without income, {case.part:.0%} of "
                       f"the power; the miners {'run on' if case.building else 'stand still'} meanwhile"),
        ("miners that go", f"book value {case.book:,.0f} $, sold for {case.resale:,.0f} $"),
        ("discount", f"{mining.finance.discount_rate:.1%} a year, tax {mining.finance.tax_rate:.0%}"),
        ("power", f"{site.price_growth:+.1%} a year; {_taken(site)}"),
        ("hashprice wanders", f"{wander.price_volatility:.0%} a year, reversion {wander.price_reversion:g}, "
                              f"supply follows at {wander.supply_response:g} a year"),
        *_sold(case),
        *_left(case),
        ("rents wander", f"{rents.price_volatility:.0%} a year, reversion {rents.price_reversion:g}"),
        ("decision", f"within {counted(case.dates - 1, 'year')}; {case.count} paths, seed {case.seed}"),
    ]  # fmt: skip
    return tuple(rows)


def _taken(site: Power) -> str:
    """Which power is taken, in words."""
    if math.isinf(site.curtail_above):
        return "taken at any price"
    return (
        f"not taken above {site.curtail_above:g} $/MWh, for which the grid pays "
        f"{site.curtailment_income:g} $/MWh"
    )


def _left(case: Case) -> list[tuple[str, str]]:
    """What each choice credits at its end for shell and computers, before it is discounted."""
    made = [(way.name, way.factory) for way in case.ways if way.factory is not None]
    said = [f"{name} {found.flow.residual[-1] / 1e6:,.2f} M$" for name, found in made
            if found.flow.residual[-1]]  # fmt: skip
    return (
        [("left at the end", f"{', '.join(said)}; finance.unexpired_share=0 counts none")]
        if said
        else []
    )


def _sold(case: Case) -> list[tuple[str, str]]:
    """How much of each conversion is sold, at which change of its price."""
    rows = []
    for way in case.ways:
        plan = None if way.factory is None else way.factory.scenario
        if plan is None or plan.income.kind == "lease":
            continue
        part = (
            plan.income.rented_share if plan.income.kind == "gpu_hours" else plan.income.sold_share
        )
        said = f"{part:.0%} sold over {counted(plan.finance.years, 'year')}, price "
        said += f"{plan.income.price_growth:+.0%} a year, upkeep "
        said += f"{plan.computers.om_share:.0%} of the computers"
        rows.append((way.name, said))
    return rows
