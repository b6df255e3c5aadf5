"""Collectives by protocol: a latency, and traffic at a share of the link; the fastest counts.

Thakur, Rabenseifner, Gropp, IJHPCA 19(1), 2005; Klenk et al., ISCA 2020 (adding inside the switch); Chan et
al., CCPE 19(13), 2007 (meshes and tori).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.core.maths import ceiling
from tokenroof.reference.core.roundings import log2, power
from tokenroof.reference.inference.operator_fields import amount
from tokenroof.reference.records.constants import constants
from tokenroof.reference.records.records import Record, takes_records

__all__ = [
    "all_gather_operator",
    "all_reduce_operator",
    "all_to_all_operator",
    "reduce_scatter_operator",
    "send_operator",
]

HOST, SWITCHED, REDUCING, MESH, TORUS2, TORUS3 = range(6)
Protocol = tuple[float, float]  # seconds, seconds per byte


@dataclass(frozen=True)
class RankGroup:
    """Ranks over domains: `inside` per domain, `nodes` domains, bandwidths of a rank [B/s]."""

    ranks: float
    inside: float
    nodes: float
    bandwidth: float
    network: float
    hops: float
    form: int

    @property
    def traffic(self) -> float:
        """Share of the vector that crosses a link of a domain."""
        return divide(self.inside - 1.0, self.inside)

    @property
    def reduce_traffic(self) -> float:
        """The same of an all-reduce: there and back, or once where the switch adds."""
        both = divide(2.0 * (self.inside - 1.0), self.inside)
        return minimum(both, 1.0) if self.form == REDUCING else both


def _dimensions(form: int) -> float:
    return {TORUS2: 2.0, TORUS3: 3.0}[form]


def group_bandwidth(device: Mapping[str, float], n: float) -> float:
    """What one of n devices has towards the others."""
    form, link = int(device["link_topology"]), device["link_bandwidth"]
    if form == MESH:
        others = maximum(device["link_domain_size"] - 1.0, 1.0)
        return link * minimum(divide(maximum(n - 1.0, 1.0), others), 1.0)
    if form in (TORUS2, TORUS3):
        if math.isnan(n):
            return n
        used = maximum(log2(maximum(n, 1.0)), 1.0)
        return link * minimum(used / (2.0 * _dimensions(form)), 1.0)
    return link


def _hops(form: int, n: float) -> float:
    if form not in (TORUS2, TORUS3):
        return 1.0
    if math.isnan(n):
        return n
    k = _dimensions(form)
    return maximum(power(maximum(n, 1.0), 1.0 / k) * k / 4.0, 1.0)


def make_group(device: Mapping[str, float], ranks: float) -> RankGroup:
    """How so many ranks lie over domains; no number where there is not one."""
    ranks = ranks if ranks >= 1.0 else math.nan
    size = device["link_domain_size"]
    domain = size if size > 1.0 else 8.0
    inside = domain if ranks > domain else ranks
    nodes = ceiling(ranks / domain) if ranks > domain else 1.0
    form = int(device["link_topology"])
    link, network = group_bandwidth(device, inside), device["node_link_bandwidth"]
    return RankGroup(ranks, inside, nodes, link, network, _hops(form, inside), form)


def fastest(nbytes: float, protocols: list[Protocol]) -> Protocol:
    """What a library takes for a message; the first of equals."""
    best = (math.inf, 0.0)
    for fixed, per_byte in protocols:
        now = fixed + nbytes * per_byte
        if math.isnan(now) or now < best[0] + nbytes * best[1]:
            best = (fixed, per_byte)
    return best


def _link(g: RankGroup, contention: float) -> float:
    if g.form != HOST or not g.inside > 2.0:
        return g.bandwidth
    return g.bandwidth * power(g.inside * 0.5, -contention)


def _network(g: RankGroup, passes: float, own: Mapping[str, float]) -> Protocol:
    if not g.nodes > 1.0:
        return 0.0, 0.0
    doublings = 0.0
    while 2.0**doublings < g.nodes and doublings < 64.0:
        doublings += 1.0
    others = divide(g.nodes - 1.0, g.nodes)
    reached = g.network * own["node_share"]
    return (passes * doublings * own["node_t0"],
            divide(divide(passes * others, g.inside), reached))  # fmt: skip


def _each(protocols: list[Protocol], more: Protocol) -> list[Protocol]:
    return [(fixed + more[0], per_byte + more[1]) for fixed, per_byte in protocols]


def all_reduce_protocols(g: RankGroup, own: Mapping[str, float]) -> list[Protocol]:
    """Inside the domain, and of each device's share through the network."""
    network = _network(g, 2.0, own)
    if not g.inside > 1.0:
        return [(network[0] + (g.inside - g.inside), network[1])]
    n, link = g.inside, _link(g, own["contention"])
    further = maximum(n - 2.0, 0.0)
    ring = divide(divide(2.0 * (n - 1.0), n), link)
    bulk = own["bulk_t0"] + further * own["bulk_rank"]
    protocols = [
        (own["one_t0"] + further * own["one_rank"], divide(n - 1.0, link * own["one_share"])),
        (own["two_t0"] + further * own["two_rank"], divide(ring, own["two_share"])),
        (bulk, divide(ring, own["bulk_share"])),
    ]
    if g.form == REDUCING and n > 2.0:
        protocols.append((bulk, divide(1.0, link * own["switch_share"])))
    return _each(protocols, network)


def exchange_protocols(g: RankGroup, own: Mapping[str, float], hops: float) -> list[Protocol]:
    """All-gather and reduce-scatter: one pass of the vector."""
    network = _network(g, 1.0, own)
    if not g.inside > 1.0:
        return [(network[0] + (g.inside - g.inside), network[1])]
    further = maximum(g.inside - 2.0, 0.0)
    per_byte = divide(g.traffic * hops, _link(g, own["contention"]))
    protocols = [
        (own[f"{name}_t0"] + further * own[f"{name}_rank"], divide(per_byte, own[f"{name}_share"]))
        for name in ("low", "bulk")
    ]
    return _each(protocols, network)


def all_to_all_protocols(g: RankGroup, own: Mapping[str, float]) -> list[Protocol]:
    """Everyone's own part for everyone: `inside` times a gather's traffic between nodes."""
    protocols = exchange_protocols(g, own, g.hops)
    if g.nodes > 1.0:
        return _each(protocols, (0.0, _network(g, 1.0, own)[1] * (g.inside - 1.0)))
    return protocols


def empty_message(protocols: list[Protocol], network: float) -> float:
    """Seconds inside a node, less the way between nodes."""
    least = protocols[0][0]
    for fixed, _ in protocols[1:]:
        least = minimum(least, fixed)
    return least - network


def network_latency(g: RankGroup, own: Mapping[str, float], kind: str) -> float:
    """Seconds of any message between nodes."""
    if kind == "send":
        return own["node_t0"] if g.nodes > 1.0 else 0.0
    return _network(g, 2.0 if kind == "all_reduce" else 1.0, own)[0]


def send_protocols(g: RankGroup, pair: float, own: Mapping[str, float]) -> list[Protocol]:
    """A message between two: over their link, of bandwidth `pair`, or through the network."""
    if g.nodes > 1.0:
        return [(own["low_t0"] + own["node_t0"], divide(1.0, g.network * own["node_share"]))]
    protocols = [
        (own[f"{name}_t0"], divide(1.0, pair * own[f"{name}_share"])) for name in ("low", "bulk")
    ]
    return _each(protocols, (g.ranks - g.ranks, 0.0))


def all_reduce_bound(g: RankGroup) -> float:
    """Seconds per byte that links alone take."""
    between = 0.0
    if g.nodes > 1.0:
        between = divide(divide(2.0 * divide(g.nodes - 1.0, g.nodes), g.inside), g.network)
    within = divide(g.reduce_traffic, g.bandwidth) if g.inside > 1.0 else g.inside - g.inside
    return within + between


def exchange_bound(g: RankGroup, hops: float, parts: float) -> float:
    """The same of an exchange in which `parts` of a domain's vector differ."""
    between = 0.0
    if g.nodes > 1.0:
        between = divide(divide(g.nodes - 1.0, g.nodes) * divide(parts, g.inside), g.network)
    within = divide(g.traffic * hops, g.bandwidth) if g.inside > 1.0 else g.inside - g.inside
    return within + between


# --- operators on their own ----------------------------------------------------------------------------


def _of_protocol(
    group: RankGroup, protocol: tuple[float, float], nbytes: float, traffic: float
) -> dict[str, float]:
    """A latency and seconds per byte; a group of one has nothing to say."""
    n = amount(nbytes)
    fixed, per_byte = protocol
    alone = group.ranks <= 1.0
    launch, seconds = (0.0, n - n) if alone else (fixed, n * per_byte)
    total = launch + seconds
    bad = total if math.isnan(total) else 0.0
    return {
        "time": total,
        "flops": bad,
        "bytes": (n - n if alone else n * traffic) + bad,
        "memory_s": bad,
        "compute_s": bad,
        "launch_s": launch + bad,
        "communication_s": seconds + bad,
    }


def _shared(calibration: Record, group: RankGroup, per_byte: float) -> tuple[float, float]:
    launch = calibration["collective_t0"] + calibration["launch_s"]
    return launch + (group.ranks - group.ranks), divide(per_byte, calibration["collective_memory"])


@takes_records("device", "calibration")
def all_reduce_operator(
    device: Record, calibration: Record, ranks: float, nbytes: float
) -> dict[str, float]:
    """The fastest of one shot, two shots, the library's bulk protocol and the switch."""
    group = make_group(device, ranks)
    own = constants(calibration, "all_reduce")
    if own is None:
        protocol = _shared(calibration, group, all_reduce_bound(group))
    else:
        protocol = fastest(amount(nbytes), all_reduce_protocols(group, own))
    return _of_protocol(group, protocol, nbytes, group.reduce_traffic)


def _exchange(
    device: Record, calibration: Record, block: str, ranks: float, nbytes: float
) -> dict[str, float]:
    group = make_group(device, ranks)
    own = constants(calibration, block)
    if own is None:
        protocol = _shared(calibration, group, exchange_bound(group, 1.0, 1.0))
    else:
        protocol = fastest(amount(nbytes), exchange_protocols(group, own, 1.0))
    return _of_protocol(group, protocol, nbytes, group.traffic)


@takes_records("device", "calibration")
def all_gather_operator(
    device: Record, calibration: Record, ranks: float, nbytes: float
) -> dict[str, float]:
    """(n - 1)/n of the vector over each link."""
    return _exchange(device, calibration, "all_gather", ranks, nbytes)


@takes_records("device", "calibration")
def reduce_scatter_operator(
    device: Record, calibration: Record, ranks: float, nbytes: float
) -> dict[str, float]:
    """(n - 1)/n of the vector over each link."""
    return _exchange(device, calibration, "reduce_scatter", ranks, nbytes)


@takes_records("device", "calibration")
def all_to_all_operator(
    device: Record, calibration: Record, ranks: float, nbytes: float
) -> dict[str, float]:
    """(n - 1)/n of the vector over each link, and further where devices pass messages on."""
    group = make_group(device, ranks)
    own = constants(calibration, "all_to_all")
    if own is None:
        bound = exchange_bound(group, group.hops, group.inside)
        protocol = _shared(calibration, group, bound)
    else:
        protocol = fastest(amount(nbytes), all_to_all_protocols(group, own))
    return _of_protocol(group, protocol, nbytes, group.traffic)


@takes_records("device", "calibration")
def send_operator(
    device: Record, calibration: Record, ranks: float, nbytes: float
) -> dict[str, float]:
    """The whole message over one link."""
    group = make_group(device, ranks)
    pair = group_bandwidth(device, 2.0)
    own = constants(calibration, "all_to_all")
    if own is None:
        link = group.network if group.nodes > 1.0 else pair
        protocol = _shared(calibration, group, divide(1.0, link))
    else:
        protocol = fastest(amount(nbytes), send_protocols(group, pair, own))
    return _of_protocol(replace(group, ranks=group.ranks + 1.0), protocol, nbytes, 1.0)
