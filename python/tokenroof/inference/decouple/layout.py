"""What a layout over two sites returns, and the ranges of what lies between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tokenroof.inference.dataflow import Parameter, Unknowns, gather
from tokenroof.inference.estimates import Banded, Range
from tokenroof.support.arguments import shown
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from tokenroof.records.device import Device


@by_value
@dataclass(frozen=True)
class Layout:
    """A model on two sites, over arrays of loads.

    Attributes
    ----------
    name : str
    tpot_s, tokens_per_s : Banded
        Time per token of a sequence [s]; tokens of all sequences per second [token/s].
    watts : Banded
        Board power of both sites [W].
    parts : dict of Banded
        What the name of the layout promises: times of the sites and of the link, devices of each.
    ranges : dict of Range
        The parameters that the ranges come from.
    """

    name: str
    tpot_s: Banded
    tokens_per_s: Banded
    watts: Banded
    parts: dict[str, Banded] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)

    @property
    def interactivity(self) -> Banded:
        """Tokens per second of one user [token/s]."""
        t = self.tpot_s
        return Banded(1.0 / t.high, 1.0 / t.mid, 1.0 / t.low)

    @property
    def tokens_per_joule(self) -> Banded:
        """Tokens per joule of board energy [token/J]: extremes of both, not of corners."""
        r, w = self.tokens_per_s, self.watts
        return Banded(r.low / w.high, r.mid / w.mid, r.high / w.low)


def layout(name: str, found: dict[str, Banded], ranges: dict[str, Range]) -> Layout:
    """Results by name as a `Layout`: what all layouts have, and the parts of this one."""
    own = {k: found.pop(k) for k in ("tpot_s", "tokens_per_s", "watts")}
    return Layout(name, parts=found, ranges=ranges, **own)


def link_ranges(link_bandwidth: Parameter, hop_s: Parameter) -> dict[str, Range]:
    """Bandwidth [B/s] and latency [s] of the link between the sites: given ones, else the catalogue's."""
    ranges = {
        "link_bandwidth": Range.of("link_bandwidth", link_bandwidth, "decouple_link_bandwidth"),
        "link_s": Range.of("hop_s", hop_s, "decouple_hop_s"),
    }
    if ranges["link_bandwidth"].low <= 0.0:
        raise ValueError(
            f"link_bandwidth is {ranges['link_bandwidth'].low:g}; allowed: numbers > 0"
        )
    if ranges["link_s"].low < 0.0:
        raise ValueError(f"hop_s is {ranges['link_s'].low:g}; allowed: numbers >= 0")
    return ranges


def chip_ranges(device: Device, given: Mapping[str, Any]) -> dict[str, Range]:
    """What is not published of a site's chips: given ones, else the catalogue's."""
    names = tuple(Unknowns.__annotations__)
    wrong = sorted(set(given) - set(names))
    if wrong:
        raise TypeError(f"unknown parameter {shown(wrong[0])}; allowed: {', '.join(names)}")
    return gather(device, given)
