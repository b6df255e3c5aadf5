"""Where a frontier meets a user's speed, and what its machines cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof.catalogue.files import date_key
from tokenroof.catalogue.lookup import listed_device
from tokenroof.catalogue.markets import Quote, quotes

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["cheapest_point", "gpu_price", "priced_devices"]


def cheapest_point(front: xr.Dataset, interactivity: float) -> int | None:
    """Index of the slowest point that is fast enough, which yields most; None where none is.

    Points stand by growing interactivity, so that tokens per MW fall.
    """
    usable = np.flatnonzero(front.interactivity.values >= interactivity)
    return int(usable[0]) if usable.size else None


def gpu_price(name: str) -> tuple[float, str, Quote] | None:
    """What a GPU costs with its share of a server [$]; None if nobody says.

    Of one that is quoted alone: times what such a share is to the GPU alone, in the mean of those of which
    both are quoted. With it what that is, and the quote.
    """
    server = [q for q in quotes("server_or_rack_price") if "8-GPU" in q.region and _of(q) == name]
    alone = [q for q in quotes("gpu_price") if _of(q) == name]
    if not server and not alone:
        return None
    quote = max(server or alone, key=lambda q: date_key(q.date))
    if server:
        return quote.value / 8.0, "an eighth of a server", quote
    more = _server_over_gpu()
    return (
        quote.value * more,
        f"{quote.value:,.0f} $ alone, times {more:.3g} for its share of a server",
        quote,
    )


def priced_devices() -> tuple[str, ...]:
    """Names of the devices that `gpu_price` has.

    Examples
    --------
    >>> "H200-SXM" in priced_devices(), all(gpu_price(name) for name in priced_devices())
    (True, True)
    """
    server = [q for q in quotes("server_or_rack_price") if "8-GPU" in q.region]
    names = [_of(q) for q in (*quotes("gpu_price"), *server)]
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _of(quote: Quote) -> str | None:
    """Device of the catalogue that an item is quoted for: the longest beginning of it that is one's name."""
    words = quote.region.removeprefix("HGX ").split()
    for last in range(len(words), 0, -1):
        if name := listed_device(" ".join(words[:last])):
            return name
    return None


def _server_over_gpu() -> float:
    """An eighth of a server over its GPU alone, in the mean of those of which both are quoted [1]."""
    found = []
    for server in quotes("server_or_rack_price"):
        words = server.region.split()
        if "8-GPU" in words:
            alone = [q.value for q in quotes("gpu_price") if q.region == f"{words[1]} SXM"]
            found += [server.value / 8.0 / each for each in alone]
    return float(np.mean(found))
