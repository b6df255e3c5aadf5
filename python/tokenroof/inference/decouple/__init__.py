"""Decode away from prefill, experts away from attention, drafts away from their verification.

The three published ways of putting one model on two kinds of device, in closed form. Links between them
and what is not known of dataflow chips are parameters with ranges (`tokenroof.estimates`): every result is
a `Banded`, its middle with the extremes over the corners of those ranges. The step times of a GPU's site have
an error band too: they are divided and multiplied by 1 + band at the ends of the range, a parameter of
its own for each site (``..._error`` in `Layout.ranges`). No band is known, and none counts, with
``fidelity="datasheet"``.
"""

from __future__ import annotations

from tokenroof.inference.decouple.attention_experts import attention_experts
from tokenroof.inference.decouple.drafts import drafts
from tokenroof.inference.decouple.layout import Layout
from tokenroof.inference.decouple.prefill_decode import prefill_decode

__all__ = ["Layout", "attention_experts", "drafts", "prefill_decode"]


def __dir__() -> list[str]:
    return sorted(__all__)
