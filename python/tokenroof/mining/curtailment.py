"""Running a machine in the hours that pay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.mining.inputs import powered, reals
from tokenroof.mining.margins import break_even_power_price
from tokenroof.records.miner import Miner
from tokenroof.support.arguments import finite_number
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@by_value
@dataclass(frozen=True, eq=False)
class Curtailment:
    """What running only in the hours that pay makes of a series of power prices.

    Attributes
    ----------
    uptime : float
        Part of the time that it runs [1].
    energy_kwh : float
        Energy used, at the meter [kWh].
    revenue_usd, power_cost_usd, margin_usd : float
        From mining; paid for power, less what power sold on brings; the difference [$].
    margin_always_on_usd, saved_usd : float
        Margin without ever switching off, and by how much it is the smaller [$].
    break_even_per_kwh : float or ndarray
        Price up to which it runs [$/kWh].
    running : ndarray of bool
        By interval.
    """

    uptime: float
    energy_kwh: float
    revenue_usd: float
    power_cost_usd: float
    margin_usd: float
    margin_always_on_usd: float
    saved_usd: float
    break_even_per_kwh: Any = field(repr=False)
    running: NDArray[np.bool_] = field(repr=False)


def curtailment(
    miner: str | Miner,
    hashprice: ArrayLike,
    spot_prices_per_kwh: ArrayLike,
    *,
    interval_s: float = 3600.0,
    fixed_price_per_kwh: float | None = None,
    fee: float = 0.0,
    pue: float = 1.0,
) -> Curtailment:
    """Run while the spot price is at most the break-even price, and be off otherwise.

    Parameters
    ----------
    miner : str or Miner
        A name of the catalogue, or a record.
    hashprice : array_like
        As `tokenroof.mining.hashprice` gives it, one number or one per interval [$/(PH/s day)].
    spot_prices_per_kwh : array_like, 1-d
        Price of electricity at the meter by interval; may be below zero [$/kWh].
    interval_s : float
        Length of an interval [s].
    fixed_price_per_kwh : float, optional
        Price at which the power of all intervals was bought ahead; what is not used is sold at spot,
        so that the spot price still decides [$/kWh].
    fee, pue : float
        Part that the pool keeps; facility power over the machine's [1].

    Returns
    -------
    Curtailment
        Part of the time that it runs [1], energy [kWh] and money [$].

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError, TypeError
        Naming the argument, the index, the value and what is allowed; naming `power` if that of the
        machine is not known.

    Examples
    --------
    >>> day = curtailment("Antminer S21", 50.0, [0.03] * 20 + [0.40] * 4)
    >>> round(day.uptime, 6), round(day.margin_usd, 6), round(day.margin_always_on_usd, 6)
    (0.833333, 6.233333, 2.3)
    """
    _, watts = powered(miner)
    spot = reals("spot_prices_per_kwh", spot_prices_per_kwh, None)
    if spot.ndim != 1 or spot.size == 0:
        raise ValueError(
            f"spot_prices_per_kwh has shape {spot.shape}; allowed: one dimension, not empty"
        )
    earned = reals("hashprice", hashprice)
    if earned.shape not in ((), spot.shape):
        raise ValueError(f"hashprice has shape {earned.shape}; allowed: () or {spot.shape}")
    seconds = finite_number("interval_s", interval_s, above=True)
    kept, overhead = finite_number("fee", fee), finite_number("pue", pue, 1.0)
    limit = np.asarray(break_even_power_price(miner, earned, kept, overhead))
    energy = watts * overhead * seconds / 3.6e6  # of one interval
    running = spot <= limit
    gain = (limit - spot) * energy  # of running, by interval: below zero exactly where it is off
    margin = float(gain[running].sum())
    saved = float(-gain[~running].sum())
    revenue = float((np.broadcast_to(limit, spot.shape)[running] * energy).sum())
    paid = float((spot[running] * energy).sum())
    if fixed_price_per_kwh is not None:
        fixed = finite_number("fixed_price_per_kwh", fixed_price_per_kwh)
        paid = fixed * energy * spot.size - float((spot[~running] * energy).sum())
        margin = revenue - paid
    return Curtailment(
        uptime=float(running.mean()),
        energy_kwh=energy * int(running.sum()),
        revenue_usd=revenue,
        power_cost_usd=paid,
        margin_usd=margin,
        margin_always_on_usd=margin - saved,
        saved_usd=saved + 0.0,  # no -0.0
        break_even_per_kwh=limit[()],
        running=running,
    )
