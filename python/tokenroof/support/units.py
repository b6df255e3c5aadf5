"""Which numbers a quantity can have in its unit, by the name of the argument, key or field that holds it.

The one table of such ranges: functions, records, scenarios, files of devices and options of the command line
all go through it. What is beyond `low` and `high` no such thing has, so that the unit must be another one:
refused. What is legal but beyond `odd` brings a `UserWarning`. Zero is never judged here, nor is what is
infinite: whether they are allowed is for the caller to say.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "QUANTITIES",
    "Quantity",
    "caller",
    "check_unit",
    "judged",
    "likely",
    "machine_price",
    "quantity_of",
    "said_once",
    "searched",
]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A unit, and what a number in it can be.

    Attributes
    ----------
    unit : str
    low, high : float
        Beyond them a number is in another unit.
    odd : (float, float)
        Beyond them it may be.
    slips : tuple of (str, float)
        Units that are taken for it, and how much of `unit` one of them is.
    usual : (float, float)
        Where a number lies that was meant.
    endless : float
        From here on a bound is meant to be none.
    """

    unit: str
    low: float = 0.0
    high: float = np.inf
    odd: tuple[float, float] = (0.0, np.inf)
    slips: tuple[tuple[str, float], ...] = ()
    usual: tuple[float, float] = (0.0, np.inf)
    endless: float = np.inf


def _seconds(high: float, odd: float, usual: tuple[float, float]) -> Quantity:
    return Quantity("s", 0.0, high, (0.0, odd), (("ms", 1e-3),), usual, 1e5)


def _power(high: float, low: float = 1.0) -> Quantity:
    return Quantity(
        "W", low, high, (low, high), (("kW", 1e3), ("MW", 1e6), ("mW", 1e-3)), (1.0, 3e4)
    )


def _many(unit: str, low: float, high: float, usual: tuple[float, float]) -> Quantity:
    """Of what is printed with a prefix: kilo to peta, and the other way round."""
    prefixes = (("T", 1e12), ("G", 1e9), ("P", 1e15), ("M", 1e6), ("k", 1e3))
    larger = tuple((f"{p}{unit}", x) for p, x in prefixes)
    return Quantity(unit, low, high, (low, high), (*larger, ("", 1e-3), ("", 1e-6)), usual)


_PER_KWH = Quantity(
    "$/kWh", 0.0, 20.0, (0.0, 2.5), (("$/MWh", 1e-3), ("cent/kWh", 1e-2)), (0.01, 1.0)
)
_PER_MWH = Quantity(
    "$/MWh",
    0.0,
    2e4,
    (1.0, np.inf),
    (("$/kWh", 1e3), ("cent/kWh", 10.0), ("$/GWh", 1e-3)),
    (10.0, 1e3),
)
_PER_MTOK = Quantity(
    "$/Mtok", 0.0, 1e6, (1e-4, np.inf), (("$/token", 1e6), ("$/ktoken", 1e3)), (0.01, 1e3)
)
_CAPEX = Quantity("$/MW", 0.0, 1e10, (0.0, np.inf), (("M$/MW", 1e6), ("k$/kW", 1e6)), (1e5, 1e9))
_YEARLY = Quantity("1/year", 0.0, np.inf, (0.0, 2.0), (("%", 1e-2),), (1e-4, 1.0))
_VOLATILITY = Quantity("1/sqrt(year)", 0.0, 10.0, (0.0, 2.0), (("%", 1e-2),), (0.01, 2.0))
_FADING = Quantity("1/year", 0.0, np.inf, (0.0, 20.0), (("%", 1e-2),), (0.01, 20.0))
_SPREAD = Quantity("1", 0.0, 10.0, (0.0, 2.0), (("%", 1e-2),), (0.005, 2.0))
_OVERHEAD = Quantity("1", 0.0, 10.0, (0.0, 3.0), (("%", 1e-2),), (1.0, 3.0))
_BANDWIDTH = _many("B/s", 1e6, 1e15, (1e9, 5e13))
_HASHPRICE = Quantity(
    "$/(PH/s day)", 0.0, np.inf, (0.1, np.inf),
    (("$/(TH/s day)", 1e3), ("$/(GH/s day)", 1e6), ("$/(EH/s day)", 1e-3)), (5.0, 1e3),
)  # fmt: skip

#: By the last part of a name: ``site.power_mw`` is ``power_mw``; or by all of it.
QUANTITIES: dict[str, Quantity] = {
    # what users are promised, and how long they wait
    "ttft_s": _seconds(300.0, 60.0, (1e-3, 60.0)), "ttft_max": _seconds(300.0, 60.0, (1e-3, 60.0)),
    "tpot_s": _seconds(10.0, 1.0, (1e-4, 1.0)), "tpot_max": _seconds(10.0, 1.0, (1e-4, 1.0)),
    "itl_s": _seconds(60.0, 5.0, (1e-4, 5.0)), "e2e_s": _seconds(86_400.0, 3600.0, (1e-2, 3600.0)),
    "timeout_s": _seconds(1e7, 86_400.0, (0.1, 3600.0)),
    "queue_timeout_s": _seconds(1e7, 86_400.0, (0.1, 3600.0)),
    "signal_age_s": _seconds(3600.0, 60.0, (1e-4, 10.0)),
    "percentile": Quantity("%", 1.0, 100.0, (1.0, 100.0), (("as a share", 100.0),), (1.0, 100.0)),
    # the meter
    "power_mw": Quantity("MW", 0.0, 1e5, (0.0, 1.5e4), (("kW", 1e-3), ("W", 1e-6)), (1e-3, 1e4)),
    "power_w": Quantity("W", 0.0, 1e13, (0.0, 1e12)),
    "price_per_mwh": _PER_MWH, "curtail_above": _PER_MWH, "curtailment_income": _PER_MWH,
    "price_per_kwh": _PER_KWH, "power_price_per_kwh": _PER_KWH, "spot_prices_per_kwh": _PER_KWH,
    "fixed_price_per_kwh": _PER_KWH,
    "demand_charge": Quantity(
        "$/(kW month)", 0.0, 1e4, (0.0, 200.0), (("$/(MW month)", 1e-3),), (0.1, 100.0)
    ),
    "pue": _OVERHEAD, "mining_pue": _OVERHEAD, "threshold_pue": _OVERHEAD,
    # what is sold, and what it costs
    "price_per_mtok": _PER_MTOK, "price_per_mtok_input": _PER_MTOK,
    "price_per_gpu_hour": Quantity(
        "$/h", 0.0, 1e4, (0.01, 500.0), (("$/s", 3600.0), ("$/month", 1.0 / 730.0), ("$/year", 1.0 / 8760.0)),
        (0.05, 100.0),
    ),
    "lease_per_mw_year": Quantity(
        "$/(MW year)", 0.0, 1e9, (0.0, np.inf), (("$/(kW month)", 12e3), ("M$/(MW year)", 1e6)), (1e5, 1e8)
    ),
    "usd_per_gpu": Quantity("$", 10.0, 1e7, (200.0, 1e6), (("k$", 1e3),), (5e3, 5e5)),
    "capex_per_it_mw": _CAPEX, "shell_per_mw": _CAPEX,
    # of any year, and of one to come: above what a PH/s earned in any month since 2015
    "hashprice": _HASHPRICE, "income.hashprice": replace(_HASHPRICE, odd=(0.1, 5e3)),
    "joules_per_terahash": Quantity(
        "J/TH", 0.0, 1e9, (0.5, np.inf), (("J/GH", 1e3), ("J/MH", 1e6)), (5.0, 200.0)
    ),
    "gpu_watts": Quantity("W", 0.0, 1e6, (20.0, 2e4), (("kW", 1e3), ("mW", 1e-3)), (50.0, 1e4)),
    "discount_rate": _YEARLY, "inflation": _YEARLY, "coupon": _YEARLY, "price_growth": _YEARLY,
    "equity_rate": _YEARLY, "debt_rate": _YEARLY, "yearly.rate": _YEARLY,
    **dict.fromkeys(("performance_growth", "token_price_growth", "power_price_growth", "throughput_growth",
                     "fee_growth", "network_growth", "processes_growth", "price_growth_per_year",
                     "hashprice_growth_per_year", "difficulty_growth_per_year", "om_share"), _YEARLY),
    # the chain makes a difficulty at most four times what it was
    "difficulty_growth_per_retarget": Quantity("1", 0.0, 3.0, (0.0, 0.5), (("%", 1e-2),), (1e-4, 0.5)),
    "difficulty": Quantity(
        "", 0.0, np.inf, (1e6, 1e18), (("T", 1e12), ("G", 1e9), ("P", 1e15), ("hash/s", 600.0 / 2.0**32)),
        (1e12, 1e16),
    ),
    # how prices wander
    "price_volatility": _VOLATILITY, "power_volatility": _VOLATILITY,
    "price_reversion": _FADING, "power_reversion": _FADING, "supply_response": _FADING,
    "output_error": _SPREAD, "capital_error": _SPREAD, "jump_down": _SPREAD,
    "token_price_sigma": _SPREAD, "power_price_sigma": _SPREAD, "throughput_sigma": _SPREAD,
    # devices and miners; what they compute with on a wafer stands in `quantity_of`
    "memory_bytes": _many("B", 1e6, 1e15, (1e8, 1e13)), "sram_bytes": _many("B", 1e3, 1e14, (1e5, 1e11)),
    "l2_bytes": _many("B", 1e3, 1e12, (1e5, 1e9)), "boost_clock_hz": _many("Hz", 1e6, 1e11, (1e8, 1e10)),
    "memory_bandwidth": _many("B/s", 1e9, 1e15, (5e10, 2e14)), "link_bandwidth": _BANDWIDTH,
    "node_link_bandwidth": _BANDWIDTH, "offload_bandwidth": _BANDWIDTH,
    "peak": _many("FLOP/s", 1e8, 1e18, (1e11, 2e17)),
    "tdp_w": _power(1e5), "system_power_w": _power(1e6), "provisioned_power_w": _power(1e6),
    "idle_w": _power(1e5, 0.0), "price_usd": Quantity("$", 0.0, 1e9),
    "resale": Quantity("$", 0.0, 1e15), "book_value": Quantity("$", 0.0, 1e15),
    "miner.hashrate": _many("hash/s", 1e4, 1e19, (1e6, 1e16)), "miner.power": _power(1e7, 0.01),
}  # fmt: skip

_JUDGED = ContextVar("judged", default=True)
_SAID: ContextVar[set[tuple[str, float]] | None] = ContextVar("said", default=None)
_OURS = ("tokenroof", "dataclasses")  # a record checks itself when it is made

_WAFER = {"memory_bandwidth": _many("B/s", 1e9, 1e18, (1e15, 1e17))}


def quantity_of(name: str, kind: str = "") -> Quantity | None:
    """What is known of a name, of a device of a kind or of a miner; None: nothing."""
    last = name.rpartition(".")[2].partition("[")[0]
    own = QUANTITIES.get(f"{kind}.{last}" if kind else name) or (
        _WAFER.get(last) if kind == "wafer" else None
    )
    return own or QUANTITIES.get(last)


def likely(of: Quantity, value: float) -> str:
    """What was meant, in words that end an error; "" where no unit that is taken for it gives a usual number.

    Examples
    --------
    >>> likely(QUANTITIES["ttft_max"], 500.0), likely(QUANTITIES["price_per_mwh"], 0.05)
    ('; did you mean 0.5 s (500 ms)?', '; did you mean 50 $/MWh (0.05 $/kWh)?')
    """
    size = abs(value)
    for unit, factor in of.slips:
        meant = value * factor
        if of.usual[0] <= size * factor <= of.usual[1]:
            own = "" if of.unit in ("", "1", "1/year", "1/sqrt(year)", "%") else f" {of.unit}"
            given = f" ({value:.12g} {unit})" if unit else ""
            return f"; did you mean {meant:.6g}{own}{given}?"
    return ""


def machine_price(terahashes: float) -> Quantity:
    """Of a TH/s of machines that have so many each, which cost from some dollars to a hundred thousand.

    Examples
    --------
    >>> likely(machine_price(200.0), 3200.0)
    '; did you mean 16 $/(TH/s) (3200 $ a machine)?'
    """
    each = 1.0 / terahashes
    return Quantity(
        "$/(TH/s)",
        0.0,
        1e8 * each,
        (0.0, 1e5 * each),
        (("$ a machine", each),),
        (5.0 * each, 1e5 * each),
    )


def check_unit(
    name: str, value: float | NDArray[np.float64], kind: str = "", of: Quantity | None = None
) -> None:
    """Refuse what is in another unit; warn of what may be.

    Of several numbers, as prices by hour, each may be odd while others are not: all have to be for a warning.

    Raises
    ------
    ValueError
        With the name, the value, the range, and what was meant.

    Examples
    --------
    >>> check_unit("ttft_max", 2.0)
    >>> check_unit("ttft_max", 500.0)
    Traceback (most recent call last):
    ValueError: ttft_max is 500; allowed: at most 300 s; did you mean 0.5 s (500 ms)?
    """
    of = quantity_of(name, kind) if of is None else of
    if of is None or not _JUDGED.get():
        return
    array = np.asarray(value, np.float64)
    given = array.ravel()
    sizes = np.abs(given)
    real = np.isfinite(sizes) & (sizes > 0.0) & (sizes < of.endless)
    if not real.any():
        return
    bad = real & ((sizes > of.high) | (sizes < of.low))
    if bad.any():
        at = float(given[int(np.argmax(bad))])
        where = np.argwhere(bad.reshape(array.shape))[0].tolist() if bad.size > 1 else ""
        raise ValueError(f"{name}{where} is {at:.12g}; allowed: {_range(of, at)}{likely(of, at)}")
    # what is below zero is no slip of a small number
    odd = ((given >= 0.0) & (given < of.odd[0])) | (sizes > of.odd[1])
    if odd[real].all():
        at = float(given[int(np.argmax(real))])
        said, number = _SAID.get(), (name.rpartition(".")[2], at)
        if said is not None:
            if number in said:
                return
            said.add(number)
        unit = f" {of.unit}" if of.unit else ""
        warnings.warn(
            f"{name} is {at:.12g}{unit}, which is legal and odd{likely(of, at)}",
            stacklevel=caller(),
        )


def judged() -> bool:
    """Whether numbers are looked at: not while a search tries them."""
    return _JUDGED.get()


@contextmanager
def said_once() -> Iterator[None]:
    """Within, a number is warned of once, however many records it goes into."""
    if _SAID.get() is not None:
        yield
        return
    before = _SAID.set(set())
    try:
        yield
    finally:
        _SAID.reset(before)


@contextmanager
def searched() -> Iterator[None]:
    """Numbers that a search tries are not judged: nobody meant them."""
    before = _JUDGED.set(False)
    try:
        yield
    finally:
        _JUDGED.reset(before)


def _range(of: Quantity, at: float) -> str:
    """The end of the range that a number is beyond, in words."""
    unit = "" if of.unit in ("", "1") else f" {of.unit}"
    if abs(at) > of.high:
        sign = "-" if at < 0.0 else ""
        return f"at {'least' if sign else 'most'} {sign}{of.high:g}{unit}"
    return f"at least {of.low:g}{unit}"


def caller() -> int:
    """How far up the code is that is not this package's, for a warning that points there."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OURS):
        level, frame = level + 1, frame.f_back
    return level
