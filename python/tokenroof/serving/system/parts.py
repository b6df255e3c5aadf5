"""What a system is made of: pools of replicas, and drafts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.dataflow import KINDS
from tokenroof.inference.door import as_device, as_model, as_plan
from tokenroof.records.device import Device
from tokenroof.records.model import Model
from tokenroof.records.plan import Plan
from tokenroof.support.arguments import count, reals, shown, whole_number
from tokenroof.support.names import near_matches
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tokenroof.records.shapes import Shapes

__all__ = [
    "METHODS",
    "MOST_DRAFTS",
    "MOST_REPLICAS",
    "Pool",
    "Speculation",
    "as_pool",
    "as_speculation",
]

#: Tokens that a round drafts at most.
MOST_DRAFTS = 8
#: Replicas of a pool at most.
MOST_REPLICAS = 2**16
#: Who drafts, beside models.
METHODS = ("mtp", "eagle", "ngram")


@dataclass(frozen=True, slots=True)
class Pool:
    """So many replicas of a plan on a device.

    Parameters
    ----------
    device : str or Device
    plan : Plan, optional
        Of one replica; by default one device in the types that the model was released in. Of dataflow chips
        its types alone count.
    count : int
        Replicas [1].
    sequences : int, optional
        Requests that a replica answers at once at most, of all its attention ranks, as an engine's
        ``max_num_seqs`` or ``max_batch_size`` says; further ones wait. By default what the memory holds.
    step_tokens : int, optional
        Tokens of a step of a prefill pool on each attention rank, as an engine's ``max_num_tokens`` or
        chunk says [1]; by default what the engine takes by itself.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown device, a plan that is none, a number that is not 1 and more.

    Examples
    --------
    >>> Pool("H200-SXM", Plan(tp=4), 2).devices
    8
    """

    device: str | Device
    plan: Plan | None = None
    count: int = 1
    sequences: int | None = None
    step_tokens: int | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "device", as_device(self.device))
        if self.plan is not None and not isinstance(self.plan, Plan):
            raise TypeError(f"plan is {shown(self.plan)}; allowed: a Plan, or None")
        put(self, "count", whole_number("count", self.count, 1, MOST_REPLICAS))
        for name in ("sequences", "step_tokens"):
            if getattr(self, name) is not None:
                put(self, name, count(name, getattr(self, name)))

    @property
    def where(self) -> Device:
        """The device's record."""
        assert isinstance(self.device, Device)
        return self.device

    @property
    def layout(self) -> Plan:
        """The plan's record: its layout, whatever the types of a model that is not known yet."""
        return Plan() if self.plan is None else self.plan

    def plan_for(self, model: Model) -> Plan:
        """The plan, or one device in the types that this model was released in.

        Examples
        --------
        >>> Pool("H200-SXM").plan_for(as_model("gpt-oss-120b")).experts
        'mxfp4'
        """
        return as_plan(self.plan, model)

    @property
    def dataflow(self) -> bool:
        """Whether it is of chips that a model is laid out over, layer by layer."""
        return self.where.kind in KINDS

    @property
    def devices(self) -> int:
        """Devices of all its replicas; of dataflow chips, which a load decides, 0."""
        return 0 if self.dataflow else self.count * self.layout.devices

    def label(self, model: Shapes | None = None) -> str:
        """Short name: count, device, plan.

        Parameters
        ----------
        model : Shapes, optional
            What it serves: where it has no experts, nothing is said of theirs.

        Returns
        -------
        str

        Examples
        --------
        >>> Pool("H200-SXM", Plan(tp=4, dp=2), 2).label(as_model("Llama-3.1-8B"))
        '2x H200-SXM tp4 dp2 bf16 kv bf16'
        """
        plan = "one device" if self.plan is None else self.plan.label(model)
        return f"{self.count}x {self.where.name} {plan}"


def as_pool(field: str, given: Any) -> Pool | None:
    """A pool of what `decouple` takes for a site too: a device, or (device, plan, replicas)."""
    if given is None or isinstance(given, Pool):
        return given
    parts = given if isinstance(given, tuple) else (given,)
    plan = parts[1] if len(parts) > 1 else None
    if not 1 <= len(parts) <= 3 or not isinstance(plan, (Plan, type(None))):
        raise ValueError(
            f"{field} is {shown(given)}; allowed: a Pool, a device, (device, plan) or (device, plan, n)"
        )
    if not isinstance(parts[0], (str, Device)):
        raise TypeError(f"{field} has the device {shown(parts[0])}; allowed: a name or a Device")
    return Pool(parts[0], plan, parts[2] if len(parts) > 2 else 1)


@dataclass(frozen=True, slots=True)
class Speculation:
    """Who drafts, how many tokens a round, and how many of them are kept.

    Parameters
    ----------
    method : str or Model
        "mtp": the model's own module; "eagle": a head over its states; "ngram": look-up in what is there;
        or a model that drafts, by name or record.
    drafts : int, optional
        Tokens drafted a round, 0 to 8; 0 is plain decoding. By default as many as `acceptance` has, one of a
        number.
    acceptance : float or sequence of float
        Chance that the token at each position is accepted after those before it, 0 to 1 and nowhere rising;
        one number: of all positions.

    Raises
    ------
    TypeError, ValueError
        For what is no number, a chance beyond 0 to 1 or above the one before it, fewer positions than
        drafts, more than eight drafts.

    Examples
    --------
    >>> round(Speculation("mtp", 3, (0.9, 0.7, 0.5)).tokens, 3)
    2.845
    """

    method: Any = "mtp"
    drafts: int | None = None
    acceptance: Any = 0.8

    def __post_init__(self) -> None:
        put = object.__setattr__
        if not isinstance(self.method, (str, Model)):
            raise TypeError(
                f"method is {shown(self.method)}; allowed: 'mtp', 'eagle', 'ngram', a model's name or record"
            )
        if isinstance(self.method, str) and self.method not in METHODS:
            _check_drafter(self.method)
        given = _falling(self.acceptance)
        number = given.size if self.drafts is None else self.drafts
        put(self, "drafts", whole_number("drafts", number, 0, MOST_DRAFTS))
        if given.ndim and given.size < self.length:
            raise ValueError(
                f"acceptance has {counted(given.size, 'position')} of {self.length} drafts; allowed: one each"
            )
        by_position = given[: self.length] if given.ndim else np.full(self.length, given)
        put(self, "acceptance", tuple(map(float, by_position)))

    @property
    def length(self) -> int:
        """Tokens drafted a round [1]."""
        return self.drafts or 0

    @property
    def tokens(self) -> float:
        """Expected tokens of a round: 1 + a1 + a1 a2 + ... [1]."""
        return float(1.0 + np.cumprod(self.acceptance).sum())

    def label(self) -> str:
        """Short name.

        Examples
        --------
        >>> Speculation("mtp", 3).label()
        '3 drafts by mtp'
        """
        by = self.method if isinstance(self.method, str) else self.method.name
        return f"{counted(self.length, 'draft')} by {by}"


def _check_drafter(method: str) -> None:
    """Reject a word that is neither a way to draft nor a model, with what it looks like."""
    near = near_matches(method, METHODS)
    try:
        as_model(method)
    except KeyError as error:
        hint = f"did you mean {', '.join(map(repr, near))}?" if near else str(error)
        raise ValueError(
            f"method is {shown(method)}; {hint}; allowed: {', '.join(map(repr, METHODS))}, or a model, "
            "by name or record"
        ) from None


def as_speculation(given: Any) -> Speculation | None:
    """The record, of one or of its fields by name."""
    if given is None or isinstance(given, Speculation):
        return given
    if isinstance(given, Mapping):
        wrong = sorted(set(given) - set(Speculation.__annotations__), key=str)
        if wrong:
            raise TypeError(
                f"speculation has {shown(wrong[0])}; allowed: method, drafts, acceptance"
            )
        return Speculation(**given)
    raise TypeError(
        f"speculation is {shown(given)}; allowed: a Speculation, its fields by name, or None"
    )


def _falling(value: ArrayLike) -> Any:
    """Acceptance by position: chances from 0 to 1 that do not rise."""
    given = reals("acceptance", value)
    if given.ndim > 1:
        raise ValueError(
            f"acceptance has {counted(given.ndim, 'dimension')}; allowed: one number, or one a position"
        )
    if (given > 1.0).any():
        raise ValueError(f"acceptance is {given.max():g}; allowed: numbers from 0 to 1")
    rises = np.flatnonzero(np.diff(np.atleast_1d(given)) > 0.0)
    if rises.size:
        at = int(rises[0])
        raise ValueError(
            f"acceptance[{at + 1}] is {given[at + 1]:g} after {given[at]:g}; allowed: none above the "
            "one before"
        )
    return given
