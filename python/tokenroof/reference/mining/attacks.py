"""Attacks on a proof-of-work chain: the published sums as they stand, with digits enough to cancel."""

from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext

from tokenroof.reference.core.roundings import apart

__all__ = [
    "double_spend_nakamoto",
    "double_spend_rosenfeld",
    "selfish_mining_revenue",
    "selfish_mining_threshold",
]

# The least float64 has 324 zeros, which 1 - sum must cancel; 60 digits are left.
_DIGITS = Context(prec=400)
_MOST = 1e6


def _race(q: float, n: float) -> float | None:
    """The answer at the edges of a race, None in between."""
    if math.isnan(q) or math.isnan(n) or not 0.0 <= q <= 1.0:
        return math.nan
    if not 0.0 <= n <= _MOST or n != math.floor(n):
        return math.nan
    if n == 0.0 or q >= 0.5:
        return 1.0
    return 0.0 if q == 0.0 else None


def _summed(p: float, n: float) -> float:
    """Rearranged sums are as exact as exponent and terms: (32 + 8 |ln P| + 2 sqrt(n)) 2^-53."""
    if not p > 0.0:
        return p
    return apart(p, 32.0 + 8.0 * abs(math.log(p)) + 2.0 * math.sqrt(n))


def double_spend_nakamoto(attacker_share: float, confirmations: float) -> float:
    """1 - sum_{k=0}^{z} lambda^k exp(-lambda) / k! (1 - (q/p)^(z-k)), lambda = z q / p."""
    edge = _race(attacker_share, confirmations)
    if edge is not None:
        return edge
    with localcontext(_DIGITS):
        z, q = int(confirmations), Decimal(attacker_share)
        ratio = q / (1 - q)
        mean = z * ratio
        poisson, behind, total = (-mean).exp(), ratio**z, Decimal(0)
        for k in range(z + 1):
            total += poisson * (1 - behind)
            poisson = poisson * mean / (k + 1)
            behind /= ratio
        return _summed(float(1 - total), confirmations)


def double_spend_rosenfeld(attacker_share: float, confirmations: float) -> float:
    """1 - sum_{m=0}^{n} C(m + n - 1, m) (p^n q^m - p^m q^n)."""
    edge = _race(attacker_share, confirmations)
    if edge is not None:
        return edge
    with localcontext(_DIGITS):
        n, q = int(confirmations), Decimal(attacker_share)
        p = 1 - q
        first, second, ways, total = p**n, q**n, Decimal(1), Decimal(0)
        for m in range(n + 1):
            total += ways * (first - second)
            ways = ways * (m + n) / (m + 1)
            first, second = first * q, second * p
        return _summed(float(1 - total), confirmations)


def selfish_mining_revenue(attacker_share: float, gamma: float) -> float:
    """(a (1-a)^2 (4a + g (1-2a)) - a^3) / (1 - a (1 + (2-a) a)), all from a = 1/2 on."""
    a, g = attacker_share, gamma
    if not (0.0 <= a <= 1.0 and 0.0 <= g <= 1.0):
        return math.nan
    if a >= 0.5:
        return 1.0
    square = (1.0 - a) * (1.0 - a)
    numerator = a * square * (4.0 * a + g * (1.0 - 2.0 * a)) - a * a * a
    return numerator / (1.0 - a * (1.0 + (2.0 - a) * a))


def selfish_mining_threshold(gamma: float) -> float:
    """(1 - g) / (3 - 2g)."""
    if not 0.0 <= gamma <= 1.0:
        return math.nan
    return (1.0 - gamma) / (3.0 - 2.0 * gamma)
