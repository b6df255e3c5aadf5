"""Several runs that differ in their seed: what they have in the mean, and how far apart they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tokenroof.support.quoting import shown

__all__ = ["spread"]


def spread(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summaries of runs of different seeds as one: beside each number how far apart the runs are.

    Parameters
    ----------
    summaries : sequence of dict
        What `summary` gave of each run; at least one.

    Returns
    -------
    dict
        Of the same shape: each number is the runs' mean, and beside it stand ``_low`` and ``_high``, the
        least and the most of them: ``p99``, ``p99_low``, ``p99_high``. ``seeds`` says how many.

    Raises
    ------
    TypeError, ValueError
        For what is no sequence of them, for none, or for runs that do not have the same numbers.

    Examples
    --------
    >>> spread([{"ttft_s": {"p99": 1.0}}, {"ttft_s": {"p99": 3.0}}])["ttft_s"]
    {'p99': 2.0, 'p99_low': 1.0, 'p99_high': 3.0}
    """
    if not isinstance(summaries, Sequence) or not all(isinstance(s, Mapping) for s in summaries):
        raise TypeError(
            f"summaries is {shown(summaries)}; allowed: a sequence of what summary gave"
        )
    if not summaries:
        raise ValueError("summaries are none; allowed: at least one")
    first = summaries[0]
    for other in summaries:
        if list(other) != list(first):
            raise ValueError("summaries have different names; allowed: those of one kind of run")
    return {**_together(summaries), "seeds": len(summaries)}


def _together(every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in every[0].items():
        if isinstance(value, dict):
            found[name] = _together([one[name] for one in every])
            continue
        numbers = np.array([one[name] for one in every], np.float64)
        known = numbers[~np.isnan(numbers)]
        for ending, of in (("", np.mean), ("_low", np.min), ("_high", np.max)):
            found[name + ending] = float(of(known)) if known.size else np.nan
    return found
