"""A hall of miners: switch off, keep, lease the shell, or convert to AI; and what it is worth to wait."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Unpack

import numpy as np

from tokenroof.catalogue.market_file import market_in_force
from tokenroof.economics.hall import values
from tokenroof.economics.hall.case import Case, ConversionOptions, Way, assumptions, case_of
from tokenroof.economics.hall.page import page_of
from tokenroof.economics.ladder import Rung, rung
from tokenroof.economics.scenarios.premises import premises
from tokenroof.economics.switching import Switching
from tokenroof.support.arguments import check_options
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require
from tokenroof.support.units import said_once, searched

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from tokenroof.economics.scenarios.scenario import Scenario
    from tokenroof.records.device import Device
    from tokenroof.records.miner import Miner

    Array = NDArray[np.float64]

__all__ = ["Choice", "Conversion", "convert_hall"]


@by_value
@dataclass(frozen=True)
class Choice:
    """One thing to do with the hall.

    Attributes
    ----------
    name : str
    kind : {"off", "keep", "lease", "convert"}
    npv : float
        Present value of deciding for it now and for good, the part that is left with the miners included;
        miners run in the years in which they earn their electricity [$].
    capex : float
        First capital [$].
    written_off : float
        Book value of the miners that go, less what they are sold for: the impairment [$].
    rung : Rung or None
        Its power as a rung of the ladder: revenue, margin, break-even, what breaks it; None if it is off.
    with_waiting : float
        Present value with the right to wait for it, year by year, and never to do it [$].
    error : float
        Standard error of that [$].
    chances : tuple of float
        Chance that it is done at each date by the best rule; the rest never does it [1].

    Examples
    --------
    >>> from tokenroof.economics import convert_hall
    >>> hall = convert_hall("Antminer S19 XP", power_mw=20, price_per_mwh=50, to=["H200-SXM"], paths=2000)
    >>> off, keep = hall.choices[:2]
    >>> off.kind, keep.kind, off.rung is None, keep.with_waiting >= off.with_waiting
    ('off', 'keep', True, True)
    """

    name: str
    kind: str
    npv: float
    capex: float
    written_off: float
    rung: Rung | None
    with_waiting: float
    error: float
    chances: tuple[float, ...]


@by_value
@dataclass(frozen=True)
class Conversion:
    """What to do with a hall of miners.

    Attributes
    ----------
    choices : tuple of Choice
        Off, keep, lease, and each conversion, in this order.
    together : Switching
        Value of the part that may be converted, with the right to choose any of them at any date.
    rest, come_what_may : float
        Present value of the part that stays with the miners, and that of mining with all of them at the
        expected prices without ever stopping [$].
    power_mw, price_per_mwh : float
        [MW], [$/MWh].
    assumptions : tuple of (str, str)
        What it stands on, with sources.
    """

    choices: tuple[Choice, ...]
    together: Switching = field(repr=False)
    rest: float
    come_what_may: float
    power_mw: float
    price_per_mwh: float
    assumptions: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def best(self) -> Choice:
        """The choice that is worth most if it is made now."""
        return max(self.choices, key=lambda choice: choice.npv)

    @property
    def waiting(self) -> float:
        """What it is worth not to decide now; never below nothing [$]."""
        return self.together.waiting

    @property
    def answer(self) -> str:
        """One sentence with what its value stands on, in lines; if the hall is switched off, the miners'."""
        best = self.best
        said = {"off": "switch it off", "keep": "keep mining"}.get(best.kind, best.name)
        millions, now = 1e6, best.npv / 1e6
        held = self.waiting / millions
        wait = f"to wait is worth {held:,.2f} M$ more"
        if held <= 2.0 * self.together.error / millions:
            wait = "to wait is worth nothing that the paths can tell"
        of = next(choice.rung for choice in (best, *self.choices) if choice.rung is not None)
        stands = premises(of.factory.scenario)
        return textwrap.fill(f"Decided now: {said} ({now:,.2f} M$, at {stands}); {wait}.", 112)

    def to_frame(self) -> pd.DataFrame:
        """A row for each choice."""
        rows = []
        for choice in self.choices:
            row = {name: getattr(choice, name) for name in
                   ("name", "kind", "npv", "with_waiting", "error", "capex", "written_off")}  # fmt: skip
            row |= {name: getattr(choice.rung, name, np.nan) for name in _OF_RUNG}
            rows.append(row)
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(rows)
        return frame

    def __str__(self) -> str:
        return page_of(self)


_OF_RUNG = (
    "revenue_per_mwh",
    "margin_per_mwh",
    "months_to_revenue",
    "break_even_power",
    "breaks",
    "breaks_at",
)


def convert_hall(
    miner: str | Miner = "Antminer S19 XP",
    power_mw: float = 20.0,
    price_per_mwh: float | None = None,
    to: Sequence[str | Device | Scenario] = ("H200-SXM", "B200-SXM"),
    **options: Unpack[ConversionOptions],
) -> Conversion:
    """Whether to switch off a hall of miners, keep it, lease its shell, or convert it.

    Parameters
    ----------
    miner : str or Miner
        What stands in the hall; it costs nothing more.
    power_mw : float
        At the meter [MW].
    price_per_mwh : float, optional
        Electricity in the first year; by default that of the file of newer prices, or 50 [$/MWh].
    to : sequence of str, Device or Scenario
        What it may be converted to: GPUs that `rent_gpus` rents out, or scenarios of your own, as
        `sell_tokens` makes.
    hashprice : float, optional
        Income of a PH/s and day [$]; the catalogue's newest by default.
    usd_per_gpu : mapping of float, optional
        What a GPU costs with its share of server and network, by device of `to`, by any of its names [$];
        by default the catalogue's newest price.
    contract : str or Deal
        Whose terms the lease has.
    shell_per_mw : float, optional
        Cost of the hall for AI by power at the meter [$/MW]; the contract's by default.
    conversion_years : int
        Years without income from the part that is converted [year]; 1 by default, so that its first income is
        of month 13, and of month 1 in `same_meter`, whose options count no conversion.
    part : float
        Part of the power that may be converted [1].
    book_value, resale : float
        Of all the miners: in the books, and what they are sold for when they go [$].
    mine_while_building : bool
        Whether the miners run on while the hall is built.
    miner_years : int
        Years that they last [year].
    hall, converted : mapping
        Keys of the scenario of the miners, as ``{"site.curtail_above": 90, "site.curtailment_income": 60}``,
        and of all that it may become, as ``{"income.rented_share": 0.8}``. ``finance.discount_rate`` and
        ``finance.tax_rate`` of either count for all, so that one table has one rate.
    wait_years : int
        Years within which it may still be decided [year].
    wander, rents : Uncertainty
        How hashprice and price of power, and the rents of GPUs (or prices of tokens) wander.
    paths, seed : int
    market : path or MarketData, optional
        A file of newer prices, as `tokenroof.catalogue.market_data` takes it: hashprice, rents, and
        electricity; the page says what of it is not used.

    Returns
    -------
    Conversion
        ``print`` gives one page.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name or key, or a number out of its range, by name.

    Notes
    -----
    Miners run in the years in which they earn their electricity; a year's prices are known after it. The
    conversion can be decided at the start of each year. Its value then is exact in the expected prices: those
    of later years come back to their course as `Uncertainty` says. Tax is a part of income less
    depreciation; losses count at once. Prices and costs move on by the scenario's own growth for each year
    of waiting; a lease's terms stay.

    References
    ----------
    Dixit and Pindyck, Investment under Uncertainty, Princeton, 1994; Longstaff and Schwartz, Review of
    Financial Studies 14(1), 2001.

    Examples
    --------
    >>> found = convert_hall("Antminer S19 XP", power_mw=20, price_per_mwh=50, to=["H200-SXM"], paths=2000)
    >>> [choice.kind for choice in found.choices], found.waiting >= 0.0
    (['off', 'keep', 'lease', 'convert'], True)
    """
    check_options("convert_hall", options, ConversionOptions)
    with said_once(), market_in_force(options.get("market")) as newer:
        case = case_of(miner, power_mw, price_per_mwh, to, options, newer)
    with searched():  # years that prices come to were said by nobody
        paths = values.paths_of(case)
        mined = values.mined(case, paths)
        worths = [values.worths(case, way, paths) for way in case.ways]
        together = values.choose(case, paths, mined, worths)
        kept = mined[:, case.count // 2 :].sum(axis=0)  # of the paths that rules were not fitted to
        rest = float(kept.mean()) * (1.0 / case.part - 1.0)
        choices = [
            _choice(case, way, worth, values.choose(case, paths, mined, [worth]), rest)
            for way, worth in zip(case.ways, worths, strict=True)
        ]
    mean, error = (
        float(kept.mean()) / case.part,
        float(kept.std(ddof=1) / case.part / kept.size**0.5),
    )
    stays = Choice("keep mining", "keep", mean, 0.0, 0.0, rung(case.mining.scenario), mean, error,
                   (0.0,) * case.dates)  # fmt: skip
    return Conversion(
        (choices[0], stays, *choices[1:]), together, rest, values.keep_npv(case), case.power, case.price,
        assumptions(case),
    )  # fmt: skip


def _choice(case: Case, way: Way, worth: Array, alone: Switching, rest: float) -> Choice:
    made, off = way.factory, way.factory is None
    now = float(worth[0].mean())
    others = now * (1.0 / case.part - 1.0) if off else rest
    done = np.diff(alone.shares[:, 1], prepend=0.0)
    return Choice(
        way.name, way.kind, now + others,
        0.0 if made is None else float(made.flow.capex[: way.start].sum()),
        (case.book - case.resale) * (1.0 if off else case.part),
        None if made is None else rung(made.scenario), alone.value + rest, alone.error, tuple(done.tolist()),
    )  # fmt: skip
