"""Mining against inference at the same meter."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tokenroof import kernels
from tokenroof.catalogue.lookup import miner as find_miner
from tokenroof.catalogue.market_columns import unread
from tokenroof.catalogue.market_file import market_in_force
from tokenroof.catalogue.markets import Quote, latest
from tokenroof.catalogue.quote import MarketData, MarketLike
from tokenroof.economics.offers import cheapest_point
from tokenroof.economics.prices import token_quotes
from tokenroof.records.model import Model
from tokenroof.records.plan import Plan
from tokenroof.serving.frontier import frontier
from tokenroof.serving.loads import LONGEST_WAIT
from tokenroof.support.arguments import finite_number, is_number, share, shown
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.miner import Miner

_MEDIUM = 3.0  # the price of the keynote's medium tier [$/Mtok]


@dataclass(frozen=True, kw_only=True)
class Market:
    """Prices of one day, for comparing mining with inference.

    Parameters
    ----------
    hashprice : float
        Revenue of one PH/s over a day [$].
    price_per_mtok : float
        Price of a million output tokens [$].
    price_per_mtok_input : float
        Price of a million input tokens [$].
    price_per_kwh : float
        Price of electricity [$/kWh].
    mining_pue : float
        Facility power over machine power of the mine [1].
    utilization : float
        Share of the inference capacity that is sold [1].
    date : str
    notes : tuple of str
        What each number is and who says so.

    Examples
    --------
    >>> from tokenroof.economics import compare_per_mwh
    >>> today = Market(hashprice=50.0, price_per_mtok=0.6, price_per_kwh=0.05)
    >>> both = compare_per_mwh("Antminer S21", "H200-SXM", "gpt-oss-120b", market=today)
    >>> round(both.mining, 2)
    119.05
    """

    hashprice: float
    price_per_mtok: float
    price_per_mtok_input: float = 0.0
    price_per_kwh: float = 0.0
    mining_pue: float = 1.0
    utilization: float = 1.0
    date: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        put = object.__setattr__  # float64 of whatever number came
        for name in ("hashprice", "price_per_mtok", "price_per_mtok_input", "price_per_kwh"):
            put(self, name, finite_number(name, getattr(self, name)))
        put(self, "mining_pue", finite_number("mining_pue", self.mining_pue, 1.0))
        put(self, "utilization", share("utilization", self.utilization))
        if not isinstance(self.date, str):
            raise TypeError(f"date is {shown(self.date)}; allowed: text")
        if not isinstance(self.notes, (tuple, list)) or not all(
            isinstance(note, str) for note in self.notes
        ):
            raise TypeError(f"notes is {shown(self.notes)}; allowed: a tuple of text")
        put(self, "notes", tuple(self.notes))

    @classmethod
    def latest(
        cls,
        model: str | Model | float | None = None,
        price_per_kwh: float | None = None,
        mining_pue: float = 1.03,
        utilization: float = 0.6,
        *,
        price_per_mtok: float | None = None,
        price_per_mtok_input: float | None = None,
        market: MarketLike | None = None,
    ) -> Market:
        """The newest hashprice and power price of the catalogue, and what a model's tokens sell for.

        Parameters
        ----------
        model : str, Model or float, optional
            Whose list prices tokens have; a number is the price of output tokens [$/Mtok]. Without
            it, and without a price, 3 $/Mtok: the keynote's medium tier.
        price_per_kwh : float, optional
            Instead of the US average of industry [$/kWh].
        mining_pue, utilization : float
            As in `Market`.
        price_per_mtok, price_per_mtok_input : float, optional
            Instead of the model's: output, and input tokens, which are free where neither a model
            nor this says what they cost [$/Mtok].
        market : path or MarketData, optional
            A file of newer prices, as `tokenroof.catalogue.market_data` takes it.

        Returns
        -------
        Market
            Its `notes` say what each number is and who says so.

        Raises
        ------
        KeyError
            For an unknown model, with near matches.
        ValueError, TypeError
            For a model whose price nobody quotes, or a number out of range.

        Examples
        --------
        >>> Market.latest("gpt-oss-120b").price_per_mtok
        0.6
        """
        if is_number(model):
            if price_per_mtok is not None:
                raise ValueError(
                    f"model is {shown(model)} with price_per_mtok; allowed: one of the two"
                )
            price_per_mtok, model = float(model), None  # type: ignore[arg-type]
        elif model is not None and not isinstance(model, (str, Model)):
            raise TypeError(
                f"model is {shown(model)}; allowed: a name, a Model or a price [$/Mtok]"
            )
        with market_in_force(market) as newer:
            hash_quote = latest("btc_hashprice")
            power = latest("electricity_industrial", "US average")
            out, into, tokens = _token_prices(model, price_per_mtok, price_per_mtok_input)
            left = () if newer is None else unread(newer)
        kwh = power.value if price_per_kwh is None else price_per_kwh
        said = f"{_cited(power)}" if price_per_kwh is None else "given"
        found = cls(
            hashprice=hash_quote.value,
            price_per_mtok=out,
            price_per_mtok_input=into,
            price_per_kwh=kwh,
            mining_pue=mining_pue,
            utilization=utilization,
            date=hash_quote.date,
        )
        notes: tuple[str, ...] = (
            f"hashprice {hash_quote.value:g} $/PH/day, {hash_quote.date} ({hash_quote.source})",
            f"electricity {found.price_per_kwh:g} $/kWh, {said}",
            tokens,
            f"{100.0 * found.utilization:.15g}% of the inference capacity sold (assumption)",
            f"mine's PUE {found.mining_pue:g} (assumption)",
        )
        if newer is not None and left:
            notes += (f"not used of {newer.name}: {'; '.join(left)}",)
        return replace(found, notes=notes)

    def replace(self, **changes: Any) -> Market:
        """A copy with some fields changed; its notes say which."""
        if self.notes and "notes" not in changes:
            changed = tuple(f"{name} {value!r}, given" for name, value in changes.items())
            changes = {**changes, "notes": (*self.notes, *changed)}
        return replace(self, **changes)


def _cited(quote: Quote) -> str:
    return f"{quote.region}, {quote.date} ({quote.source})"


def _token_prices(
    model: str | Model | None, output: float | None, given_input: float | None
) -> tuple[float, float, str]:
    """Prices of output and input tokens [$/Mtok], and a note that says whose they are."""
    if output is not None:
        output = finite_number("price_per_mtok", output)
    if given_input is not None:
        given_input = finite_number("price_per_mtok_input", given_input)
    if model is not None and (output is None or given_input is None):
        into_quote, out_quote = token_quotes(model)
        out = out_quote.value if output is None else output
        into = into_quote.value if given_input is None else given_input
        said = _cited(out_quote)
        if output is not None:
            said = f"output given; input: {_cited(into_quote)}"
        elif given_input is not None:
            said = f"{said}; input given"
        return out, into, f"tokens {out!r} $/Mtok of output, {into!r} of input: {said}"
    into = 0.0 if given_input is None else given_input
    free = "input tokens free" if given_input is None else f"input {into!r}, given"
    if output is None:
        return (
            _MEDIUM,
            into,
            f"tokens {_MEDIUM:g} $/Mtok of output: the keynote's medium tier; {free}",
        )
    return output, into, f"tokens {output!r} $/Mtok of output, given; {free}"


@by_value
@dataclass(frozen=True)
class Comparison:
    """Mining against inference, per MWh at the meter.

    Attributes
    ----------
    mining, inference : float
        Revenue [$/MWh]; NaN where the model does not fit.
    electricity : float
        Cost of that MWh [$/MWh].
    interactivity : float
        Tokens per second of one user, where inference stands [token/s].
    ttft_s : float
        Mean time to the first token, where inference stands [s].
    concurrency : float
        Requests in flight, where inference stands [1].
    plan : str
    power : str
        Which power the inference figure counts.
    market : Market
    reason : str
        Why inference is NaN; empty where it is not.
    """

    miner: str
    device: str
    model: str
    mining: float
    inference: float
    electricity: float
    interactivity: float
    ttft_s: float
    concurrency: float
    plan: str
    power: str
    market: Market
    reason: str = ""

    @property
    def ratio(self) -> float:
        """Inference over mining [1]."""
        return self.inference / self.mining if self.mining else float("nan")

    def to_frame(self) -> pd.DataFrame:
        """One row per use of the meter."""
        rows = [
            {"use": "mining", "with": self.miner, "revenue_per_mwh": self.mining},
            {
                "use": "inference",
                "with": f"{self.model} on {self.device}",
                "revenue_per_mwh": self.inference,
            },
        ]
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(rows)
        frame["electricity_per_mwh"] = self.electricity
        frame["margin_per_mwh"] = frame["revenue_per_mwh"] - self.electricity
        return frame


def compare_per_mwh(
    miner: str | Miner,
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    market: Market | MarketLike | None = None,
    *,
    interactivity: float = 30.0,
    ttft_max: float | None = LONGEST_WAIT,
    input_tokens: float = 1024,
    output_tokens: float = 1024,
    fidelity: str | Calibration = "calibrated",
) -> Comparison:
    """Revenue of mining and of inference from the same MWh.

    Parameters
    ----------
    miner, device, model : str or record
    plan : Plan, optional
        By default the best of `tokenroof.serving.default_plans`.
    market : Market, path or MarketData, optional
        By default `Market.latest` with the model's list prices; a file of newer prices, as
        `tokenroof.catalogue.market_data` takes it, counts in it.
    interactivity : float
        Least tokens per second that each user gets [token/s].
    ttft_max : float, optional
        Longest mean time to the first token, as in `tokenroof.serving.frontier`; by default that of
        the report's page, None for any [s].
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    fidelity : {"calibrated", "datasheet"} or Calibration

    Returns
    -------
    Comparison
        Revenue of each, and the electricity [$/MWh]; ``inference`` is NaN where no plan and batch is
        that fast and that soon, or fits the memory: ``reason`` says what there is.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, an argument out of range, or a model without a price in the catalogue
        where no market is given.

    Examples
    --------
    >>> result = compare_per_mwh("Antminer S21", "H200-SXM", "gpt-oss-120b")
    >>> result.inference > result.mining
    True
    """
    m = find_miner(miner)
    if plan is not None and not isinstance(plan, Plan):
        raise TypeError(f"plan is {shown(plan)}; allowed: a Plan or None")
    least = finite_number("interactivity", interactivity, above=True)
    if market is not None and not isinstance(market, (Market, str, os.PathLike, MarketData)):
        raise TypeError(f"market is {shown(market)}; allowed: a Market, or a file of prices")
    prices = market if isinstance(market, Market) else Market.latest(model, market=market)
    front = frontier(
        device,
        model,
        None if plan is None else [plan],
        input_tokens,
        output_tokens,
        fidelity=fidelity,
        ttft_max=ttft_max,
    )
    k: Any = kernels
    if not m.power:
        raise ValueError(f"power of {m.name} is unknown; allowed: a miner whose power is known")
    efficiency = m.power / m.hashrate * 1e12
    mining = float(k.mining_revenue_per_mwh(prices.hashprice, efficiency, prices.mining_pue))
    i = cheapest_point(front, least)
    inference = speed = wait = users = float("nan")
    label = ""
    if i is not None:
        rate = float(front.output_tokens_per_s_per_mw.values[i]) * prices.utilization
        billed = prices.price_per_mtok + prices.price_per_mtok_input * (
            float(input_tokens) / float(output_tokens)
        )
        inference = float(k.token_revenue_per_mwh(rate, billed))
        speed = float(front.interactivity.values[i])
        wait = float(front.ttft_s.values[i])
        users = float(front.concurrency.values[i])
        label = str(front.plan.values[i])
    power = f"{front.attrs['provisioned_w_per_device']:.0f} W per device, {front.attrs['provisioned_kind']}"
    return Comparison(
        m.name, front.attrs["device"], front.attrs["model"], mining, inference,
        1000.0 * prices.price_per_kwh, speed, wait, users, label, power, prices, _why_none(front, least, i),
    )  # fmt: skip


def _why_none(front: Any, least: float, at: int | None) -> str:
    """Why no point of a frontier counts; empty where one does."""
    if at is not None:
        return ""
    if not front.sizes["point"]:
        return str(front.attrs["reason"])
    fastest = float(front.interactivity.max())
    return f"interactivity is {least:g} token/s; allowed: at most {fastest:.4g}, the fastest point"
