"""Figures, as `plotly.graph_objects.Figure`: rooflines, frontiers, hashrates, mining, the same meter, money.

Colours are Okabe and Ito's, which colour-blind people can tell apart: one per vendor and
generation, the same in every figure; within one, lines differ by dash and points by symbol.
"""

from __future__ import annotations

from tokenroof.plot.allocation import allocation
from tokenroof.plot.chart import chart
from tokenroof.plot.frontier import frontier
from tokenroof.plot.hashrate import hashrate
from tokenroof.plot.interconnect import interconnect
from tokenroof.plot.load import latency
from tokenroof.plot.meter import same_meter
from tokenroof.plot.mining import cost_curve, generations
from tokenroof.plot.money import arms_race, cash_flow, ladder, tornado
from tokenroof.plot.ratio import ratio
from tokenroof.plot.revenue import revenue, revenue_effects
from tokenroof.plot.roofline import roofline
from tokenroof.plot.style import colour
from tokenroof.plot.timeline import timeline
from tokenroof.plot.two_worlds import two_worlds

__all__ = [
    "allocation", "arms_race", "cash_flow", "chart", "colour", "cost_curve", "frontier", "generations",
    "hashrate", "interconnect", "ladder", "latency", "ratio", "revenue", "revenue_effects", "roofline",
    "same_meter", "timeline", "tornado", "two_worlds",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
