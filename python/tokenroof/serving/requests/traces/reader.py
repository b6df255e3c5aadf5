"""Traces as requests."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tokenroof.serving.requests.given import MOST_TOKENS, whole_ns
from tokenroof.serving.requests.record import Requests
from tokenroof.serving.requests.traces.agentic import Tree, is_agentic
from tokenroof.serving.requests.traces.columns import Column
from tokenroof.serving.requests.traces.layouts import Layout, as_layout
from tokenroof.serving.requests.traces.lines import TraceError
from tokenroof.serving.requests.traces.rows import SKIPPED, Rows, rows_of
from tokenroof.support.arguments import count, finite_number, flag, shown
from tokenroof.support.names import among

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Whole = NDArray[np.int64]

__all__ = ["trace"]


class _Part(NamedTuple):
    """A chunk's columns."""

    arrival: Whole
    inputs: Whole
    outputs: Whole
    after: Whole
    think: Whole
    hashes: Whole
    counts: Whole
    priority: Whole
    also: list[list[int]]


def trace(
    path: str | os.PathLike[str],
    layout: str | Layout,
    *,
    hash_block: int | None = None,
    unit_s: float | None = None,
    columns: Mapping[str, str] | None = None,
    failed: str = "refuse",
    sort: bool = False,
    closed: bool = False,
    think_s: float = 0.0,
    limit: int | None = None,
    chunk: int = 65536,
) -> Requests:
    """Recorded requests from a file, packed by gzip or not.

    Parameters
    ----------
    path : path
        The file; it is read by `chunk` rows at a time [1].
    layout : {"mooncake", "azure", "burstgpt", "bailian", "vllm-bench", "csv"} or Layout
        How it is written: JSON lines of Mooncake (milliseconds, blocks of 512 tokens; turns of a
        ``session_id`` that come a ``delay`` after the one before; agents' rows: ``request_id``, those in
        ``wait_for`` end and ``tool_wait_ms`` pass before it, its ``branches`` follow it, ``prefix_reset``
        begins a session anew), of Qwen on Bailian and of ``vllm bench
        serve`` (seconds, blocks of 16 tokens), tables of Azure (2023 and 2024: dates) and BurstGPT
        (seconds). "csv" is a table of your own: columns ``arrival`` (seconds), ``input_tokens`` and
        ``output_tokens``, or what `columns` calls them, and ``priority`` where there is one. Tables have
        commas, semicolons or tabulators between values.
    hash_block : int, optional
        Tokens of a hashed block, if others than the layout's [1]; 0 reads no hashes.
    unit_s : float, optional
        Unit of the times, if another than the layout's [s].
    columns : mapping of str to str, optional
        Other names of columns: ``{"input_tokens": "prompt_len"}``; the fields are ``arrival``,
        ``input_tokens``, ``output_tokens``, ``hashes`` and ``priority``, as far as the layout has them.
    failed : {"refuse", "skip"}
        What becomes of rows without input or output tokens (0, an empty cell, null), as logs have them of
        failed requests; how many were left out the requests say (``left_out``; with a `limit` and unsorted
        those before the last request).
    sort : bool
        Let rows stand in any order: all are read, and put in the order of their times. Not where rows wait
        for others.
    closed : bool
        Let a turn start `think_s` after its parent's end, where the layout names parents ("bailian"),
        instead of when it was recorded.
    think_s : float
        Time from a parent's end to its next turn [s].
    limit : int, optional
        Read so many rows at most [1].

    Returns
    -------
    Requests
        Times count as the trace's do; from the first request, where they are dates.

    Raises
    ------
    ValueError
        With file, line and what was expected: for a column or key that is missing, a line that is cut, times
        that are negative or fall, no tokens, hashes that are not as many as the blocks of the prompt. And
        for an argument that is not allowed.
    OSError
        For a file that cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write("TIMESTAMP,ContextTokens,GeneratedTokens\\n2023-11-16 18:15:46.5,374,44\\n")
    ...     file.flush()
    ...     trace(file.name, "azure")
    Requests(1, input_tokens=374, output_tokens=44)
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            f"path is a {type(path).__name__}; allowed: the path of a file (simulate and as_requests take "
            "tables)"
        )
    shape = as_layout(layout, hash_block, unit_s, columns)
    if not among(failed, ("refuse", "skip")):
        raise ValueError(f"failed is {shown(failed)}; allowed: refuse, skip")
    most = None if limit is None else count("limit", limit)
    reader = _Reader(
        Path(path),
        shape,
        failed == "skip",
        bool(flag("sort", sort)),
        bool(closed),
        int(whole_ns("think_s", np.array(1e9 * finite_number("think_s", think_s)))),
    )
    if closed and "parent" not in shape.columns:
        raise ValueError(
            f"closed is {shown(closed)}; allowed: False, as {shape.name} names no parents"
        )
    parts, found = [], 0
    at_once = count("chunk", chunk)
    if most is not None and not reader.sort:
        at_once = min(at_once, most)
    for rows in rows_of(reader.path, shape, at_once, reader.skip):
        part = reader.part(rows)
        parts.append(part)
        found += len(part.arrival)
        if most is not None and found >= most and not reader.sort:
            break
    if not found:
        kept = " that are kept" if failed == "skip" else ""
        raise ValueError(
            f"{os.fspath(path)}: no requests{kept}; allowed: a trace with at least one row"
        )
    n = found if most is None else min(most, found)
    if reader.sort:
        parts = [_sorted(_one(parts))]
    # of those that a chunk has beyond the last request nobody asked
    far = found if reader.sort or most is None or found < most else n - 1
    return replace(_joined(parts, shape, n), left_out=sum(one <= far for one in reader.left_out))


class _Reader:
    """What is known of the rows above."""

    def __init__(
        self, path: Path, layout: Layout, skip: bool, sort: bool, closed: bool, think_ns: int
    ) -> None:
        self.path, self.layout, self.skip, self.sort = path, layout, skip, sort
        self.left_out: list[int] = []  # of each row that was, how many were kept before it
        self.closed, self.think_ns = closed, think_ns
        self.first: int | None = None
        self.last = (0, 0)  # the time of the last row that has one, and its line
        self.read = 0
        self.hashed: bool | None = None  # rows have hashes, all or none
        self.tree = Tree(path, layout)
        self.known: dict[Any, int] = {}  # index of the last turn of a session, or of an id

    def column(self, rows: Rows, field: str) -> Column:
        name, text = self.layout.columns[field], self.layout.form == "csv"
        return Column(self.path, name, rows.lines, rows.values[field], text)

    def part(self, rows: Rows) -> _Part:
        low = 0 if self.skip else 1
        hint = "" if self.skip else f", or {SKIPPED}"
        inputs = self.column(rows, "input_tokens").whole(low, MOST_TOKENS, hint)
        outputs = self.column(rows, "output_tokens").whole(low, MOST_TOKENS, hint)
        if self.skip:
            kept = np.flatnonzero((inputs > 0) & (outputs > 0))
            gone = np.setdiff1d(np.arange(len(inputs)), kept)
            self.left_out += (self.read + np.searchsorted(kept, gone)).tolist()
            inputs, outputs = inputs[kept], outputs[kept]
            places = kept.tolist()
            rows = Rows(
                [rows.lines[i] for i in places],
                {name: [column[i] for i in places] for name, column in rows.values.items()},
            )
        after, think, also = self.waits(rows)
        arrival = self.times(rows, after)
        hashes, counts = self.hashes(rows, inputs)
        priority = np.zeros(len(inputs), np.int64)
        if rows.values.get("priority"):
            priority = self.column(rows, "priority").whole(-(2**31), 2**31 - 1)
        self.read += len(inputs)
        return _Part(arrival, inputs, outputs, after, think, hashes, counts, priority, also)

    def times(self, rows: Rows, after: Whole) -> Whole:
        """Arrival [ns], checked to rise; 0 of a turn that waits for another."""
        at = np.flatnonzero(after < 0)
        own = self.column(rows, "arrival")
        if len(at) < len(after):
            lines, values = ([one[i] for i in at.tolist()] for one in (own.lines, own.values))
            own = replace(own, lines=lines, values=values)
        times = own.times(self.layout.unit_ns)
        if len(times) and not self.layout.unit_ns:
            self.first = int(times[0]) if self.first is None else self.first
            times = times - self.first
        before = np.concatenate([[self.last[0]], times[:-1]]) if len(times) else times
        if self.sort and len(at) < len(after):
            found = "a row that waits for another"
            raise TraceError(self.path, rows.lines[int(np.argmax(after >= 0))], found,
                             "with sort=True (--sort) rows that all have times of their own")  # fmt: skip
        falls = (times < before) & (not self.sort)
        if falls.any():
            i = int(np.argmax(falls))
            line = own.lines[i - 1] if i else self.last[1]
            found = f"{own.name} is {shown(own.values[i])}, before that of line {line}"
            raise TraceError(
                self.path, own.lines[i], found, "times that do not fall, or sort=True (--sort)"
            )
        if len(times):
            self.last = int(times[-1]), own.lines[-1]
        arrival = np.zeros(len(after), np.int64)
        arrival[at] = times
        return arrival

    def waits(self, rows: Rows) -> tuple[Whole, Whole, list[list[int]]]:
        """Parents, the time to think after them [ns], and further parents."""
        n = len(rows.lines)
        after, think = np.full(n, -1, np.int64), np.zeros(n, np.int64)
        also: list[list[int]] = [[] for _ in rows.lines]
        if "wait_for" in self.layout.columns and (self.tree.rows or is_agentic(rows)):
            also = self.tree.waits(rows, self.read, after, think)
        elif "delay" in self.layout.columns:
            self._delays(rows, after, think)
        elif self.closed:
            self._parents(rows, after, think)
        return after, think, also

    def _delays(self, rows: Rows, after: Whole, think: Whole) -> None:
        names = self.layout.columns
        for i, (session, delay) in enumerate(
            zip(rows.values["session"], rows.values["delay"], strict=True)
        ):
            if session is not None and not isinstance(session, (str, int)):
                found = f"{names['session']} is {shown(session)}"
                raise TraceError(self.path, rows.lines[i], found[:90], "a text or an integer")
            before = None if session is None else self.known.get(session)
            if delay is not None:
                if before is None:
                    found = (
                        f"{names['delay']} without an earlier line of the same {names['session']}"
                    )
                    raise TraceError(self.path, rows.lines[i], found, "a turn after another")
                one = Column(self.path, names["delay"], [rows.lines[i]], [delay])
                after[i], think[i] = before, one.times(self.layout.unit_ns)[0]
            if session is not None:
                self.known[session] = self.read + i
                self.tree.turns[session] = self.read + i

    def _parents(self, rows: Rows, after: Whole, think: Whole) -> None:
        own, parents = (rows.values[name] for name in ("id", "parent"))
        for i, (mine, parent) in enumerate(zip(own, parents, strict=True)):
            for name, value in (("id", mine), ("parent", parent)):
                if type(value) is not int:
                    found = f"{self.layout.columns[name]} is {shown(value)}"
                    raise TraceError(self.path, rows.lines[i], found[:90], "an integer")
            if parent in self.known:  # one before the trace's beginning is nobody's to wait for
                after[i], think[i] = self.known[parent], self.think_ns
            if mine in self.known:
                found = f"{self.layout.columns['id']} is {mine} a second time"
                raise TraceError(self.path, rows.lines[i], found, "an id of its own")
            self.known[mine] = self.read + i

    def hashes(self, rows: Rows, inputs: Whole) -> tuple[Whole, Whole]:
        none = np.empty(0, np.int64)
        if "hashes" not in self.layout.columns:
            return none, np.zeros(len(inputs), np.int64)
        lists = rows.values["hashes"]
        if not lists:
            return none, none
        without = all(row is None for row in lists)
        self.hashed = not without if self.hashed is None else self.hashed
        if not self.hashed and without:
            return none, np.full(len(inputs), -1, np.int64)
        return self.column(rows, "hashes").hashes(inputs, self.layout.hash_block)


def _one(parts: list[_Part]) -> _Part:
    """All chunks in one."""
    columns = [np.concatenate(c) for c in zip(*(part[:-1] for part in parts), strict=True)]
    arrival, inputs, outputs, after, think, hashes, counts, priority = columns
    also = [row for part in parts for row in part.also]
    return _Part(arrival, inputs, outputs, after, think, hashes, counts, priority, also)


def _sorted(part: _Part) -> _Part:
    """Rows in the order of their times, those of one time as they stood; of dates from the first one on."""
    order = np.argsort(part.arrival, kind="stable")
    counts = np.maximum(part.counts, 0)
    begin = np.concatenate([[0], np.cumsum(counts)])[:-1][order]
    own = counts[order]
    within = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)
    times = part.arrival[order]
    return part._replace(
        arrival=times - min(0, int(times[0])), inputs=part.inputs[order], outputs=part.outputs[order],
        hashes=part.hashes[np.repeat(begin, own) + within], counts=part.counts[order],
        priority=part.priority[order],
    )  # fmt: skip


def _joined(parts: list[_Part], layout: Layout, n: int) -> Requests:
    arrival, inputs, outputs, after, think, hashes, counts, priority, every = _one(parts)
    also = every[:n]
    several = any(also)
    hashed = bool(layout.hash_block) and n > 0 and bool((counts[:n] >= 0).all())
    offsets = np.concatenate([[0], np.cumsum(counts[:n])]) if hashed else np.empty(0, np.int64)
    return Requests(
        arrival_ns=arrival[:n],
        input_tokens=inputs[:n],
        output_tokens=outputs[:n],
        declared_tokens=outputs[:n],
        priority=priority[:n],
        after=after[:n],
        think_ns=think[:n],
        block_hashes=hashes[: offsets[-1]] if hashed else np.empty(0, np.int64),
        hash_offsets=offsets,
        hash_block=layout.hash_block if hashed else 0,
        also_after=np.array([one for row in also for one in row], np.int64),
        also_after_offsets=np.concatenate([[0], np.cumsum([len(row) for row in also])])
        if several
        else np.empty(0, np.int64),
    )
