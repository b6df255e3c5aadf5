"""What a search over systems is asked, and what it has worked out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.device_power import device_power
from tokenroof.inference.estimates import parameter
from tokenroof.serving.search.choose import Found, Links
from tokenroof.serving.search.constraints import alone_beyond, kept, miss
from tokenroof.support.pareto import pareto

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.loads import Load
    from tokenroof.serving.search.axes import Prefill
    from tokenroof.serving.search.constraints import Asked
    from tokenroof.serving.search.states import States

__all__ = ["Pile", "Question", "links_of", "reduced", "worth_of"]

_WORTH = {"provisioned": "provisioned_w", "dashboard": "provisioned_w", "board": "watts"}


@dataclass(frozen=True)
class Question:
    """What a search is asked: records, a load, which power counts, constraints."""

    device: Device
    model: Model
    plans: Sequence[Plan] | None
    load: Load
    devices_max: int | None
    batches: NDArray[np.float64]
    fidelity: str | Calibration
    engine: str
    power: str
    pue: float
    asked: Asked
    others: tuple[Device, ...] = ()  # that pools may be of too
    fullest: bool = False  # plans with as many sequences as their memory holds too


@dataclass(frozen=True)
class Pile:
    """Systems of one kind that were worked out, with what they were made of.

    `found` are those that may still count, `tried` all of them.
    """

    of: States
    first: Prefill | None
    found: Found
    tried: int = 0


def links_of(question: Question) -> Links:
    """What replicas of pools have between them: the network, as pools may stand in two domains.

    Between unlike devices the lesser of their networks, the catalogue's middle where one is unknown.
    """
    every, usual = (question.device, *question.others), parameter("decouple_link_bandwidth").mid
    rates = np.empty((len(every), len(every)))
    for i, a in enumerate(every):
        for j, b in enumerate(every):
            networks = [float(x.node_link_bandwidth or 0.0) for x in (a, b)]
            alone = a.link.bandwidth if i == j and a.link else 0.0
            known = min(networks) or alone or usual
            rates[i, j] = known if a.link and b.link else 0.0
    return Links(tuple(x.name for x in every), rates, parameter("decouple_hop_s").mid)


def worth_of(pile: Pile, question: Question) -> NDArray[np.float64]:
    """Tokens a second and watt, of the power that counts."""
    found = pile.found
    watts = found.values[_WORTH.get(question.power, "watts")]
    if question.power in ("chassis", "facility"):
        watts = watts + _host_w(pile, question)
    scale = question.pue if question.power == "facility" else 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(found.values["output_rate"] / (scale * watts))


def _host_w(pile: Pile, question: Question) -> Any:
    """Watts of hosts, of each system."""
    found, all_devices = pile.found, pile.found.values["devices"]
    if not question.others:
        return all_devices * float(device_power(question.device).host_w)
    last = np.array([one.power.host_w for one in pile.of.on])[pile.of.plan[found.state]]
    if pile.first is None:
        return all_devices * last
    near = np.array([one.power.host_w for one in pile.first.on])[found.prefill]
    ahead = found.values["prefill_replicas"] * pile.first.terms["prefill_devices"][found.prefill]
    return ahead * near + (all_devices - ahead) * last


def reduced(pile: Pile, question: Question) -> Pile:
    """The systems of a pile that may still count, in their order.

    Those that no other of it beats: that keep to what was asked, and that miss one constraint alone, which
    say what binds; and the one that misses by least.
    """
    found, asked, worth = pile.found, question.asked, worth_of(pile, question)
    if not len(found):
        return pile
    masks = [kept(found, asked), *alone_beyond(found.values, asked).values()]
    rows = [pareto(found.speed, np.where(mask, worth, np.nan)) for mask in masks]
    at = np.unique(np.concatenate([*rows, [np.argmin(miss(found.values, asked))]]))
    left = Found(
        found.state[at], found.prefill[at], {name: v[at] for name, v in found.values.items()}
    )
    return Pile(pile.of, pile.first, left, len(found))
