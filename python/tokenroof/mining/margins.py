"""Where a machine stops: its margin, and the prices and the difficulty at which that is zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.mining.inputs import (
    number_or_array,
    overhead_of,
    pool_fee,
    powered,
    reals,
    reward_of,
)
from tokenroof.records.miner import Miner
from tokenroof.support.arguments import check_shapes
from tokenroof.support.labels import keeps_labels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def _call(name: str, *arguments: Any) -> float | NDArray[np.float64]:
    """A kernel, infinite where it divides by zero; a float for scalars."""
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        return number_or_array(getattr(kernels, name)(*arguments))


@keeps_labels
def margin_per_day(
    miner: str | Miner,
    hashprice: ArrayLike,
    power_price_per_kwh: ArrayLike,
    *,
    fee: ArrayLike = 0.0,
    pue: ArrayLike = 1.0,
) -> float | NDArray[np.float64]:
    """Revenue of a machine less its power [$/day]; below zero where it does not earn its power.

    Parameters
    ----------
    miner : str or Miner
        A name of the catalogue, or a record.
    hashprice : array_like
        Revenue, as `tokenroof.mining.hashprice` gives it [$/(PH/s day)].
    power_price_per_kwh : array_like
        Price of electricity at the meter [$/kWh].
    fee : array_like
        Part that the pool keeps [1].
    pue : array_like
        Facility power over the machine's [1].

    Returns
    -------
    float or ndarray
        [$/day].

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError, TypeError
        Naming the argument, its value and what is allowed; naming `power` if that of the machine is
        not known.

    Examples
    --------
    >>> round(margin_per_day("Antminer S21", 50.0, 0.06), 9)
    4.96
    """
    machine, watts = powered(miner)
    earned, price = (
        reals("hashprice", hashprice),
        reals("power_price_per_kwh", power_price_per_kwh),
    )
    kept, overhead = pool_fee(fee), overhead_of(pue)
    check_shapes(hashprice=earned, power_price_per_kwh=price, fee=kept, pue=overhead)
    return _call("miner_margin", machine.hashrate, watts, earned, price, kept, overhead)


@keeps_labels
def break_even_power_price(
    miner: str | Miner, hashprice: ArrayLike, fee: ArrayLike = 0.0, pue: ArrayLike = 1.0
) -> float | NDArray[np.float64]:
    """Price of electricity above which a machine does not earn its power [$/kWh].

    Parameters
    ----------
    miner, hashprice, fee, pue
        As in `margin_per_day`.

    Returns
    -------
    float or ndarray
        At the meter [$/kWh].

    Raises
    ------
    KeyError, ValueError, TypeError
        As `margin_per_day`.

    Examples
    --------
    >>> round(break_even_power_price("Antminer S21", 50.0), 9)
    0.119047619
    """
    machine, watts = powered(miner)
    earned, kept, overhead = reals("hashprice", hashprice), pool_fee(fee), overhead_of(pue)
    check_shapes(hashprice=earned, fee=kept, pue=overhead)
    return _call("break_even_power_price", machine.hashrate, watts, earned, kept, overhead)


@keeps_labels
def shutdown_hashprice(
    miner: str | Miner,
    power_price_per_kwh: ArrayLike,
    fee: ArrayLike = 0.0,
    pue: ArrayLike = 1.0,
) -> float | NDArray[np.float64]:
    """Hashprice below which a machine does not earn its power [$/(PH/s day)].

    Parameters
    ----------
    miner, power_price_per_kwh, fee, pue
        As in `margin_per_day`.

    Returns
    -------
    float or ndarray
        [$/(PH/s day)].

    Raises
    ------
    KeyError, ValueError, TypeError
        As `margin_per_day`.

    Examples
    --------
    >>> round(shutdown_hashprice("Antminer S21", 0.06), 9)
    25.2
    """
    machine, watts = powered(miner)
    price = reals("power_price_per_kwh", power_price_per_kwh)
    kept, overhead = pool_fee(fee), overhead_of(pue)
    check_shapes(power_price_per_kwh=price, fee=kept, pue=overhead)
    return _call("shutdown_hashprice", machine.hashrate, watts, price, kept, overhead)


@keeps_labels
def shutdown_price(
    miner: str | Miner,
    power_price_per_kwh: ArrayLike,
    difficulty: ArrayLike,
    subsidy_btc: ArrayLike = 3.125,
    fees_btc: ArrayLike = 0.0,
    fee: ArrayLike = 0.0,
    pue: ArrayLike = 1.0,
) -> float | NDArray[np.float64]:
    """Price of a bitcoin below which a machine does not earn its power [$].

    Parameters
    ----------
    miner, power_price_per_kwh, fee, pue
        As in `margin_per_day`.
    difficulty : array_like
        [1].
    subsidy_btc, fees_btc : array_like
        New coins, and mean fees, of a block [BTC].

    Returns
    -------
    float or ndarray
        [$].

    Raises
    ------
    KeyError, ValueError, TypeError
        As `margin_per_day`; naming both if a block brings neither subsidy nor fees.

    Examples
    --------
    >>> round(shutdown_price("Antminer S21", 0.06, 1e14, fees_btc=0.05), 3)
    39455.08
    """
    least = np.asarray(shutdown_hashprice(miner, power_price_per_kwh, fee, pue))
    hard = reals("difficulty", difficulty, above=True)
    reward = reward_of(subsidy_btc, fees_btc)
    check_shapes(power_price_per_kwh=least, difficulty=hard, subsidy_btc=reward)
    return _call("price_at_hashprice", hard, reward, least)


@keeps_labels
def break_even_difficulty(
    miner: str | Miner,
    power_price_per_kwh: ArrayLike,
    price: ArrayLike,
    subsidy_btc: ArrayLike = 3.125,
    fees_btc: ArrayLike = 0.0,
    fee: ArrayLike = 0.0,
    pue: ArrayLike = 1.0,
) -> float | NDArray[np.float64]:
    """Difficulty above which a machine does not earn its power; infinite where power is free.

    Parameters
    ----------
    miner, power_price_per_kwh, fee, pue
        As in `margin_per_day`.
    price : array_like
        Price of a bitcoin [$].
    subsidy_btc, fees_btc : array_like
        New coins, and mean fees, of a block [BTC].

    Returns
    -------
    float or ndarray
        [1].

    Raises
    ------
    KeyError, ValueError, TypeError
        As `shutdown_price`.

    Examples
    --------
    >>> round(break_even_difficulty("Antminer S21", 0.06, 1e5) / 1e12, 6)
    249.461404
    """
    least = np.asarray(shutdown_hashprice(miner, power_price_per_kwh, fee, pue))
    coin = reals("price", price, above=True)
    reward = reward_of(subsidy_btc, fees_btc)
    check_shapes(power_price_per_kwh=least, price=coin, subsidy_btc=reward)
    return _call("difficulty_at_hashprice", reward, coin, least)


@keeps_labels
def break_even_efficiency(
    hashprice: ArrayLike,
    power_price_per_kwh: ArrayLike,
    fee: ArrayLike = 0.0,
    pue: ArrayLike = 1.0,
) -> float | NDArray[np.float64]:
    """Energy per terahash above which no machine earns its power [J/TH]; infinite where power is free.

    Parameters
    ----------
    hashprice, power_price_per_kwh, fee, pue
        As in `margin_per_day`.

    Returns
    -------
    float or ndarray
        [J/TH].

    Raises
    ------
    ValueError, TypeError
        As `margin_per_day`.

    Examples
    --------
    >>> round(break_even_efficiency(50.0, 0.06), 3)
    34.722
    """
    earned, price = reals("hashprice", hashprice), reals("power_price_per_kwh", power_price_per_kwh)
    kept, overhead = pool_fee(fee), overhead_of(pue)
    check_shapes(hashprice=earned, power_price_per_kwh=price, fee=kept, pue=overhead)
    one = np.asarray(_call("shutdown_hashprice", 1e15, 1e3, price, kept, overhead))  # of 1 J/TH
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return number_or_array(np.where(one > 0.0, earned / one, np.inf))
