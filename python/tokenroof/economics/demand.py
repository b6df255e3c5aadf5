"""What tokens are wanted for: work that is done with them, and what a token of it is worth."""

from __future__ import annotations

from dataclasses import dataclass

from tokenroof.support.arguments import finite_number, share

__all__ = ["Demand", "demand"]

_HOURS = 8760.0


@dataclass(frozen=True)
class Demand:
    """A process that runs on tokens; `demand` has the fields.

    Attributes
    ----------
    runs_per_hour, tokens_per_run, acceptance : float
        [1/h], [1], [1].
    value_per_result, price_per_mtok : float
        [$].
    """

    runs_per_hour: float
    tokens_per_run: float
    value_per_result: float
    acceptance: float
    price_per_mtok: float

    @property
    def runs_per_year(self) -> float:
        """[1/year]."""
        return self.runs_per_hour * _HOURS

    @property
    def tokens_per_year(self) -> float:
        """[token/year]."""
        return self.runs_per_year * self.tokens_per_run

    @property
    def tokens_per_s(self) -> float:
        """Mean rate [token/s]."""
        return self.runs_per_hour * self.tokens_per_run / 3600.0

    @property
    def cost_per_year(self) -> float:
        """Of the tokens [$/year]."""
        return self.tokens_per_year / 1e6 * self.price_per_mtok

    @property
    def cost_per_result(self) -> float:
        """Tokens of an accepted result, those of the others too [$]."""
        return self.tokens_per_run / 1e6 * self.price_per_mtok / self.acceptance

    @property
    def value_per_year(self) -> float:
        """Of the results that are accepted [$/year]."""
        return self.runs_per_year * self.acceptance * self.value_per_result

    @property
    def surplus_per_year(self) -> float:
        """Value less cost [$/year]."""
        return self.value_per_year - self.cost_per_year

    @property
    def value_per_mtok(self) -> float:
        """Worth of a million tokens in this use: the price at which nothing is left [$]."""
        return self.acceptance * self.value_per_result / self.tokens_per_run * 1e6

    break_even_price_per_mtok = value_per_mtok

    def changed(self, frequency: float = 1.0, cost: float = 1.0) -> Demand:
        """The same process more often, at another cost of the whole.

        Parameters
        ----------
        frequency : float
            Runs over runs before [1].
        cost : float
            Cost of a year over that of before [1].

        Returns
        -------
        Demand
            Its tokens of a run are as before: the price of a token takes the change.

        Examples
        --------
        >>> before = demand(4, 1e6, value_per_result=5.0, price_per_mtok=3.0)
        >>> after = before.changed(frequency=5, cost=0.17)
        >>> round(before.price_per_mtok / after.price_per_mtok, 2)
        29.41
        """
        often = finite_number("frequency", frequency, above=True)
        dear = finite_number("cost", cost)
        return Demand(
            self.runs_per_hour * often, self.tokens_per_run, self.value_per_result, self.acceptance,
            self.price_per_mtok * dear / often,
        )  # fmt: skip


def demand(
    runs_per_hour: float,
    tokens_per_run: float,
    value_per_result: float,
    acceptance: float = 1.0,
    price_per_mtok: float = 0.0,
) -> Demand:
    """A process that runs on tokens: how many it needs, what they cost, and what they are worth.

    Parameters
    ----------
    runs_per_hour : float
        How often it runs [1/h]: every 15 minutes is 4.
    tokens_per_run : float
        Tokens of one run [1].
    value_per_result : float
        What a result is worth that is accepted [$].
    acceptance : float
        Part of the results that is accepted [1].
    price_per_mtok : float
        Price of a million of these tokens [$].

    Returns
    -------
    Demand

    Raises
    ------
    ValueError, TypeError
        For a number out of its range, by name.

    References
    ----------
    GTC 2026 keynote, 2026-03-16: a process every 15 minutes, then every 3, at 83 % less cost, is 5 / 0.17 =
    29 times the price performance.

    Examples
    --------
    >>> often = demand(4, 2e6, value_per_result=3.0, acceptance=0.5, price_per_mtok=0.6)
    >>> often.tokens_per_year / 1e9, often.break_even_price_per_mtok, round(often.surplus_per_year)
    (70.08, 0.75, 10512)
    """
    return Demand(
        finite_number("runs_per_hour", runs_per_hour, above=True),
        finite_number("tokens_per_run", tokens_per_run, above=True),
        finite_number("value_per_result", value_per_result),
        share("acceptance", acceptance),
        finite_number("price_per_mtok", price_per_mtok),
    )
