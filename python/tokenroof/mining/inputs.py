"""Arguments of the mining model: numbers and arrays in their ranges, machines with their power."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.catalogue.lookup import miner as find_miner
from tokenroof.records.miner import Miner
from tokenroof.support.arguments import check_shapes, finite_number, reals, shown

__all__ = [
    "fee_of", "number_or_array", "overhead_of", "pool_fee", "powered", "reals", "reward_of",
]  # fmt: skip

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def powered(machine: str | Miner) -> tuple[Miner, float]:
    """The record, and its power [W]."""
    found = find_miner(machine)
    if found.power is None:
        raise ValueError(f"power of {found.name} is unknown; allowed: a number > 0 [W]")
    return found, found.power


def pool_fee(fee: ArrayLike) -> NDArray[np.float64]:
    """Part that the pool keeps."""
    return reals("fee", fee, below=1.0)


def fee_of(fee: object) -> float:
    """The same, one number."""
    kept = finite_number("fee", fee)
    if kept >= 1.0:
        raise ValueError(f"fee is {shown(fee)}; allowed: at least 0, below 1")
    return kept


def overhead_of(pue: ArrayLike) -> NDArray[np.float64]:
    """Facility power over the machine's."""
    return reals("pue", pue, 1.0)


def reward_of(
    subsidy_btc: ArrayLike, fees_btc: ArrayLike, *, above: bool = True
) -> NDArray[np.float64]:
    """Subsidy and fees of a block [BTC]; above zero unless said otherwise."""
    subsidy, fees = reals("subsidy_btc", subsidy_btc), reals("fees_btc", fees_btc)
    check_shapes(subsidy_btc=subsidy, fees_btc=fees)
    reward = np.asarray(subsidy + fees)
    if above and (reward == 0.0).any():
        raise ValueError("subsidy_btc + fees_btc is 0; allowed: a sum > 0")
    return reward


def number_or_array(value: Any) -> float | NDArray[np.float64]:
    """A float for a scalar, else the array."""
    return float(value) if np.ndim(value) == 0 else np.asarray(value)
