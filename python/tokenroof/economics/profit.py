"""What selling tokens leaves of a GPU's hour and of a GW's year, by the public estimator's definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from tokenroof.support.arguments import check_options, check_shapes, reals, refuse, together
from tokenroof.support.equality import by_value
from tokenroof.support.labels import unlabelled

if TYPE_CHECKING:
    from typing import Unpack

    from numpy.typing import ArrayLike

__all__ = ["Profit", "ProfitOptions", "profit"]

_KW_PER_GW = 1e6
_HOURS_PER_YEAR = 8760.0


class ProfitOptions(TypedDict, total=False):
    """Options of `profit`, as its docstring has them."""

    input_tokens_per_s: ArrayLike
    price_per_mtok_input: ArrayLike | None
    cached_price_ratio: ArrayLike
    cache_hits: ArrayLike
    utilization: ArrayLike
    licence_fee: ArrayLike


@by_value
@dataclass(frozen=True)
class Profit:
    """What an hour of one GPU brings and costs.

    Attributes
    ----------
    revenue, cost, licence, profit : float or array
        Of an hour of one GPU; ``profit`` is the first less the two others [$/h].
    gpu_hours_per_gw_year : float or array
        Hours of GPUs in a year of one GW, all in [h].
    """

    revenue: Any
    cost: Any
    licence: Any
    profit: Any
    gpu_hours_per_gw_year: Any

    @property
    def revenue_per_gw_year(self) -> Any:
        """[$/(GW year)]."""
        return self.revenue * self.gpu_hours_per_gw_year

    @property
    def cost_per_gw_year(self) -> Any:
        """[$/(GW year)]."""
        return self.cost * self.gpu_hours_per_gw_year

    @property
    def licence_per_gw_year(self) -> Any:
        """[$/(GW year)]."""
        return self.licence * self.gpu_hours_per_gw_year

    @property
    def profit_per_gw_year(self) -> Any:
        """[$/(GW year)]."""
        return self.profit * self.gpu_hours_per_gw_year

    @property
    def margin(self) -> Any:
        """Part of the revenue that is left; without revenue minus infinity at a cost, NaN without one [1]."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.divide(self.profit, self.revenue)


def profit(
    output_tokens_per_s: ArrayLike,
    price_per_mtok: ArrayLike,
    cost_per_hour: ArrayLike,
    watts: ArrayLike,
    **options: Unpack[ProfitOptions],
) -> Profit:
    """What selling tokens leaves of an hour of one GPU, and of a year of one GW.

    Parameters
    ----------
    output_tokens_per_s : array_like
        Throughput of one GPU in the benchmark [token/s].
    price_per_mtok : array_like
        Price of a million output tokens [$].
    cost_per_hour : array_like
        What one GPU costs, owned or rented, power included [$/h]: `catalogue.gpu_hour`.
    watts : array_like
        Power of one GPU with its share of everything in the hall [W]. It counts for the year of a GW alone.
    input_tokens_per_s : array_like, optional
        Prompt tokens of one GPU in the benchmark, those from the cache too [token/s]; 0 by default.
    price_per_mtok_input : array_like, optional
        Price of a million prompt tokens [$]; a quarter of `price_per_mtok` by default.
    cached_price_ratio : array_like, optional
        Price of a prompt token from the cache, over that of another [1]; 0.1 by default.
    cache_hits : array_like, optional
        Part of the prompt's tokens that the cache has [1]; 0 by default.
    utilization : array_like, optional
        Part of the benchmark's throughput that is sold [1]; 0.6 by default. Costs do not shrink with it.
    licence_fee : array_like, optional
        Part of the revenue that the model's owner gets [1]; 0.3 by default.

    Returns
    -------
    Profit
        [$/h], and by the year of one GW. Labels and masks of the arguments stay.

    Raises
    ------
    ValueError, TypeError
        For a number out of its range, what is no number, or shapes that do not broadcast, by name.

    References
    ----------
    SemiAnalysis, InferenceX Profit Estimator, docs/tco-calculator.md and profit-estimator.ts, August 2026,
    whose defaults these are: revenue = tokens x price x utilization; billable input = input x (1 - hits x
    (1 - cached price ratio)); profit = revenue - cost - fee.

    Examples
    --------
    >>> from tokenroof.catalogue import gpu_hour
    >>> hour = gpu_hour("H100-SXM", "2026-07")
    >>> of = profit(1000.0, 4.0, hour.owning, hour.watts)
    >>> round(of.revenue, 4), round(of.licence, 4), round(of.profit, 4)
    (8.64, 2.592, 4.878)
    >>> round(of.profit_per_gw_year / 1e9, 2)
    31.19
    """
    check_options("profit", options, ProfitOptions)
    asked: dict[str, Any] = {
        "input_tokens_per_s": 0.0, "cached_price_ratio": 0.1, "cache_hits": 0.0, "utilization": 0.6,
        "licence_fee": 0.3, **options,
    }  # fmt: skip
    if asked.get("price_per_mtok_input") is None:
        asked.pop("price_per_mtok_input", None)
    plain, put = unlabelled(
        output_tokens_per_s=output_tokens_per_s, price_per_mtok=price_per_mtok,
        cost_per_hour=cost_per_hour, watts=watts, **asked,
    )  # fmt: skip
    got = {name: reals(name, value, above=name == "watts") for name, value in plain.items()}
    for name in ("cached_price_ratio", "cache_hits", "utilization", "licence_fee"):
        refuse(name, got[name], got[name] > 1.0, "from 0 to 1", exact=True)
    check_shapes(**got)
    got = dict(zip(got, together(**got), strict=True))
    price_in = got.get("price_per_mtok_input", 0.25 * got["price_per_mtok"])
    billable = got["input_tokens_per_s"] * (
        1.0 - got["cache_hits"] * (1.0 - got["cached_price_ratio"])
    )
    per_s = got["output_tokens_per_s"] * got["price_per_mtok"] + billable * price_in
    revenue = 3600.0 * per_s / 1e6 * got["utilization"]
    fee = revenue * got["licence_fee"]
    hours = _KW_PER_GW / (got["watts"] / 1000.0) * _HOURS_PER_YEAR
    return Profit(*(_same_form(put, x) for x in (
        revenue, got["cost_per_hour"], fee, revenue - got["cost_per_hour"] - fee, hours,
    )))  # fmt: skip


def _same_form(put: Any, value: Any) -> Any:
    """In the labels of what came; a float for one number."""
    answer = put(np.asarray(value))
    return float(answer) if isinstance(answer, np.ndarray) and not answer.ndim else answer
