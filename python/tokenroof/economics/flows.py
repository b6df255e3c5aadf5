"""The time value of money: yearly flows, what they are worth now, and what repays them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof import _core, kernels
from tokenroof.economics.flow_rows import npv_each
from tokenroof.support.arguments import (
    finite_number,
    no_numbers,
    real_numbers,
    refuse,
    share,
    shown,
)
from tokenroof.support.labels import refuse_labelled
from tokenroof.support.units import QUANTITIES, check_unit

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
    found = recovery(rate, years)
    judge_rate(rate)
    return found


def recovery(rate: float, years: float) -> float:
    """The same of a rate that was judged by its own name."""
    r, n = finite_number("rate", rate), finite_number("years", years, above=True)
    return float(kernels.capital_recovery(r, n))


def judge_rate(rate: float) -> None:
    """Warn of a yearly rate that may be in percent."""
    x = float(rate)
    if x > QUANTITIES["yearly.rate"].odd[1]:  # looked at first: most are not
        check_unit("rate", x, "yearly")


def cash_flows(flows: ArrayLike, name: str = "flows") -> NDArray[np.float64]:
    """Finite numbers of one stream, refused by name where they are none."""
    refuse_labelled(name, flows)
    array = real_numbers(flows)
    allowed = "finite numbers in one dimension"
    if array is None:
        raise no_numbers(name, flows, allowed)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} is {shown(flows)}; allowed: {allowed}")
    refuse(name, array, ~np.isfinite(array), allowed)
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
    worth = present_value(rate, flows)
    judge_rate(rate)
    return worth


def present_value(rate: float, flows: ArrayLike) -> float:
    """The same of a rate that was judged by its own name."""
    worth = _core.plain_worth(rate, flows)
    if worth is not None:  # numbers of Python's own in a list
        return worth
    per_year = finite_number("rate", rate, -1.0, above=True)
    with np.errstate(over="ignore"):
        return float(npv_each(per_year, cash_flows(flows)))


def irr(flows: ArrayLike) -> tuple[float, ...]:
    """All rates at which the net present value is zero, ascending.

    More than one, or none, is possible where flows change sign more than once; where they do so once there is
    one. The work is linear in the number of flows, for each of the rates that are tried: some five of them,
    or some hundred where there may be several. `irr_each` takes many rows. Of flows that begin above zero and
    end below it is what money costs that is borrowed so: plans (`Factory`, `Rung`) have no return then.

    Parameters
    ----------
    flows : array_like, 1-d
        Income of each year, or of each month, the first of them now, expenses below zero [$].

    Returns
    -------
    tuple of float
        Rates above -1 per year, or per month [1]. Where the value only touches zero is one rate, and so are
        rates between which it differs from zero by no more than rounding; none if all flows are zero.

    Raises
    ------
    ValueError, TypeError
        Naming the flows and what is allowed.

    Examples
    --------
    >>> [round(rate, 9) for rate in irr([-1600, 10000, -10000])]
    [0.25, 4.0]
    >>> irr([-1600, 1000, -1000])
    ()
    >>> [round(rate, 9) for rate in irr([-40_000] + [800] * 720)]
    [0.019999987]
    """
    rates = _core.plain_rates(flows)
    return _core.rates_of(cash_flows(flows), None)[0] if rates is None else rates


def borrows(flows: NDArray[np.float64]) -> bool:
    """Whether money comes in before any goes out that does later, as that of who borrows does.

    The rate at which such a stream is worth nothing is what the money costs, not what it earns: the higher
    it is, the worse.
    """
    moved = flows[flows != 0.0]
    return bool(moved.size and moved[0] > 0.0 and (moved < 0.0).any())


def rates_of_return(flows: NDArray[np.float64]) -> tuple[float, ...]:
    """What `irr` gives, of money that is invested; none where nothing is, before something is earned."""
    return () if borrows(flows) else irr(flows)


def years_to_return(flows: NDArray[np.float64]) -> float:
    """Years until yearly flows have come back for good, in a straight line within the year [year].

    Infinite where they never do; 0 where none is below nothing; NaN where nothing is invested that could come
    back, before something is earned.
    """
    if borrows(flows):
        return float("nan")
    total = np.cumsum(flows)
    below = np.flatnonzero(total < 0.0)
    if not below.size:
        return 0.0
    last = int(below[-1])
    if last + 1 == total.size:
        return float("inf")
    return last + float(-total[last] / (total[last + 1] - total[last]))


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
    net = finite_number("net_per_year", net_per_year, -np.inf)
    return cost / net if net > 0 else float("inf")


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
    spent, sold = cash_flows(costs, "costs"), cash_flows(output, "output")
    made = present_value(rate, sold)
    if made <= 0:
        raise ValueError(f"output is {shown(output)}; allowed: a present value above 0")
    if spent.size != sold.size:
        raise ValueError("costs and output differ in length; allowed: one number per year each")
    judge_rate(rate)
    return present_value(rate, spent) / made


def wacc(equity_rate: float, debt_rate: float, debt_share: float, tax_rate: float = 0.0) -> float:
    """Weighted average cost of capital, after tax [1/year].

    Parameters
    ----------
    equity_rate, debt_rate : float
        What owners ask for, and the coupon [1/year].
    debt_share : float
        Part of the capital that is borrowed, from 0 to 1 [1].
    tax_rate : float
        Against which interest counts, from 0 to 1 [1].

    Returns
    -------
    float
        As `finance.discount_rate` of a scenario takes it for the cash before debt.

    Raises
    ------
    ValueError, TypeError
        For a number out of its range.

    Examples
    --------
    >>> round(wacc(0.15, 0.0775, 0.8, 0.21), 5)
    0.07898
    """
    part, taxed = share("debt_share", debt_share, zero=True), share("tax_rate", tax_rate, zero=True)
    own, lent = finite_number("equity_rate", equity_rate), finite_number("debt_rate", debt_rate)
    return own * (1.0 - part) + lent * (1.0 - taxed) * part
