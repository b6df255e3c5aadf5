"""Flows on days of the calendar, and present values by the convention of spreadsheets."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from tokenroof import _core
from tokenroof.economics.flow_rows import xnpv_each
from tokenroof.economics.flows import cash_flows, judge_rate, npv
from tokenroof.support.arguments import finite_number, shown
from tokenroof.support.labels import refuse_labelled
from tokenroof.support.quoting import brief

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from numpy.typing import ArrayLike, NDArray

__all__ = ["spreadsheet_npv", "xirr", "xnpv"]

_DAYS_PER_YEAR = 365.0  # of XNPV, in leap years too
_NUMBERS = (bool, int, float, np.number, np.bool_)


def spreadsheet_npv(rate: float, flows: ArrayLike) -> float:
    """Net present value as a spreadsheet's NPV(): the first flow is a year away.

    Parameters
    ----------
    rate : float
        Yearly discount rate, above -1 [1].
    flows : array_like, 1-d
        Income at the end of each year, expenses below zero [$].

    Returns
    -------
    float
        `npv` over one year's interest [$].

    Raises
    ------
    ValueError, TypeError
        Naming the argument and what is allowed.

    Examples
    --------
    >>> round(spreadsheet_npv(0.1, [-10_000, 3000, 4200, 6800]), 2)
    1188.44
    """
    return npv(rate, flows) / (1.0 + float(rate))


def xnpv(rate: float, flows: ArrayLike, dates: Sequence[date | str] | ArrayLike) -> float:
    """Net present value, on the first day, of flows on days of the calendar.

    Parameters
    ----------
    rate : float
        Yearly discount rate, above -1 [1].
    flows : array_like, 1-d
        Income of each day, expenses below zero [$].
    dates : sequence of date, datetime64 or text "YYYY-MM-DD", 1-d
        The day of each flow, in any order but for the first: none lies before it.

    Returns
    -------
    float
        Sum of flow / (1 + rate)**(days since the first / 365), as spreadsheets' XNPV() [$].

    Raises
    ------
    ValueError, TypeError
        Naming the argument and what is allowed.

    Examples
    --------
    >>> days = ["2008-01-01", "2008-03-01", "2008-10-30", "2009-02-15", "2009-04-01"]
    >>> round(xnpv(0.09, [-10_000, 2750, 4250, 3250, 2750], days), 2)
    2086.65
    """
    worth = _core.plain_dated_worth(rate, flows, dates)
    if worth is not None:  # lists of numbers and dates
        judge_rate(rate)
        return worth
    per_year = finite_number("rate", rate, -1.0, above=True)
    judge_rate(per_year)
    array = cash_flows(flows)
    with np.errstate(over="ignore"):
        return float(xnpv_each(per_year, array, _years(dates, array.size)))


def xirr(flows: ArrayLike, dates: Sequence[date | str] | ArrayLike) -> tuple[float, ...]:
    """All yearly rates at which flows on days of the calendar are worth nothing, ascending.

    Parameters
    ----------
    flows : array_like, 1-d
        Income of each day, expenses below zero [$].
    dates : sequence of date, datetime64 or text "YYYY-MM-DD", 1-d
        The day of each flow, in any order but for the first: none lies before it.

    Returns
    -------
    tuple of float
        Rates above -1 per year [1], as `irr` gives them: more than one, or none, is possible.

    Raises
    ------
    ValueError, TypeError
        Naming the argument and what is allowed.

    Examples
    --------
    >>> days = ["2008-01-01", "2008-03-01", "2008-10-30", "2009-02-15", "2009-04-01"]
    >>> [round(rate, 8) for rate in xirr([-10_000, 2750, 4250, 3250, 2750], days)]
    [0.37336253]
    """
    rates = _core.plain_dated_rates(flows, dates)
    if rates is not None:
        return rates
    array = cash_flows(flows)
    return _core.rates_of(array, _years(dates, array.size))[0]


def _years(dates: Sequence[date | str] | ArrayLike, n: int) -> NDArray[np.float64]:
    """Years of 365 days since the first."""
    allowed = 'allowed: dates, or text "YYYY-MM-DD", one for each flow'
    refuse_labelled("dates", dates)
    given = dates if isinstance(dates, np.ndarray) else np.asarray(dates, dtype=object)
    numbers = given.dtype.kind not in "MOU" or (
        given.dtype.kind == "O" and any(isinstance(day, _NUMBERS) for day in given.ravel().tolist())
    )
    if numbers:  # which NumPy would count from 1970
        raise TypeError(f"dates is {shown(dates)}; {allowed}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error"
            )  # of a text with a time zone NumPy would make another day
            days = given.astype("datetime64[D]")
    except (ValueError, TypeError, UserWarning, DeprecationWarning) as error:
        raise ValueError(f"dates is {shown(dates)} ({brief(error)}); {allowed}") from None
    if days.shape != (n,) or np.isnat(days).any():
        raise ValueError(f"dates is {shown(dates)}; {allowed} ({n} of them)")
    since: NDArray[np.float64] = (days - days[0]).astype(np.float64)
    if (since < 0.0).any():
        early = days[int(np.argmin(since))]
        raise ValueError(
            f"dates has {early}, before the first, {days[0]}; allowed: the first day first"
        )
    years: NDArray[np.float64] = since / _DAYS_PER_YEAR
    return years
