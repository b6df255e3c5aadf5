"""How the price of a tier's tokens falls with what is sold of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tokenroof.support.arguments import finite_number, number, real_numbers, shown

__all__ = ["DemandCurve"]


@dataclass(frozen=True)
class DemandCurve:
    """Demand for a tier's tokens: in steps of falling price, or one price that falls with what is sold.

    Parameters
    ----------
    steps : sequence of (tokens/s, $/Mtok), optional
        So many tokens at this price, so many more at the next, which is lower; none beyond. Each step pays
        its own price, in place of the tier's.
    slope : float, optional
        By how much the one price of all tokens, from the tier's on, falls with each token/s that is sold
        [$ s/(Mtok token)]. Beyond half of what sells at 0 the revenue falls: so much is sold at most.

    Raises
    ------
    ValueError, TypeError
        Naming the field, its value and what is allowed; both or neither given.

    Examples
    --------
    >>> DemandCurve(steps=[(1e8, 6.0), (2e8, 3.0)]).revenue_per_s(6.0, 1.5e8)
    750.0
    >>> DemandCurve(slope=1e-8).revenue_per_s(6.0, 1e8)
    500.0
    """

    steps: tuple[tuple[float, float], ...] = ()
    slope: float | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        if bool(self.slope is None) == (
            not isinstance(self.steps, (tuple, list)) or not self.steps
        ):
            given = f"steps is {shown(self.steps)} and slope is {shown(self.slope)}"
            raise ValueError(f"{given}; allowed: one of them")
        if self.slope is not None:
            put(self, "slope", finite_number("slope", self.slope, above=True))
            put(self, "steps", ())
            return
        rows = []
        for i, step in enumerate(self.steps):
            pair = real_numbers(step)
            if pair is None or pair.shape != (2,):
                raise TypeError(
                    f"steps[{i}] is {shown(step)}; allowed: (tokens/s, price of a million)"
                )
            rows.append((
                finite_number(f"steps[{i}][0]", float(pair[0]), above=True),
                finite_number(f"steps[{i}][1]", float(pair[1])),
            ))  # fmt: skip
            if i and rows[i][1] > rows[i - 1][1]:
                raise ValueError(
                    f"steps[{i}][1] is {rows[i][1]:g}; allowed: at most {rows[i - 1][1]:g}"
                )
        put(self, "steps", tuple(rows))

    def revenue_per_s(self, price: float, tokens_per_s: float) -> float:
        """What so many tokens of a tier of this price earn.

        Returns
        -------
        float
            [$/s].
        """
        sold = number(tokens_per_s)
        if self.slope is not None:
            most = min(sold, 0.5 * price / self.slope)
            return most * (price - self.slope * most) / 1e6
        earned = 0.0
        for width, each in self.steps:
            part = min(width, sold)
            earned += part * each / 1e6
            sold -= part
        return earned

    def uses(self, price: float, most: float) -> list[tuple[float, float, float]]:
        """Price of the first token, its fall per token/s in the next one's worth, and width, of each part.

        Parameters
        ----------
        price : float
            Of the tier [$/Mtok].
        most : float
            Most tokens that sell in all [token/s].

        Returns
        -------
        list of (float, float, float)
            [$/Mtok], [$ s/(Mtok token)], [token/s]; the last may be infinite where the price never falls.
        """
        if self.slope is not None:
            return [(price, 2.0 * self.slope, min(most, 0.5 * price / self.slope))]
        parts, left = [], most if math.isfinite(most) else math.inf
        for width, each in self.steps:
            parts.append((each, 0.0, min(width, left)))
            left -= parts[-1][2]
        return parts
