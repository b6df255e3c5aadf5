"""Where a result comes from: version, seed, what differs from the defaults, dates of the data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tokenroof.build import build_config
from tokenroof.catalogue.contracts import deals
from tokenroof.catalogue.files import date_key
from tokenroof.catalogue.hours import gpu_hours
from tokenroof.catalogue.markets import quotes
from tokenroof.economics.scenarios.idle_keys import after_the_plan, unless_said
from tokenroof.economics.scenarios.keys import ScenarioKey
from tokenroof.economics.scenarios.scenario import Scenario, scenario_keys
from tokenroof.support.arguments import shown, whole_number

__all__ = ["run_manifest"]


def run_manifest(
    scenario: Scenario, *, seed: int | None = None, paths: int | None = None
) -> dict[str, Any]:
    """What a run must say so that another can repeat it.

    Parameters
    ----------
    scenario : Scenario
    seed, paths : int, optional
        Of `risk` and its like; without them nothing is drawn.

    Returns
    -------
    dict
        version, isa, numpy, scenario, changed (what differs from the defaults, with a default beside which it
        does nothing; without rows of years after the plan, and what no limit makes idle), seed, paths,
        market: the file of newer prices, its sha256, dates and sources and the keys that it gave, or None,
        used: key, source and date of what the scenario takes from the catalogue, and data: the newest date of
        what it uses, defaults too (``used``), of each file of the catalogue and of all keys' defaults.
        Announced years are no dates of data.

    Raises
    ------
    TypeError, ValueError
        For what is no scenario, or a number out of its range.

    Examples
    --------
    >>> found = run_manifest(Scenario().with_values({"site.power_mw": 20.0}), seed=7)
    >>> found["changed"], found["seed"]
    ({'site.power_mw': 20.0}, 7)
    """
    if not isinstance(scenario, Scenario):
        raise TypeError(f"scenario is {shown(scenario)}; allowed: a Scenario")
    built, values, keys = build_config(), scenario.values(), scenario_keys()
    used = [{"key": key, "source": source, "date": date} for key, source, date in scenario.origins]
    taken = () if scenario.market is None else scenario.market.dates
    stands = [k.date for k in keys if values[k.name] == k.default and _is_datum(k)]
    newest = {
        "used": [*(date for _, _, date in scenario.origins), *taken, *stands],
        "markets": [q.date for q in quotes()], "deals": [d.date for d in deals()],
        "gpu_hours": [h.date for h in gpu_hours()], "scenario_keys": [k.date for k in keys if _is_datum(k)],
    }  # fmt: skip
    changed = _changed(values, keys)
    return {
        "version": built["version"], "isa": built["isa"], "numpy": built["numpy"], "scenario": scenario.name,
        "changed": changed,
        "seed": None if seed is None else whole_number("seed", seed, 0, 2**64 - 1),
        "paths": None if paths is None else whole_number("paths", paths, 1),
        "market": None if scenario.market is None else scenario.market.as_dict(),
        "used": used,
        "data": {name: _newest(dates) for name, dates in newest.items()},
    }  # fmt: skip


def _changed(values: dict[str, Any], keys: Iterable[ScenarioKey]) -> dict[str, Any]:
    """What makes the scenario again, by `Scenario.with_values`, which refuses keys that do nothing."""
    other = {k.name: values[k.name] for k in keys if values[k.name] != k.default}
    idle = {name: key for name in other if (key := unless_said(values, name))}
    endless = {name for name, key in idle.items() if values[key] == np.inf}  # which JSON cannot say
    out = {n: v for n, v in other.items() if n not in endless and not after_the_plan(values, n)}
    return out | {key: values[key] for name, key in idle.items() if name not in endless}


def _is_datum(key: ScenarioKey) -> bool:
    """Whether somebody else says the default: conventions are of this table."""
    return not key.source.startswith("convention")


def _newest(dates: Iterable[str]) -> str:
    """The newest that has a month: a year alone may be one that somebody announced."""
    return max((date for date in dates if date_key(date)[1]), key=date_key)
