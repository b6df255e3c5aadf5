"""SHA-256d mining: really hashing, and Bitcoin's arithmetic in exact integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof._bitcoin import (
    BLOCK_SECONDS,
    COIN,
    DIFFICULTY_ONE,
    RETARGET_BLOCKS,
    RETARGET_SECONDS,
    TARGET_LIMIT,
    bits_from_target,
    difficulty,
    retarget,
    subsidy,
    supply,
    target_from_bits,
    work,
)
from tokenroof._hash_roofline import HashRoofline, hash_roofline, hashrate
from tokenroof._pools import SCHEMES, PoolIncome, pool_income
from tokenroof._scan import ScanResult, backends, header_bytes, scan

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "BLOCK_SECONDS",
    "COIN",
    "DIFFICULTY_ONE",
    "RETARGET_BLOCKS",
    "RETARGET_SECONDS",
    "SCHEMES",
    "TARGET_LIMIT",
    "HashRoofline",
    "PoolIncome",
    "ScanResult",
    "backends",
    "bits_from_target",
    "difficulty",
    "expected_time_to_block",
    "hash_roofline",
    "hashprice",
    "hashrate",
    "header_bytes",
    "pool_income",
    "retarget",
    "scan",
    "subsidy",
    "supply",
    "target_from_bits",
    "work",
]  # fmt: skip

# --- network -------------------------------------------------------------------------------------------


def _positive(name: str, value: ArrayLike) -> Any:
    array = np.asarray(value, dtype=np.float64)
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        shown = array[bad].flat[0] if array.ndim else array.item()
        raise ValueError(f"{name} is {shown:g}; allowed: finite numbers > 0")
    return array if array.ndim else float(array)


def expected_time_to_block(hashrate: ArrayLike, difficulty: ArrayLike) -> Any:
    """Mean time until a miner finds a block: difficulty * 2**32 / hashrate [s].

    The wait is exponential, whatever the time already spent. 2**32 stands for 2**256 / (target + 1) at
    difficulty 1, which is larger by 1.5e-5.

    Parameters
    ----------
    hashrate : array_like
        [hash/s].
    difficulty : array_like
        [1].

    Raises
    ------
    ValueError
        If one is not above zero.

    Examples
    --------
    >>> expected_time_to_block(100e12, 1e14)
    4294967296.0
    """
    return _positive("difficulty", difficulty) * 2.0**32 / _positive("hashrate", hashrate)


def hashprice(
    difficulty: ArrayLike,
    price: ArrayLike,
    subsidy_btc: ArrayLike = 3.125,
    fees_btc: ArrayLike = 0.0,
) -> Any:
    """Expected revenue of one PH/s over a day [$/(PH/s day)].

    Parameters
    ----------
    difficulty : array_like
        [1].
    price : array_like
        Price of a bitcoin [$].
    subsidy_btc, fees_btc : array_like
        New coins and fees of a block [BTC].

    Raises
    ------
    ValueError
        If difficulty or price are not above zero.

    References
    ----------
    Luxor's definition of hashprice.

    Examples
    --------
    >>> round(hashprice(1e14, 1e5, fees_btc=0.05), 6)
    63.870102
    """
    reward = np.asarray(subsidy_btc, dtype=float) + np.asarray(fees_btc, dtype=float)
    kernel: Any = kernels.hashprice_usd  # type: ignore[attr-defined]
    value = kernel(_positive("difficulty", difficulty), reward, _positive("price", price))
    return float(value) if np.ndim(value) == 0 else value
