"""What a MW can do, each as a scenario; `Scenario.with_values` changes what it assumes."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.catalogue.contracts import Deal, deal
from tokenroof.catalogue.files import date_key
from tokenroof.catalogue.hours import GpuHour, gpu_hour, printed_hour, printed_hours
from tokenroof.catalogue.lookup import miner as find_miner
from tokenroof.catalogue.market_file import market_in_force
from tokenroof.catalogue.markets import latest
from tokenroof.catalogue.quote import MarketData, MarketLike, Quote
from tokenroof.economics.courses import halving_course
from tokenroof.economics.offers import cheapest_point
from tokenroof.economics.prices import token_quotes
from tokenroof.economics.scenarios.gpu_power import GpuPower
from tokenroof.economics.scenarios.keys import keys_of
from tokenroof.economics.scenarios.market import ScenarioMarket
from tokenroof.economics.scenarios.scenario import Scenario
from tokenroof.economics.scenarios.sections import Shell
from tokenroof.economics.scenarios.token_sale import TokenSale
from tokenroof.serving.loads import LONGEST_WAIT
from tokenroof.support.arguments import finite_number
from tokenroof.support.units import QUANTITIES, check_unit, machine_price, said_once

if TYPE_CHECKING:
    from tokenroof.records.device import Device
    from tokenroof.records.miner import Miner
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan

__all__ = ["lease_shell", "mine", "rent_gpus", "sell_tokens", "shell_by_meter"]


def mine(
    miner: str | Miner,
    hashprice: float | None = None,
    usd_per_terahash: float | None = None,
    *,
    start: str | datetime.date | None = None,
    market: MarketLike | None = None,
) -> Scenario:
    """Mining with one machine, as a scenario.

    The hashprice stays as it is over the years, and no halving is counted, unless `start` says when they come
    or `with_values` how it moves (`income.price_growth`, `income.price_course`).

    Parameters
    ----------
    miner : str or Miner
    hashprice : float, optional
        Income of a PH/s and day [$]; the catalogue's newest by default.
    usd_per_terahash : float, optional
        Price of the machines [$/(TH/s)]; those stand already by default, and cost nothing.
    start : str or date, optional
        Day on which the first year of mining begins, as 2026-11-28 or 2026-11: the hashprice is that of this
        day, and falls with the chain's halvings from then on (`halving_course`, without fees).
    market : path or MarketData, optional
        A file of newer prices, as `tokenroof.catalogue.market_data` takes it: hashprice, electricity.

    Returns
    -------
    Scenario

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown machine, one whose power nobody published, or a number out of range.

    Examples
    --------
    >>> mine("Antminer S19 XP", hashprice=38.5).income.joules_per_terahash
    21.5
    >>> mine("Antminer S19 XP", hashprice=38.5, start="2026-11").income.price_course[:2]
    ((2, 0.7109589041095891), (3, 0.5))
    """
    found = find_miner(miner)
    if found.efficiency is None:
        raise ValueError(f"power of {found.name} is unknown; allowed: a miner whose power is known")
    joules = found.efficiency
    with said_once(), market_in_force(market) as newer:
        quote = latest("btc_hashprice") if hashprice is None else None
        cooled = latest("pue", "air-cooled mining container")
        price = finite_number("hashprice", hashprice if quote is None else quote.value)
        each = finite_number(
            "usd_per_terahash", 0.0 if usd_per_terahash is None else usd_per_terahash
        )
        check_unit("usd_per_terahash", each, of=machine_price(found.hashrate / 1e12))
        values = {
            "site.pue": cooled.value,
            "shell.capex_per_it_mw": 0.0, "computers.capex_per_it_mw": each * 1e6 / joules,
            "income.kind": "hashes", "income.joules_per_terahash": joules, "income.hashprice": price,
            "income.price_course": () if start is None else halving_course(start), "finance.years": 5,
        }  # fmt: skip
        taken = {} if quote is None else {"income.hashprice": (price, (quote,))}
        taken |= {"site.pue": (cooled.value, (cooled,))}
        made = [p for p in (found.provenance.get("power"),) if p is not None]
        said = [("income.joules_per_terahash", p.source, p.date or "") for p in made]
        return _named(f"mine with {found.name}", values, newer, taken, said)


def lease_shell(contract: str | Deal = "Hut 8 River Bend") -> Scenario:
    """A hall without computers, leased on the terms of a published contract, as a scenario.

    Parameters
    ----------
    contract : str or Deal
        Of `catalogue.deals`: rent, years, escalator, prepaid part and backstop where they are published; the
        mean of the shell's costs that the landlord names. The backstop counts once the tenant may default:
        `income.tenant_default`.

    Returns
    -------
    Scenario

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown contract, or one of GPUs and not of a shell.

    Examples
    --------
    >>> round(lease_shell("Hut 8 River Bend").income.lease_per_mw_year)
    1536188
    """
    terms = contract if isinstance(contract, Deal) else deal(contract)
    if terms.sells != "shell" or terms.of != "critical IT":
        raise ValueError(
            f"contract is {terms.name}, of {terms.sells} by {terms.of}; allowed: a shell by critical IT"
        )
    values: dict[str, Any] = {
        "income.kind": "lease", "income.lease_per_mw_year": terms.first_year_per_mw,
        "income.price_growth": terms.escalator or 0.0, "income.prepaid_share": terms.prepaid_share or 0.0,
        "income.contract_years": int(terms.years), "finance.years": int(terms.years),
        "shell.life_years": max(int(terms.years), 15),
    }  # fmt: skip
    own = {"income.contract_years", "finance.years", "income.lease_per_mw_year"}
    own |= {"income.price_growth"} if terms.escalator else set()
    if terms.utility_mw is not None:
        values["site.pue"] = terms.utility_mw / terms.mw
    if terms.backstop is not None:
        values["income.backstop_share"] = min(1.0, terms.backstop / terms.revenue)
    if terms.capex_per_mw is not None:
        values["shell.capex_per_it_mw"] = float(np.mean(terms.capex_per_mw))
    own |= values.keys() & {"site.pue", "income.backstop_share", "shell.capex_per_it_mw"}
    said = [(key, terms.provenance.source, terms.date) for key in values if key in own]
    return _named(f"lease as {terms.name}", values, origins=said)


def shell_by_meter(contract: str | Deal) -> tuple[float, tuple[str, str, str]]:
    """What a contract's shell costs by MW of the meter [$/MW], and where that is from: key, source, date."""
    lease = lease_shell(contract)
    key = "shell.capex_per_it_mw"
    known = {key: (source, date) for key, source, date in lease.origins}
    default = next(about for about in keys_of("shell", Shell) if about.name == key)
    source, date = known.get(key, (default.source, default.date))
    power, day = known.get("site.pue", (f"PUE {lease.site.pue:g}", date))
    said = source if power == source else f"{source}; by power at the meter: {power}"
    return lease.shell.capex_per_it_mw / lease.site.pue, (key, said, max(date, day))


def rent_gpus(
    device: str | Device,
    usd_per_gpu: float,
    date: str | None = None,
    *,
    watts: float | None = None,
    contract: str | Deal = "Hut 8 River Bend",
    market: MarketLike | None = None,
) -> Scenario:
    """Owning GPUs and renting them out by the hour, as a scenario.

    Parameters
    ----------
    device : str or Device
        One that `catalogue.gpu_hour` has: its rent, and its power with its share of the hall.
    usd_per_gpu : float
        What a GPU costs with its share of server and network [$]. A price of the GPU alone lacks the server:
        where no server is quoted, `convert_hall` takes 1.43 times it (an H200: 44,175 of 31,000).
    date : str, optional
        Of the rents; the newest by default.
    watts : float, optional
        Power of a GPU with its share of everything in the hall [W]; that of the same table by default.
    contract : str or Deal
        Whose hall it is, as in `lease_shell`: what its shell costs, and its power at the meter over that of
        its computers.
    market : path or MarketData, optional
        A file of newer prices, as `tokenroof.catalogue.market_data` takes it: rents, electricity.

    Returns
    -------
    Scenario
        By power at the meter, of so many watts a GPU all in: its PUE is 1. So its shell costs what that of
        the contract costs by MW of the meter: of Hut 8's, 330 MW for 245 of computers, 8.69 M$ where a MW of
        computers costs 11.7.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown device or date, or a number out of range.

    Examples
    --------
    >>> plan = rent_gpus("GB300-NVL72", usd_per_gpu=76_316)
    >>> plan.income.price_per_gpu_hour, round(plan.computers.capex_per_it_mw / 1e6, 2)
    (5.0, 36.0)
    """
    shell, of_shell = shell_by_meter(contract)
    with said_once(), market_in_force(market) as newer:
        hour = gpu_hour(device, date)
        each = _gpu_cost(usd_per_gpu)
        power = _table_power(hour) if watts is None else _given(hour.device, watts)
        values = {
            "site.pue": 1.0, "shell.capex_per_it_mw": shell,
            "computers.capex_per_it_mw": each * 1e6 / power.watts, "income.kind": "gpu_hours",
            "income.gpu_watts": power.watts, "income.price_per_gpu_hour": hour.rent, "finance.years": 5,
        }  # fmt: skip
        quotes = () if newer is None else newer.quotes
        said = tuple(
            q for q in quotes if q.provenance == hour.provenance and q.region == hour.device
        )
        own = [
            *(["income.gpu_watts"] if watts is None else []),
            *([] if said else ["income.price_per_gpu_hour"]),
        ]
        table = printed_hour(hour)
        origins = [of_shell, *((key, table.provenance.source, table.date) for key in own)]
        return _named(f"rent out {hour.device}", values, newer,
                      {"income.price_per_gpu_hour": (hour.rent, said)}, origins, power)  # fmt: skip


def sell_tokens(
    device: str | Device,
    model: str | Model,
    usd_per_gpu: float,
    *,
    plan: Plan | None = None,
    interactivity: float = 30.0,
    input_tokens: float = 1024,
    output_tokens: float = 1024,
    watts: float | None = None,
    contract: str | Deal = "Hut 8 River Bend",
    market: MarketLike | None = None,
) -> Scenario:
    """Owning GPUs and selling a model's tokens at its list prices, as a scenario.

    Parameters
    ----------
    device : str or Device
    model : str or Model
        One that `token_quotes` has.
    usd_per_gpu : float
        What a GPU costs with its share of server and network [$]. A price of the GPU alone lacks the server:
        where no server is quoted, `convert_hall` takes 1.43 times it (an H200: 44,175 of 31,000).
    plan : Plan, optional
        The best of `tokenroof.serving.default_plans` by default.
    interactivity : float
        Least tokens per second that each user gets [token/s]; the first token comes within 10 s.
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    watts : float, optional
        Power of a GPU with its share of everything in the hall [W]; by default that of `rent_gpus`, the
        newest table of hours, or what the frontier sets aside where no table has the device.
    contract : str or Deal
        Whose hall it is, as in `rent_gpus`.
    market : path or MarketData, optional
        A file of newer prices, as `tokenroof.catalogue.market_data` takes it: tokens, electricity.

    Returns
    -------
    Scenario
        By power at the meter, of so many watts a GPU, its shell too, as in `rent_gpus`. Prompts are billed
        with the answers that follow: ``income.price_per_mtok`` is of a million tokens of answers with their
        prompts, and ``sale`` has what it is made of.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a model without a quote, a speed that nothing reaches, or a number out of range.

    Examples
    --------
    >>> sell_tokens("H200-SXM", "gpt-oss-120b", usd_per_gpu=44_175).income.kind
    'tokens'
    """
    from tokenroof.serving.frontier import frontier

    least = finite_number("interactivity", interactivity, above=True)
    shell, of_shell = shell_by_meter(contract)
    each = _gpu_cost(usd_per_gpu)
    plans = None if plan is None else [plan]
    front = frontier(device, model, plans, input_tokens, output_tokens, ttft_max=LONGEST_WAIT)
    at = cheapest_point(front, least)
    name, of = front.attrs["device"], front.attrs["model"]
    if at is None:
        best = float(front.interactivity.max()) if front.sizes["point"] else 0.0
        raise ValueError(
            f"interactivity is {least:g}; allowed for {of} on {name}: at most {best:.4g} token/s "
            f"{front.attrs['reason']}".strip()
        )
    set_aside = float(front.attrs["provisioned_w_per_device"])
    power = _power_of(name, front.attrs) if watts is None else _given(name, watts)
    check_unit("gpu_watts", power.watts)
    rate = float(front.output_tokens_per_s_per_mw.values[at]) * set_aside / power.watts
    with market_in_force(market) as newer:
        into, out = token_quotes(model)
        sale = TokenSale(
            least, rate, out.value, into.value, float(input_tokens), float(output_tokens)
        )
        values = {
            "site.pue": 1.0, "shell.capex_per_it_mw": shell,
            "computers.capex_per_it_mw": each * 1e6 / power.watts,
            "income.kind": "tokens", "income.tokens_per_s_per_mw": rate, "income.price_per_mtok": sale.billed,
            "finance.years": 5,
        }  # fmt: skip
        taken = {"income.price_per_mtok": (sale.billed, (into, out))}
        found = _named(f"sell {of} from {name}", values, newer, taken, [of_shell], power)
        return replace(found, sale=sale)


def _gpu_cost(given: object) -> float:
    """Price of a GPU with its share of server and network [$]: not of its hour."""
    each = finite_number("usd_per_gpu", given)
    check_unit("usd_per_gpu", each)
    return each


def _given(device: str, watts: object) -> GpuPower:
    each = finite_number("watts", watts, above=True)
    # no GPU has less with its share of a hall
    check_unit("watts", each, of=replace(QUANTITIES["gpu_watts"], low=10.0))
    return GpuPower(device, each, "given")


def _table_power(hour: GpuHour) -> GpuPower:
    table = printed_hour(hour)
    return GpuPower(hour.device, hour.watts, f"all in, by the table of hours of {table.date}")


def _power_of(device: str, attrs: Mapping[str, Any]) -> GpuPower:
    """Of the newest table of hours that has a device; else what its frontier sets aside."""
    rows = [row for row in printed_hours() if row.device == device]
    if rows:
        return _table_power(max(rows, key=lambda row: date_key(row.date)))
    said = f"set aside by its frontier ({attrs['provisioned_kind']})"
    return GpuPower(device, float(attrs["provisioned_w_per_device"]), said)


def _named(
    name: str,
    values: dict[str, Any],
    newer: MarketData | None = None,
    taken: Mapping[str, tuple[float, tuple[Quote, ...]]] | None = None,
    origins: Sequence[tuple[str, str, str]] = (),
    gpu: GpuPower | None = None,
) -> Scenario:
    """The scenario; with a file of newer prices its electricity too, and what else was taken from it.

    Quotes that are not of that file are of the catalogue: they go to the origins.
    """
    held = () if newer is None else newer.quotes
    quoted = [(key, q.source, q.date) for key, (_, quotes) in (taken or {}).items()
              for q in quotes if q not in held]  # fmt: skip
    plan = Scenario(name=name).with_values(values)
    plan = replace(plan, origins=tuple(dict.fromkeys([*origins, *quoted])), gpu=gpu)
    if newer is None:
        return plan
    plan = plan.with_market(newer)
    own = set(newer.quotes)
    keys, used = ((), ()) if plan.market is None else (plan.market.keys, plan.market.used)
    for key, (value, quotes) in (taken or {}).items():
        said = [f"{q.source}, {q.date}" for q in quotes if q in own]
        keys += ((key, value, "; ".join(dict.fromkeys(said))),) if said else ()
        used += tuple((key, q) for q in quotes if q in own)
    return replace(plan, market=ScenarioMarket(newer, keys, used))
