"""What a system is made of: pools of replicas, links between them, drafts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.dataflow import KINDS
from tokenroof.inference.door import as_device, as_plan
from tokenroof.inference.estimates import Range
from tokenroof.records.device import Device
from tokenroof.records.model import Model
from tokenroof.records.plan import Plan
from tokenroof.support.arguments import count, reals, whole_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ROLES", "Drafts", "Link", "Pool"]

#: What a pool may do for a request.
ROLES = ("both", "prefill", "decode", "attention", "experts", "draft")


@dataclass(frozen=True, slots=True)
class Pool:
    """So many replicas of a plan on a device, and what they do for a request.

    Parameters
    ----------
    device : str or Device
    plan : Plan, optional
        Of one replica; one device in bf16 by default. Of dataflow chips its types alone count.
    count : int
        Replicas [1].
    role : {"both", "prefill", "decode", "attention", "experts", "draft"}
        Whole requests; prompts alone; answers alone; of answers the attention, or MLPs and experts; drafts.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown device or role, a plan that is none, a count that is not 1 and more.

    Examples
    --------
    >>> Pool("H200-SXM", Plan(tp=4), 2, "decode").devices
    8
    """

    device: str | Device
    plan: Plan | None = None
    count: int = 1
    role: str = "both"

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "device", as_device(self.device))
        put(self, "plan", as_plan(self.plan))
        put(self, "count", count("count", self.count))
        if self.role not in ROLES:
            raise ValueError(f"role is {self.role!r}; allowed: {', '.join(ROLES)}")

    @property
    def where(self) -> Device:
        """The device's record."""
        assert isinstance(self.device, Device)
        return self.device

    @property
    def layout(self) -> Plan:
        """The plan's record."""
        assert self.plan is not None
        return self.plan

    @property
    def dataflow(self) -> bool:
        """Whether it is of chips that a model is laid out over, layer by layer."""
        return self.where.kind in KINDS

    @property
    def devices(self) -> int:
        """Devices of all its replicas; of dataflow chips as many as are counted when it is evaluated: 0."""
        return 0 if self.dataflow else self.count * self.layout.devices

    def label(self) -> str:
        """Short name: count, device, plan.

        Examples
        --------
        >>> Pool("H200-SXM", Plan(tp=4), 2, "decode").label()
        'decode 2x H200-SXM tp4 bf16 kv bf16'
        """
        role = "" if self.role == "both" else f"{self.role} "
        return f"{role}{self.count}x {self.where.name} {self.layout.label()}"


@dataclass(frozen=True, slots=True)
class Link:
    """What caches or hidden states cross between two pools.

    Parameters
    ----------
    bandwidth : float, (low, mid, high) or Range, optional
        One way, per device of the side with fewer [B/s]; by default what the pools' devices have, or where
        that is unknown the catalogue's range.
    hop_s : float, (low, mid, high) or Range, optional
        Latency of a transfer [s]; the catalogue's range by default.

    Raises
    ------
    TypeError, ValueError
        For what is no number or range, a bandwidth that is not above zero, a negative latency.

    Examples
    --------
    >>> Link(bandwidth=5e10).bandwidth.mid
    50000000000.0
    """

    bandwidth: Any = None
    hop_s: Any = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.bandwidth is not None:
            rate = Range.of("bandwidth", self.bandwidth, "decouple_link_bandwidth")
            if not rate.low > 0.0:
                raise ValueError(f"bandwidth of the link is {rate.low:g}; allowed: numbers > 0")
            put(self, "bandwidth", rate)
        hop = Range.of("hop_s", self.hop_s, "decouple_hop_s")
        if hop.low < 0.0:
            raise ValueError(f"hop_s of the link is {hop.low:g}; allowed: numbers >= 0")
        put(self, "hop_s", hop)


@dataclass(frozen=True, slots=True)
class Drafts:
    """Speculation: who drafts, how many tokens a round, and how many of them are kept.

    Parameters
    ----------
    method : str or Model
        "mtp": the model's own module; "ngram": look-up in what is there; a model, by name or record; or of
        a pool with the role "draft", the model that it runs.
    drafts : int
        Tokens drafted a round, 0 to 8; 0 is plain decoding.
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
    >>> round(Drafts("mtp", 3, (0.9, 0.7, 0.5)).tokens, 3)
    2.845
    """

    method: Any = "mtp"
    drafts: int = 1
    acceptance: Any = 0.8

    def __post_init__(self) -> None:
        put = object.__setattr__
        if not isinstance(self.method, (str, Model)):
            raise TypeError(
                f"method is {self.method!r}; allowed: 'mtp', 'ngram', a model's name or record"
            )
        put(self, "drafts", whole_number("drafts", self.drafts, 0, 8))
        put(self, "acceptance", falling(self.acceptance, self.drafts))

    @property
    def tokens(self) -> float:
        """Expected tokens of a round: 1 + a1 + a1 a2 + ... [1]."""
        return float(1.0 + np.cumprod(self.acceptance).sum())


def falling(value: ArrayLike, drafts: int) -> tuple[float, ...]:
    """Acceptance by position, so many: chances from 0 to 1 that do not rise."""
    given = reals("acceptance", value)
    if given.ndim > 1:
        raise ValueError(
            f"acceptance has {given.ndim} dimensions; allowed: one number, or one a position"
        )
    if (given > 1.0).any():
        raise ValueError(f"acceptance is {given.max():g}; allowed: numbers from 0 to 1")
    if given.ndim == 0:
        return (float(given),) * drafts
    if given.size < drafts:
        raise ValueError(
            f"acceptance has {given.size} positions of {drafts} drafts; allowed: one each"
        )
    rises = np.flatnonzero(np.diff(given) > 0.0)
    if rises.size:
        at = int(rises[0])
        raise ValueError(
            f"acceptance[{at + 1}] is {given[at + 1]:g} after {given[at]:g}; allowed: none above the "
            "one before"
        )
    return tuple(map(float, given[:drafts]))
