"""Requests that a caller gives: every entry checked, the first bad one named with its place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.requests.record import Requests
from tokenroof.support.arguments import count, no_numbers, real_numbers, shown
from tokenroof.support.labels import refuse_labelled
from tokenroof.support.names import near_matches
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LATEST_NS", "MOST_TOKENS", "as_requests", "is_one_load"]

#: The latest time that a request may arrive, or think, at: some 73 years [ns].
LATEST_NS = 2**61
#: The most tokens of a prompt or an answer.
MOST_TOKENS = 2**31 - 1
_MOST_ID = 2**62

_KEYS = (
    "arrival", "arrival_ns", "input_tokens", "output_tokens", "declared_tokens", "priority", "after",
    "think_s", "think_ns", "also_after", "prompt", "output_id", "block_hashes", "hash_block",
)  # fmt: skip

# what others call them: no hint of likeness may take seconds for nanoseconds, or prompts for answers
_MEANT = {key: key for key in _KEYS} | {
    "arrival_s": "arrival", "arrival_time": "arrival", "timestamp": "arrival",
    "prompt_tokens": "input_tokens", "prompt_len": "input_tokens", "isl": "input_tokens",
    "completion_tokens": "output_tokens", "output_len": "output_tokens", "osl": "output_tokens",
}  # fmt: skip


def is_one_load(given: object) -> bool:
    """Whether it is one load, not several: requests, a mapping of arrays, or a DataFrame.

    Examples
    --------
    >>> is_one_load({"arrival": [0.0]}), is_one_load([{"arrival": [0.0]}])
    (True, False)
    """
    return isinstance(given, (Mapping, Requests)) or hasattr(given, "columns")


def as_requests(given: Mapping[str, Any] | Requests) -> Requests:
    """Requests from a mapping of arrays, one entry a request, in the order of arrival.

    Parameters
    ----------
    given : mapping, DataFrame or Requests
        A record comes back as it is. Of a mapping, or as columns of a DataFrame of pandas or polars:

        ``arrival`` [s] or ``arrival_ns``
            Not below 0, and not before the request above; of a request with a parent not read.
        ``input_tokens``, ``output_tokens``
            Whole numbers from 1 to 2**31 - 1; a number stands for all.
        ``declared_tokens``
            The most outputs that the client asks for, at least ``output_tokens``, as it is by default.
        ``priority``
            Whole numbers, lower first; 0 by default.
        ``after`` with ``think_s`` or ``think_ns``
            Index of the parent, an earlier request, or -1: arrival is the parent's end and the time to
            think. ``also_after`` has a list of further parents for each request.
        ``prompt`` with ``output_id``
            For each request an int64 (k, 2) of runs ``[first id, count]`` of its token ids, as many as
            ``input_tokens`` together; and the id of its first output token. Outputs that are not given an
            id are like nothing else.
        ``block_hashes`` with ``hash_block``
            For each request the hashes of its prompt's blocks of so many tokens; the last, which is not
            full, may be left out.

    Returns
    -------
    Requests

    Raises
    ------
    ValueError, TypeError
        For a key that is missing or unknown and for the first entry that is not allowed, by name, index
        and value.

    Examples
    --------
    >>> as_requests({"arrival": [0.0, 0.5], "input_tokens": [100, 200], "output_tokens": 10})
    Requests(2, input_tokens=300, output_tokens=20)
    >>> as_requests({"arrival": [0.5, 0.0], "input_tokens": 100, "output_tokens": 10})
    Traceback (most recent call last):
    ValueError: arrival[1] is 0.0; allowed: not before the request above it (0.5)
    """
    if isinstance(given, Requests):
        return given
    if hasattr(given, "columns"):
        given = {str(name): np.asarray(given[name]) for name in given.columns}
    if not isinstance(given, Mapping):
        raise TypeError(
            f"requests are {type(given).__name__}; allowed: a mapping of arrays, a DataFrame, or Requests"
        )
    for key in given:
        if key not in _KEYS:
            near = near_matches(str(key), _MEANT, 1)
            hint = f"; did you mean {shown(near[0])}?" if near else ""
            raise ValueError(f"requests have a key {shown(key)}{hint}; allowed: {', '.join(_KEYS)}")
    times = _one_of(given, "arrival", "arrival_ns")
    if times is None:
        raise ValueError("requests have neither arrival nor arrival_ns; allowed: one of them")
    for key in ("input_tokens", "output_tokens"):
        if key not in given:
            raise ValueError(f"requests have no {key}; allowed: whole numbers from 1 on")
    n = max(_entries(given[name]) for name in (times, "input_tokens", "output_tokens"))
    after = _whole(given, "after", n, -1, -1, n - 1)
    inputs = _whole(given, "input_tokens", n, None, 1, MOST_TOKENS)
    outputs = _whole(given, "output_tokens", n, None, 1, MOST_TOKENS)
    also, also_offsets = _parents(given, n, after)
    roots = after < 0
    prompt, prompt_offsets, output_id = _prompts(given, n, inputs, outputs)
    hashes, hash_offsets, block = _hashes(given, n, inputs)
    if len(prompt_offsets) and block:
        raise ValueError("requests have prompt and block_hashes; allowed: one of them")
    return Requests(
        arrival_ns=_arrivals(given, times, n, roots),
        input_tokens=inputs,
        output_tokens=outputs,
        declared_tokens=_declared(given, n, outputs),
        priority=_whole(given, "priority", n, 0, -(2**31), 2**31 - 1),
        after=after,
        think_ns=_thinking(given, n, roots),
        also_after=also,
        also_after_offsets=also_offsets,
        prompt=prompt,
        prompt_offsets=prompt_offsets,
        output_id=output_id,
        block_hashes=hashes,
        hash_offsets=hash_offsets,
        hash_block=block,
    )


def _one_of(given: Mapping[str, Any], first: str, second: str) -> str | None:
    if first in given and second in given:
        raise ValueError(f"requests have {first} and {second}; allowed: one of them")
    return first if first in given else second if second in given else None


def _entries(value: object) -> int:
    return len(value) if isinstance(value, (Sequence, np.ndarray)) and np.ndim(value) else 1


def _bad(name: str, index: int, value: object, allowed: str) -> ValueError:
    value = value.item() if isinstance(value, np.generic) else value
    absent = isinstance(value, float) and math.isnan(value)  # as a null of a frame comes
    said = "missing, or nan" if absent else shown(value)
    return ValueError(f"{name}[{index}] is {said}; allowed: {allowed}")


def _column(given: Mapping[str, Any], name: str, n: int, allowed: str) -> NDArray[Any]:
    """The numbers of a key, one a request: integers as int64 where they are, else float64."""
    value = given[name]
    refuse_labelled(name, value)
    array = np.asarray(value) if isinstance(value, np.ndarray) else None
    if array is None or array.dtype.kind not in "iu":
        numbers = real_numbers(value)
        if numbers is None:
            raise no_numbers(name, value, allowed)
        whole = np.asarray(value)  # integers as they came: float64 rounds large ones
        array = whole if whole.dtype.kind in "iu" else numbers
    if array.ndim > 1 or (array.ndim and array.size != n):
        raise ValueError(f"{name} has shape {array.shape}; allowed: ({n},), one entry a request")
    return np.broadcast_to(array, (n,))


def _whole(
    given: Mapping[str, Any], name: str, n: int, default: int | None, low: int, high: int
) -> NDArray[np.int64]:
    """Whole numbers of a key within bounds."""
    if name not in given:
        assert default is not None
        return np.full(n, default, np.int64)
    allowed = f"whole numbers from {low} to {high}"
    array = _column(given, name, n, allowed)
    bad = (array < low) | (array > high)
    if array.dtype.kind == "f":
        bad |= array != np.floor(array)  # NaN too
    if bad.any():
        index = int(np.argmax(bad))
        raise _bad(name, index, array[index], allowed)
    return array.astype(np.int64)


def _times(given: Mapping[str, Any], name: str, n: int, read: NDArray[np.bool_]) -> NDArray[Any]:
    """Nanoseconds of a key in seconds or nanoseconds, of the requests that it is read for."""
    if name.endswith("_ns"):
        where = {name: np.where(read, _column(given, name, n, "whole numbers"), 0)}
        return _whole(where, name, n, None, 0, LATEST_NS)
    allowed = f"seconds from 0 to {LATEST_NS * 1e-9:g}"
    seconds = np.where(read, _column(given, name, n, allowed), 0.0)
    bad = ~((seconds >= 0.0) & (seconds <= LATEST_NS * 1e-9))
    if bad.any():
        index = int(np.argmax(bad))
        raise _bad(name, index, seconds[index], allowed)
    return np.rint(seconds * 1e9).astype(np.int64)


def whole_ns(name: str, times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Times [ns] in whole numbers; an error names what makes one that no clock of a run can hold."""
    latest = float(times.max(initial=0.0))
    if not latest <= LATEST_NS:
        raise ValueError(
            f"{name} gives a time of {latest * 1e-9:g} s; allowed: up to {LATEST_NS * 1e-9:g}"
        )
    return np.rint(times).astype(np.int64)


def _arrivals(
    given: Mapping[str, Any], name: str, n: int, roots: NDArray[np.bool_]
) -> NDArray[np.int64]:
    times = _times(given, name, n, roots)
    at = np.flatnonzero(roots)
    falls = np.flatnonzero(np.diff(times[at]) < 0)
    if len(falls):
        index, before = int(at[falls[0] + 1]), int(at[falls[0]])
        array = _column(given, name, n, "")
        allowed = f"not before the request above it ({shown(array[before].item())})"
        raise _bad(name, index, array[index], allowed)
    return times


def _thinking(given: Mapping[str, Any], n: int, roots: NDArray[np.bool_]) -> NDArray[np.int64]:
    name = _one_of(given, "think_s", "think_ns")
    if name is None:
        return np.zeros(n, np.int64)
    if "after" not in given:
        raise ValueError(f"requests have {name} without after; allowed: with the parents' indices")
    return _times(given, name, n, ~roots)


def _declared(given: Mapping[str, Any], n: int, outputs: NDArray[np.int64]) -> NDArray[np.int64]:
    if "declared_tokens" not in given:
        return outputs
    declared = _whole(given, "declared_tokens", n, None, 1, MOST_TOKENS)
    bad = declared < outputs
    if bad.any():
        index = int(np.argmax(bad))
        allowed = f"at least its output_tokens ({int(outputs[index])})"
        raise _bad("declared_tokens", index, declared[index], allowed)
    return declared


def _earlier(name: str, parents: NDArray[np.int64], children: NDArray[np.int64]) -> None:
    bad = parents >= children
    if bad.any():
        at = int(np.argmax(bad))
        raise _bad(
            name, int(children[at]), parents[at],
            f"an index below its own ({int(children[at])}), so that no turn waits for itself, or -1",
        )  # fmt: skip


def _parents(
    given: Mapping[str, Any], n: int, after: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    _earlier("after", after, np.arange(n))
    if "also_after" not in given:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    also, offsets = _ragged(given, "also_after", n, 0, n - 1)
    children = np.repeat(np.arange(n), np.diff(offsets))
    _earlier("also_after", also, children)
    bad = after[children] < 0
    if bad.any():
        index = int(children[np.argmax(bad)])
        raise _bad("after", index, -1, "its first parent, as also_after has more")
    return also, offsets


def _ragged(
    given: Mapping[str, Any], name: str, n: int, low: int, high: int, width: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of whole numbers, one a request, behind one another, and where each begins."""
    rows = given[name]
    rectangle = isinstance(rows, np.ndarray) and rows.dtype != object
    if not isinstance(rows, (Sequence, np.ndarray)) or isinstance(rows, (str, bytes)):
        raise TypeError(
            f"{name} is {type(rows).__name__}; allowed: a list of arrays, one a request"
        )
    if len(rows) != n:
        raise ValueError(f"{name} has {counted(len(rows), 'entry')}; allowed: {n}, one a request")
    kind = f"int64[k, {width}]" if width else "int64[k]"
    allowed = f"{kind} of whole numbers from {low} to {high}"
    parts = []
    for index, row in enumerate(rows):
        part = _row(row)
        if part is None or part.ndim != (2 if width else 1) or (width and part.shape[1] != width):
            empty = part is not None and part.size == 0
            if not empty:
                raise _bad(name, index, row, allowed)
            part = np.empty((0, width) if width else 0, np.int64)
        parts.append(part)
    offsets = np.zeros(n + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    shape = (0, width) if width else 0
    flat = np.concatenate(parts) if parts and not rectangle else np.reshape(rows, (-1, width or 1))
    flat = flat.reshape(-1, width) if width else flat.reshape(-1)
    flat = flat if flat.size else np.empty(shape, np.int64)
    bad = (flat < low) | (flat > high)
    if bad.any():
        place = int(np.argwhere(bad)[0][0])
        index = int(np.searchsorted(offsets, place, side="right")) - 1
        raise _bad(name, index, flat[bad].flat[0], allowed)
    return flat.astype(np.int64), offsets


def _row(row: object) -> NDArray[Any] | None:
    """Integers of a row; None for anything else among them."""
    try:
        array = np.asarray(row)
    except (ValueError, TypeError, OverflowError):
        return None
    if array.dtype.kind in "iu":
        return array
    return array.astype(np.int64) if array.size == 0 else None


def _prompts(
    given: Mapping[str, Any], n: int, inputs: NDArray[np.int64], outputs: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    none = np.empty(0, np.int64)
    if "prompt" not in given:
        if "output_id" in given:
            raise ValueError("requests have output_id without prompt; allowed: with it")
        return np.empty((0, 2), np.int64), none, none
    runs, offsets = _ragged(given, "prompt", n, 0, _MOST_ID, width=2)
    owner = np.repeat(np.arange(n), np.diff(offsets))
    bad = (runs[:, 1] < 1) | (runs[:, 1] > MOST_TOKENS)
    if bad.any():
        at = int(np.argmax(bad))
        raise _bad("prompt", int(owner[at]), runs[at].tolist(), "runs of at least one token")
    tokens = np.zeros(n, np.int64)
    np.add.at(tokens, owner, runs[:, 1])
    bad = tokens != inputs
    if bad.any():
        index = int(np.argmax(bad))
        allowed = f"as many as its input_tokens ({int(inputs[index])})"
        raise _bad("prompt", index, f"{counted(int(tokens[index]), 'token')}", allowed)
    if "output_id" in given:
        return runs, offsets, _whole(given, "output_id", n, None, 0, _MOST_ID)
    first = int(runs.sum(axis=1).max()) if len(runs) else 0
    return runs, offsets, first + np.cumsum(outputs) - outputs


def _hashes(
    given: Mapping[str, Any], n: int, inputs: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    none = np.empty(0, np.int64)
    if "block_hashes" not in given:
        if "hash_block" in given:
            raise ValueError("requests have hash_block without block_hashes; allowed: with it")
        return none, none, 0
    if "hash_block" not in given:
        raise ValueError(
            "requests have block_hashes without hash_block; allowed: with the tokens of a block"
        )
    block = count("hash_block", given["hash_block"])
    hashes, offsets = _ragged(given, "block_hashes", n, -(2**63), 2**63 - 1)
    blocks = np.diff(offsets)
    bad = (blocks != inputs // block) & (blocks != -(-inputs // block))
    if bad.any():
        index = int(np.argmax(bad))
        least, most = int(inputs[index]) // block, -(-int(inputs[index]) // block)
        many = f"{least} or {most}" if least < most else f"{most}"
        allowed = f"one for each block of {block} of its {int(inputs[index])} tokens: {many}"
        raise _bad("block_hashes", index, f"{int(blocks[index])} hashes", allowed)
    return hashes, offsets, block
