"""How a benchmark ran beside the load of its rows: rounds of requests, a cap on the batch, waits."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SETTINGS", "of_row", "ran_as", "row_as_ran", "settings"]

#: Columns of a table that say how its benchmark ran, and the constant of an engine that each one is.
SETTINGS = {"rounds": "together", "max_batch": "max_batch", "wait_steps": "wait_steps"}
# What a benchmark does that says nothing: ten requests per user, no cap, no waits, answers of many lengths.
_DEFAULTS = {"rounds": 10.0, "max_batch": 0.0, "wait_steps": 0.0, "locked": 0.0, "room": 0.0}
#: Tokens that a step takes of prompts by the engines' defaults (max_num_tokens, chunked_prefill_size).
_STEP_TOKENS = 8192.0


@cache
def _rules() -> tuple[dict[str, Any], ...]:
    text = resources.files(__package__).joinpath("benchmarks.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["benchmark"])


def _chosen(
    rule: Mapping[str, Any], columns: Mapping[str, NDArray[Any]], n: int
) -> NDArray[np.bool_]:
    found = np.ones(n, dtype=bool)
    for name, values in rule["when"].items():
        if not found.any():
            break
        own = columns.get(name)
        found &= np.isin(own, values) if own is not None else False
    return found


def settings(
    columns: Mapping[str, NDArray[Any]], concurrency: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Constants of an engine by which a benchmark's rows differ from a load that goes on.

    Parameters
    ----------
    columns : dict of ndarray
        Of the table, under our names: ``rounds`` (requests sent for each one in flight), ``max_batch``
        (sequences that the engine's batch holds, 0: no cap), ``wait_steps`` (steps that prompts are held for
        company) where it has them; else ``source``, ``engine``, ``model``, ``device``, ``tp``, ``isl`` and
        ``osl``, by which rules of public benchmarks say them.
    concurrency : ndarray
        Requests in flight [1].

    Returns
    -------
    dict of ndarray
        ``together``, ``max_batch`` and ``wait_steps``, a value per row; and of public benchmarks with answers
        of one length ``room``, others' prompts that fit into the step of one's own, and ``locked``, the share
        of that room which they take every round (else 0).

    Raises
    ------
    ValueError
        If a column holds less than it may.

    Examples
    --------
    >>> from tokenroof.calibrate.benchmarks import settings
    >>> settings({"rounds": np.array([1.0, 10.0])}, np.array([8.0, 8.0]))["together"]
    array([1. , 0.1])
    """
    n = len(concurrency)
    found = {name: np.full(n, np.nan) for name in _DEFAULTS}
    for name, least in (("rounds", 1.0), ("max_batch", 0.0), ("wait_steps", 0.0)):
        own = columns.get(name)
        if own is None:
            continue
        found[name] = np.asarray(own, dtype=float).copy()
        bad = found[name][found[name] < least]
        if len(bad):
            raise ValueError(f"{name} is {bad[0]:g}; allowed: at least {least:g}")
    for rule in _rules():
        own_rows = _chosen(rule, columns, n)
        given = {name: np.full(n, float(rule[name])) for name in _DEFAULTS if name in rule}
        if "max_batch_less" in rule:
            given["max_batch"] = np.maximum(concurrency - rule["max_batch_less"], 1.0)
        if "locked" in rule and "isl" in columns:
            given["room"] = np.maximum(_STEP_TOKENS / columns["isl"] - 1.0, 0.0)
        for name, values in given.items():
            rows = own_rows & np.isnan(found[name])
            found[name][rows] = values[rows]
    for name, value in _DEFAULTS.items():
        found[name][np.isnan(found[name])] = value
    return {
        "together": 1.0 / found["rounds"],
        "max_batch": found["max_batch"],
        "wait_steps": found["wait_steps"],
        "locked": found["locked"],
        "room": found["room"],
    }


#: Words of `Plan` that a rule may say instead of a row, and what it says of layouts.
_WORDS = ("experts", "kv_cache")


def ran_as(**row: Any) -> dict[str, Any]:
    """What a public benchmark ran other than its rows say, by the words of `Plan`.

    Parameters
    ----------
    **row : str or float
        ``source``, ``engine``, ``model``, ``device`` and ``version`` of a row, under our names; and of one
        whose layout is asked for ``tp``, ``dp``, ``isl``, ``osl`` and ``concurrency`` [1].

    Returns
    -------
    dict
        ``experts`` and ``kv_cache``, types; ``tp``, ``dp``, ``moe_tp`` and ``moe_ep``, where experts were
        spread over the ranks that split attention, or attention was data parallel on them too. Empty where
        the row says all.

    Examples
    --------
    >>> from tokenroof.calibrate.benchmarks import ran_as
    >>> ran_as(source="inferencex", engine="vllm", model="gpt-oss-120b", device="B200-SXM")
    {'experts': 'mxfp4_mxfp8'}
    >>> ran_as(source="inferencex", engine="trtllm", model="DeepSeek-R1", device="H200-SXM", version="",
    ...        tp=8, dp=1, isl=1024, osl=1024, concurrency=4)
    {'tp': 8, 'dp': 1, 'moe_tp': 1, 'moe_ep': 8}
    """
    columns = {name: np.array([value]) for name, value in row.items()}
    users = float(row.get("concurrency", np.nan))
    found: dict[str, Any] = {}
    layout: str | None = None
    for rule in _rules():
        if not _chosen(rule, columns, 1)[0] or users < rule.get("users_from", 0.0):
            continue
        found |= {name: rule[name] for name in _WORDS if name in rule and name not in found}
        layout = layout or rule.get("layout")
    if layout and "tp" in row:
        ranks = int(row["tp"]) * int(row["dp"])
        if layout == "spread":
            found |= {"tp": int(row["tp"]), "dp": int(row["dp"])}
        else:
            found |= {"tp": 1, "dp": ranks}
        found |= {"moe_tp": 1, "moe_ep": ranks}
    return found


def row_as_ran(row: Mapping[str, Any]) -> dict[str, Any]:
    """`ran_as` of a table's row, whose cells may be empty: of one without ``tp`` types alone."""
    words = ("source", "engine", "model", "device", "weights")
    given: dict[str, Any] = {n: _said(row.get(n), "") for n in words}
    given["version"] = _said(row.get("backend_version"), "")
    if _said(row.get("tp")) is not None:
        given["dp"] = 1.0
        numbers = {n: _said(row.get(n)) for n in ("tp", "dp", "isl", "osl", "concurrency")}
        given |= {n: _number(value) for n, value in numbers.items() if value is not None}
    return ran_as(**given)


def _said(value: Any, otherwise: Any = None) -> Any:
    return otherwise if value is None or value != value else value


def _number(value: Any) -> float:
    """A cell as a number, which no rule is of where it is none: who reads the row refuses it."""
    try:
        return float(value)
    except OverflowError:  # an integer that no float holds
        return math.inf
    except (TypeError, ValueError):
        return math.nan


def of_row(found: Mapping[str, Sequence[float]], i: int) -> dict[str, float]:
    """The settings of one row, as constants of its engine."""
    return {name: float(values[i]) for name, values in found.items()}
