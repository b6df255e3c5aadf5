"""The arms race: energy of a terahash and of a token by year of the machine, and how fast each halves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.catalogue.lookup import all_miners
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.catalogue.lookup import miner as find_miner
from tokenroof.economics.flows import SECONDS_PER_YEAR
from tokenroof.economics.offers import cheapest_point, gpu_price
from tokenroof.economics.trend import log_line
from tokenroof.serving.loads import LONGEST_WAIT
from tokenroof.support.arguments import finite_number, share, shown
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require
from tokenroof.support.names import among, listed
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from tokenroof.records.device import Device
    from tokenroof.records.miner import Miner
    from tokenroof.records.model import Model

    Array = NDArray[np.float64]

__all__ = ["ArmsRace", "Life", "race"]

#: Who is asked of inference, where nobody says: one of each generation.
GENERATIONS = (
    "V100-SXM2-32GB", "A100-SXM4-80GB", "H100-SXM", "H200-SXM", "B200-SXM", "GB200-NVL72", "B300-SXM",
    "GB300-NVL72", "Vera Rubin NVL72", "Instinct MI300X", "Instinct MI355X",
)  # fmt: skip


@dataclass(frozen=True)
class Life:
    """How long a machine earns its power.

    Attributes
    ----------
    name : str
    released : float
        [year].
    power_cost, whole_cost : float
        Of a unit: electricity alone, and with a share of the machine's price; NaN where nobody quotes that
        [$/TH] or [$/token].
    successor : str
        The first whose whole cost is below that; empty if none has come.
    loses_money : float
        Its release; inf if none has come [year].
    economic_life : float
        From the release until then [year].

    Examples
    --------
    >>> from tokenroof.economics import race
    >>> found = race("miners", ["Antminer S9", "Antminer S19 Pro", "Antminer S21"])
    >>> first, *_, last = found.lives(50.0)
    >>> first.successor, first.released + first.economic_life == first.loses_money, last.loses_money
    ('Antminer S19 Pro', True, inf)
    """

    name: str
    released: float
    power_cost: float
    whole_cost: float
    successor: str
    loses_money: float
    economic_life: float


@by_value
@dataclass(frozen=True)
class ArmsRace:
    """Machines by their year, and how fast the best of them halve their energy.

    Attributes
    ----------
    kind : {"miners", "inference"}
    unit : str
        "J/TH" or "J/token".
    names : tuple of str
        By release.
    released : ndarray
        Year and fraction of it, the middle of the month [year].
    joules : ndarray
        Energy of a unit [J/TH] or [J/token].
    record : ndarray of bool
        Whether it beats all that came before.
    left_out : tuple of str
        Without a date or a power, or too slow for the user.
    capital : ndarray
        Price of a machine over what it makes; NaN where nobody quotes it [$/(TH/s)] or [$/(token/s)].
    """

    kind: str
    unit: str
    names: tuple[str, ...]
    released: Array
    joules: Array
    record: NDArray[np.bool_]
    left_out: tuple[str, ...] = ()
    capital: Array | None = None

    def halving_years(self, level: float = 0.95) -> tuple[float, float, float]:
        """Years in which the records halve their energy: by least squares of its logarithm, and the interval.

        Parameters
        ----------
        level : float
            Probability of the interval [1].

        Returns
        -------
        tuple of float
            Estimate, low, high [year]; the high end is inf where the slope may be nothing.

        Raises
        ------
        ValueError
            If there are fewer than three records, or for a level out of its range.

        Notes
        -----
        Records follow each other, so that errors about the line are not independent: the interval is too
        narrow rather than too wide.

        Examples
        --------
        >>> years, low, high = race("miners").halving_years()
        >>> low < years < high
        True
        """
        inside = share("level", level)
        if inside == 1.0:
            raise ValueError(f"level is {shown(level)}; allowed: above 0, below 1")
        t = self.released[self.record]
        if t.size < 3 or t[0] == t[-1]:
            raise ValueError(
                f"there are {counted(t.size, 'record')}; allowed: at least 3, in more than one month"
            )
        slope, error = log_line(t, self.joules[self.record])
        special = require("scipy.special", extra="analysis")
        width = error * float(special.stdtrit(t.size - 2, 0.5 + 0.5 * inside))
        ends = [
            math.log(2.0) / -x if x < 0.0 else math.inf
            for x in (slope, slope - width, slope + width)
        ]
        return ends[0], ends[1], ends[2]

    def overtaken(self, electricity_share: float) -> Array:
        """When a successor makes each lose money: its whole cost is what the old one pays for power.

        Parameters
        ----------
        electricity_share : float
            Part of the successor's cost that is electricity, at the same price for both [1].

        Returns
        -------
        ndarray
            [year]; inf where none has come.

        Raises
        ------
        ValueError, TypeError
            For a share out of its range.

        Examples
        --------
        >>> gpus = race("inference", ["A100-SXM4-80GB", "H100-SXM", "GB200-NVL72"], model="Llama-3.1-8B")
        >>> bool(gpus.overtaken(0.9)[0] < gpus.overtaken(0.2)[0])
        True
        """
        part = share("electricity_share", electricity_share)
        found = np.full(len(self.names), np.inf)
        for i, joules in enumerate(self.joules):
            better = (self.joules <= part * joules) & (self.released > self.released[i])
            found[i] = self.released[better].min(initial=np.inf)
        return found

    def lives(self, price_per_mwh: float, years: float = 4.0) -> tuple[Life, ...]:
        """How long each machine earns its power, where a unit costs what the best successor needs for it.

        Parameters
        ----------
        price_per_mwh : float
            Of electricity at the machines [$/MWh].
        years : float
            Over which the price of a successor is spread, without interest [year].

        Returns
        -------
        tuple of Life
            In the order of `names`.

        Raises
        ------
        ValueError, TypeError
            For a number out of its range.

        Notes
        -----
        A machine loses money from the first release on whose whole cost of a unit, power and a share of its
        price, is below what the machine pays for power alone. Machines without a price are no successors.

        Examples
        --------
        >>> found = race("miners", ["Antminer S9", "Antminer S19 Pro", "Antminer S21"])
        >>> found.lives(50.0)[0].successor
        'Antminer S19 Pro'
        """
        price = finite_number("price_per_mwh", price_per_mwh, above=True)
        spread = finite_number("years", years, above=True)
        power = self.joules / 3.6e9 * price
        capital = np.full(len(self.names), np.nan) if self.capital is None else self.capital
        whole = power + capital / (spread * SECONDS_PER_YEAR)
        found = []
        for i, name in enumerate(self.names):
            later = (self.released > self.released[i]) & (whole < power[i])
            at = int(np.argmax(later)) if later.any() else -1
            end = float(self.released[at]) if at >= 0 else math.inf
            found.append(Life(
                name, float(self.released[i]), float(power[i]), float(whole[i]),
                self.names[at] if at >= 0 else "", end, end - float(self.released[i]),
            ))  # fmt: skip
        return tuple(found)

    def to_frame(self) -> pd.DataFrame:
        """A row for each machine."""
        columns = {
            "name": self.names,
            "released": self.released,
            "joules": self.joules,
            "record": self.record,
            "capital": np.full(len(self.names), np.nan) if self.capital is None else self.capital,
        }
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(columns)
        return frame


def race(
    kind: str,
    machines: Iterable[str | Miner | Device] | None = None,
    *,
    model: str | Model = "Llama-3.1-8B",
    interactivity: float = 30.0,
    input_tokens: float = 1024,
    output_tokens: float = 1024,
) -> ArmsRace:
    """Energy of a unit of work by the year of the machine.

    Parameters
    ----------
    kind : {"miners", "inference"}
    machines : iterable of str, Miner or Device, optional
        All miners of the catalogue (CPUs, GPUs, FPGAs, ASICs), or one GPU of each generation from Volta on.
    model : str or Model
        Of inference.
    interactivity : float
        Tokens per second that each user gets at least; the first within 10 s [token/s].
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].

    Returns
    -------
    ArmsRace
        [J/TH], or provisioned joules by output token at that speed: [J/token].

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown kind or name, or a number out of its range.

    Examples
    --------
    >>> found = race("miners", ["Antminer S9", "Antminer S19 XP", "Antminer S21"])
    >>> found.joules.round(1).tolist(), found.record.tolist()
    ([98.0, 21.5, 17.5], [True, True, True])
    """
    if not among(kind, ("miners", "inference")):
        raise ValueError(f"kind is {shown(kind)}; allowed: miners, inference")
    finite_number("interactivity", interactivity, above=True)
    rows: list[tuple[float, str, float, float]] = []
    left: list[str] = []
    given = None if machines is None else listed("machines", machines)
    load = (input_tokens, output_tokens)
    asked = _miners(given) if kind == "miners" else _devices(given, model, interactivity, load)
    for name, released, joules, capital in asked:
        if released is None or joules is None:
            left.append(name)
        else:
            rows.append((released, name, joules, capital))
    rows.sort()
    released_at = np.array([row[0] for row in rows])
    energy = np.array([row[2] for row in rows])
    best = np.minimum.accumulate(np.concatenate([[np.inf], energy]))[:-1]
    unit = "J/TH" if kind == "miners" else "J/token"
    return ArmsRace(
        kind, unit, tuple(row[1] for row in rows), released_at, energy, energy < best, tuple(left),
        np.array([row[3] for row in rows]),
    )  # fmt: skip


Row = tuple[str, "float | None", "float | None", float]


def _miners(given: list[Any] | None) -> Iterable[Row]:
    for item in all_miners() if given is None else given:
        found = find_miner(item)
        price = np.nan if found.price_usd is None else found.price_usd
        yield found.name, _year(found.release), found.efficiency, price / (found.hashrate / 1e12)


def _devices(
    given: list[Any] | None, model: str | Model, interactivity: float, load: tuple[float, float]
) -> Iterable[Row]:
    from tokenroof.serving.frontier import frontier

    for item in GENERATIONS if given is None else given:
        found = find_device(item)
        front = frontier(found, model, None, *load, ttft_max=LONGEST_WAIT)
        at = cheapest_point(front, interactivity)
        rate = None if at is None else float(front.output_tokens_per_s_per_mw.values[at])
        if rate is None:
            yield found.name, _year(found.release), None, np.nan
            continue
        each = rate * float(front.attrs["provisioned_w_per_device"]) / 1e6  # token/s of one device
        price = gpu_price(found.name)
        yield (
            found.name,
            _year(found.release),
            1e6 / rate,
            np.nan if price is None else price[0] / each,
        )


_PARTS = {"H": 2, "Q": 4}


def _year(release: str) -> float | None:
    """Year and fraction of the middle of a month, quarter or half; None for a year alone."""
    year, _, part = release.partition("-")
    if not year.isdigit() or not part:
        return None
    if part[0] in _PARTS and part[1:].isdigit():
        return int(year) + (int(part[1:]) - 0.5) / _PARTS[part[0]]
    return int(year) + (int(part[:2]) - 0.5) / 12.0 if part[:2].isdigit() else None
