"""Two systems at one objective: what differs between them, and which seconds make the difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from tokenroof.inference.door import as_device, as_model
from tokenroof.inference.step import CAUSES, GROUPS, decode, prefill
from tokenroof.records.device import Device
from tokenroof.records.plan import Plan
from tokenroof.serving.comparing_chips import ADDED, beside, chips_of_offers, of_layout
from tokenroof.serving.curve import curve
from tokenroof.serving.frontier import points
from tokenroof.serving.loads import as_load
from tokenroof.serving.offer import Offer
from tokenroof.serving.plans import default_plans
from tokenroof.serving.system import Pool, System
from tokenroof.serving.system.terms import rounds
from tokenroof.support.arguments import check_options, finite_number, shown
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.model import Model
    from tokenroof.serving.columns import Columns

__all__ = ["Offer", "SystemComparison", "compare"]

#: Relative differences below this are roundings.
_EQUAL = 1e-9


class Options(TypedDict, total=False):
    """What `compare` takes beside the systems; documented there."""

    input_tokens: float
    output_tokens: float
    ttft_max: float | None
    devices_max: int | None
    engine: str
    power: str
    fidelity: str | Calibration
    chips: Any


@by_value
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
    def ratio_range(self) -> tuple[float, float]:
        """Ends of `ratio`, where one yields least and the other most, and the other way round [1]."""
        a, b = self.one, self.other
        return a.per_mw_low / b.per_mw_high, a.per_mw_high / b.per_mw_low

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
        where = f"{self.other.label} at {self.speed:g} token/s a user"
        if all(abs(np.log(factor)) < _EQUAL for factor in self.factors.values()):
            return f"{self.one.label} and {where} are equal{self._in_step}"
        name, factor = max(self.factors.items(), key=lambda item: abs(np.log(item[1])))
        ratio, (low, high) = self.ratio, self.ratio_range
        more = "more" if ratio >= 1.0 else "less"
        if ratio < 1.0:  # the ends of what is said: of the other over the first
            ratio, low, high = 1.0 / ratio, 1.0 / high, 1.0 / low
        ends = f"{low:.2f} to {high:.2f} by the bands" if low == low else "band unknown"
        return (
            f"{self.one.label} yields {ratio:.2f} times {more} per MW ({ends}) than {where}: most by {name} "
            f"({factor:.2f}){self._in_step}"
        )

    @property
    def _in_step(self) -> str:
        """The operator and the cause that steps differ most by, in words."""
        operator, seconds = next(iter(self.operators.items()))
        cause, waits = next(iter(self.causes.items()))
        if max(abs(seconds), abs(waits)) < _EQUAL * max(sum(self.one.causes.values()), 1e-12):
            return "; their steps take the same"
        also = "" if cause == operator else f" and {cause} ({waits * 1e3:+.2f} ms)"
        return f"; a step differs most by {operator} ({seconds * 1e3:+.2f} ms){also}"


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
    chips : str, Device or a pair of them, optional
        Dataflow chips that may stand beside the devices of both, or of each, None: none; where a device with
        them yields more than without (`beside_lpx`), by the middles of their ranges.

    Returns
    -------
    SystemComparison

    Raises
    ------
    KeyError, ValueError, TypeError
        As `frontier` and `curve`; for a system whose dataflow chips answer, or draft for several replicas;
        where nothing keeps to the objective, with what comes nearest.

    Examples
    --------
    >>> found = compare("B200-SXM", "H200-SXM", "Llama-3.1-8B", speed=100, devices_max=1)
    >>> bool(found.ratio > 1.0), round(float(np.prod(list(found.factors.values())) / found.ratio), 6)
    (True, 1.0)
    """
    check_options("compare", options, Options)
    least = finite_number("speed", speed, above=True)
    m = as_model(model)
    chips = chips_of_offers(options.pop("chips", None), options.get("power", "provisioned"))
    offers = [
        _offer(name, given, m, least, options, far)
        for name, given, far in (("one", one, chips[0]), ("other", other, chips[1]))
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
        return given.where, given.plan
    parts = given if isinstance(given, tuple) else (given, None)
    if len(parts) != 2 or not isinstance(parts[1], (Plan, type(None))):
        raise TypeError(
            f"{name} is {shown(given)}; allowed: a device, (device, plan), a Pool or a System"
        )
    return as_device(parts[0]), parts[1]


def _of_system(name: str, system: System, model: Model, speed: float, options: Options) -> Offer:
    """The best requests in flight of a system, as its curve has them."""
    last = system.both or system.decode
    if any(pool.dataflow for pool in system.pools.values()):
        return _of_chips(name, system, model, speed, options)
    assert last is not None
    sizes = options.get("input_tokens", 1024), options.get("output_tokens", 1024)
    users = np.unique(np.round(np.geomspace(1, 16384 * last.count, 96)))
    how: dict[str, Any] = {k: options[k] for k in ("power", "fidelity") if k in options}
    table = curve(system, model, None, *sizes, users, **how)
    if table.attrs["reason"]:  # nothing fits, or there is no speed
        raise ValueError(f"{name} is {system.label(model)}: {table.attrs['reason']}")
    wait = options.get("ttft_max")
    fast = table.interactivity.values >= speed
    seen = np.where(fast, table.ttft_s.values, np.nan)
    if not fast.any():
        raise ValueError(
            f"{name} is {system.label(model)}: speed is {speed:g} token/s a user; allowed: at most "
            f"{float(table.interactivity.max()):.3g}, its fastest point"
        )
    if wait is not None and not (seen <= wait).any():
        raise ValueError(
            f"{name} is {system.label(model)}: ttft_max is {shown(wait)} at {speed:g} token/s a user; "
            f"allowed: at least {np.nanmin(seen):.3g} s"
        )
    kept = fast if wait is None else seen <= wait
    at = int(np.nanargmax(np.where(kept, table.output_tokens_per_s_per_mw.values, np.nan)))
    v = {str(n): table[n].values[at].item() for n in table.data_vars} | {"concurrency": users[at]}
    where = str(table.attrs["calibrated_on"])
    return _described_system(v, system, model, as_load(*sizes).context, sizes[0], where, options)


def _described_system(
    v: dict[str, Any],
    system: System,
    model: Model,
    context: float,
    prompt: float,
    where: str,
    options: Options,
) -> Offer:
    fidelity = options.get("fidelity", "calibrated")
    last, first = system.both or system.decode, system.both or system.prefill
    batch = v["batch"] / last.count
    step = decode(
        last.where, model, last.plan_for(model), batch=batch, context=context, fidelity=fidelity
    )
    on = system.deployments(model, fidelity)
    one = on.get("both") or on["decode"]
    some = rounds(one, np.array([batch]), context, [system.speculation], fidelity).first()
    drafts = float((some.seconds / some.tokens)[0]) - float(step.time_s)
    added = dict.fromkeys(ADDED, 0.0)
    added |= {"prompts": v["tpot_s"] - float(step.time_s) - drafts, "drafts": drafts}
    parts = step.breakdown()
    alone = prefill(first.where, model, first.plan_for(model), tokens=prompt, fidelity=fidelity)
    of_prompt, per_mw = alone.breakdown()["operator"], v["output_tokens_per_s_per_mw"]
    return Offer(
        system.label(model), float(v["devices"]), float(v["concurrency"]), v["batch"], v["interactivity"],
        v["ttft_s"], v["per_device"], per_mw, v["per_device"] / per_mw * 1e6, v["error_band"],
        {name: float(parts["operator"][name]) for name in GROUPS} | added,
        {name: float(parts["cause"][name]) for name in CAUSES} | added,
        {name: float(of_prompt[name]) for name in GROUPS}, calibrated_on=where,
    )  # fmt: skip


def _of_chips(name: str, system: System, model: Model, speed: float, options: Options) -> Offer:
    """A system whose dataflow chips hold experts, or draft for a replica."""
    found = of_layout(system, model)
    if found is None:
        raise ValueError(
            f"{name} is {system.label(model)}; allowed: a System whose dataflow chips hold experts, or draft "
            "for one replica, or without them, or a device"
        )
    device, plan, far, how = found
    try:
        return Offer(**beside(device, plan, far, model, speed, options, how))
    except ValueError as error:
        raise ValueError(f"{name} is {system.label(model)}: {error}") from None


def _offer(
    name: str, given: Any, model: Model, speed: float, options: Options, far: Device | None = None
) -> Offer:
    system = _whole(given)
    if system is not None:
        return _of_system(name, system, model, speed, options)
    device, plan = _site(name, given)
    if far is None:
        return _alone(name, device, plan, model, speed, options)
    found, why = list[Offer](), list[str]()
    try:
        found.append(Offer(**beside(device, plan, far, model, speed, options, {})))
    except ValueError as error:
        why.append(f"{name} is {device.name} with {far.name}: {error}")
    try:
        found.append(_alone(name, device, plan, model, speed, options))
    except ValueError as error:
        why.append(str(error))
    if not found:
        raise ValueError("; ".join(why))
    return max(found, key=lambda offer: offer.per_mw)


def _alone(
    name: str, device: Device, plan: Plan | None, model: Model, speed: float, options: Options
) -> Offer:
    """A device without chips, with its best plan or the one that is given."""
    load = as_load(options.get("input_tokens", 1024), options.get("output_tokens", 1024))
    how: dict[str, Any] = {
        k: v for k, v in options.items() if k not in ("input_tokens", "output_tokens", "ttft_max")
    }
    wait = options.get("ttft_max")
    front = points(
        device, model, None if plan is None else [plan], load.input_tokens, load.output_tokens,
        tpot_max=1.0 / speed, ttft_max=wait, **how,
    )  # fmt: skip
    if not front.sizes["point"]:
        raise ValueError(
            f"{name} is {device.name}: {_nearest(device, model, plan, load, speed, wait, how)}"
        )
    at = int(front["output_tokens_per_s_per_mw"].values.argmax())
    return _described(front, at, device, model, plan, load, options)


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
    free = points(device, model, plans, *sizes, **how)
    if not free.sizes["point"]:
        return str(free.attrs["reason"])
    fastest = float(free["interactivity"].values.max())
    if fastest < speed:
        return (
            f"speed is {speed:g} token/s a user; allowed: at most {fastest:.3g}, its fastest point"
        )
    fast = points(device, model, plans, *sizes, tpot_max=1.0 / speed, **how)
    least = float(fast["ttft_s"].values.min())
    return f"ttft_max is {shown(wait)} at {speed:g} token/s a user; allowed: at least {least:.3g} s"


def _described(
    front: Columns,
    at: int,
    device: Device,
    model: Model,
    plan: Plan | None,
    load: Any,
    options: Options,
) -> Offer:
    v = {name: column.values[at].item() for name, column in front.data_vars.items()}
    chosen = plan if plan is not None else _plan_of(v, device, model, options)
    fidelity = options.get("fidelity", "calibrated")
    step = decode(device, model, chosen, batch=v["batch"], context=load.context, fidelity=fidelity)
    alone = prefill(device, model, chosen, tokens=load.input_tokens, fidelity=fidelity)
    parts, of_prompt = step.breakdown(), alone.breakdown()
    added = dict.fromkeys(ADDED, 0.0) | {"prompts": v["tpot_s"] - float(step.time_s)}
    operators = {name: float(parts["operator"][name]) for name in GROUPS} | added
    causes = {name: float(parts["cause"][name]) for name in CAUSES} | added
    per_mw = v["output_tokens_per_s_per_mw"]
    return Offer(
        f"{device.name} {chosen.label(model)}", float(v["devices"]), float(v["concurrency"]), v["batch"],
        v["interactivity"], v["ttft_s"], v["per_device"], per_mw, v["per_device"] / per_mw * 1e6,
        v["error_band"], operators, causes,
        {name: float(of_prompt["operator"][name]) for name in GROUPS}, calibrated_on=step.calibrated_on,
    )  # fmt: skip


def _plan_of(v: dict[str, Any], device: Device, model: Model, options: Options) -> Plan:
    """The default plan that a point's label names, and that has its devices."""
    tried = default_plans(device, model, options.get("devices_max"), options.get("engine", "vllm"))
    label, devices = v["plan"], v["devices"]
    return next(p for p in tried if p.label(model) == label and p.devices == devices)
