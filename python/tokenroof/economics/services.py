"""Services that share a site: what each yields, sells for, draws and costs, hour by hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.economics.delivery import Offer
from tokenroof.support.arguments import finite_number, real_numbers, refuse, share, shown
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Service", "hours_of_use"]

_AMOUNTS = ("devices", "output_tokens_per_s", "price_per_mtok", "watts", "idle_watts",
            "input_tokens_per_s", "price_per_mtok_input", "cost_per_hour", "capex")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Service:
    """One tier on so many devices.

    Parameters
    ----------
    name : str
    devices : float
        That serve it [1].
    output_tokens_per_s : float
        Throughput of one device at full use [token/s].
    price_per_mtok : float
        Price of a million output tokens [$].
    watts, idle_watts : float
        Of one device with its share of the server, at full use and without any [W].
    use : float or sequence of float
        Part of the throughput that is sold: one number, or one for each hour of a day or of any other
        period [1].
    input_tokens_per_s : float
        Prompt tokens of one device at full use [token/s].
    price_per_mtok_input : float
        Price of a million of them, after what the cache makes cheaper [$].
    licence_fee : float
        Part of the revenue that the model's owner gets [1].
    cost_per_hour : float
        Rent of one device, or its operation, without electricity [$/h].
    capex : float
        What one device costs, server and network included [$].

    Raises
    ------
    ValueError, TypeError
        Naming the field, its value and what is allowed; idle watts above those at full use.

    Examples
    --------
    >>> chat = Service(name="chat", devices=8, output_tokens_per_s=1000.0, price_per_mtok=4.0, watts=1500.0)
    >>> chat.revenue_per_hour
    115.2
    """

    name: str
    devices: float
    output_tokens_per_s: float
    price_per_mtok: float
    watts: float
    idle_watts: float = 0.0
    use: float | Sequence[float] = 1.0
    input_tokens_per_s: float = 0.0
    price_per_mtok_input: float = 0.0
    licence_fee: float = 0.0
    cost_per_hour: float = 0.0
    capex: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name is {shown(self.name)}; allowed: text")
        put = object.__setattr__
        for name in _AMOUNTS:
            above = name in ("devices", "watts")
            put(self, name, finite_number(name, getattr(self, name), above=above))
        put(self, "licence_fee", share("licence_fee", self.licence_fee, zero=True))
        put(self, "use", tuple(_use(self.use).tolist()))
        if self.idle_watts > self.watts:
            raise ValueError(
                f"idle_watts is {shown(self.idle_watts)}; allowed: at most watts, {shown(self.watts)}"
            )

    @property
    def revenue_per_hour(self) -> float:
        """Of all devices at full use [$/h]."""
        output = self.output_tokens_per_s * self.price_per_mtok
        prompts = self.input_tokens_per_s * self.price_per_mtok_input
        return self.devices * 3600.0 * (output + prompts) / 1e6

    @classmethod
    def of(cls, offer: Offer, power_mw: float, **others: Any) -> Service:
        """An offer on so much power: devices, throughput, price, and the watts of its load.

        Parameters
        ----------
        offer : Offer
            One that is reached: `deliver`.
        power_mw : float
            In the megawatts that the offer counts [MW].
        **others
            Fields of `Service` that an offer has not, or that differ.

        Returns
        -------
        Service

        Raises
        ------
        ValueError, TypeError
            For an offer that is not reached, or whose watts are unknown, and as `Service`.
        """
        if not isinstance(offer, Offer):
            raise TypeError(f"offer is {shown(offer)}; allowed: an Offer")
        if not offer.is_reached:
            raise ValueError(f"offer is not reached: {offer.gap()}; allowed: one that is")
        mw = finite_number("power_mw", power_mw, above=True)
        given = {
            "name": offer.tier.name, "devices": mw * offer.devices_per_mw,
            "output_tokens_per_s": offer.tokens_per_s_per_mw / offer.devices_per_mw,
            "price_per_mtok": offer.tier.price_per_mtok, "watts": offer.watts,
            "idle_watts": min(offer.idle_watts, offer.watts), **others,
        }  # fmt: skip
        return cls(**given)


def _use(value: object) -> Array:
    array = real_numbers(value)
    if array is None or array.ndim > 1 or not array.size:
        raise TypeError(f"use is {shown(value)}; allowed: a part, or one for each hour")
    refuse("use", array, ~((array >= 0.0) & (array <= 1.0)), "from 0 to 1")
    return np.atleast_1d(array)


def hours_of_use(services: Sequence[Service], prices: Array) -> tuple[Array, Array]:
    """Use by service and hour, and the price of each hour, over one period for all."""
    lengths = {len(s.use) for s in services if len(s.use) > 1}  # type: ignore[arg-type]
    lengths |= {prices.size} if prices.size > 1 else set()
    n = max(lengths, default=1)
    for length in lengths:
        if n % length:
            said = ", ".join(map(str, sorted(lengths)))
            raise ValueError(
                f"use and price_per_mwh have {counted(said, 'hour')}; allowed: each a part of the longest"
            )
    use = np.stack([np.resize(np.asarray(s.use), n) for s in services])
    return use, np.resize(prices, n)
