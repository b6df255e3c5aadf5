"""What stands behind a price and a rate of tokens: list prices, lengths, a user's speed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TokenSale"]


@dataclass(frozen=True)
class TokenSale:
    """How tokens are sold whose prompts are billed with the answers.

    Attributes
    ----------
    interactivity : float
        Least speed that each user gets [token/s].
    rate : float
        Tokens of answers at that speed, by power at the meter [token/(s MW)].
    output_price, input_price : float
        List prices of answers and of prompts [$/Mtok].
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    """

    interactivity: float
    rate: float
    output_price: float
    input_price: float
    input_tokens: float
    output_tokens: float

    @property
    def billed(self) -> float:
        """Paid for a million tokens of answers with the prompts before them [$/Mtok]."""
        return self.output_price + self.input_price * self.input_tokens / self.output_tokens

    def price_words(self) -> str:
        """What the price is put together of."""
        prompts = f"{self.input_tokens:.6g}/{self.output_tokens:.6g}"
        return f"{self.output_price:.4g} + {self.input_price:.4g} x {prompts} for prompts"

    def speed_words(self) -> str:
        """At which speed of a user the rate is."""
        return f"{self.interactivity:.4g} token/s to each user"
