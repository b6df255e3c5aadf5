"""What the documentation of each kernel says: a table for each subject, and all of them as one.

A kernel has one entry, in its subject's file: its inputs in order, a summary, what comes out, the
source, and an example. An input that no kernel had before has its meaning and unit there too.
"""

from __future__ import annotations

from tokenroof.kernels.documentation import economics, inference, mining, operators, serving

__all__ = ["KERNELS", "UNITS"]

#: What an input is, with its unit: a name means the same in every kernel.
UNITS: dict[str, str] = {
    **inference.UNITS, **operators.UNITS, **serving.UNITS, **mining.UNITS, **economics.UNITS,
}  # fmt: skip
#: Inputs, summary, result, source and example of each kernel.
KERNELS: dict[str, tuple[str, str, str, str, str]] = {
    **inference.KERNELS, **operators.KERNELS, **serving.KERNELS, **mining.KERNELS,
    **economics.KERNELS,
}  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
