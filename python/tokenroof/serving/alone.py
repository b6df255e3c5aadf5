"""What limits the speed of one user: bytes, arithmetic, transfers, and what lies between kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference.door import as_device, as_model, check_context, checked, resolved
from tokenroof.inference.speculative.rounds import decode
from tokenroof.serving.loads import Load
from tokenroof.serving.plans import default_plans
from tokenroof.serving.room import why_not
from tokenroof.support.arguments import amounts, check_options, reals, shown
from tokenroof.support.equality import by_value
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan

__all__ = ["CAUSES", "OneUser", "one_user"]

#: What a step of one user consists of, in the order of `OneUser.seconds`.
CAUSES = ("memory", "arithmetic", "transfers", "replay", "collectives", "host", "launches")
_STEP = {name: i for i, name in enumerate(_core.STEP_FIELDS)}
_TERM = {name: i for i, name in enumerate(_core.SERVING_TERMS)}
_CONSTANT = {
    name: _core.CALIBRATION_FIELDS.index(f"engine.{name}")
    for name in ("kernel_gap", "collective_gap", "sequence", "prefill_kernel")
}


class Rounds(TypedDict, total=False):
    """How it speculates, as `tokenroof.speculative.decode` takes it."""

    draft: str | Model | float
    acceptance: Any
    length: ArrayLike


@by_value
@dataclass(frozen=True)
class OneUser:
    """One user alone on a replica.

    Attributes
    ----------
    device, model : str
    plan : Plan
        The fastest of those that were tried.
    seconds : dict
        A decode step by cause, whose sum it is [s]: ``memory`` and ``arithmetic`` of the kernels;
        ``transfers`` between devices; ``replay``, what lies between kernels of a replayed graph;
        ``collectives``, what one waits at an all-reduce or an exchange of experts beside its bytes; ``host``,
        sampling and the scheduler; and ``launches``, what a device's kernels take to start.
    step_s : float
        Their sum [s].
    unreplayed_s : float
        A step without a graph: at least what the host takes to launch its kernels [s].
    kernels, collectives : float
        Of a step [1].
    length : int
        Drafts of a round at which the user is fastest; 0: plain decoding [1].
    tokens : float
        Tokens of such a round [1].
    speed, low, high : float
        Output tokens per second, and the ends of its band [token/s].
    error_band : float
    calibrated_on : str
    """

    device: str
    model: str
    plan: Plan
    seconds: dict[str, float]
    step_s: float
    unreplayed_s: float
    kernels: float
    collectives: float
    length: int
    tokens: float
    speed: float
    low: float
    high: float
    error_band: float
    calibrated_on: str

    @property
    def shares(self) -> dict[str, float]:
        """Each cause's share of a step [1]."""
        return {name: s / self.step_s for name, s in self.seconds.items()}

    @property
    def bound(self) -> str:
        """The cause of the most seconds."""
        return max(self.seconds, key=lambda name: self.seconds[name])


def one_user(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    context: float = 1024.0,
    engine: str = "vllm",
    devices_max: int | None = None,
    fidelity: str | Calibration = "calibrated",
    **rounds: Unpack[Rounds],
) -> OneUser:
    """The speed of one user alone, and what limits it.

    Parameters
    ----------
    device, model : str or record
    plan : Plan, optional
        By default the fastest of `default_plans`.
    context : float
        Tokens in cache [1].
    engine : str
        Of the plans that are tried.
    devices_max : int, optional
        Of these plans; as `default_plans`.
    fidelity : {"calibrated", "datasheet"} or Calibration
    draft, acceptance, length
        How it speculates, as `tokenroof.speculative.decode` takes it: plain decoding without `draft`; of
        several lengths the best counts, 0 among them.

    Returns
    -------
    OneUser

    Raises
    ------
    KeyError, ValueError, TypeError
        As `tokenroof.decode` and `tokenroof.speculative.decode`; where no plan fits, with what is needed; for
        lengths or an acceptance without a draft.

    Examples
    --------
    >>> alone = one_user("H200-SXM", "Llama-3.1-8B", devices_max=8)
    >>> alone.plan.tp, alone.bound, bool(alone.low < alone.speed < alone.high)
    (8, 'replay', True)
    """
    check_options("one_user", rounds, Rounds)
    d, m = as_device(device), as_model(model)
    x = amounts("context", context)
    if x.ndim:
        raise ValueError(f"context has {counted(x.ndim, 'dimension')}; allowed: one number")
    check_context(m, "context", float(x))
    tried = default_plans(d, m, devices_max, engine) if plan is None else None
    if tried is not None and not tried:
        raise ValueError(f"device is {d.name}; allowed: one on which a layout divides {m.name}")
    on = checked(d, m, [plan], fidelity) if tried is None else resolved(d, m, tried, fidelity)
    found = [one for one in on if _fits(one, float(x))]
    if not found:
        raise ValueError(why_not(on, Load(max(float(x), 1.0), 1.0)))
    steps = np.array([float(kernels.decode_time(*one.records, 1.0, x)) for one in found])
    best = found[int(steps.argmin())]
    length, tokens, seconds = _rounds(best, float(x), rounds)
    return _described(best, float(x), length, tokens, seconds)


def _fits(on: Deployment, context: float) -> bool:
    served = kernels.serving_terms(*on.records, 1.0, max(context, 1.0), 1.0)
    return bool(served[..., _TERM["slots"]] >= 1.0)


def _rounds(on: Deployment, context: float, rounds: Rounds) -> tuple[int, float, float]:
    """Drafts, tokens and seconds of the round at which a user is fastest."""
    if "draft" not in rounds:
        given = sorted(rounds)
        if given:
            value: object = rounds[given[0]]  # type: ignore[literal-required]
            raise ValueError(f"{given[0]} is {shown(value)} without draft; allowed: a draft")
        return 0, 1.0, float(kernels.decode_time(*on.records, 1.0, context))
    lengths = np.unique(np.append(reals("length", rounds.get("length", np.arange(9.0))), 0.0))
    found = decode(
        on.device, on.model, on.plan, draft=rounds["draft"], length=lengths, batch=1.0, context=context,
        acceptance=rounds.get("acceptance", 0.8), fidelity=on.calibration,
    )  # fmt: skip
    best = int(found.best())
    return int(lengths[best]), float(found.expected_tokens[best]), float(found.round_s[best])


def _described(
    on: Deployment, context: float, length: int, tokens: float, seconds: float
) -> OneUser:
    d, c, m, p = on.records
    step = kernels.decode_step(d, c, m, p, 1.0, context)
    terms = kernels.serving_terms(d, c, m, p, 1.0, max(context, 1.0), 1.0)
    many, joint = float(terms[_TERM["kernels"]]), float(terms[_TERM["collectives"]])
    gaps = {name: float(c[i]) for name, i in _CONSTANT.items()}
    causes = {name: float(step[_STEP[f"{name}_s"]])
              for name in ("memory", "compute", "communication", "launch")}  # fmt: skip
    waiting = float(terms[_TERM["waiting"]])
    replay, waits = waiting * gaps["kernel_gap"], joint * gaps["collective_gap"]
    host = gaps["sequence"] * float(terms[_TERM["sequences"]])
    parts = (
        causes["memory"], causes["compute"], causes["communication"], replay, waits, host,
        max(causes["launch"] - replay - waits - host, 0.0),
    )  # fmt: skip
    whole = float(step[_STEP["time"]])
    band = on.calibration.error_band
    speed = tokens / seconds
    return OneUser(
        on.device.name, on.model.name, on.plan, dict(zip(CAUSES, parts, strict=True)), whole,
        max(whole, many * gaps["prefill_kernel"]), many, joint, length, tokens, speed,
        speed / (1.0 + band), speed * (1.0 + band), band, on.calibration.calibrated_on,
    )  # fmt: skip
