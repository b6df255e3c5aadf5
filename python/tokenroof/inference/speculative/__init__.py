"""Speculative decoding over the step kernels: a draft proposes, one step of the target verifies.

A round drafts `length` tokens one after another and verifies them in one step of the target that carries
``length + 1`` tokens per sequence: its products and experts see ``batch * (length + 1)`` tokens, its
attention reads each sequence's cache once. A round yields ``1 + a1 + a1 a2 + ...`` tokens, of one chance at
all positions ``(1 - a**(length + 1)) / (1 - a)`` (Leviathan et al., arXiv:2211.17192, eq. 1); measured ones,
by position and by task, stand in `tokenroof.catalogue.acceptances`.
"""

from __future__ import annotations

from tokenroof.inference.speculative.chances import ByPosition
from tokenroof.inference.speculative.drafting import eagle_model, mtp_model
from tokenroof.inference.speculative.paying import Paying, pays_until
from tokenroof.inference.speculative.rounds import Speculation, decode
from tokenroof.inference.speculative.verification import verify

__all__ = [
    "ByPosition", "Paying", "Speculation", "decode", "eagle_model", "mtp_model", "pays_until", "verify",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
