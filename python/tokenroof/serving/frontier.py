"""The Pareto set over plans and batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from tokenroof.inference.dataflow import KINDS
from tokenroof.inference.door import as_device, as_model, as_plan, check_plan, resolved
from tokenroof.records.device import Device
from tokenroof.records.plan import Plan
from tokenroof.serving.closed_loop import UNITS, attributes, described, evaluate
from tokenroof.serving.columns import Column, Columns
from tokenroof.serving.loads import ONE_TOKEN, as_concurrency, as_load, as_power, check_length
from tokenroof.serving.plans import default_plans
from tokenroof.serving.room import no_watts, unknown, why_not
from tokenroof.serving.search.chips import with_chips
from tokenroof.serving.search.constraints import CAP_ATTRS, asked
from tokenroof.serving.search.question import Question
from tokenroof.serving.search.table import frontier_of_systems
from tokenroof.support.arguments import check_options, flag, shown
from tokenroof.support.lazy import require
from tokenroof.support.pareto import pareto

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.model import Model
    from tokenroof.serving.loads import Load
    from tokenroof.serving.search.constraints import Asked
    from tokenroof.serving.system.parts import Speculation

__all__ = ["Limits", "frontier", "points"]


class Limits(TypedDict, total=False):
    """What a point has to keep to for being an offer; None, the default: nothing. And what is searched.

    Attributes
    ----------
    ttft_max, tpot_max : float or None
        Mean time to the first token, and per output token after it [s].
    power_caps : float, sequence of float or None, or None
        Watts that each board is held to, to try; None among them: its limit [W].
    systems : bool
        Search over systems; what follows counts there alone.
    devices : int or None
        So many there are: as many whole systems as fit, and the rest stays idle [1].
    power_w : float or None
        Power that may be set aside for a system [W].
    types : sequence of str or None
        Types of weights that may be served.
    exclude : sequence of str or None
        What is left out: disaggregated, both, speculation, network, pp, dp, ep.
    speculation : Speculation or None
        Drafts to choose lengths of; by default a model's own module as measured.
    chips : str, Device or None
        Dataflow chips that may stand beside the devices.
    pool_devices : sequence of str or Device, or None
        Further devices that pools may be of, prompts on one and answers on another.
    """

    ttft_max: float | None
    tpot_max: float | None
    power_caps: float | Sequence[float | None] | None
    systems: bool
    devices: int | None
    power_w: float | None
    types: Sequence[str] | None
    exclude: Sequence[str] | None
    speculation: Speculation | None
    chips: str | Device | None
    pool_devices: Sequence[str | Device] | None


def frontier(
    device: str | Device,
    model: str | Model,
    plans: Sequence[Plan] | None = None,
    input_tokens: float = 1024,
    output_tokens: float = 1024,
    devices_max: int | None = None,
    concurrency: ArrayLike | None = None,
    fidelity: str | Calibration = "calibrated",
    engine: str = "vllm",
    power: str = "provisioned",
    pue: float = 1.2,
    **limits: Unpack[Limits],
) -> xr.Dataset:
    """The Pareto set over plans and batches: most tokens per MW at each speed per user.

    Parameters
    ----------
    device, model : str or record
        Catalogue name, or your own `Device` and `Model`.
    plans : sequence of Plan, optional
        `default_plans` by default.
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    devices_max : int, optional
        Devices of the largest replica; by default those that one link domain joins.
    concurrency : array_like, optional
        Requests in flight to try, of which some may wait for others; by default 64 steps from 1 to 16,384
        and the powers of two, and as many as the memory of a replica holds. Of those, without a `ttft_max`,
        points at which all run count alone.
    fidelity : {"calibrated", "datasheet"} or Calibration
        As in `curve`.
    engine : str
        Engine of the default plans.
    power, pue
        As in `curve`: which megawatts count.
    ttft_max, tpot_max : float, optional
        Longest mean time to the first token, and per output token after it, of a point that counts
        [s]; by default any. A large batch yields more per MW and may wait minutes for its prompts. Up to
        `ttft_max` users may wait for others, too.
    power_caps : float or sequence of float, optional
        Watts that each board is held to, to try with every plan, in place of its own ``power_cap_w``; None
        among them stands for the limit [W]. Of pools each has its own.
    systems : bool
        Over systems: replicas for both or for prompts and answers apart (in whole replicas, rates matched),
        plans as wide as a domain and beyond it, types, budgets of prompts' steps, 0 to 8 drafts. False
        by default.
    devices, power_w, types, exclude, speculation : optional
        With `systems` alone, as in `Limits`: devices that there are, power that may be set aside [W],
        types of weights, what is left out, drafts to choose lengths of.
    chips : str or Device, optional
        With `systems` alone: dataflow chips such as "LPX" beside the devices, with MLPs and experts on them,
        or drafting for what the devices verify (`beside_lpx`); points become ranges, ``_low`` and ``_high``
        beside ``interactivity`` and ``output_tokens_per_s_per_mw``, ``way`` and ``chips`` say how and how
        many.
    pool_devices : sequence of str or Device, optional
        With `systems` alone: further devices, each for both, or for prompts or answers with another: pools
        with caches of one type, split alike, and the lesser of their networks between them. Points have
        ``device``, ``prefill_device`` and ``link_bandwidth`` [B/s].

    Returns
    -------
    xarray.Dataset
        Over ``point``, by growing interactivity, with the variables of `curve` and ``plan``,
        ``concurrency``, ``devices``. Empty where no plan fits the memory, or none keeps to the limits:
        ``attrs["reason"]``, which is empty otherwise, says what is needed (and of points on a device without
        ``memory_bytes`` that nobody knows whether they fit); and where answers have one token,
        after which there is no speed. With caps ``power_cap_w`` is what each point's boards are held to, and
        of pools apart ``prefill_power_cap_w``. Over systems ``system`` names
        each, ``reason`` says what sets its rate, and ``binds`` which constraint keeps a better one away;
        where nothing keeps to all of them ``attrs["reason"]`` names the nearest miss.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `tokenroof.decode`; ValueError for requests longer than the model's ``context_max``, a
        limit that is not a positive number, a cap that the boards do not take, or a device whose `power` is
        unknown.

    Examples
    --------
    >>> front = frontier("H200-SXM", "Llama-3.1-8B", devices_max=8, ttft_max=2.0)
    >>> bool((np.diff(front.output_tokens_per_s_per_mw) < 0).all()), bool((front.ttft_s <= 2.0).all())
    (True, True)
    """
    require("xarray", extra="analysis")
    d, m, load = as_device(device), as_model(model), as_load(input_tokens, output_tokens)
    power, pue = as_power(power, pue)
    check_options("frontier", limits, Limits)
    wanted = asked(limits)
    users = _batches(concurrency)
    _refuse_dashboard(power, wanted)
    if flag("systems", limits.get("systems", False)):
        others = _others(d, limits)
        for one in (d, *others):
            _check_power(resolved(one, m, [Plan()], "datasheet")[0], power)
        given = None if plans is None else _given(plans, d, m)
        check_length(m, load.input_tokens, load.output_tokens)
        kept = power, pue, wanted, others, concurrency is None
        question = Question(d, m, given, load, devices_max, users, fidelity, engine, *kept)
        return with_chips(frontier_of_systems(question), question, limits.get("chips"))
    _refuse(limits)
    what = d, m, plans, load, devices_max, concurrency
    return _points(*what, fidelity, engine, power, pue, wanted).dataset()


def points(
    device: Device,
    model: Model,
    plans: Sequence[Plan] | None,
    input_tokens: float,
    output_tokens: float,
    devices_max: int | None = None,
    fidelity: str | Calibration = "calibrated",
    engine: str = "vllm",
    power: str = "provisioned",
    **limits: Unpack[Limits],
) -> Columns:
    """What `frontier` finds over plans of replicas, without xarray.

    Parameters
    ----------
    device, model, plans, input_tokens, output_tokens, devices_max, fidelity, engine, power, limits
        As in `frontier`, devices and models as records [1].

    Returns
    -------
    Columns

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `frontier`.
    """
    check_options("frontier", limits, Limits)
    load, (power, pue) = as_load(input_tokens, output_tokens), as_power(power, 1.2)
    wanted = asked(limits)
    _refuse_dashboard(power, wanted)
    _refuse(limits)
    what = device, model, plans, load, devices_max, None
    return _points(*what, fidelity, engine, power, pue, wanted)


def _points(
    d: Device,
    m: Model,
    plans: Sequence[Plan] | None,
    load: Load,
    devices_max: int | None,
    concurrency: ArrayLike | None,
    fidelity: str | Calibration,
    engine: str,
    power: str,
    pue: float,
    wanted: Asked,
) -> Columns:
    """The frontier over plans of replicas."""
    users = _batches(concurrency)
    tried = default_plans(d, m, devices_max, engine) if plans is None else _given(plans, d, m)
    tried = wanted.capped(d, tried)
    check_length(m, load.input_tokens, load.output_tokens)
    on = resolved(d, m, tried or [Plan()], fidelity)
    _check_power(on[0], power)
    if tried:
        wait = 0.0 if concurrency is None and "ttft" not in wanted.bounds else np.inf
        if not wait:
            users = _with_the_fullest(users, evaluate(on, load, users[-1:], power, pue)["batch"])
        values = evaluate(on, load, users, power, pue)
        offered = values["queue_s"] <= wait
        for name, most in wanted.bounds.items():
            offered &= values[f"{name}_s"] <= most
        chosen = pareto(
            values["interactivity"], np.where(offered, values["output_tokens_per_s_per_mw"], np.nan)
        )
    else:
        values = {name: np.empty((0, users.size)) for name in UNITS}
        chosen = np.empty(0, dtype=int)
    row, column = np.unravel_index(chosen, (max(len(tried), 1), users.size))
    data = _columns(on, tried, values, chosen, users)
    shown = _tried(on, row)
    said = _calibrated_on(shown)
    about = attributes(shown, load, users[np.unique(column)], fidelity, said, power)
    empty = not chosen.size
    why = _why_empty(on[: len(tried)], load, values, wanted.bounds) if empty else unknown(power, d)
    about |= {"plans_tried": len(tried), **wanted.said(), "reason": why}
    return Columns("point", data, about)


def _calibrated_on(shown: Sequence[Deployment]) -> str:
    """All that any was calibrated on, each once."""
    return "; ".join(
        dict.fromkeys(p for one in shown for p in one.calibration.calibrated_on.split("; "))
    )


def _columns(
    on: Sequence[Deployment],
    tried: Sequence[Plan],
    values: dict[str, NDArray[Any]],
    chosen: NDArray[np.intp],
    users: NDArray[np.float64],
) -> dict[str, Column]:
    """Variables of the points that are chosen."""
    row, column = np.unravel_index(chosen, (max(len(tried), 1), users.size))
    labels = [p.label(one.model) for p, one in zip(tried, on, strict=True)] or [""]
    data = {name: Column(values[name].ravel()[chosen], described(name)) for name in UNITS}
    data["plan"] = Column(np.array(labels)[row], {})
    data["concurrency"] = Column(users[column], described("concurrency"))
    devices = np.array([p.devices for p in tried] or [0])[row]
    data["devices"] = Column(devices, described("devices"))
    if any(p.power_cap_w is not None for p in tried):
        held = np.array([o.power.limit_w for o in on])[row]
        data["power_cap_w"] = Column(held, dict(CAP_ATTRS))
    return data


def _refuse_dashboard(power: str, wanted: Asked) -> None:
    """Reject caps where a constant of a dashboard counts, which knows none."""
    if power == "dashboard" and any(cap is not None for cap in wanted.caps):
        raise ValueError(
            f"power_caps is {shown(list(wanted.caps))} with power 'dashboard', whose constant knows no cap; "
            "allowed: None, or power 'provisioned', 'board', 'chassis', 'facility'"
        )


def _batches(concurrency: ArrayLike | None) -> NDArray[np.float64]:
    """Requests in flight to try."""
    if concurrency is None:
        # kernels work in tiles, engines keep graphs of powers of two: one sequence more is a longer step
        return np.union1d(np.round(np.geomspace(1, 16384, 64)), 2.0 ** np.arange(15))
    return as_concurrency(concurrency)


def _with_the_fullest(users: NDArray[np.float64], most: NDArray[np.float64]) -> NDArray[np.float64]:
    """With as many as run at most on each plan: where nobody says how long users may wait, none does."""
    return np.union1d(users, np.floor(most[most >= 1.0]))


def _others(device: Device, limits: Limits) -> tuple[Device, ...]:
    """Further devices of pools, each once."""
    given = limits.get("pool_devices")
    if given is None:
        return ()
    if isinstance(given, (str, Device)) or not isinstance(given, Iterable):
        raise TypeError(f"pool_devices is {shown(given)}; allowed: a sequence of devices, or None")
    found = tuple(dict.fromkeys(one for one in map(as_device, given) if one != device))
    if not found:
        raise ValueError(
            f"pool_devices has no other device than {device.name}; allowed: others, or None"
        )
    for one in found:
        if one.kind in KINDS:
            raise ValueError(
                f"pool_devices has {one.name}, a {one.kind}; allowed: devices that hold a model in memory, "
                f"and chips={shown(one.name)} for this one"
            )
    for name in ("devices", "chips"):
        if limits.get(name) is not None:
            raise ValueError(
                f"{name} is {shown(limits.get(name))} with pool_devices; allowed: None"
            )
    return found


def _refuse(limits: Limits) -> None:
    """Reject what counts over systems alone."""
    for name in (
        "devices", "power_w", "types", "exclude", "speculation", "chips", "pool_devices",
    ):  # fmt: skip
        value = limits.get(name)
        if value is not None:
            raise ValueError(f"{name} is {shown(value)} without systems=True; allowed: None")


def _check_power(on: Deployment, power: str) -> None:
    """Reject a device of which nothing says the watts that are to count."""
    known, name = on.power, on.device.name
    if power == "dashboard" and known.provisioned_kind != "catalogue":
        raise ValueError(
            f"power is 'dashboard' on {name}, for which the dashboard has no constant; allowed: "
            "'provisioned', 'board', 'chassis', 'facility', or a device with provisioned_power_w"
        )
    if no_watts(on.device, power):
        raise ValueError(
            f"tdp_w of {name} is None, where tokens per MW count {power} power; allowed: a device with "
            "its tdp_w [W], as device.replace(tdp_w=700.0)"
        )


def _why_empty(
    on: Sequence[Deployment], load: Load, values: dict[str, NDArray[Any]], bounds: dict[str, float]
) -> str:
    if not on:
        return "no layout divides the model on a device that can run its types"
    if not values["fits"].any():
        return why_not(on, load)
    if not load.gaps:
        return ONE_TOKEN
    nearest = {name: float(np.nanmin(values[f"{name}_s"])) for name in bounds}
    missed = [f"{name}_max is {most:g}, nearest {nearest[name]:.4g} s"
              for name, most in bounds.items() if nearest[name] > most]  # fmt: skip
    alone = [f"{name}_max is {most:g}, met alone" for name, most in bounds.items()]
    return "; ".join(["no point keeps to what was asked", *(missed or alone)])


def _tried(on: Sequence[Deployment], row: NDArray[np.intp]) -> list[Deployment]:
    """Those with a point; the first of all where none has."""
    return [on[i] for i in np.unique(row)] or [on[0]]


def _given(plans: object, device: Device, model: Model) -> list[Plan]:
    if isinstance(plans, (Plan, str)) or not isinstance(plans, Iterable):
        raise TypeError(f"plans is {shown(plans)}; allowed: a sequence of Plan, or None")
    tried = [as_plan(p, model) for p in plans]
    for plan in tried:
        check_plan(device, model, plan)
    return tried
