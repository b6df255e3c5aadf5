"""What a stage finds: lines for a reader, and a file that is whole after every line.

A stage is a process of its own, so that one which crashes, hangs or loses its device takes no other with it:
what it had found by then stands in its file. `gpu.json` and `gpu.md` are made of these files.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any


class Report:
    """Lines of one stage, written as they come."""

    def __init__(self, path: Path, *, played: bool, device: int = 0) -> None:
        self.path, self.played, self.device = path, played, device
        self.wrong: list[str] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    def _put(self, kind: str, name: str, shown: str, **more: Any) -> None:
        print(f"{name:38} {shown}", flush=True)
        with self.path.open("a") as file:
            file.write(json.dumps({"kind": kind, "name": name, **more}, default=str) + "\n")

    def say(self, name: str, value: float, unit: str, more: str = "") -> None:
        """A number; of a played device it says nothing about speed."""
        self._put(
            "number", name, f"{value:14.4g} {unit:8} {more}", value=value, unit=unit, note=more
        )

    def check(self, name: str, right: bool, more: str = "") -> None:
        """What must hold; the stage has failed where it does not."""
        if not right:
            self.wrong.append(name)
        self._put(
            "check",
            name,
            f"{'right' if right else 'WRONG':>14} {more}",
            right=bool(right),
            note=more,
        )

    def bar(self, name: str, value: float, least: float, more: str = "") -> None:
        """A share that is to be reached; missing it is a finding, not a failure."""
        met = None if self.played or not math.isfinite(value) else value >= least
        said = {None: "not judged", True: "met", False: "MISSED"}[met]
        text = f"{value:14.1%} of at least {least:.0%}: {said} {more}"
        self._put("bar", name, text, value=value, least=least, met=met, note=more)

    def skip(self, name: str, why: str) -> None:
        self._put("skipped", name, f"{'skipped':>14} {why}", note=why)

    def note(self, name: str, text: str) -> None:
        self._put("note", name, text, note=text)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a stage's file; a last one that was cut off is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def value_of(out: Path, stage: str, name: str) -> float | None:
    """A number that an earlier stage found."""
    for line in lines_of(out / "stages" / f"{stage}.jsonl"):
        if line["name"] == name and line["kind"] == "number":
            return float(line["value"])
    return None


def save(out: Path, about: dict[str, Any], stages: list[dict[str, Any]]) -> None:
    """Both files, each whole at any time."""
    for name, text in (
        ("gpu.json", json.dumps({**about, "stages": stages}, indent=1, default=str)),
        ("gpu.md", markdown(about, stages)),
    ):
        new = out / f".{name}"
        new.write_text(text + "\n")
        new.replace(out / name)


def _cell(line: dict[str, Any]) -> tuple[str, str]:
    """Value and unit of a line, as its row shows them."""
    if line["kind"] == "number":
        return f"{line['value']:.4g}", line["unit"]
    if line["kind"] == "check":
        return ("right" if line["right"] else "**wrong**"), ""
    if line["kind"] == "bar":
        said = {None: "not judged", True: "met", False: "**missed**"}[line["met"]]
        return f"{line['value']:.1%}", f"bar {line['least']:.0%}: {said}"
    return line["kind"], ""


def markdown(about: dict[str, Any], stages: list[dict[str, Any]]) -> str:
    """One table of all lines, under a head that says what ran and what did not."""
    head = [f"# {about.get('device', 'no device')}", ""]
    if about.get("played"):
        head += [
            "A dry run: device code ran on the processor; no time or rate below is a device's.",
            "",
        ]
    head += ["| stage | state | s | limit |", "|---|---|---|---|"]
    head += [
        f"| {s['name']} | {s['state']} | {s['seconds']:.1f} | {s['limit']:.0f} |" for s in stages
    ]
    rows = ["", "| stage | what | value | unit | beside it |", "|---|---|---|---|---|"]
    for stage in stages:
        for line in stage["lines"]:
            value, unit = _cell(line)
            note = str(line.get("note", "")).replace("|", "/").replace("\n", " ")
            rows.append(f"| {stage['name']} | {line['name']} | {value} | {unit} | {note} |")
    return "\n".join([*head, *rows])
