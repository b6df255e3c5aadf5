"""What users are promised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokenroof.support.arguments import number, shown
from tokenroof.support.units import check_unit

__all__ = ["SLO"]

_BOUNDS = ("ttft_s", "tpot_s", "e2e_s", "itl_s")


@dataclass(frozen=True)
class SLO:
    """What users are promised: upper bounds on the times of a request; None: no bound.

    Parameters
    ----------
    ttft_s : float, optional
        Time to the first token [s].
    tpot_s : float, optional
        Time per output token after the first [s].
    percentile : float, optional
        Of the requests that must be as fast, over 0 and below 100; None: the mean request.
    sure : bool
        Hold the upper ends of the error bands to the bounds, not the estimates.
    e2e_s : float, optional
        Time to the last token [s].
    itl_s : float, optional
        Each gap between tokens, all requests' in one pool [s]. Simulations alone know it; of one request, as
        goodput counts it, it is TPOT.

    Raises
    ------
    ValueError
        For a bound that is not a positive number, or a percentile out of range.

    Examples
    --------
    >>> SLO(ttft_s=1.0, tpot_s=0.02).tpot_s
    0.02
    """

    ttft_s: float | None = None
    tpot_s: float | None = None
    percentile: float | None = None
    sure: bool = False
    e2e_s: float | None = None
    itl_s: float | None = None

    def __post_init__(self) -> None:
        for name in _BOUNDS:
            value = getattr(self, name)
            if value is None:
                continue
            if not 0.0 < number(value) < np.inf:
                raise ValueError(f"{name} is {shown(value)}; allowed: a positive number, or None")
            check_unit(name, number(value))
        share = self.percentile
        if share is not None and not 0.0 < number(share) < 100.0:
            raise ValueError(
                f"percentile is {shown(share)}; allowed: numbers over 0 and below 100, or None"
            )
        if share is not None:
            check_unit("percentile", number(share))
        if not isinstance(self.sure, (bool, np.bool_)):
            raise ValueError(f"sure is {shown(self.sure)}; allowed: True or False")

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds that there are, by name [s]."""
        named = {name: getattr(self, name) for name in _BOUNDS}
        return {name: float(value) for name, value in named.items() if value is not None}
