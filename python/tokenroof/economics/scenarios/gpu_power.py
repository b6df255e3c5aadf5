"""Power that counts for one GPU."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GpuPower"]


@dataclass(frozen=True)
class GpuPower:
    """Power that counts for one GPU with its share of everything in the hall.

    Attributes
    ----------
    device : str
    watts : float
        [W].
    basis : str
        Whose number it is.
    """

    device: str
    watts: float
    basis: str
