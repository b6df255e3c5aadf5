"""Agents' traces: rows that wait for others, that send out children, and wait for tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.requests.traces.columns import Column
from tokenroof.serving.requests.traces.lines import TraceError
from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.serving.requests.traces.layouts import Layout
    from tokenroof.serving.requests.traces.rows import Rows

    Whole = NDArray[np.int64]

__all__ = ["AGENTIC", "Tree", "is_agentic"]

#: Fields of agents' rows.
AGENTIC = ("request", "wait_for", "branches", "prefix_reset", "tool_wait")


def is_agentic(rows: Rows) -> bool:
    """Whether a chunk has any of their keys."""
    return any(value is not None for name in AGENTIC for value in rows.values[name])


class Tree:
    """Who waits for whom, over all rows so far.

    A row waits for those of ``wait_for``; without any, for the row that names it among its ``branches``;
    without one, where it has a delay and does not begin a prefix, for its session's last. Its time to think
    is the delay and the tools' time.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self.layout = path, layout
        self.rows: dict[Any, int] = {}  # by request id
        self.turns: dict[Any, int] = {}  # the last of a session
        self.sent_by: dict[Any, int] = {}  # by the id of a child

    def _bad(self, line: int, field: str, found: object, expected: str) -> TraceError:
        name = self.layout.columns[field]
        return TraceError(self.path, line, f"{name} is {shown(found)}"[:90], expected)

    def waits(self, rows: Rows, start: int, after: Whole, think: Whole) -> list[list[int]]:
        """Fill in parents and times to think [ns] of a chunk from row `start` on; further parents by row."""
        more = []
        for i, line in enumerate(rows.lines):
            row = {name: rows.values[name][i] for name in (*AGENTIC, "session", "delay")}
            parents = self._parents(row, line)
            if parents:
                after[i] = parents[0]
                think[i] = self._time(row["delay"], "delay", line) + self._time(
                    row["tool_wait"], "tool_wait", line
                )
            elif row["tool_wait"] is not None and self._time(row["tool_wait"], "tool_wait", line):
                raise self._bad(
                    line, "tool_wait", row["tool_wait"], "0 of a row that waits for no other"
                )
            more.append(parents[1:])
            self._enter(row, line, start + i)
        return more

    def _time(self, value: object, field: str, line: int) -> int:
        if value is None:
            return 0
        one = Column(self.path, self.layout.columns[field], [line], [value])
        return int(one.times(self.layout.unit_ns)[0])

    def _parents(self, row: dict[str, Any], line: int) -> list[int]:
        """Indexes of the rows that it waits for, each once."""
        reset = row["prefix_reset"]
        if reset is not None and not isinstance(reset, bool):
            raise self._bad(line, "prefix_reset", reset, "true or false")
        found = []
        for name in self._ids(row["wait_for"], "wait_for", line):
            if name not in self.rows:
                raise self._bad(line, "wait_for", name, "ids of requests on lines before")
            found.append(self.rows[name])
        if not found and row["request"] is not None:
            own = self._id(row["request"], "request", line)
            found = [self.sent_by[own]] if own in self.sent_by else []
        session = row["session"]
        if session is not None:
            self._id(session, "session", line)
        if not found and row["delay"] is not None and not reset:
            if session is None or session not in self.turns:
                names = self.layout.columns
                said = (
                    f"{names['delay']} without {names['wait_for']}, or an earlier line of the same "
                    f"{names['session']}"
                )
                raise TraceError(self.path, line, said, "a turn after another")
            found = [self.turns[session]]
        return list(dict.fromkeys(found))

    def _enter(self, row: dict[str, Any], line: int, index: int) -> None:
        for name in self._ids(row["branches"], "branches", line):
            if name in self.rows or name == row["request"]:
                raise self._bad(line, "branches", name, "ids of requests on lines after")
            if name in self.sent_by:
                raise self._bad(line, "branches", name, "a child that no other line sends out")
            self.sent_by[name] = index
        if row["request"] is not None:
            own = self._id(row["request"], "request", line)
            if own in self.rows:
                raise self._bad(line, "request", own, "an id of its own")
            self.rows[own] = index
        if row["session"] is not None:
            self.turns[row["session"]] = index

    def _ids(self, values: object, field: str, line: int) -> list[Any]:
        if values is None:
            return []
        if not isinstance(values, list):
            raise self._bad(line, field, values, "a list of request ids")
        return [self._id(value, field, line) for value in values]

    def _id(self, value: object, field: str, line: int) -> Any:
        if type(value) not in (str, int):
            raise self._bad(line, field, value, "a text or an integer")
        return value
