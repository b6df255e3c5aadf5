"""Percentiles of what users see, and the rates of what a replica did."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.outcome.times import Times, done, having, times_of
from tokenroof.serving.slo import SLO
from tokenroof.support.arguments import finite_number, reals, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["spread_of", "summary"]


def summary(
    requests: NDArray[Any],
    slo: SLO | None = None,
    percentiles: Sequence[float] = (50.0, 90.0, 99.0),
    gaps_s: ArrayLike | None = None,
    energy_j: float | None = None,
) -> dict[str, Any]:
    """Percentiles of what users saw, and rates, of the requests that were answered.

    Parameters
    ----------
    requests : structured ndarray
        A record per request, as `simulate` gives: ``arrival_ns``, ``scheduled_ns``, ``first_token_ns``,
        ``last_token_ns`` [ns], ``input_tokens``, ``output_tokens``; ``status``, ``cached_tokens`` and
        ``preemptions``, where they are there.
    slo : SLO, optional
        Whose bounds goodput counts.
    percentiles : sequence of float
        Which, from 0 to 100.
    gaps_s : array_like, optional
        All gaps between tokens [s], for the percentiles of ``itl_pooled_s``.
    energy_j : float, optional
        Energy of all of it [J].

    Returns
    -------
    dict
        By name, with a dict of ``mean``, ``p50``, ``p90``, ``p99``:

        ``queue_s``, ``ttft_s``, ``e2e_s``
            From arrival until it is scheduled, to the first token, to the last one.
        ``tpot_s``
            Per request, (E2E - TTFT) / (outputs - 1), where there is more than one.
        ``itl_pooled_s``
            Gaps between tokens, all requests' in one pool, as ``vllm bench serve`` counts them; without
            `gaps_s` the mean alone is known.
        ``itl_per_request_s``
            As AIPerf counts it, one number a request: with a token a chunk it is ``tpot_s``.
        ``e2e_per_token_s``
            E2E over output tokens.

        And as numbers: ``interactivity_e2e`` (by percentile: 1 / percentile of E2E per token, as
        InferenceX counts it) [token/s], ``requests``, ``answered``, ``rejected``, ``stuck``, ``shed``,
        ``timed_out``, ``unfinished`` and ``not_come`` (of a run that was cut), ``duration_s`` (from the
        first of all arrivals, answered or not, to the last token), ``request_throughput`` [1/s],
        ``output_throughput``, ``input_throughput``, ``total_throughput`` [token/s], ``cached_share`` of
        prompt tokens, ``preemptions``, ``goodput`` [1/s] and ``goodput_share`` (of all that came) with a
        `slo`, whose bounds on TPOT and ITL an answer of one token keeps (a warning says where all are),
        ``joules_per_request`` and ``joules_per_output_token`` with `energy_j`. What cannot be known is
        NaN.

    Raises
    ------
    TypeError, ValueError
        For an argument that is not allowed, by name.

    Examples
    --------
    >>> names = "arrival_ns scheduled_ns first_token_ns last_token_ns input_tokens output_tokens".split()
    >>> run = np.array([(0, 0, 10**9, 3 * 10**9, 100, 5)], [(name, "i8") for name in names])
    >>> found = summary(run)
    >>> found["ttft_s"]["p50"], found["tpot_s"]["p99"], round(found["output_throughput"], 3)
    (1.0, 0.5, 1.667)
    """
    wanted = np.atleast_1d(reals("percentiles", percentiles))
    if (wanted > 100.0).any() or wanted.ndim > 1:
        raise ValueError(f"percentiles are {shown(percentiles)}; allowed: numbers from 0 to 100")
    if slo is not None and not isinstance(slo, SLO):
        raise TypeError(f"slo is {shown(slo)}; allowed: an SLO, or None")
    if slo is not None and not slo.bounds:
        raise ValueError(
            f"slo is {shown(slo)}, which promises nothing; allowed: at least one of ttft_s, tpot_s, "
            "e2e_s, itl_s"
        )
    served = done(requests)
    times = times_of(served)
    outputs = served["output_tokens"].astype(np.float64)
    per_token = times.e2e_s / outputs
    found: dict[str, Any] = {
        "queue_s": spread_of(times.queue_s, wanted),
        "ttft_s": spread_of(times.ttft_s, wanted),
        "tpot_s": spread_of(times.tpot_s, wanted),
        "itl_pooled_s": _pooled(served, gaps_s, wanted),
        "itl_per_request_s": spread_of(times.tpot_s, wanted),
        "e2e_s": spread_of(times.e2e_s, wanted),
        "e2e_per_token_s": spread_of(per_token, wanted),
    }
    found["interactivity_e2e"] = {
        name: 1.0 / value if value > 0.0 else np.nan
        for name, value in found["e2e_per_token_s"].items()
    }
    duration = _duration(requests, served)
    found |= _counts(requests, served) | _rates(served, duration)
    if slo is not None:
        _warn_of_gaps(slo, times)
        found |= _good(times, slo, duration, len(requests) - found["not_come"])
    if energy_j is not None:
        joules = finite_number("energy_j", energy_j)
        found["joules_per_request"] = _ratio(joules, len(served))
        found["joules_per_output_token"] = _ratio(joules, float(outputs.sum()))
    return found


def _name(percentile: float) -> str:
    return f"p{percentile:g}"


def spread_of(values: NDArray[np.float64], wanted: NDArray[np.float64]) -> dict[str, float]:
    known = values[~np.isnan(values)]
    if not known.size:
        return {"mean": np.nan, **{_name(p): np.nan for p in wanted.tolist()}}
    at = np.percentile(known, wanted)
    return {
        "mean": float(known.mean()),
        **{_name(p): float(x) for p, x in zip(wanted.tolist(), at.tolist(), strict=True)},
    }


def _pooled(
    served: NDArray[Any], gaps_s: ArrayLike | None, wanted: NDArray[np.float64]
) -> dict[str, float]:
    if gaps_s is not None:
        return spread_of(np.atleast_1d(reals("gaps_s", gaps_s)), wanted)
    nothing = spread_of(np.empty(0), wanted)
    gaps = int((served["output_tokens"] - 1).sum())
    if gaps:
        whole = int((served["last_token_ns"] - served["first_token_ns"]).sum())
        nothing["mean"] = whole * 1e-9 / gaps
    return nothing


def _duration(requests: NDArray[Any], served: NDArray[Any]) -> float:
    if not served.size:
        return np.nan
    first = int(requests["arrival_ns"][~_absent(requests)].min())
    return float(int(served["last_token_ns"].max()) - first) * 1e-9


def _absent(requests: NDArray[Any]) -> NDArray[np.bool_]:
    """Those that had not come when their run was cut."""
    if "status" not in (requests.dtype.names or ()):
        return np.zeros(len(requests), bool)
    return np.asarray(having(requests, "unfinished") & (requests["arrival_ns"] < 0))


def _ratio(amount: float, of: float) -> float:
    return float(amount / of) if of > 0.0 else np.nan


def _counts(requests: NDArray[Any], served: NDArray[Any]) -> dict[str, Any]:
    names = requests.dtype.names or ()
    known = "status" in names
    cut = having(requests, "unfinished") if known else np.zeros(len(requests), bool)
    absent = int(_absent(requests).sum())
    inputs = float(served["input_tokens"].sum())
    return {
        "requests": len(requests),
        "answered": len(served),
        "rejected": int(having(requests, "rejected").sum()) if known else 0,
        "stuck": int(having(requests, "stuck").sum()) if known else 0,
        "shed": int(having(requests, "shed").sum()) if known else 0,
        "timed_out": int(having(requests, "timed_out").sum()) if known else 0,
        "unfinished": int(cut.sum()) - absent,
        "not_come": absent,
        "cached_share": _ratio(float(served["cached_tokens"].sum()), inputs)
        if "cached_tokens" in names
        else np.nan,
        "preemptions": int(requests["preemptions"].sum()) if "preemptions" in names else np.nan,
    }


def _rates(served: NDArray[Any], duration: float) -> dict[str, float]:
    outputs, inputs = (float(served[name].sum()) for name in ("output_tokens", "input_tokens"))
    return {
        "duration_s": duration,
        "request_throughput": _ratio(len(served), duration),
        "output_throughput": _ratio(outputs, duration),
        "input_throughput": _ratio(inputs, duration),
        "total_throughput": _ratio(outputs + inputs, duration),
    }


def _warn_of_gaps(slo: SLO, times: Times) -> None:
    """Say so where bounds on times between tokens bound nothing."""
    named = [name for name in ("tpot_s", "itl_s") if name in slo.bounds]
    many = len(times.tpot_s)
    if named and many and np.isnan(times.tpot_s).all():
        warnings.warn(
            f"{' and '.join(named)} bound nothing in goodput: each of the {many} answers has one token, "
            "after which there is no time per token",
            stacklevel=3,
        )


def _good(times: Times, slo: SLO, duration: float, came: int) -> dict[str, float]:
    good = np.ones(len(times.ttft_s), bool)
    for name, bound in slo.bounds.items():
        value = getattr(times, "tpot_s" if name == "itl_s" else name)  # a request's mean gap
        good &= np.isnan(value) | (value <= bound)  # one token has no time after the first
    many = int(good.sum())
    return {"goodput": _ratio(many, duration), "goodput_share": _ratio(many, came)}
