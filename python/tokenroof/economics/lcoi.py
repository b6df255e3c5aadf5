"""Levelised cost of inference, by the public calculator's method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np

from tokenroof import kernels
from tokenroof.economics.flows import crf
from tokenroof.support.arguments import (
    check_options,
    finite_number,
    reals,
    share,
    shown,
    whole_number,
)
from tokenroof.support.equality import by_value

__all__ = ["LevelisedInference", "lcoi"]


@by_value
@dataclass(frozen=True)
class LevelisedInference:
    """Costs of a million tokens.

    Attributes
    ----------
    per_mtok, per_mtok_input, per_mtok_output : float
        Of all tokens, and of prompts and answers by the time that each takes [$/Mtok].
    tokens_per_year : float
        [token].
    capital, operation, electricity : float
        Of a year [$/year].
    cluster_efficiency, headroom : float
        Part of the throughput that is left in a cluster; part of the peak that a mean hour leaves idle [1].
    """

    per_mtok: float
    per_mtok_input: float
    per_mtok_output: float
    tokens_per_year: float
    capital: float
    operation: float
    electricity: float
    cluster_efficiency: float
    headroom: float


class LcoiOptions(TypedDict, total=False):
    """Options of `lcoi`, which describes them."""

    prompt_tokens: float
    answer_tokens: float
    utilization: float | Sequence[float]
    facility: float
    residual: float
    rate: float
    years: float
    fixed_opex: float
    opex_per_gpu: float
    pue: float
    price_per_mwh: float
    overhead: float


def lcoi(
    gpus: int,
    usd_per_gpu: float,
    watts: float,
    prefill_tokens_per_s: float,
    decode_tokens_per_s: float,
    **options: Unpack[LcoiOptions],
) -> LevelisedInference:
    """Levelised cost of inference (LCOI): capital by its recovery factor, operation, power, over tokens.

    Parameters
    ----------
    gpus : int
        Of the cluster.
    usd_per_gpu, watts : float
        Price of one [$], and its power [W].
    prefill_tokens_per_s, decode_tokens_per_s : float
        Of one GPU, prompts or answers alone [token/s].
    prompt_tokens, answer_tokens : float
        Means of a request [1].
    utilization : float or sequence of 24
        Part of the throughput that is used, by hour of the day [1].
    facility : float
        Cost of the hall and network over that of the GPUs [1].
    residual : float
        What is left of the capital at the end, over it [1].
    rate, years : float
        Discount rate [1/year] and life [year].
    fixed_opex, opex_per_gpu : float
        Of a year: of the cluster, and of each GPU [$/year].
    pue, price_per_mwh : float
        Power at the meter over the GPUs' [1]; electricity [$/MWh].
    overhead : float
        Part of the throughput that each doubling of the cluster costs [1].

    Returns
    -------
    LevelisedInference
        [$/Mtok].

    Raises
    ------
    ValueError, TypeError
        For a number out of its range, by name, and for a cluster that its overhead leaves nothing.

    Notes
    -----
    GPUs draw their power all the time. The residual value is taken off the capital without discount.

    References
    ----------
    inferecon.com, LCOI calculator, v0.2, assumptions as captured 2026-04-18.

    Examples
    --------
    >>> found = lcoi(8, 30_000, 1000.0, 10_000.0, 1_000.0, utilization=0.5, overhead=0.0)
    >>> found.per_mtok_output > found.per_mtok > found.per_mtok_input
    True
    """
    check_options("lcoi", options, LcoiOptions)
    count = whole_number("gpus", gpus, 1, 10**7)
    price, power = (
        finite_number("usd_per_gpu", usd_per_gpu),
        finite_number("watts", watts, above=True),
    )
    into = finite_number("prompt_tokens", options.get("prompt_tokens", 1000.0), above=True)
    out = finite_number("answer_tokens", options.get("answer_tokens", 500.0), above=True)
    reading = into / finite_number("prefill_tokens_per_s", prefill_tokens_per_s, above=True)
    writing = out / finite_number("decode_tokens_per_s", decode_tokens_per_s, above=True)
    lost = share("overhead", options.get("overhead", 0.02), zero=True)
    efficiency = 1.0 - lost * math.log2(count)
    if efficiency <= 0.0:
        raise ValueError(
            f"overhead is {shown(lost)}; allowed with {count} gpus: below {1.0 / math.log2(count):.4g}"
        )
    use = _hours(options.get("utilization", 0.6))
    speed = kernels.cluster_tokens_per_s(
        count, lost, into, out, prefill_tokens_per_s, decode_tokens_per_s
    )
    made = float(speed) * 3600.0 * 8760.0 * float(use.mean())
    first = count * price * (1.0 + finite_number("facility", options.get("facility", 0.0)))
    left = 1.0 - share("residual", options.get("residual", 0.0), zero=True)
    rate, years = options.get("rate", 0.08), options.get("years", 5.0)
    capital = first * left * float(crf(rate, years))
    operation = finite_number("fixed_opex", options.get("fixed_opex", 0.0))
    operation += count * finite_number("opex_per_gpu", options.get("opex_per_gpu", 0.0))
    energy = count * power / 1e6 * 8760.0 * finite_number("pue", options.get("pue", 1.2), 1.0)
    electricity = energy * finite_number("price_per_mwh", options.get("price_per_mwh", 60.0))
    spent, part = capital + operation + electricity, reading / (reading + writing)
    prompts = made * into / (into + out)
    if not 0.0 < prompts < made:
        raise ValueError(
            f"prompt_tokens is {into:g} beside answer_tokens of {out:g}; allowed: sizes of which one is not "
            "lost beside the other"
        )
    return LevelisedInference(
        spent / made * 1e6, spent * part / prompts * 1e6, spent * (1.0 - part) / (made - prompts) * 1e6, made,
        capital, operation, electricity, efficiency, 1.0 - float(use.mean() / use.max()),
    )  # fmt: skip


def _hours(given: float | Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    use = np.atleast_1d(reals("utilization", given))
    if use.shape not in ((1,), (24,)) or (use > 1.0).any() or not use.any():
        raise ValueError(
            f"utilization is {shown(given)}; allowed: from 0 to 1, one number or 24, not all 0"
        )
    return use
