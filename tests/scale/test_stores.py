"""Chunks in stores: resumed is uninterrupted, whatever was killed, cut short, full or read-only meanwhile."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.dataset
import pytest
from _areas import Stop, areas, assert_whole, computed, values
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof.scale.grid import chunked, cut, pieces
from tokenroof.scale.journal import Journal
from tokenroof.scale.reductions import Best
from tokenroof.scale.run import keep, reduced, whole_chunks
from tokenroof.scale.stores import TableStore, store_at

ENDINGS = ["parquet", "zarr"]


shapes = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@given(shapes, st.integers(1, 200))
def test_chunks_are_all_points_once(shape, most):
    grid = chunked(tuple("abcd"[: len(shape)]), tuple(shape), most)
    seen = np.zeros(shape, int)
    for k in range(len(grid)):
        block = grid.block(k)
        assert grid.at(grid.place(k)) == block
        assert grid.size(k) == seen[block].size <= most
        seen[block] += 1
    assert (seen == 1).all() and grid.points == seen.size
    assert [sum(sizes) for sizes in grid.sizes()] == shape
    block = tuple(slice(n // 3, n) for n in shape)
    seen[...] = 0
    for part in pieces(block, most):
        assert 0 < seen[part].size <= most
        seen[part] += 1
    assert (seen[block] == 1).all() and seen.sum() == seen[block].size


def test_chunks_as_callers_say_them():
    dims, shape = ("a", "b", "c"), (4, 5, 6)
    assert chunked(dims, shape, None).chunk == (4, 5, 6) == chunked(dims, shape, "auto").chunk
    assert chunked(dims, shape, {"b": 2, "c": -1}).chunk == (4, 2, 6)
    assert chunked(dims, shape, (1, None, 90)).chunk == (1, 5, 6)
    assert cut((7, 2**11, 2**11), 2**20) == (1, 2**9, 2**11)


@pytest.mark.parametrize("ending", ENDINGS)
def test_resumed_is_uninterrupted(ending, tmp_path_factory):
    @settings(max_examples=6, deadline=None)
    @given(st.data())
    def check(data):
        folder = tmp_path_factory.mktemp("run")
        store = f"{folder}/areas.{ending}"
        shape = tuple(data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5))))
        chunk = tuple(data.draw(st.integers(1, n)) for n in shape)
        work = areas(shape, chunk)
        stop = data.draw(st.integers(0, len(work.grid)))
        try:
            kept = keep(areas(shape, chunk, folder=str(folder), stops=(stop,)), store=store)
        except Stop as error:
            assert (
                f"{stop:,} of {len(work.grid):,} chunks are kept in {store}" in error.__notes__[0]
            )
            kept = store_at(store, _layout(work))
            assert np.flatnonzero(whole_chunks(kept)).tolist() == list(range(stop))
        journal = os.path.join(store, "_tokenroof", "journal.jsonl")
        length = os.path.getsize(journal)
        os.truncate(journal, data.draw(st.integers(0, length)))
        lines = -(-Path(journal).read_bytes().count(b"[") // 2)  # the last may be cut short
        for k in data.draw(st.sets(st.integers(0, max(0, stop - 1)), max_size=2)) if stop else ():
            file = data.draw(st.sampled_from(kept.files(k)))
            if data.draw(st.booleans()):
                os.truncate(file, data.draw(st.integers(0, os.path.getsize(file) - 1)))
            else:
                os.unlink(file)
        lost = int((~whole_chunks(kept)).sum())
        assert len(work.grid) - min(lines, len(work.grid)) <= lost
        (folder / "computed").unlink(missing_ok=True)
        kept = keep(areas(shape, chunk, folder=str(folder)), store=store)
        assert len(computed(folder)) == lost if lost else not (folder / "computed").exists()
        assert_whole(kept, work)
        if ending == "parquet":
            rows = pyarrow.dataset.dataset(store).to_table().to_pandas()
            assert len(rows) == work.grid.points == len(rows.drop_duplicates(["width", "height"]))

    check()


def _layout(work):
    from tokenroof.scale.run import layout_of

    return layout_of(work)


def test_a_store_holds_one_piece_of_work(tmp_path):
    store = tmp_path / "areas.parquet"
    keep(areas(), store=store)
    with pytest.raises(ValueError, match="holds other points, constants or another version's"):
        keep(areas((6, 6)), store=store)
    with pytest.raises(
        ValueError, match=r"chunks is {'width': 1, 'height': 3}; allowed with store .*: {'width': 2"
    ):
        keep(areas(chunk=(1, 3)), store=store)
    (tmp_path / "notes.parquet").mkdir()
    (tmp_path / "notes.parquet" / "mine").write_text("")
    with pytest.raises(ValueError, match="holds something else; allowed: a new folder"):
        keep(areas(), store=tmp_path / "notes.parquet")
    (store / "_tokenroof" / "work.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        keep(areas(), store=store)
    (store / "_tokenroof" / "work.json").write_text('{"format": 2}')
    with pytest.raises(ValueError, match="has format 2; allowed: 1"):
        keep(areas(), store=store)
    with pytest.raises(ValueError, match="is none; allowed"):
        tr.scale.status(tmp_path / "nothing.parquet")
    assert not (tmp_path / "nothing.parquet").exists()


def test_a_store_has_one_writer(tmp_path):
    store = str(tmp_path / "areas.parquet")
    with Journal(store), pytest.raises(BlockingIOError, match="written by another process"):
        keep(areas(), store=store)
    assert_whole(keep(areas(), store=store), areas())


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_cut_short_is_not_read_in_silence(ending, tmp_path):
    store = str(tmp_path / f"areas.{ending}")
    kept = keep(areas(), store=store)
    opened = tr.scale.open_store(store)
    assert opened.area.sel(width="w5").values.tolist() == [2.5, 7.5, 12.5, 17.5, 22.5]
    file = kept.files(2)[0]
    os.truncate(file, os.path.getsize(file) - 1)
    with pytest.raises(ValueError, match="lacks 1 of 6 chunks, 2 the first .*cut short"):
        tr.scale.open_store(store)
    for read in (
        lambda: kept.read(2, "area"),
        lambda: opened.area.compute(scheduler="synchronous"),
    ):
        with pytest.raises(
            (ValueError, OSError, RuntimeError)
        ):  # as the format's own reader says it
            read()
    os.unlink(file)
    with pytest.raises(FileNotFoundError):
        kept.read(2, "area")
    assert tr.scale.status(store) == {
        "chunks": 5,
        "chunks_in_all": 6,
        "points": 24,
        "points_in_all": 30,
    }
    assert_whole(keep(areas(), store=store), areas())


def test_other_readers_of_zarr_read_it(tmp_path):
    import xarray as xr

    store = str(tmp_path / "areas.zarr")
    kept = keep(areas(), store=store)
    opened = xr.open_zarr(store, consolidated=False, chunks=None, mask_and_scale=False)
    assert set(opened.data_vars) == {"area", "even"} and opened.attrs == {"made": "here"}
    np.testing.assert_array_equal(opened.area.values, values(kept, areas())["area"])
    assert opened.width.values.tolist() == [f"w{i}" for i in range(6)]
    assert opened.area.attrs == {"units": "m2"}


def test_other_readers_of_parquet_read_it(tmp_path):
    import polars as pl

    store = str(tmp_path / "areas.parquet")
    keep(areas(), store=store)
    rows = pl.read_parquet(f"{store}/*.parquet").sort("width", "height")
    assert rows.columns == ["width", "height", "area", "even"] and len(rows) == 30
    assert rows.row(7) == ("w1", 2.5, 2.5, "odd")


def test_a_reduction_goes_on_from_its_tables(tmp_path):
    store = str(tmp_path / "best.parquet")
    best = Best("area", "width")
    whole = reduced(areas(), best)
    with pytest.raises(Stop):
        reduced(areas(stops=(4,)), best, store=store)
    found = reduced(areas(folder=str(tmp_path)), best, store=store)
    assert computed(tmp_path) == [4, 5]
    assert {n: c.tolist() for n, c in found.items()} == {n: c.tolist() for n, c in whole.items()}
    assert best.finish(areas(), found).area.values.tolist() == [2.5, 7.5, 12.5, 17.5, 22.5]
    kept = TableStore.at(store, _layout(areas()), best.about())
    assert kept.read(0, "area").tolist() == [0.5, 1.5, 2.5]


def test_progress_counts_points_and_what_is_there(tmp_path):
    told = []
    with pytest.raises(Stop):
        keep(areas(stops=(3,)), store=tmp_path / "a.parquet")
    keep(areas(seconds=0.11), store=tmp_path / "a.parquet", progress=lambda *n: told.append(n))
    assert told == [(21, 30), (27, 30), (30, 30), (30, 30)] or told[-1] == (30, 30)
    assert told == sorted(told)


# --- faults ------------------------------------------------------------------------------------------

CHILD = """
import sys
sys.path[:0] = {path!r}
from _areas import Areas
from tokenroof.scale.grid import Grid
from tokenroof.scale.run import keep
work = Areas(Grid(("width", "height"), (40, 500), (1, 500)), **{given!r})
{before}
keep(work, store={store!r})
"""


def child(store, before="", **given):
    source = CHILD.format(path=sys.path, given=given, before=before, store=str(store))
    return subprocess.Popen([sys.executable, "-c", source], stderr=subprocess.PIPE, text=True)


def long_work(**given):
    return areas((40, 500), (1, 500), **given)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_killed_client_loses_and_doubles_nothing(ending, tmp_path):
    store = tmp_path / f"areas.{ending}"
    killed = child(store, folder=str(tmp_path), seconds=0.02)
    until = time.monotonic() + 60
    while not (tmp_path / "computed").exists() or len(computed(tmp_path)) < 4:
        assert time.monotonic() < until and killed.poll() is None
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    done = whole_chunks(store_at(store, _layout(long_work())))
    assert 3 <= done.sum() < 40
    (tmp_path / "computed").unlink()
    kept = keep(long_work(folder=str(tmp_path)), store=store)
    assert computed(tmp_path) == np.flatnonzero(~done).tolist()
    assert_whole(kept, long_work())


FULL = """
import resource
fine = Areas.compute
def compute(self, block):
    if block[0].start == 7:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    return fine(self, block)
Areas.compute = compute
"""


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_is_said_and_gone_on_from(ending, tmp_path):
    """From the eighth chunk on no file can grow past a hundred bytes."""
    store = tmp_path / f"areas.{ending}"
    full = child(store, FULL)
    said = full.communicate()[1].splitlines()
    assert full.returncode == 1 and said[-2] == "OSError: [Errno 27] File too large", said
    assert said[-1] == f"7 of 40 chunks are kept in {store}; the same call goes on from there"
    kept = keep(long_work(folder=str(tmp_path)), store=store)
    assert computed(tmp_path) == list(range(7, 40))
    assert_whole(kept, long_work())
    assert not [p for p in store.rglob("*") if p.suffix in (".part", ".partial")]


@pytest.fixture
def nobody():
    """No rights of root's for as long as the test runs."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_a_read_only_folder_is_named(tmp_path, nobody):
    with pytest.raises(OSError, match="Permission denied|Read-only") as raised:
        keep(areas(), store="/usr/areas.parquet")
    assert "/usr/areas.parquet" in str(raised.value)
