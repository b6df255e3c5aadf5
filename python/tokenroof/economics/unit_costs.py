"""What a million tokens cost, and what a MWh of them earns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenroof import kernels
from tokenroof.support.arguments import check_shapes, kept
from tokenroof.support.labels import keeps_labels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_WATTS_PER_KW = 1e3


@keeps_labels
def cost_per_mtok(
    tokens_per_s: ArrayLike,
    watts: ArrayLike,
    price_per_kwh: ArrayLike,
    cost_per_hour: ArrayLike = 0.0,
    pue: ArrayLike = 1.0,
) -> Any:
    """Cost of a million tokens: the machine's hours and its electricity.

    Parameters
    ----------
    tokens_per_s : array_like
        Throughput that is sold [token/s].
    watts : array_like
        Power of the machine [W].
    price_per_kwh, cost_per_hour : array_like
        Electricity [$/kWh], capital and operation [$/h].
    pue : array_like
        Facility power over IT power [1].

    Returns
    -------
    float or ndarray
        [$/Mtok]; where nothing is sold infinity of what costs something, NaN of what costs nothing.

    Raises
    ------
    ValueError, TypeError
        For a number out of its range, what is no number, or shapes that do not broadcast, by name.

    Examples
    --------
    >>> round(float(cost_per_mtok(1000.0, 3600.0, 0.1, cost_per_hour=3.6)), 9)
    1.1
    """
    k: Any = kernels
    rate, power, price, hourly, overhead = (
        kept("tokens_per_s", tokens_per_s), kept("watts", watts), kept("price_per_kwh", price_per_kwh),
        kept("cost_per_hour", cost_per_hour), kept("pue", pue, 1.0),
    )  # fmt: skip
    check_shapes(
        tokens_per_s=rate, watts=power, price_per_kwh=price, cost_per_hour=hourly, pue=overhead
    )
    # divided once: where nothing is sold, a part that costs nothing (0 / 0) takes nothing from one that does
    return k.cost_per_mtok(hourly + power * overhead * price / _WATTS_PER_KW, rate)


@keeps_labels
def revenue_per_mwh(tokens_per_s_per_mw: ArrayLike, price_per_mtok: ArrayLike) -> Any:
    """Revenue of tokens per MWh at the meter.

    Parameters
    ----------
    tokens_per_s_per_mw : array_like
        Throughput that is sold, per MW at the meter [token/(s MW)].
    price_per_mtok : array_like
        Price of a million of these tokens [$].

    Returns
    -------
    float or ndarray
        [$/MWh].

    Raises
    ------
    ValueError, TypeError
        For a number below zero, what is no number, or shapes that do not broadcast, by name.

    Examples
    --------
    >>> float(revenue_per_mwh(1e6, 2.0))
    7200.0
    """
    k: Any = kernels
    rate, price = (
        kept("tokens_per_s_per_mw", tokens_per_s_per_mw),
        kept("price_per_mtok", price_per_mtok),
    )
    check_shapes(tokens_per_s_per_mw=rate, price_per_mtok=price)
    return k.token_revenue_per_mwh(rate, price)
