"""Mining against inference at the same meter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.catalogue.lookup import miner as find_miner
from tokenroof.support.arguments import finite_number
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.miner import Miner
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Market:
    """Prices of one day, for comparing mining with inference.

    Parameters
    ----------
    hashprice : float
        Revenue of one PH/s over a day [$].
    price_per_mtok : float
        Price of a million output tokens [$].
    price_per_kwh : float
        Price of electricity [$/kWh].
    mining_pue : float
        Facility power over machine power of the mine [1].
    utilization : float
        Share of the inference capacity that is sold [1].
    date : str
    notes : tuple of str
        What each number is and who says so.
    """

    hashprice: float
    price_per_mtok: float
    price_per_kwh: float = 0.0
    mining_pue: float = 1.0
    utilization: float = 1.0
    date: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("hashprice", "price_per_mtok", "price_per_kwh"):
            finite_number(name, getattr(self, name))
        finite_number("mining_pue", self.mining_pue, 1.0)
        if finite_number("utilization", self.utilization, above=True) > 1.0:
            raise ValueError(f"utilization is {self.utilization!r}; allowed: above 0, at most 1")

    @classmethod
    def latest(
        cls,
        price_per_mtok: float = 3.0,
        price_per_kwh: float | None = None,
        mining_pue: float = 1.03,
        utilization: float = 0.6,
    ) -> Market:
        """The newest hashprice and power price of the catalogue.

        Tokens cost what is given: 3 $/Mtok by default, the keynote's medium tier.

        Examples
        --------
        >>> Market.latest().hashprice > 0
        True
        """
        from tokenroof.catalogue import latest

        hash_quote = latest("btc_hashprice")
        power = latest("electricity_industrial", "US average")
        kwh = power.value if price_per_kwh is None else price_per_kwh
        said = (
            f"{power.region}, {power.date} ({power.source})" if price_per_kwh is None else "given"
        )
        return cls(
            hashprice=hash_quote.value,
            price_per_mtok=price_per_mtok,
            price_per_kwh=kwh,
            mining_pue=mining_pue,
            utilization=utilization,
            date=hash_quote.date,
            notes=(
                f"hashprice {hash_quote.value:g} $/PH/day, {hash_quote.date} ({hash_quote.source})",
                f"electricity {kwh:g} $/kWh, {said}",
                f"tokens {price_per_mtok:g} $/Mtok of output (assumption; input tokens free)",
                f"{utilization:.0%} of the inference capacity sold (assumption)",
                f"mine's PUE {mining_pue:g} (assumption)",
            ),
        )

    def replace(self, **changes: Any) -> Market:
        """A copy with some fields changed."""
        return replace(self, **changes)


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
    concurrency : float
        Requests in flight, where inference stands [1].
    plan : str
    power : str
        Which power the inference figure counts.
    market : Market
    """

    miner: str
    device: str
    model: str
    mining: float
    inference: float
    electricity: float
    interactivity: float
    concurrency: float
    plan: str
    power: str
    market: Market

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
    market: Market | None = None,
    *,
    interactivity: float = 30.0,
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
    market : Market, optional
        `Market.latest` by default.
    interactivity : float
        Least tokens per second that each user gets [token/s].
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    fidelity : {"calibrated", "datasheet"} or Calibration

    Returns
    -------
    Comparison
        Revenue of each, and the electricity [$/MWh]; ``inference`` is NaN where no plan and batch is
        that fast, or fits the memory.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name or an argument out of range.

    Examples
    --------
    >>> result = compare_per_mwh("Antminer S21", "H200-SXM", "gpt-oss-120b")
    >>> result.inference > result.mining
    True
    """
    from tokenroof.serving import frontier

    m = find_miner(miner)
    prices = Market.latest() if market is None else market
    if not isinstance(prices, Market):
        raise TypeError(f"market is {market!r}; allowed: a Market")
    least = finite_number("interactivity", interactivity, above=True)
    front = frontier(
        device,
        model,
        None if plan is None else [plan],
        input_tokens,
        output_tokens,
        fidelity=fidelity,
    )
    k: Any = kernels
    if not m.power:
        raise ValueError(f"power of {m.name} is unknown; allowed: a miner whose power is known")
    efficiency = m.power / m.hashrate * 1e12
    mining = float(k.mining_revenue_per_mwh(prices.hashprice, efficiency, prices.mining_pue))
    usable = np.flatnonzero(front.interactivity.values >= least)
    inference, speed, users, label = float("nan"), float("nan"), float("nan"), ""
    if usable.size:
        i = usable[0]  # by growing interactivity: the slowest that is fast enough earns most
        rate = float(front.output_tokens_per_s_per_mw.values[i]) * prices.utilization
        inference = float(k.token_revenue_per_mwh(rate, prices.price_per_mtok))
        speed = float(front.interactivity.values[i])
        users = float(front.concurrency.values[i])
        label = str(front.plan.values[i])
    power = f"{front.attrs['provisioned_w_per_device']:.0f} W per device, {front.attrs['provisioned_kind']}"
    return Comparison(
        m.name, front.attrs["device"], front.attrs["model"], mining, inference,
        1000.0 * prices.price_per_kwh, speed, users, label, power, prices,
    )  # fmt: skip
