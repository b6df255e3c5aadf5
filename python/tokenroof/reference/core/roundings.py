"""How far a kernel may be from its twin: the roundings since the first function that is not exact, counted.

On ``+ - * /``, minima, maxima and rounding up, kernels and twins do the same operations in the same order:
they agree bit for bit. They part at a logarithm, an exponential or a power: the kernels compute these from
``+ - * /``, the twins by the C library of the machine, which on another processor gives other last bits.
Under `counting`, these functions give a `Counted`: a float that knows how far the kernel's may be from it.
Each operation hands that on (running error analysis: Wilkinson, Rounding Errors in Algebraic Processes,
1963) and adds a rounding of its own. This is the only tolerance: ``tokenroof check`` and the tests read it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Counted", "counting", "error_of"]

#: Of a logarithm or an exponential [ulp]: 1 of the C library's, 3 of the kernels' (a series within 1, and in
#: log(1 + x) a quotient and a product after it, each half an ulp of a number with twice the ulp).
FUNCTION_ULPS = 4.0
#: Of a kernel's exp(y) for y > 0, which is 1 / (1 + (exp(-y) - 1)): of a number near one [absolute].
_NEAR_ONE = 2.0**-52

_on: ContextVar[bool] = ContextVar("counting", default=False)


class Counted(float):
    """A float, and how far the kernel's number may be from it.

    Examples
    --------
    >>> x = Counted(3.0, 2.0**-51)
    >>> x * 2.0, round(error_of(x * 2.0) / math.ulp(6.0), 9), error_of(1.0)
    (6.0, 2.0, 0.0)
    """

    error: float
    __array_ufunc__ = None  # so that numpy.float64 leaves the operation to this class

    def __new__(cls, value: float, error: float) -> Counted:
        self = super().__new__(cls, value)
        known = math.isfinite(value)  # infinities and NaN are the same in both
        self.error = (math.inf if math.isnan(error) else float(error)) if known else 0.0
        return self

    def __add__(self, other: float) -> Counted:
        return _rounded(float(self) + float(other), error_of(self) + error_of(other))

    def __sub__(self, other: float) -> Counted:
        return _rounded(float(self) - float(other), error_of(self) + error_of(other))

    def __rsub__(self, other: float) -> Counted:
        return _rounded(float(other) - float(self), error_of(self) + error_of(other))

    def __mul__(self, other: float) -> Counted:
        x, y, dx, dy = float(self), float(other), error_of(self), error_of(other)
        return _rounded(x * y, dx * abs(y) + dy * abs(x) + dx * dy)

    def __truediv__(self, other: float) -> Counted:
        return _quotient(self, other)

    def __rtruediv__(self, other: float) -> Counted:
        return _quotient(other, self)

    def __pow__(self, n: int, modulus: None = None) -> Counted:  # type: ignore[override]
        """By a whole number: n - 1 products in the kernels, a function in the twin."""
        x = float(self)
        most = (abs(x) + self.error) ** n - abs(x) ** n
        return _rounded(x**n, most + (n + 1.0) * math.ulp(x**n))

    def __neg__(self) -> Counted:
        return Counted(-float(self), self.error)

    def __abs__(self) -> Counted:
        return Counted(abs(float(self)), self.error)

    __radd__, __rmul__ = __add__, __mul__


def error_of(x: float) -> float:
    """How far a kernel's number may be from the twin's; 0 for one without a `Counted` behind it."""
    return x.error if isinstance(x, Counted) else 0.0


def _rounded(value: float, error: float) -> Counted:
    """Of an operation: the same where its operands were the same in both, else a rounding further apart."""
    if error == 0.0 or not math.isfinite(value):
        return Counted(value, error)
    return Counted(value, error * (1.0 + 2.0**-50) + math.ulp(value))


def _quotient(a: float, b: float) -> Counted:
    x, y, dx, dy = float(a), float(b), error_of(a), error_of(b)
    least = abs(y) - dy
    return _rounded(x / y, (dx + abs(x / y) * dy) / least if least > 0.0 else math.inf)


@contextmanager
def counting() -> Iterator[None]:
    """Within it, functions that are not exact give a `Counted`.

    Examples
    --------
    >>> with counting():
    ...     round(error_of(1.0 + log(2.0)) / math.ulp(1.0), 9)
    3.0
    """
    token = _on.set(True)
    try:
        yield
    finally:
        _on.reset(token)


def apart(x: float, ulps: float) -> float:
    """x, which the kernels get by so many other roundings."""
    return Counted(x, error_of(x) + ulps * math.ulp(x)) if _on.get() else x


def either(chosen: float, a: float, b: float) -> float:
    """The larger or the smaller of two: as far off as the other may be, where the kernel may choose that."""
    error = error_of(a) + error_of(b)
    if error > 0.0 and abs(float(a) - float(b)) <= error:
        return Counted(chosen, max(error_of(a), error_of(b)))
    return chosen


def rounded_up(x: float) -> float:
    """The least whole number that is not below x; the next one may be the kernel's."""
    up, error = float(math.ceil(x)), error_of(x)
    if error == 0.0:
        return up
    off = max(math.ceil(float(x) + error) - up, up - math.ceil(float(x) - error))
    return Counted(up, float(off))


def _function(value: float, carried: float) -> float:
    return Counted(value, carried + FUNCTION_ULPS * math.ulp(value)) if _on.get() else value


def log(x: float) -> float:
    """The natural logarithm."""
    return _function(math.log(x), error_of(x) / abs(x))


def log2(x: float) -> float:
    """The kernels' is a natural logarithm times a constant: two roundings more."""
    value = math.log2(x)
    return _function(value, error_of(x) / abs(x) * 1.5 + 2.0 * math.ulp(value))


def log1p(x: float) -> float:
    """log(1 + x)."""
    return _function(math.log1p(x), error_of(x) / (1.0 + float(x)))


def expm1(y: float) -> float:
    """exp(y) - 1."""
    value = math.expm1(y)
    error = error_of(y)
    # where y is not known to within one, from the whole that it may reach
    off = (
        math.exp(min(float(y) + error, 709.0)) if error > 1.0 else (value + 1.0) * math.expm1(error)
    )
    return _function(value, off + _of_positive(float(y)))


def _of_positive(y: float) -> float:
    return math.exp(2.0 * min(y, 350.0)) * _NEAR_ONE if y > 0.0 else 0.0


def power(x: float, exponent: float) -> float:
    """x**exponent for x > 0, which the kernels compute as exp(exponent * log(x))."""
    value = math.sqrt(x) if exponent == 0.5 else float(x) ** float(exponent)
    if not _on.get() or not (math.isfinite(value) and x > 0.0):
        return value
    y = float(exponent) * math.log(x)
    off = abs(y) * (FUNCTION_ULPS + 2.0) * 2.0**-52
    off += abs(float(exponent)) * error_of(x) / float(x) + error_of(exponent) * abs(math.log(x))
    return _function(value, value * math.expm1(off) + _of_positive(y) + 2.0**-52)


def exponential(y: float) -> float:
    """exp(y)."""
    value = math.exp(y)
    return _function(value, value * math.expm1(error_of(y)))


def root(x: float) -> float:
    """The square root, which is the nearest number in both."""
    value, error = math.sqrt(x), error_of(x)
    if error == 0.0:
        return value
    least = float(x) - error
    return _rounded(value, value - math.sqrt(least) if least > 0.0 else math.sqrt(float(x) + error))
