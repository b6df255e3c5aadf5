"""What serves a model: pools of replicas, the links between them, drafts, an engine and its version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tokenroof.inference.door import as_model, checked
from tokenroof.records.model import Model
from tokenroof.serving.system.checks import check_drafts, check_pools, default_bandwidth
from tokenroof.serving.system.parts import Drafts, Link, Pool

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment

__all__ = ["System"]


@dataclass(frozen=True, slots=True)
class System:
    """What serves a model: the one record that `curve`, `frontier` and `capacity` take.

    Parameters
    ----------
    model : str or Model
    pools : sequence of Pool
        Of whole requests; or prompts and answers apart; or attention and experts apart. In any of them
        drafts may have a pool of their own.
    link : Link, optional
        Between pools; by default what their devices have.
    speculation : Drafts, optional
        None: a token a step.
    version : str, optional
        Of the engine, which is that of all plans; a name that results carry.

    Raises
    ------
    KeyError, ValueError, TypeError
        Naming what is wrong: pools whose roles do not make a whole; that differ in engine, in the type of the
        cache, or in how heads are split over ranks; a plan that does not divide the model, or that a device
        cannot run; a model without the module that drafts need.

    Examples
    --------
    >>> import tokenroof as tr
    >>> plan = tr.Plan(tp=4, weights="fp8", kv_cache="fp8")
    >>> pools = [Pool("H200-SXM", plan, 1, "prefill"), Pool("H200-SXM", plan, 3, "decode")]
    >>> one = System("Llama-3.1-70B", pools)
    >>> one.devices, one.engine, one.link.bandwidth.mid
    (16, 'vllm', 50000000000.0)
    """

    model: str | Model
    pools: Any
    link: Link | None = None
    speculation: Drafts | None = None
    version: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "model", as_model(self.model))
        given = (self.pools,) if isinstance(self.pools, Pool) else self.pools
        if not isinstance(given, (list, tuple)) or not all(isinstance(x, Pool) for x in given):
            raise TypeError(f"pools is {self.pools!r}; allowed: a sequence of Pool")
        put(self, "pools", tuple(given))
        for field, kind in (("link", Link), ("speculation", Drafts), ("version", str)):
            value = getattr(self, field)
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{field} is {value!r}; allowed: {kind.__name__} or None")
        check_pools(self.what, self.pools)
        check_drafts(self.what, self.pools, self.speculation)
        if len(self.pools) > 1:
            link = self.link or Link()
            if link.bandwidth is None:
                link = replace(link, bandwidth=default_bandwidth(self.pools))
            put(self, "link", link)

    @property
    def what(self) -> Model:
        """The model's record."""
        assert isinstance(self.model, Model)
        return self.model

    @property
    def engine(self) -> str:
        """Engine of all plans."""
        return str(next((p.layout.engine for p in self.pools if not p.dataflow), "ideal"))

    @property
    def devices(self) -> int:
        """Devices of all pools, but for dataflow chips."""
        return sum(pool.devices for pool in self.pools)

    @property
    def disaggregated(self) -> bool:
        """Whether prompts and answers have pools of their own."""
        return any(pool.role == "prefill" for pool in self.pools)

    def pool(self, role: str) -> Pool | None:
        """The pool of a role; None where there is none."""
        return next((pool for pool in self.pools if pool.role == role), None)

    def deployments(self, fidelity: str | Calibration = "calibrated") -> list[Deployment | None]:
        """Each pool's replica, resolved; None of dataflow chips."""
        return [
            None if p.dataflow else checked(p.where, self.what, [p.layout], fidelity)[0]
            for p in self.pools
        ]

    def label(self) -> str:
        """Short name: pools, drafts.

        Examples
        --------
        >>> System("Llama-3.1-8B", [Pool("H200-SXM")], speculation=Drafts("ngram", 2)).label()
        '1x H200-SXM tp1 bf16 kv bf16, 2 drafts by ngram'
        """
        parts = [pool.label() for pool in self.pools]
        if self.speculation is not None and self.speculation.drafts:
            by = self.speculation.method
            name = by if isinstance(by, str) else by.name
            parts.append(f"{self.speculation.drafts} drafts by {name}")
        return ", ".join(parts)

    def replace(self, **changes: Any) -> System:
        """A copy with some fields changed."""
        return replace(self, **changes)
