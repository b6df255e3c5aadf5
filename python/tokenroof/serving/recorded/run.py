"""A recorded run, checked: requests with their arrival, first and last token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.requests.given import MOST_TOKENS, as_requests
from tokenroof.support.arguments import real_numbers
from tokenroof.support.labels import keeps_form

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.serving.requests.record import Requests

__all__ = ["FEWEST", "Recorded", "recorded_run"]

#: Requests that a fit needs.
FEWEST = 64
#: Seconds of a token in the middle request that make one ask for the unit.
_SLOW_TOKEN = 0.5
#: Seconds from arrival to end over tokens of the answer, in the middle request, and of a whole run, that no
#: recorded run has: a minute a token, and a year.
_SLOWEST_TOKEN, _LONGEST_RUN = 60.0, 3.2e7
#: Part of a datasheet's bound below which nothing runs: boards pass printed bandwidths by a few per cent.
_SURE = 0.9
_SECONDS = ("arrival", "first_token", "last_token")
_TOKENS = ("input_tokens", "output_tokens")


class Recorded:
    """A run in the order of arrival, its clock from the first one on.

    Attributes
    ----------
    load : Requests
        What was asked.
    records : structured ndarray
        What became of it, as `summary` takes it.
    """

    def __init__(self, columns: dict[str, NDArray[Any]]) -> None:
        order = np.argsort(columns["arrival"], kind="stable")
        arrival, first, last = (
            np.rint(1e9 * (columns[name][order] - columns["arrival"][order[0]])).astype(np.int64)
            for name in _SECONDS
        )
        inputs, outputs = (columns[name][order].astype(np.int64) for name in _TOKENS)
        self.load: Requests = as_requests(
            {"arrival_ns": arrival, "input_tokens": inputs, "output_tokens": outputs}
        )
        fields = ("arrival_ns", "scheduled_ns", "first_token_ns", "last_token_ns", *_TOKENS)
        self.records = np.zeros(len(arrival), [(name, np.int64) for name in fields])
        values = (arrival, arrival, first, last, inputs, outputs)
        for name, value in zip(fields, values, strict=True):
            self.records[name] = value
        self.first_s, self.decode_s = 1e-9 * (first - arrival), 1e-9 * (last - first)
        self.many = outputs > 1

    def refuse_faster_than(self, bound_s: float) -> None:
        """Tokens that come faster than a device can read the weights for one: columns or clock are others."""
        each = float(np.median(self.decode_s[self.many] / (self.load.output_tokens[self.many] - 1)))
        if each < _SURE * bound_s:
            raise ValueError(
                f"requests have {1e3 * each:.3g} ms a token in the middle one; allowed: "
                f"{1e3 * bound_s:.3g} ms or more, a step's bound by the datasheet for one user "
                "(are input_tokens and output_tokens the other's, is it another device, or a run with "
                "drafts, which are not fitted?)"
            )

    def unit_hint(self) -> str:
        """A question after the unit, where tokens take so long that seconds would be odd; else empty."""
        each = float(np.median(self.decode_s[self.many] / (self.load.output_tokens[self.many] - 1)))
        if each < _SLOW_TOKEN:
            return ""
        return f" (a token takes {each:.3g} s in the middle request: are times in milliseconds?)"


def recorded_run(requests: Any) -> Recorded:
    """The run, every entry checked.

    Raises
    ------
    TypeError, ValueError
        For a field that is missing, for the first entry that is not allowed by name, index and value, and for
        fewer than 64 requests.
    """
    columns = _columns(requests)
    many = len(columns["arrival"])
    if many < FEWEST:
        raise ValueError(f"requests are {many}, a run too short; allowed: at least {FEWEST}")
    _check_unit(columns)
    for name in _SECONDS:
        _check(name, columns[name], np.isfinite(columns[name]), "finite numbers [s]")
    for name in _TOKENS:
        x = columns[name]
        good = (x >= 1) & (x <= MOST_TOKENS) & (x == np.floor(x))
        _check(name, x, good, f"whole numbers from 1 to {MOST_TOKENS}")
    first = columns["first_token"]
    _check("first_token", first, first > columns["arrival"], "after its arrival")
    last = columns["last_token"]
    good = np.where(columns["output_tokens"] > 1, last > first, last >= first)
    _check("last_token", last, good, "after its first_token, where there are several")
    if (columns["output_tokens"] > 1).sum() < FEWEST:
        several = int((columns["output_tokens"] > 1).sum())
        raise ValueError(
            f"output_tokens are above 1 in {several} requests, a run too short; allowed: at least {FEWEST}"
        )
    return Recorded(columns)


def _check_unit(columns: dict[str, NDArray[Any]]) -> None:
    """Refuse times in a smaller unit than seconds: no run takes decades, nor have answers hours a token."""
    seconds = [columns[name] for name in _SECONDS]
    if not all(np.isfinite(x).all() for x in seconds):
        return
    arrival, _, last = seconds
    each = float(np.median((last - arrival) / np.maximum(columns["output_tokens"], 1.0)))
    longest = float(max(x.max() for x in seconds) - arrival.min())
    if each > _SLOWEST_TOKEN or longest > _LONGEST_RUN:
        said = f"{each:,.4g} a token in the middle request, {longest:,.4g} from first to last"
        raise ValueError(
            f"times of requests are {said}; allowed: seconds (are they in milli-, micro- or nanoseconds? "
            "divide them by 1e3, 1e6 or 1e9)"
        )


def _columns(requests: Mapping[str, Any] | NDArray[Any]) -> dict[str, NDArray[Any]]:
    if keeps_form(requests) in ("pandas", "polars"):
        heads = list(getattr(requests, "columns", ()))  # of a Series none
        requests = {name: np.asarray(requests[name]) for name in heads}
        if "status" in requests:  # as a simulation's records
            done = requests["status"].astype("U10") == "done"
            requests = {name: column[done] for name, column in requests.items()}
        if "arrival_ns" in requests:
            _needed(requests, (*(f"{name}_ns" for name in _SECONDS), *_TOKENS))
            requests |= {name: 1e-9 * requests[f"{name}_ns"] for name in _SECONDS}
    if isinstance(requests, np.ndarray) and requests.dtype.names is not None:
        names = requests.dtype.names
        if "status" in names:
            requests = requests[requests["status"].astype("U10") == "done"]
        if "arrival_ns" in names:  # summary's records
            _needed(names, (*(f"{name}_ns" for name in _SECONDS), *_TOKENS))
            found = {name: 1e-9 * requests[f"{name}_ns"].astype(float) for name in _SECONDS}
            return found | {name: requests[name].astype(float) for name in _TOKENS}
        requests = {name: requests[name] for name in names}
    if not isinstance(requests, Mapping):
        raise TypeError(
            f"requests is {type(requests).__name__}; allowed: a mapping of arrays, a DataFrame, "
            "or a structured array"
        )
    # as a simulation's records and their exports name them
    by_unit = {name: f"{name}_s" for name in _SECONDS if name not in requests}
    requests = {**requests, **{n: requests[u] for n, u in by_unit.items() if u in requests}}
    _needed(requests, (*_SECONDS, *_TOKENS))
    columns = {}
    for name in (*_SECONDS, *_TOKENS):
        array = real_numbers(requests[name])
        if array is None or array.ndim != 1:
            raise TypeError(f"{name} is {str(requests[name])[:60]}; allowed: a row of numbers")
        columns[name] = array
    lengths = {name: len(array) for name, array in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"requests have lengths {lengths}; allowed: one entry a request in each")
    return columns


def _needed(names: Any, wanted: tuple[str, ...]) -> None:
    for name in wanted:
        if name not in names:
            units = "; times in seconds of one clock" if "arrival" in wanted else ""
            raise ValueError(f"requests have no {name}; allowed: {', '.join(wanted)}{units}")


def _check(name: str, values: NDArray[Any], good: NDArray[np.bool_], allowed: str) -> None:
    if not good.all():
        i = int(np.argmin(good))
        raise ValueError(f"{name}[{i}] is {values[i]:.10g}; allowed: {allowed}")
