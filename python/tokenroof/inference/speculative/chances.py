"""Chances that drafted tokens are kept: one for all positions, or one of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.catalogue.accepted import Acceptance, acceptance
from tokenroof.support.arguments import amounts, place, reals, refuse, shown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ByPosition", "expected"]


@dataclass(frozen=True, slots=True)
class ByPosition:
    """Chance that the draft at each position is kept after those before it.

    Parameters
    ----------
    chances : sequence of float
        From 0 to 1, nowhere rising.

    Raises
    ------
    ValueError, TypeError
        For none, one that is no number, beyond 0 to 1, or above the one before it.

    Examples
    --------
    >>> ByPosition((0.9, 0.7, 0.5)).tokens.round(3)
    array([1.   , 1.9  , 2.53 , 2.845])
    """

    chances: Any

    def __post_init__(self) -> None:
        given = reals("acceptance", self.chances)
        if given.ndim != 1 or not given.size:
            raise ValueError(f"acceptance is {shown(self.chances)}; allowed: one number a position")
        check_chances(given)
        rises = np.flatnonzero(np.diff(given) > 0.0)
        if rises.size:
            at = int(rises[0]) + 1
            raise ValueError(
                f"acceptance[{at}] is {given[at]:g} after {given[at - 1]:g}; allowed: none above the one "
                "before it"
            )
        object.__setattr__(self, "chances", tuple(map(float, given)))

    @property
    def tokens(self) -> NDArray[np.float64]:
        """Tokens of a round with 0, 1, 2, ... drafts [1]."""
        many = len(self.chances) + 1
        return np.array(
            [float(kernels.expected_tokens_by_position(self.chances[:k])) for k in range(many)]
        )


def check_chances(given: NDArray[np.float64]) -> None:
    """Reject chances beyond 0 to 1."""
    refuse("acceptance", given, (given < 0.0) | (given > 1.0), "numbers from 0 to 1")


def expected(
    given: ArrayLike | str | Acceptance | ByPosition, length: NDArray[np.float64]
) -> tuple[Any, Any]:
    """Tokens of a round with so many drafts, and the chance that one is kept: of all, or their mean."""
    if isinstance(given, str):
        given = acceptance(given)
    if isinstance(given, Acceptance):
        given = ByPosition(given.by_position)
    if not isinstance(given, ByPosition):
        chance = amounts("acceptance", given)
        check_chances(chance)
        return kernels.expected_tokens(chance, length), chance
    most = len(given.chances)
    wrong = (length > most) | (length != np.floor(length))
    if wrong.any():
        raise ValueError(
            f"length{place(wrong)} is {length[wrong].flat[0]:g} with acceptance of {most} positions; "
            f"allowed: whole numbers from 0 to {most}"
        )
    tokens = given.tokens[length.astype(int)]
    return tokens, np.where(
        length > 0.0, (tokens - 1.0) / np.maximum(length, 1.0), given.chances[0]
    )
