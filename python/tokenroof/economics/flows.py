"""The time value of money: yearly flows, what they are worth now, and what repays them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof.support.arguments import finite_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SECONDS_PER_YEAR = 365 * 86400


def crf(rate: float, years: float) -> float:
    """Capital recovery factor: the yearly payment that repays one dollar.

    Parameters
    ----------
    rate : float
        Yearly interest [1].
    years : float
        Over which it is repaid.

    Returns
    -------
    float
        Part of the capital that is paid each year [1/year].

    References
    ----------
    Short, Packey, Holt, NREL/TP-462-5173, 1995: r / (1 - (1 + r)**-n); 1/n without interest.

    Examples
    --------
    >>> round(crf(0.08, 15), 12)
    0.116829544936
    """
    r, n = finite_number("rate", rate), finite_number("years", years, above=True)
    # expm1 and log1p keep it exact for small rates
    return 1.0 / n if r == 0.0 else float(r / -np.expm1(-n * np.log1p(r)))


def _flows(flows: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(flows, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"flows is {flows!r}; allowed: finite numbers in one dimension")
    return array


def npv(rate: float, flows: ArrayLike) -> float:
    """Net present value of yearly flows, the first of them now.

    Parameters
    ----------
    rate : float
        Yearly discount rate, above -1 [1].
    flows : array_like, 1-d
        Income of each year, expenses below zero [$].

    Returns
    -------
    float
        [$].

    Examples
    --------
    >>> round(npv(0.1, [-1000, 300, 420, 680]), 9)
    130.728775357
    """
    if not np.isfinite(rate) or rate <= -1.0:
        raise ValueError(f"rate is {rate!r}; allowed: a finite number above -1")
    array = _flows(flows)
    return float(np.sum(array * (1.0 + rate) ** -np.arange(array.size)))


def irr(flows: ArrayLike) -> tuple[float, ...]:
    """All rates at which the net present value is zero, ascending.

    More than one, or none, is possible where flows change sign more than once.

    Parameters
    ----------
    flows : array_like, 1-d
        Income of each year, the first of them now, expenses below zero [$].

    Returns
    -------
    tuple of float
        Yearly rates [1].

    Examples
    --------
    >>> [round(rate, 9) for rate in irr([-1600, 10000, -10000])]
    [0.25, 4.0]
    """
    array = _flows(flows)
    try:
        with np.errstate(all="ignore"):
            roots = np.roots(array[::-1])  # in x = 1 / (1 + rate)
    except np.linalg.LinAlgError:
        raise ValueError(f"flows is {flows!r}; allowed: numbers of like size") from None
    nearly_real = np.abs(roots.imag) <= 1e-7 * np.maximum(1.0, np.abs(roots))
    real = roots[nearly_real & (roots.real > 1e-300)].real
    rates: list[float] = []
    years = np.arange(array.size)
    for x in sorted(map(float, real), reverse=True):
        rate = 1.0 / x - 1.0
        with np.errstate(all="ignore"):
            present = array * x**years
        # coefficients of very different size give roots that are none
        genuine = abs(present.sum()) <= 1e-9 * np.abs(present).sum()
        if genuine and (not rates or rate - rates[-1] > 1e-6 * (1.0 + rate)):
            rates.append(rate)
    return tuple(rates)


def payback(capex: float, net_per_year: float) -> float:
    """Years until yearly net income has repaid the capital; infinite where it never does.

    Parameters
    ----------
    capex : float
        Capital [$].
    net_per_year : float
        Income less what running costs [$/year].

    Returns
    -------
    float
        [year].

    Examples
    --------
    >>> round(payback(30000, 12330), 6)
    2.43309
    """
    cost = finite_number("capex", capex)
    if not np.isfinite(net_per_year):
        raise ValueError(f"net_per_year is {net_per_year!r}; allowed: a finite number")
    return cost / net_per_year if net_per_year > 0 else float("inf")


def levelized_cost(costs: ArrayLike, output: ArrayLike, rate: float) -> float:
    """Present value of yearly costs over that of yearly output.

    Parameters
    ----------
    costs, output : array_like, 1-d
        Per year, the first of them now [$], [unit].
    rate : float
        Yearly discount rate [1].

    Returns
    -------
    float
        [$ per unit].

    Examples
    --------
    >>> round(levelized_cost([100, 10, 10], [0, 50, 50], 0.0), 6)
    1.2
    """
    made = npv(rate, output)
    if made <= 0:
        raise ValueError(f"output is {output!r}; allowed: a present value above 0")
    if _flows(costs).size != _flows(output).size:
        raise ValueError("costs and output differ in length; allowed: one number per year each")
    return npv(rate, costs) / made
