"""What serves a model: pools of replicas, the link between them, drafts, an engine and its version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tokenroof.inference.door import as_model, checked
from tokenroof.inference.estimates import Range
from tokenroof.records.model import Model
from tokenroof.serving.system.checks import check_model, check_pools, default_bandwidth
from tokenroof.serving.system.parts import Pool, as_pool, as_speculation
from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.shapes import Shapes

__all__ = ["ROLES", "System", "named", "refuse_beside"]

#: What a pool may do for a request, in the order of a request's way.
ROLES = ("both", "prefill", "decode", "attention", "experts", "draft")


_LEAST_LINK = 1e6  # B/s, as a device's links: less is a slip of the unit


@dataclass(frozen=True, slots=True)
class System:
    """What serves a model: the one record that goes wherever a device and a plan go.

    Parameters
    ----------
    prefill, decode : Pool, or (device, plan, count), optional
        Pools of prompts and of answers.
    link_bandwidth : float, (low, mid, high) or Range, optional
        One way, per device of the pool with fewer [B/s]; by default what the pools' devices have between
        them: links of one domain, beyond it their network, where that is unknown the catalogue's range.
    speculation : Speculation or its fields by name, optional
        None: a token a step.
    hop_s : float, (low, mid, high) or Range, optional
        Latency of a transfer [s]; the catalogue's range by default.
    both : Pool, optional
        Of whole requests, in place of `prefill` and `decode`.
    attention, experts : Pool, optional
        In place of these: attention with its caches, and MLPs with experts on dataflow chips.
    draft : Pool, optional
        Dataflow chips that draft for any of them.
    model : str or Model, optional
        What it serves, where the functions that take the system are not told.
    version : str, optional
        Of the engine, which is that of all plans; a name that results carry.

    Raises
    ------
    KeyError, ValueError, TypeError
        Naming what is wrong: pools that make no whole, that differ in engine or in the type of the cache;
        a link of no bandwidth; and of the model, here or where it is asked: a plan that does not divide
        it, heads that two pools split unlike, a module that drafts need and it lacks.

    Examples
    --------
    >>> import tokenroof as tr
    >>> plan = tr.Plan(tp=4, weights="fp8", kv_cache="fp8")
    >>> one = System(prefill=Pool("H200-SXM", plan, 1), decode=Pool("H200-SXM", plan, 3))
    >>> one.devices, one.engine, one.link_bandwidth.mid
    (16, 'vllm', 50000000000.0)
    """

    prefill: Any = None
    decode: Any = None
    link_bandwidth: Any = None
    speculation: Any = None
    hop_s: Any = None
    both: Any = None
    attention: Any = None
    experts: Any = None
    draft: Any = None
    model: Any = None
    version: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        for role in ROLES:
            put(self, role, as_pool(role, getattr(self, role)))
        put(self, "speculation", as_speculation(self.speculation))
        if self.version is not None and not isinstance(self.version, str):
            raise TypeError(f"version is {shown(self.version)}; allowed: a text or None")
        check_pools(self.pools, self.speculation)
        rate, hop = self.link_bandwidth, self.hop_s
        if rate is None and len(self.pools) > 1:
            rate = default_bandwidth(list(self.pools.values()))
        if rate is not None:
            rate = Range.of("link_bandwidth", rate, "decouple_link_bandwidth")
            if not rate.low > 0.0:
                raise ValueError(f"link_bandwidth is {rate.low:g}; allowed: numbers > 0")
            if rate.low < _LEAST_LINK:
                raise ValueError(
                    f"link_bandwidth is {rate.low:g}; allowed: B/s, at least {_LEAST_LINK:g} (is it in GB/s?)"
                )
        hop = Range.of("hop_s", hop, "decouple_hop_s")
        if hop.low < 0.0:
            raise ValueError(f"hop_s is {hop.low:g}; allowed: numbers >= 0")
        put(self, "link_bandwidth", rate)
        put(self, "hop_s", hop)
        if self.model is not None:
            put(self, "model", as_model(self.model))
            check_model(self.model, self.pools, self.speculation)

    @property
    def pools(self) -> dict[str, Pool]:
        """The pools that there are, by what they do."""
        return {role: pool for role in ROLES if (pool := getattr(self, role)) is not None}

    @property
    def engine(self) -> str:
        """Engine of all plans."""
        return str(next(p.layout.engine for p in self.pools.values() if not p.dataflow))

    @property
    def devices(self) -> int:
        """Devices of all pools, but for dataflow chips."""
        return sum(pool.devices for pool in self.pools.values())

    @property
    def disaggregated(self) -> bool:
        """Whether prompts and answers have pools of their own."""
        return self.prefill is not None

    def serves(self, model: str | Model | None) -> Model:
        """The model that is asked for, or the system's own, checked against all pools.

        Raises
        ------
        KeyError, ValueError, TypeError
            As the record's; where neither names a model, or both name another one.
        """
        if model is None:
            if self.model is None:
                raise TypeError(
                    "model is None, of a System without one; allowed: a name or a Model"
                )
            return as_model(self.model)
        found = as_model(model)
        if self.model is not None and found != self.model:
            raise ValueError(
                f"model is {found.name} with a System of {self.model.name}; allowed: that, or None"
            )
        check_model(found, self.pools, self.speculation)
        return found

    def deployments(
        self, model: str | Model | None = None, fidelity: str | Calibration = "calibrated"
    ) -> dict[str, Deployment]:
        """One replica of each pool, resolved, by what it does; but for dataflow chips."""
        what = self.serves(model)
        return {
            role: checked(p.where, what, [p.plan_for(what)], fidelity)[0]
            for role, p in self.pools.items()
            if not p.dataflow
        }

    def label(self, model: Shapes | None = None) -> str:
        """Short name: pools, drafts.

        Parameters
        ----------
        model : Shapes, optional
            What it serves, by default its own: where it has no experts, nothing is said of theirs.

        Returns
        -------
        str

        Examples
        --------
        >>> System(both=Pool("H200-SXM"), speculation={"method": "ngram", "drafts": 2}).label()
        '1x H200-SXM one device, 2 drafts by ngram'
        """
        what = self.model if model is None else model
        parts = [
            pool.label(what) if role == "both" else f"{role} {pool.label(what)}"
            for role, pool in self.pools.items()
        ]
        if self.speculation is not None and self.speculation.length:
            parts.append(self.speculation.label())
        return ", ".join(parts)

    def replace(self, **changes: Any) -> System:
        """A copy with some fields changed; with other pools, its link is looked up again if not given."""
        if set(changes) & set(ROLES):
            changes = {"link_bandwidth": None, **changes}
        return replace(self, **changes)


def named(model: str | Model | None) -> str | Model:
    """The model of a question about one replica, which has to be named."""
    if model is None:
        raise TypeError(
            "model is None; allowed: a name or a Model, or in place of device a System with one"
        )
    return model


def refuse_beside(system: System, **given: object) -> None:
    """Reject what a system says itself, or what its closed form does not know."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"{name} is {shown(value)} with the System {system.label()}; allowed: None, as "
                f"{'its pools have plans' if name == 'plan' else 'its closed form is one of users'}"
            )
