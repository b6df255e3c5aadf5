"""Attacks on the chain as published: double spends and selfish mining."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.support.arguments import amounts, place, refuse, shown, together
from tokenroof.support.labels import keeps_labels
from tokenroof.support.names import among

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MODELS = ("nakamoto", "rosenfeld")
MOST_CONFIRMATIONS = 1_000_000


def _part(name: str, value: ArrayLike, most: float = 1.0) -> Any:
    array = amounts(name, value)
    refuse(name, array, array > most, f"0 to {most:g}")
    return array


def _kernel(model: str) -> Any:
    if not among(model, MODELS):
        raise ValueError(f"model is {shown(model)}; allowed: {', '.join(MODELS)}")
    return getattr(kernels, f"double_spend_{model}")


def _plain(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else value


@keeps_labels
def double_spend_probability(
    q: ArrayLike, confirmations: ArrayLike, model: str = "nakamoto"
) -> Any:
    """Probability that a payment is undone after so many confirmations.

    Parameters
    ----------
    q : array_like
        Attacker's share of the hashrate, 0 to 1; from a half on he always succeeds [1].
    confirmations : array_like
        Whole numbers, 0 to 1,000,000.
    model : {"nakamoto", "rosenfeld"}
        The whitepaper's Poisson approximation, or the exact count of an attacker who has mined one block
        ahead.

    Returns
    -------
    float or ndarray
        [1], to a relative error of ``(32 + 8 |ln P| + 2 sqrt(confirmations)) 2^-53``.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed.

    References
    ----------
    Nakamoto, Bitcoin, 2008, section 11; Rosenfeld, arXiv:1402.2009, equation 1.

    Examples
    --------
    >>> round(double_spend_probability(0.1, 5), 7)
    0.0009137
    >>> double_spend_probability(0.1, [1, 2], model="rosenfeld").round(4).tolist()
    [0.2, 0.056]
    """
    kernel = _kernel(model)
    share, count = _part("q", q), amounts("confirmations", confirmations)
    bad = (count > MOST_CONFIRMATIONS) | (count != np.floor(count))
    refuse("confirmations", count, bad, "whole numbers from 0 to 1,000,000")
    return _plain(kernel(share, count))


@keeps_labels
def confirmations_needed(q: ArrayLike, risk: ArrayLike = 1e-3, model: str = "nakamoto") -> Any:
    """Fewest confirmations after which a payment is undone with a probability below `risk`.

    Parameters
    ----------
    q : array_like
        Attacker's share of the hashrate, 0 to 1 [1].
    risk : array_like
        Above 0 [1].
    model : {"nakamoto", "rosenfeld"}

    Returns
    -------
    int, float or ndarray
        [1], infinite from q = 1/2 on, unless the risk is above 1; an ndarray is of float64.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed; also where more than 1,000,000 are needed.

    References
    ----------
    Nakamoto, Bitcoin, 2008, section 11 (P < 0.1 %); Rosenfeld, arXiv:1402.2009, table 2.

    Examples
    --------
    >>> confirmations_needed(0.1), confirmations_needed(0.1, model="rosenfeld")
    (5, 6)
    >>> confirmations_needed(0.5)
    inf
    """
    kernel = _kernel(model)
    share, limit = together(q=_part("q", q), risk=amounts("risk", risk, positive=True))
    never = (share >= 0.5) & (limit <= 1.0)
    easy = np.where(never, 0.0, share)
    low, high = np.zeros(share.shape), np.full(share.shape, float(MOST_CONFIRMATIONS))
    short = ~(kernel(easy, high) < limit)
    if np.any(short):
        raise ValueError(
            f"q{place(short)} is {shown(float(share[short].flat[0]))}, for which 1,000,000 confirmations "
            "leave a higher risk; allowed: a smaller q or a higher risk"
        )
    # the probability falls with each confirmation; where the two have met they stay
    while np.any(open_ := low < high):
        middle = np.floor(0.5 * (low + high))
        enough = kernel(easy, middle) < limit
        high, low = (
            np.where(open_ & enough, middle, high),
            np.where(open_ & ~enough, middle + 1.0, low),
        )
    found = np.where(never, np.inf, high)
    if found.ndim:
        return found
    return float(found) if np.isinf(found) else int(found)


@keeps_labels
def selfish_mining_revenue(alpha: ArrayLike, gamma: ArrayLike) -> Any:
    """Share of the chain's blocks that a selfish miner gets; an honest one would get alpha.

    Parameters
    ----------
    alpha : array_like
        Selfish miner's share of the hashrate, 0 to 1; from a half on he gets every block [1].
    gamma : array_like
        Part of the other hashrate that mines on his block in a tie, 0 to 1 [1].

    Returns
    -------
    float or ndarray
        [1].

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed.

    References
    ----------
    Eyal, Sirer, Majority is not enough, arXiv:1311.0243, equation 8.

    Examples
    --------
    >>> selfish_mining_revenue(0.25, 0.5), round(selfish_mining_revenue(0.4, 0.5), 6)
    (0.25, 0.525581)
    """
    kernel: Any = kernels.selfish_mining_revenue
    return _plain(kernel(_part("alpha", alpha), _part("gamma", gamma)))


@keeps_labels
def selfish_mining_threshold(gamma: ArrayLike) -> Any:
    """Share of the hashrate from which selfish mining pays: (1 - gamma) / (3 - 2 gamma).

    Parameters
    ----------
    gamma : array_like
        As in `selfish_mining_revenue` [1].

    Returns
    -------
    float or ndarray
        [1].

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed.

    References
    ----------
    Eyal, Sirer, Majority is not enough, arXiv:1311.0243, observation 1.

    Examples
    --------
    >>> selfish_mining_threshold([0.0, 0.5, 1.0]).tolist()
    [0.3333333333333333, 0.25, 0.0]
    """
    kernel: Any = kernels.selfish_mining_threshold
    return _plain(kernel(_part("gamma", gamma)))
