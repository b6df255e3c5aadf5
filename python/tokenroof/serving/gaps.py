"""Every gap between a request's tokens, from the steps that a simulation recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tokenroof.support.quoting import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["token_gaps"]


class _Run(Protocol):
    """What of a `Simulation` is looked at."""

    requests: NDArray[Any]
    steps: NDArray[Any]
    entries: NDArray[Any]
    given: NDArray[Any]
    totals: dict[str, Any]


def token_gaps(run: _Run, requests: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """All gaps between tokens, requests' in one pool, as ``vllm bench serve`` counts inter-token latency.

    A step gives a request a token where it computes more of its tokens than any step before, and all of its
    prompt: a victim that is computed again gets none until it is where it was. Tokens that a step gives at
    once, as speculation does, come as one: there is a gap before them, and none between.

    Parameters
    ----------
    run : Simulation
        Played with ``record_steps=True``.
    requests : ndarray of int, optional
        Whose, by index; all by default.

    Returns
    -------
    ndarray
        Gaps [s], by request and time: `summary` takes them as ``gaps_s``.

    Raises
    ------
    ValueError
        For a run whose steps were not recorded.

    Examples
    --------
    >>> from tokenroof.serving.simulation import Scheduler, StepTime, simulate
    >>> run = simulate(
    ...     None, None, None, {"arrival": [0.0], "input_tokens": 100, "output_tokens": 4},
    ...     Scheduler.preset("vllm-0.33", num_blocks=100, loop="sync"), step_time=StepTime(2_000_000),
    ...     record_steps=True,
    ... )
    >>> token_gaps(run).tolist()
    [0.002, 0.002, 0.002]
    """
    if not hasattr(run, "entries"):
        raise TypeError(f"run is {shown(run)}; allowed: a Simulation, as simulate gives")
    if not len(run.entries):
        raise ValueError("run has no steps; allowed: one of simulate(..., record_steps=True)")
    many = len(run.requests)
    wanted = np.ones(many, bool)
    if requests is not None:
        wanted = np.zeros(many, bool)
        wanted[requests] = True
    if run.totals["drafted"]:
        given = run.given[wanted[run.given["request"]]]
        given = given[np.argsort(given["request"], kind="stable")]
        between: NDArray[Any] = np.diff(given["end_ns"])[np.diff(given["request"]) == 0] * 1e-9
        return between
    entries = run.entries[wanted[run.entries["request"]]]
    entries = entries[np.argsort(entries["request"], kind="stable")]
    who = entries["request"]
    known = entries["before"] + entries["tokens"]
    # over all requests behind one another: each begins above the last
    height = int(known.max(initial=0)) + 1
    raised = who * height + known
    most = np.maximum.accumulate(raised)
    new = np.concatenate([[True], raised[1:] > most[:-1]]) if len(raised) else np.empty(0, bool)
    gives = new & (known >= run.requests["input_tokens"][who])
    at = run.steps["end_ns"][entries["step"][gives]]
    same = np.diff(who[gives]) == 0
    gaps: NDArray[Any] = np.diff(at)[same] * 1e-9
    return gaps
