"""``tokenroof economics``: a factory year by year, from a scenario that a person copies and changes."""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from tokenroof.cli.arguments import add_market, refuse_given, written
from tokenroof.cli.output import emit, say, short
from tokenroof.support.arguments import shown
from tokenroof.support.formats import plain, table
from tokenroof.support.quoting import counted
from tokenroof.support.whole import whole_file

if TYPE_CHECKING:
    from tokenroof.economics.scenarios.result import Factory

_PRICE_OF = "usd_per_gpu."  # what of --set is no key of a scenario
_AMOUNTS = ("capex", "revenue", "curtailment", "power", "operation", "licence", "ebitda", "residual",
            "unlevered_tax", "free", "interest", "principal", "draw", "tax", "equity")  # fmt: skip
#: Of the printed columns those that are left out where they are nothing: the rest adds up all the same.
_WHERE_ANY = ("curtailment", "licence", "interest", "principal", "draw")


def add_arguments(command: ArgumentParser) -> None:
    command.add_argument(
        "--scenario", metavar="FILE", help="TOML file of the keys that differ, or a preset's name"
    )
    command.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="one key, as site.power_mw=20; with --convert also usd_per_gpu.DEVICE=31000",
    )
    command.add_argument("--keys", action="store_true", help="list the keys, and stop")
    command.add_argument("--schema", action="store_true", help="print the JSON Schema, and stop")
    command.add_argument(
        "--convert",
        metavar="MINER",
        help="whether to switch off, keep, lease or convert a hall of these miners, of 20 MW at 50 $/MWh "
        "unless --set has site.power_mw and site.price_per_mwh, or --market a price of power; keys of the "
        "site and income.hashprice are for the miners, finance.discount_rate and finance.tax_rate for all, "
        "the rest for what it becomes; usd_per_gpu.DEVICE is the price of a GPU with its share of a server",
    )
    command.add_argument(
        "--to",
        metavar="DEVICE",
        action="append",
        help="what it may be converted to; may be repeated",
    )
    command.add_argument(
        "--csv", type=written, metavar="FILE", help="write assumptions and cash flow"
    )
    command.add_argument(
        "--excel", type=written, metavar="FILE", help="write the same as a sheet of Excel"
    )
    command.add_argument(
        "--manifest",
        type=written,
        metavar="FILE",
        help="write version, changed keys and dates of the data",
    )
    add_market(command)


def run(arguments: Namespace) -> int:
    from tokenroof.economics.scenarios.export import CSV, EXCEL, MANIFEST, checked_path
    from tokenroof.economics.scenarios.manifest import run_manifest
    from tokenroof.economics.scenarios.result import as_scenario, factory
    from tokenroof.economics.scenarios.scenario import Scenario, scenario_schema

    if arguments.schema or arguments.keys:
        _refuse_beside(arguments, "keys" if arguments.keys else "schema")
        if arguments.schema:
            emit(scenario_schema())
        else:
            _print_keys(as_json=arguments.json)
        return 0
    if arguments.convert is not None:
        return _convert(arguments)
    if arguments.to is not None:
        raise ValueError(f"--to is {arguments.to}; allowed: with --convert")
    for name, suffixes in (("csv", CSV), ("excel", EXCEL), ("manifest", MANIFEST)):
        if (path := getattr(arguments, name)) is not None:  # before anything is computed or written
            checked_path(f"--{name}", path, suffixes)
    keys = _assignments(arguments.set)
    base = (
        Scenario()
        if arguments.scenario is None
        else as_scenario(arguments.scenario, arguments.market)
    )
    plan = base.with_values(keys)
    newer = arguments.market or (None if plan.market is None else plan.market.data)
    found = factory(plan, market=newer)
    if arguments.csv is not None:
        found.to_csv(arguments.csv)
    if arguments.excel is not None:
        found.to_excel(arguments.excel)
    if arguments.manifest is not None:
        text = json.dumps(plain(run_manifest(found.scenario)), indent=1) + "\n"
        with whole_file(arguments.manifest) as beside:
            beside.write_text(text, encoding="utf-8")
    if arguments.json:
        emit(_document(found))
    else:
        _print(found)
    return 0


def _refuse_beside(arguments: Namespace, asked: str) -> None:
    """A list of all keys is the same whatever scenario is given."""
    names = ("scenario", "set", "schema", "convert", "to", "csv", "excel", "manifest", "market")
    others = (name for name in names if name != asked)
    refuse_given(arguments, others, f"beside --{asked}", f"--{asked} without it")


def _convert(arguments: Namespace) -> int:
    from tokenroof.economics.hall.answer import convert_hall
    from tokenroof.economics.scenarios.scenario import scenario_keys

    for name in ("scenario", "csv", "excel", "manifest"):
        if getattr(arguments, name) is not None:
            raise ValueError(
                f"--{name} is {shown(str(getattr(arguments, name)))}; allowed: without --convert"
            )
    keys = _assignments(arguments.set)
    power, price = keys.pop("site.power_mw", 20.0), keys.pop("site.price_per_mwh", None)
    each = {name: keys.pop(name) for name in [*keys] if name.startswith(_PRICE_OF)}
    of = {about.name: about.of for about in scenario_keys()}
    hall = {name: value for name, value in keys.items()
            if name.startswith("site.") or of.get(name) == "hashes"}  # fmt: skip
    found = convert_hall(
        arguments.convert, power, price, arguments.to or ["H200-SXM", "B200-SXM"], hall=hall,
        converted={name: value for name, value in keys.items() if name not in hall}, market=arguments.market,
        usd_per_gpu={name.removeprefix(_PRICE_OF): value for name, value in each.items()},
    )  # fmt: skip
    if arguments.json:
        emit({
            "answer": found.answer, "waiting": found.waiting, "rest": found.rest,
            "choices": found.to_frame().to_dict("records"), "assumptions": dict(found.assumptions),
            "units": {"npv": "$", "waiting": "$", "revenue_per_mwh": "$/MWh"},
        })  # fmt: skip
    else:
        say(str(found))
    return 0


def _assignments(given: list[str]) -> dict[str, Any]:
    """Keys and values of all, each of which is given once."""
    found: dict[str, Any] = {}
    for name, value in map(_assignment, given):
        if name in found:
            raise ValueError(f"--set has {shown(name)} twice; allowed: each key once")
        found[name] = value
    return found


def _assignment(text: str) -> tuple[str, Any]:
    """Key and value of ``key=value``; the value as TOML has it, or text."""
    import tomllib

    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"--set is {shown(text)}; allowed: KEY=VALUE, as site.power_mw=20")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except ValueError:  # a word without quotes
        return name.strip(), value.strip()
    except RecursionError:
        raise ValueError(
            f"--set is {shown(text)}, nested too deeply; allowed: KEY=VALUE, as site.power_mw=20"
        ) from None


def _print_keys(*, as_json: bool) -> None:
    from tokenroof.economics.scenarios.scenario import scenario_keys

    keys = scenario_keys()
    if as_json:
        emit([{"name": k.name, "text": k.text, "unit": k.unit, "default": _plain(k.default),
               "allowed": k.allowed, "of": k.of, "source": k.source, "date": k.date}
              for k in keys])  # fmt: skip
        return
    rows = [[k.name, str(_plain(k.default)), k.unit, k.allowed, k.text + (f" ({k.of})" if k.of else ""),
             k.date, k.source] for k in keys]  # fmt: skip
    table(
        ["key", "default", "unit", "allowed", "what it is", "date", "source of the default"], rows
    )


def _plain(value: Any) -> Any:
    return "none" if value == float("inf") else list(value) if isinstance(value, tuple) else value


def _document(found: Factory) -> dict[str, Any]:
    flow = found.flow
    return {
        "scenario": found.scenario.name,
        "market": None if found.scenario.market is None else found.scenario.market.as_dict(),
        "assumptions": {name: _plain(value) for name, value, _ in found.assumptions()},
        "npv": found.npv, "equity_npv": found.equity_npv, "irr": list(found.irr),
        "equity_irr": list(found.equity_irr), "real_irr": list(found.real_irr),
        "payback_years": found.payback_years, "return_note": found.return_note,
        "debt_cover": found.debt_cover,
        "levelized_cost": found.levelized_cost, "levelized_revenue": found.levelized_revenue,
        "levelized_unit": found.unit, "levelized_cost_per_mwh": found.levelized_cost_per_mwh,
        "years": [
            {"year": int(year), "energy_mwh": flow.energy_mwh[year], "output": flow.output[year]}
            | {name: getattr(flow, name)[year] for name in _AMOUNTS}
            for year in flow.year
        ],
        "units": {"npv": "$", "irr": "1/year", "levelized_cost": found.cost_unit, "years": "$"},
    }  # fmt: skip


def _print(found: Factory) -> None:
    from tokenroof.economics.scenarios.premises import premises

    flow, millions = found.flow, 1e6
    shown = [name for name in _AMOUNTS if name not in _WHERE_ANY or getattr(flow, name).any()]
    if (flow.tax == flow.unlevered_tax).all():
        shown.remove("tax")
    heads = {"unlevered_tax": "tax" if "tax" not in shown else "tax without debt"}
    table(
        ["year", *(heads.get(name, name) for name in shown)],
        [[str(year), *(f"{getattr(flow, name)[year] / millions:,.2f}" for name in shown)]
         for year in flow.year],
        title=f"{found.scenario.name}: {found.scenario.site.power_mw:g} MW, "
              f"{found.scenario.income.kind}; million dollars of each year",
    )  # fmt: skip
    rates = ", ".join(f"{rate:.1%}" for rate in found.irr) or "none"
    owners = ", ".join(f"{rate:.1%}" for rate in found.equity_irr) or "none"
    say(
        "ebitda + residual - capex - tax = free"
        + (
            "; free + tax without debt - tax + draw - interest - principal = equity"
            if "tax" in shown
            else ""
        )
    )
    say("")
    say(f"on {premises(found.scenario)}")
    say(f"net present value at {found.scenario.finance.discount_rate:.1%}: "
        f"{found.npv / millions:,.2f} M$; owners' {found.equity_npv / millions:,.2f} M$")  # fmt: skip
    say(
        f"internal rate of return: {rates}; owners' {owners}; payback {_payback(found.payback_years)}"
    )
    if found.return_note:
        say(found.return_note)
    if flow.residual.any():
        say(f"residual: {flow.residual.sum() / millions:,.2f} M$ for what is left of shell and computers; "
            f"finance.unexpired_share is {found.scenario.finance.unexpired_share:g}")  # fmt: skip
    say(f"levelised cost: {short(found.levelized_cost)} {found.cost_unit} "
        f"against {short(found.levelized_revenue)} earned; "
        f"{short(found.levelized_cost_per_mwh)} $/MWh at the meter")  # fmt: skip
    if (market := found.scenario.market) is not None:
        for key, value, source in market.keys:
            say(f"{key} {value:g}: {source}")
        if market.unused:
            say(f"not used of {market.data.name}: {'; '.join(market.unused)}")


def _payback(years: float) -> str:
    if math.isnan(years):
        return "none"
    return "never" if years == float("inf") else f"{counted(short(years), 'year')}"
