"""How often enough replicas are up: the binomial distribution's tail, summed exactly."""

from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext

from tokenroof.reference.core.roundings import apart

__all__ = ["fleet_availability"]

_DIGITS = Context(prec=60)
_MOST = 4096


def fleet_availability(availability: float, needed: float, spare: float) -> float:
    """P(at least N of N + k up) = sum_{j=0}^{k} C(N + k, j) (1 - a)^j a^(N + k - j)."""
    if any(map(math.isnan, (availability, needed, spare))) or not 0.0 <= availability <= 1.0:
        return math.nan
    if not (1.0 <= needed <= 1e9 and 0.0 <= spare <= _MOST):
        return math.nan
    if needed != math.floor(needed) or spare != math.floor(spare):
        return math.nan
    least, more = int(needed), int(spare)
    with localcontext(_DIGITS):
        up, down = Decimal(availability), 1 - Decimal(availability)
        total, ways = Decimal(0), Decimal(1)
        for failed in range(more + 1):
            total += ways * down**failed * up ** (least + more - failed)
            ways = ways * (least + more - failed) / (failed + 1)
        return _summed(min(float(total), 1.0), availability, needed, spare)


def _summed(p: float, availability: float, needed: float, spare: float) -> float:
    """As exact as its terms and the exponent in front of them."""
    if not 0.0 < availability < 1.0 or p <= 0.0:
        return p
    exponent = (needed + spare) * abs(math.log(availability)) + spare * abs(
        math.log1p(-availability)
    )
    ways = spare * math.log((needed + spare) / max(spare, 1.0)) + spare
    return apart(p, 32.0 + 8.0 * (exponent + ways) + 4.0 * spare)
