"""The parts of a step as they are summed: seconds by cause and by group, work, traffic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenroof.reference.core.ieee import minimum
from tokenroof.reference.inference.cost import Cost
from tokenroof.reference.inference.experts import touched_on_rank
from tokenroof.reference.inference.latent_experts import routed_topk
from tokenroof.reference.inference.prepared import Exchange, LineTerm, Prepared, Product
from tokenroof.reference.inference.routing import Routing
from tokenroof.reference.inference.sparse_attention import Roof

GROUPS = ("projection", "attention", "linear_attention", "mlp", "experts", "elementwise", "head",
          "collective")  # fmt: skip
Amounts = Mapping[str, float]


def _by_group() -> dict[str, float]:
    return dict.fromkeys(GROUPS, 0.0)


@dataclass
class Parts:
    """Sums over the terms of a step on one device."""

    time: float = 0.0
    launch: float = 0.0
    memory: float = 0.0
    compute: float = 0.0
    communication: float = 0.0
    flops: float = 0.0
    bytes: float = 0.0
    communication_bytes: float = 0.0
    busy: float = 0.0  # s of computing, hidden or not
    group: dict[str, float] = field(default_factory=_by_group)  # s
    work: dict[str, float] = field(default_factory=_by_group)  # FLOP
    decode_attention: float = 0.0  # s of attention before that of prompts

    def add(self, group: str, roof: Roof) -> None:
        """One term: the longer of computing and moving."""
        longer = roof.seconds
        self.time += longer
        self.group[group] += longer
        if group == "collective":
            self.communication += longer
            self.communication_bytes += roof.bytes
            return
        if roof.compute >= roof.memory:
            self.compute += longer
        else:
            self.memory += longer
        self.busy += roof.compute
        self.work[group] += roof.flops
        self.flops += roof.flops
        self.bytes += roof.bytes

    def add_cost(self, group: str, count: float, x: Cost) -> None:
        """An operator of each of `count` layers by its measured form; the step counts its launch."""
        seconds = count * x.seconds
        self.time += seconds
        self.group[group] += seconds
        if x.compute >= x.memory:
            self.compute += seconds
        else:
            self.memory += seconds
        self.busy += count * x.compute
        self.work[group] += count * x.flops
        self.flops += count * x.flops
        self.bytes += count * x.bytes

    def add_lines(self, terms: list[LineTerm], amounts: Amounts) -> None:
        """Operators whose cost is a line."""
        for group, amount, line in terms:
            x = amounts[amount]
            self.add(group, Roof(
                x * line.compute, line.memory(x), x * line.flops,
                line.weights + x * line.bytes,
            ))  # fmt: skip

    def add_products(self, terms: list[tuple[str, str, Product]], amounts: Amounts) -> None:
        """Matrix products by their measured form: their seconds are summed first."""
        before, self.time = self.time, 0.0
        for group, amount, x in terms:
            self.add_cost(group, x.count, x.form.cost(amounts[amount]))
        self.time = before + self.time

    def add_exchanges(self, terms: list[tuple[str, str, Exchange]], amounts: Amounts) -> None:
        """Collectives: the fastest protocol's time beyond what the gap per collective stands for."""
        for group, amount, x in terms:
            nbytes = amounts[amount] * x.vector
            best = math.inf
            for fixed, per_byte in x.protocols:
                best = minimum(best, fixed + nbytes * per_byte)
            seconds = x.count * (best - x.counted)
            self.time += seconds
            self.group[group] += seconds
            self.communication += seconds
            self.communication_bytes += x.count * (amounts[amount] * x.crossing)

    def add_experts(self, r: Prepared, tokens: float) -> None:
        """A mixture's routed experts."""
        m = r.model
        if r.measured_experts is not None:
            self.add_cost("experts", m["moe_layers"], r.measured_experts.cost(tokens))
        if r.experts is not None:
            line, skew = r.experts, r.calibration["engine.skew"]
            routing = Routing(m["experts"], routed_topk(m), r.layout.moe_ep,
                              0.0 if math.isnan(skew) else skew, popular=True)  # fmt: skip
            touched = touched_on_rank(tokens, routing)
            self.add("experts", Roof(
                tokens * line.compute, touched * line.weights_s + tokens * line.traffic,
                tokens * line.flops, touched * line.weights + tokens * line.bytes,
            ))  # fmt: skip
