"""Pages that are tables of the package itself: units and names, keys of a scenario."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import tokenroof as tr
from tokenroof.economics import ScenarioKey, scenario_keys

#: What a name's ending says of its unit; a name without one of these is in the SI unit of what it is.
ENDINGS = {
    "s": ("s", "seconds"),
    "ns": ("ns", "whole nanoseconds: the simulator's clock"),
    "days": ("day", "days of 86,400 s"),
    "years": ("year", "years; of a factory 8,760 h"),
    "hz": ("Hz", "clocks"),
    "bytes": ("B", "bytes"),
    "bandwidth": ("B/s", "one way, of one device"),
    "tokens": ("1", "whole tokens; means may be fractions"),
    "w": ("W", "watts"),
    "watts": ("W", "watts, of results"),
    "kw": ("kW", "kilowatts, where a public table has them"),
    "mw": ("MW", "megawatts; `per_mw` is for one of them"),
    "kwh": ("kWh", "energy that a meter counts; `per_kwh` is $/kWh"),
    "mwh": ("MWh", "`per_mwh` is $/MWh"),
    "j": ("J", "joules"),
    "usd": ("$", "dollars of the date that is given"),
    "btc": ("BTC", "bitcoins of 100,000,000 satoshi"),
    "mtok": ("1e6 tokens", "`per_mtok` is $ per million tokens"),
    "share": ("1", "a part of a whole, 0 to 1"),
    "rate": ("1 or 1/s", "of interest: a part a year; of arrivals: requests a second"),
    "band": ("1", "four in five are from middle / (1 + band) to middle * (1 + band)"),
    "hour": ("1/h", "`per_hour` is for one hour"),
    "day": ("1/day", "`per_day` is for one day"),
    "year": ("1/year", "`per_year` is for one year"),
}

#: Words that one concept has, and no other.
WORDS = {
    "batch": "sequences in one step of a replica",
    "concurrency": "requests in flight over a replica, those that queue too",
    "context": "cached tokens of each sequence when a step begins",
    "tokens": "of a prompt: new ones, to be computed",
    "past": "tokens that are cached ahead of them",
    "replica": "devices that hold the model once and serve by themselves",
    "plan": "layout and types of a replica: tp, pp, dp, cp, moe_tp, moe_ep, weights, kv_cache, engine",
    "tp, pp, dp, cp": "ways of tensor, pipeline, attention-data and context parallelism",
    "moe_tp, moe_ep": "ways of a mixture's experts; their product is tp times dp",
    "interactivity": "output tokens per second of one user, 1 / TPOT",
    "TTFT, TPOT, ITL, E2E": "time to the first token, per token after it, between two tokens, to the last",
    "hashprice": "revenue of a PH/s over a day [$/(PH/s day)]",
    "efficiency": "of a miner: energy of a terahash [J/TH]",
    "pue": "facility power over IT power",
    "fidelity": "`datasheet` (a bound on speed), `calibrated`, or a record of your own",
    "kind": "of a number: datasheet, vendor, press, measured, estimate",
}

HOMES = ("", "serving", "economics", "mining", "catalogue", "power", "operators", "measure")


def names_in_use() -> set[str]:
    """Parameters and fields of what is public."""
    found: set[str] = set()
    for home in HOMES:
        module = getattr(tr, home) if home else tr
        for name in getattr(module, "__all__", ()):
            one = getattr(module, name)
            if inspect.isfunction(one) or inspect.isclass(one):
                try:
                    found.update(inspect.signature(one).parameters)
                except ValueError:  # of a class made in C
                    continue
            if dataclasses.is_dataclass(one):
                found.update(field.name for field in dataclasses.fields(one))
    return {name for name in found if not name.startswith("_")}


def row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def units_page() -> str:
    used = sorted(names_in_use())
    lines = [
        "# Units and names", "",
        "Numbers are SI, in float64: seconds, bytes, watts, FLOP/s, tokens. Where a unit is not SI, the name",
        "ends in it. Peaks are dense, links count one way, prices are dollars of the date beside them.", "",
        "## Endings", "",
        row("ending", "unit", "what", "for instance"), row("---", "---", "---", "---"),
    ]  # fmt: skip
    for ending, (unit, text) in ENDINGS.items():
        per = "_per_" if ending in ("hour", "day", "year") else "_"
        held = [name for name in used if name.endswith(f"{per}{ending}")]
        shown = ", ".join(f"`{name}`" for name in held[:3]) or "of results"
        lines.append(row(f"`_{ending}`", unit, text, shown))
    lines += ["", "## Words", "", row("word", "meaning"), row("---", "---")]
    lines += [row(f"**{word}**", text) for word, text in WORDS.items()]
    lines += [
        "", "## Variables of a curve", "",
        "What `serving.curve` and `serving.frontier` give carries its unit and its meaning in `attrs`:", "",
        row("variable", "unit", "meaning"), row("---", "---", "---"),
    ]  # fmt: skip
    curve = tr.serving.curve("H200-SXM", "Llama-3.1-8B", concurrency=[1])
    for name, values in curve.data_vars.items():
        lines.append(row(f"`{name}`", values.attrs["units"], values.attrs["long_name"]))
    return "\n".join(lines) + "\n"


def default_of(key: ScenarioKey) -> str:
    value = key.default
    if value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def keys_page() -> str:
    lines = [
        "# Keys of a scenario", "",
        "From the table that checks a scenario's file, makes its JSON Schema and answers",
        "`tokenroof economics --keys`. A key that counts for one kind of income alone says which; given for",
        "another, it is refused. What is not said has its default.",
        "[A scenario file](../howto/scenario-file.md) shows how they are used.", "",
    ]  # fmt: skip
    section = ""
    for key in scenario_keys():
        of, _, name = key.name.rpartition(".")
        if of != section:
            section = of
            lines += ["", f"## {of}", "", row("key", "what", "unit", "default", "allowed", "source"),
                      row(*["---"] * 6)]  # fmt: skip
        source = f"{key.source} ({key.date})" if key.source else ""
        text = f"{key.text}{f' (of {key.of})' if key.of else ''}"
        lines.append(row(f"`{name}`", text, key.unit, default_of(key), key.allowed, source))
    return "\n".join(lines) + "\n"


def write_tables(folder: Path) -> list[str]:
    """Write the pages; their names, for a table of contents."""
    folder.mkdir(exist_ok=True)
    pages = {"units": units_page, "scenario-keys": keys_page}
    for name, made in pages.items():
        path, text = folder / f"{name}.md", made()
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    return list(pages)
