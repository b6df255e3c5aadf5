"""Two systems at one objective: what differs between them, and which seconds make the difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from tokenroof.inference.door import as_device, as_model
from tokenroof.inference.step import CAUSES, GROUPS, decode, prefill
from tokenroof.records.device import Device
from tokenroof.records.plan import Plan
from tokenroof.serving.curve import curve
from tokenroof.serving.frontier import frontier
from tokenroof.serving.loads import as_load
from tokenroof.serving.plans import default_plans
from tokenroof.serving.system import Pool, System
from tokenroof.serving.system.terms import rounds
from tokenroof.support.arguments import check_options, finite_number

if TYPE_CHECKING:
    import xarray as xr

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.model import Model

__all__ = ["Offer", "SystemComparison", "compare"]


class Options(TypedDict, total=False):
    """What `compare` takes beside the systems; documented there."""

    input_tokens: float
    output_tokens: float
    ttft_max: float | None
    devices_max: int | None
    engine: str
    power: str
    fidelity: str | Calibration


@dataclass(frozen=True)
class Offer:
    """What one system gives at the objective.

    Attributes
    ----------
    label : str
        Device and plan, or the system's.
    devices, concurrency, batch : float
        Of a replica, or of the system; sequences that decode [1].
    interactivity, ttft_s, per_device, per_mw : float
        Tokens per second of one user [token/s]; time to the first token [s]; output tokens per second of a
        device and of a MW [token/s].
    watts_per_device : float
        By the convention that was asked for [W].
    error_band : float
    operators, causes : dict
        Seconds of a token by operator and by cause [s]: of a decode step, of ``prompts`` what those of others
        add to it, of ``drafts`` what a round's part of a token takes longer, less than zero where it saves.
    prompt_operators : dict
        Seconds of one prompt by operator [s].
    """

    label: str
    devices: float
    concurrency: float
    batch: float
    interactivity: float
    ttft_s: float
    per_device: float
    per_mw: float
    watts_per_device: float
    error_band: float
    operators: dict[str, float]
    causes: dict[str, float]
    prompt_operators: dict[str, float]


@dataclass(frozen=True)
class SystemComparison:
    """Two systems at one objective.

    Attributes
    ----------
    one, other : Offer
    model : str
    speed : float
        Tokens per second that each user gets at least [token/s].
    """

    one: Offer
    other: Offer
    model: str
    speed: float

    @property
    def ratio(self) -> float:
        """Tokens per second and MW of the first over those of the second [1]."""
        return self.one.per_mw / self.other.per_mw

    @property
    def factors(self) -> dict[str, float]:
        """What the ratio is a product of: sequences a device, tokens of each, and watts of a device [1].

        What a sequence in flight yields is its speed, less for the time to its first token.
        """
        a, b = self.one, self.other
        users = (a.concurrency / a.devices) / (b.concurrency / b.devices)
        each = (a.per_device * a.devices / a.concurrency) / (
            b.per_device * b.devices / b.concurrency
        )
        return {"sequences per device": users, "tokens of a sequence": each,
                "watts of a device": b.watts_per_device / a.watts_per_device}  # fmt: skip

    @property
    def operators(self) -> dict[str, float]:
        """Seconds that a decode step of the first takes longer, by operator, the largest first [s]."""
        return _apart(self.one.operators, self.other.operators)

    @property
    def causes(self) -> dict[str, float]:
        """The same by cause [s]."""
        return _apart(self.one.causes, self.other.causes)

    @property
    def why(self) -> str:
        """In a sentence: the largest factor, and the operator and cause that a step differs by most."""
        name, factor = max(self.factors.items(), key=lambda item: abs(np.log(item[1])))
        operator, seconds = next(iter(self.operators.items()))
        cause, waits = next(iter(self.causes.items()))
        more = "more" if self.ratio >= 1.0 else "less"
        return (
            f"{self.one.label} yields {max(self.ratio, 1 / self.ratio):.2f} times {more} per MW than "
            f"{self.other.label} at {self.speed:g} token/s a user: most by {name} ({factor:.2f}); a step "
            f"differs most by {operator} ({seconds * 1e3:+.2f} ms) and {cause} ({waits * 1e3:+.2f} ms)"
        )


def _apart(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    found = {name: one[name] - other[name] for name in one}
    return dict(sorted(found.items(), key=lambda item: -abs(item[1])))


def compare(
    one: Any, other: Any, model: str | Model, speed: float = 50.0, **options: Unpack[Options]
) -> SystemComparison:
    """Two systems at the same speed per user: yields, what they are a product of, seconds of their steps.

    Parameters
    ----------
    one, other : str, Device, (device, plan), Pool or System
        A device has its best plan, by tokens per MW, among those that keep to the objective; a system, with
        its pools, replicas and drafts, the requests in flight that are best.
    model : str or Model
    speed : float
        Tokens per second that each user gets at least [token/s].
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer, 1,024 by default [1].
    ttft_max : float, optional
        Longest mean time to the first token [s].
    devices_max, engine, power, fidelity
        As in `frontier`.

    Returns
    -------
    SystemComparison

    Raises
    ------
    KeyError, ValueError, TypeError
        As `frontier` and `curve`; for a system with dataflow chips; where nothing keeps to the objective,
        with what comes nearest.

    Examples
    --------
    >>> found = compare("B200-SXM", "H200-SXM", "Llama-3.1-8B", speed=100, devices_max=1)
    >>> bool(found.ratio > 1.0), round(float(np.prod(list(found.factors.values())) / found.ratio), 6)
    (True, 1.0)
    """
    check_options("compare", options, Options)
    least = finite_number("speed", speed, above=True)
    m = as_model(model)
    offers = [
        _offer(name, given, m, least, options) for name, given in (("one", one), ("other", other))
    ]
    return SystemComparison(offers[0], offers[1], m.name, least)


def _whole(given: Any) -> System | None:
    """What is more than one replica without drafts: a system that is taken as it is."""
    if isinstance(given, Pool) and (given.count > 1 or given.sequences):
        given = System(both=given)
    if not isinstance(given, System):
        return None
    pool = given.both
    drafts = given.speculation is not None and given.speculation.length
    plain = pool is not None and pool.count == 1 and not pool.sequences and len(given.pools) == 1
    return None if plain and not drafts else given


def _site(name: str, given: Any) -> tuple[Device, Plan | None]:
    """Device and plan of what a caller gave."""
    if isinstance(given, System):
        given = given.both
    if isinstance(given, Pool):
        return given.where, given.layout
    parts = given if isinstance(given, tuple) else (given, None)
    if len(parts) != 2 or not isinstance(parts[1], (Plan, type(None))):
        raise TypeError(
            f"{name} is {given!r}; allowed: a device, (device, plan), a Pool or a System"
        )
    return as_device(parts[0]), parts[1]


def _of_system(name: str, system: System, model: Model, speed: float, options: Options) -> Offer:
    """The best requests in flight of a system, as its curve has them."""
    last = system.both or system.decode
    if last is None or any(pool.dataflow for pool in system.pools.values()):
        raise ValueError(
            f"{name} is {system.label()}; allowed: a System whose pools have no dataflow chips, or a device"
        )
    sizes = options.get("input_tokens", 1024), options.get("output_tokens", 1024)
    users = np.unique(np.round(np.geomspace(1, 16384 * last.count, 96)))
    how: dict[str, Any] = {k: options[k] for k in ("power", "fidelity") if k in options}
    table = curve(system, model, None, *sizes, users, **how)
    if table.attrs["reason"]:  # nothing fits, or there is no speed
        raise ValueError(f"{name} is {system.label()}: {table.attrs['reason']}")
    wait = options.get("ttft_max")
    fast = table.interactivity.values >= speed
    seen = np.where(fast, table.ttft_s.values, np.nan)
    if not fast.any():
        raise ValueError(
            f"{name} is {system.label()}: speed is {speed:g} token/s a user; allowed: at most "
            f"{float(table.interactivity.max()):.3g}, its fastest point"
        )
    if wait is not None and not (seen <= wait).any():
        raise ValueError(
            f"{name} is {system.label()}: ttft_max is {wait!r} at {speed:g} token/s a user; allowed: at "
            f"least {np.nanmin(seen):.3g} s"
        )
    kept = fast if wait is None else seen <= wait
    at = int(np.nanargmax(np.where(kept, table.output_tokens_per_s_per_mw.values, np.nan)))
    v = {str(n): table[n].values[at].item() for n in table.data_vars} | {"concurrency": users[at]}
    return _described_system(v, system, model, as_load(*sizes).context, sizes[0], options)


def _described_system(
    v: dict[str, Any], system: System, model: Model, context: float, prompt: float, options: Options
) -> Offer:
    fidelity = options.get("fidelity", "calibrated")
    last, first = system.both or system.decode, system.both or system.prefill
    batch = v["batch"] / last.count
    step = decode(last.where, model, last.layout, batch=batch, context=context, fidelity=fidelity)
    on = system.deployments(model, fidelity)
    one = on.get("both") or on["decode"]
    some = rounds(one, np.array([batch]), context, [system.speculation], fidelity).first()
    drafts = float((some.seconds / some.tokens)[0]) - float(step.time_s)
    added = {"prompts": v["tpot_s"] - float(step.time_s) - drafts, "drafts": drafts}
    parts = step.breakdown()
    alone = prefill(first.where, model, first.layout, tokens=prompt, fidelity=fidelity)
    of_prompt, per_mw = alone.breakdown()["operator"], v["output_tokens_per_s_per_mw"]
    return Offer(
        system.label(), float(v["devices"]), float(v["concurrency"]), v["batch"], v["interactivity"],
        v["ttft_s"], v["per_device"], per_mw, v["per_device"] / per_mw * 1e6, v["error_band"],
        {name: float(parts["operator"][name]) for name in GROUPS} | added,
        {name: float(parts["cause"][name]) for name in CAUSES} | added,
        {name: float(of_prompt[name]) for name in GROUPS},
    )  # fmt: skip


def _offer(name: str, given: Any, model: Model, speed: float, options: Options) -> Offer:
    system = _whole(given)
    if system is not None:
        return _of_system(name, system, model, speed, options)
    device, plan = _site(name, given)
    load = as_load(options.get("input_tokens", 1024), options.get("output_tokens", 1024))
    how: dict[str, Any] = {
        k: v for k, v in options.items() if k not in ("input_tokens", "output_tokens", "ttft_max")
    }
    wait = options.get("ttft_max")
    front = frontier(
        device, model, None if plan is None else [plan], load.input_tokens, load.output_tokens,
        tpot_max=1.0 / speed, ttft_max=wait, **how,
    )  # fmt: skip
    if not front.sizes["point"]:
        raise ValueError(
            f"{name} is {device.name}: {_nearest(device, model, plan, load, speed, wait, how)}"
        )
    at = int(front["output_tokens_per_s_per_mw"].values.argmax())
    return _described(front.isel(point=at), device, model, plan, load, options)


def _nearest(
    device: Device,
    model: Model,
    plan: Plan | None,
    load: Any,
    speed: float,
    wait: float | None,
    how: dict[str, Any],
) -> str:
    """Which of the objective's two cannot be kept, and what comes nearest."""
    plans = None if plan is None else [plan]
    sizes = load.input_tokens, load.output_tokens
    free = frontier(device, model, plans, *sizes, **how)
    if not free.sizes["point"]:
        return str(free.attrs["reason"])
    fastest = float(free["interactivity"].max())
    if fastest < speed:
        return (
            f"speed is {speed:g} token/s a user; allowed: at most {fastest:.3g}, its fastest point"
        )
    fast = frontier(device, model, plans, *sizes, tpot_max=1.0 / speed, **how)
    least = float(fast["ttft_s"].min())
    return f"ttft_max is {wait!r} at {speed:g} token/s a user; allowed: at least {least:.3g} s"


def _described(
    point: xr.Dataset, device: Device, model: Model, plan: Plan | None, load: Any, options: Options
) -> Offer:
    v = {name: point[name].item() for name in point.data_vars}
    chosen = plan if plan is not None else _plan_of(point, device, model, options)
    fidelity = options.get("fidelity", "calibrated")
    step = decode(device, model, chosen, batch=v["batch"], context=load.context, fidelity=fidelity)
    alone = prefill(device, model, chosen, tokens=load.input_tokens, fidelity=fidelity)
    parts, of_prompt = step.breakdown(), alone.breakdown()
    added = {"prompts": v["tpot_s"] - float(step.time_s), "drafts": 0.0}
    operators = {name: float(parts["operator"][name]) for name in GROUPS} | added
    causes = {name: float(parts["cause"][name]) for name in CAUSES} | added
    per_mw = v["output_tokens_per_s_per_mw"]
    return Offer(
        f"{device.name} {chosen.label()}", float(v["devices"]), float(v["concurrency"]), v["batch"],
        v["interactivity"], v["ttft_s"], v["per_device"], per_mw, v["per_device"] / per_mw * 1e6,
        v["error_band"], operators, causes,
        {name: float(of_prompt["operator"][name]) for name in GROUPS},
    )  # fmt: skip


def _plan_of(point: xr.Dataset, device: Device, model: Model, options: Options) -> Plan:
    """The default plan that a point's label names, and that has its devices."""
    tried = default_plans(device, model, options.get("devices_max"), options.get("engine", "vllm"))
    label, devices = point["plan"].item(), point["devices"].item()
    return next(p for p in tried if p.label() == label and p.devices == devices)
