"""Measures, evaluates, draws and writes, in that order."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tokenroof.build import build_config
from tokenroof.catalogue.market_columns import unread
from tokenroof.catalogue.market_file import market_data, market_in_force
from tokenroof.support.arguments import shown
from tokenroof.support.formats import plain
from tokenroof.support.lazy import require
from tokenroof.support.whole import into

if TYPE_CHECKING:
    import pandas as pd

    from tokenroof.catalogue.quote import MarketLike
    from tokenroof.measure import Machine
    from tokenroof.records.device import Device
    from tokenroof.report.page import Part

__all__ = ["build"]

_MANIFEST = "report.json"


def build(
    out: str | Path = "tokenroof-report",
    *,
    seconds: float = 1.0,
    quiet: bool = False,
    devices: str | Device | Iterable[str | Device] = (),
    market: MarketLike | None = None,
) -> dict[str, Any]:
    """Write the report: ``index.html``, self-contained, and the data behind each figure.

    Parameters
    ----------
    out : str or Path
        Folder; made if it does not exist. Files of an earlier report are replaced, others are left
        alone.
    seconds : float
        Rough time of each measurement of this machine [s].
    quiet : bool
        Show no progress on stderr.
    devices : sequence of str or Device
        Devices of your own that are drawn beside the catalogue's: records, or files as
        `tokenroof.device` takes them; a name of the catalogue is drawn from the start. This machine is
        there in any case.
    market : path or MarketData, optional
        A file of newer prices, as `tokenroof.catalogue.market_data` takes it.

    Returns
    -------
    dict
        page, data (files), machine, seconds, market (the file of newer prices: name, sha256,
        dates, sources, and what of it nothing used).

    Raises
    ------
    OSError
        If `out` cannot be written, or a file not read; before anything is measured.
    KeyError, ValueError, TypeError
        For a device that is none.
    ImportError
        Without plotly, jinja2, pandas or xarray: the extra ``report``.

    Examples
    --------
    >>> made = build("my-report", seconds=0.1, quiet=True)  # doctest: +SKIP
    >>> made["page"].name  # doctest: +SKIP
    'index.html'
    """
    for name in ("plotly", "jinja2", "pandas", "xarray"):
        require(name, extra="report")
    from tokenroof.report import data

    if not 0 < seconds < 600:
        raise ValueError(f"seconds is {shown(seconds)}; allowed: a number > 0, below 600")
    own = data.own_devices(devices)
    newer = None if market is None else market_data(market)
    start = time.perf_counter()
    with (
        market_in_force(newer),
        _staging(Path(out)) as folder,
        _Progress(quiet) as progress,
        _few_collections(),
    ):
        machine, tables, text = _page(progress, seconds, own, start)
        progress.step("writing")
        with into(out):
            _write(folder, tables, text, machine.as_dict())
            files = _move_into(folder, Path(out))
        left = () if newer is None else unread(newer)
    return {
        "page": Path(out) / "index.html",
        "data": [name for name in files if name.endswith(".csv")],
        "machine": machine.as_dict(),
        "seconds": time.perf_counter() - start,
        "market": None if newer is None else {**newer.as_dict(), "unused": list(left)},
    }


def _page(
    progress: _Progress, seconds: float, own: list[Device], start: float
) -> tuple[Machine, dict[str, pd.DataFrame], str]:
    """This machine, the data behind each figure, and the page."""
    from tokenroof import measure
    from tokenroof.report import data, measured, page
    from tokenroof.report.meter import meter

    progress.step("measuring this machine")
    machine = measure.machine(seconds=seconds)
    left = {name: data.Left() for name in ("roofline", "frontier")}

    progress.step("rooflines")
    drawn, roofs, points = data.rooflines(machine.device(), left["roofline"], own)
    progress.step("frontiers", len(drawn[1:]) * len(data.MODELS))
    fronts, front_table = data.frontiers(drawn[1:], left["frontier"], progress.tick)
    progress.step("miners and markets")
    miners, here_miner = data.miners(machine)
    rows, claims, used = meter(front_table, machine, drawn)
    ran, anchors = measured.held_against()
    parts, frames = _parts(progress), require("pandas", extra="report")

    progress.step("drawing")
    tables = {
        "roofline_roofs": roofs, "roofline_points": points, "frontier": front_table,
        "frontier_measured": frames.DataFrame(ran), "frontier_anchors": frames.DataFrame(anchors),
        "hashrate": page.with_machine(miners, here_miner),
        "same_meter": rows.drop(columns=["text", "mining"]),
        **{name: table for part in parts for name, table in part.tables(frames).items()},
    }  # fmt: skip
    contents = page.Contents(
        machine=machine, devices=drawn, points=points, fronts=fronts, ran=ran, anchors=anchors,
        miners=miners, here_miner=here_miner, rows=rows, claims=claims, used=used, left=left,
        provenance=data.provenance(), files={name: f"{name}.csv" for name in tables},
        started=start, parts=parts, own=[d.name for d in own],
    )  # fmt: skip
    text = page.render(contents=contents)
    return machine, tables, text


def _parts(progress: _Progress) -> list[Part]:
    """Parts that know their own figures, tables and text."""
    from tokenroof.report.generations import DEVICES, generations
    from tokenroof.report.load import under_load
    from tokenroof.report.money import money
    from tokenroof.report.tiered import tiered

    progress.step("systems", len(DEVICES) + 1)
    searched = generations(progress.tick)
    progress.step("money, tiers, loads")
    return [searched, money(), tiered(), under_load()]


def _write(
    folder: Path, tables: dict[str, pd.DataFrame], text: str, machine: dict[str, Any]
) -> None:
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    (folder / "index.html").write_text(text, encoding="utf-8")
    files = sorted([*(f"{name}.csv" for name in tables), "index.html", _MANIFEST])
    document = {"tokenroof": build_config()["version"], "machine": plain(machine), "files": files}
    (folder / _MANIFEST).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """A hidden folder inside `out`, gone afterwards; `out` too if it was made for nothing."""
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"--out is {shown(str(out))}, a file; allowed: a folder")
    missing = [p for p in (out, *out.parents) if not p.exists()]
    folder: Path | None = None
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".tokenroof-", dir=out))
        yield folder
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        for made in missing:  # the deepest first; one that holds something stays
            with suppress(OSError):
                made.rmdir()


def _move_into(folder: Path, out: Path) -> list[str]:
    """Replace the files of the last report by those in `folder`; Ctrl-C waits until it is done."""
    files = sorted(path.name for path in folder.iterdir())
    files.sort(key=lambda name: name == "index.html")  # the page last: its data is there
    with _uninterrupted():
        for name in _files_of(out):
            if name not in files:
                with suppress(OSError):
                    (out / name).unlink()
        for name in files:
            os.replace(folder / name, out / name)
    return files


def _files_of(out: Path) -> list[str]:
    """Files that an earlier report wrote, by its manifest."""
    try:
        files = json.loads((out / _MANIFEST).read_text(encoding="utf-8"))["files"]
        return [name for name in files if isinstance(name, str) and Path(name).name == name]
    except (OSError, ValueError, KeyError, TypeError):
        return []


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for rings of garbage seldom: figures are a million objects that all stay."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: waiting.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if waiting:
        raise KeyboardInterrupt


class _Progress:
    """What is being done, on stderr: a bar by rich on a terminal, else a line per step."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        if quiet or not sys.stderr.isatty():
            return
        with suppress(ImportError):
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._bar = Progress(
                TextColumn("{task.description:>24}"), BarColumn(),
                TextColumn("{task.fields[what]}"), TimeElapsedColumn(),
                console=Console(stderr=True), transient=True,
            )  # fmt: skip

    def __enter__(self) -> _Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, name: str, total: int | None = None) -> None:
        """Begin a step, of `total` ticks if that is known."""
        if self._bar is not None:
            if self._task is not None:
                self._bar.update(self._task, total=1, completed=1, what="")
            self._task = self._bar.add_task(name, total=total, what="")
        elif not self._quiet:
            print(f"tokenroof: {name}", file=sys.stderr, flush=True)

    def tick(self, what: str) -> None:
        """One more done."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=1, what=what)
