"""Files of stores in which a byte flipped: named where they are read, never numbers that are others."""

import os
from pathlib import Path

import numpy as np
import pytest
from _areas import areas, assert_whole, values

import tokenroof as tr
from tokenroof.scale import stores
from tokenroof.scale.reductions import Best
from tokenroof.scale.run import keep, layout_of, reduced
from tokenroof.scale.stores import TableStore


def test_a_damaged_chunk_is_named_and_computed_anew_once_it_is_gone(tmp_path):
    """A byte that flipped leaves the size as it was, by which a chunk counts as whole."""
    store = str(tmp_path / "areas.zarr")
    kept = keep(areas(), store=store)
    file = kept.files(2)[0]
    with open(file, "r+b") as chunk:
        whole = bytearray(chunk.read())
        whole[len(whole) // 2] ^= 0xFF
        chunk.seek(0)
        chunk.write(whole)
    again = keep(areas(), store=store)
    for read in (
        lambda: again.read(2, "area"),
        lambda: tr.scale.open_store(store).area.compute(scheduler="synchronous"),
    ):
        with pytest.raises(
            ValueError, match="allowed: to delete that file and to ask again"
        ) as told:
            read()
        assert f"store '{store}' has a damaged chunk, {file} (" in str(told.value)
    os.unlink(file)
    assert_whole(keep(areas(), store=store), areas())


def _flipped(file, read):
    """What reading says of a file with one bit flipped, a bit of every eleventh byte by turns."""
    whole = Path(file).read_bytes()
    for at in range(0, len(whole), 11):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        Path(file).write_bytes(damaged)
        try:
            yield at, read()
        except ValueError as error:
            yield at, error
    Path(file).write_bytes(whole)


@pytest.mark.parametrize("of", ["points", "tables"])
def test_no_flipped_bit_of_parquet_is_read_in_silence(of, tmp_path):
    """A whole answer is right, whatever flipped: pages have checksums, what leads to them contradicts itself."""
    store, work, best = str(tmp_path / "areas.parquet"), areas(), Best("area", "width")
    if of == "points":
        kept = keep(work, store=store)
        read = lambda: {name: kept.read(2, name) for name in work.variables}  # noqa: E731
    else:
        reduced(work, best, store=store)
        kept = TableStore.at(store, layout_of(work), best.about())
        read = lambda: kept.table(2)  # noqa: E731
    right, named = read(), 0
    file = kept.files(2)[0]
    for at, found in _flipped(file, read):
        if isinstance(found, ValueError):
            assert f"store '{store}' has a damaged chunk, {file} (" in str(found), at
            assert "allowed: to delete that file and to ask again" in str(found)
            named += 1
            continue
        assert list(found) == list(right), at
        for name, column in right.items():
            assert found[name].dtype == column.dtype, at
            np.testing.assert_array_equal(found[name], column, err_msg=str(at))
    assert named > 50
    if of == "tables":
        Path(file).write_bytes(Path(file).read_bytes().replace(b"area", b"aree", 1))
        with pytest.raises(ValueError, match="has a damaged chunk"):
            reduced(work, best, store=store)


def test_a_parquet_store_of_before_checksums_is_read(tmp_path):
    import pyarrow.parquet

    kept = keep(areas(), store=str(tmp_path / "areas.parquet"))
    right = values(kept, areas())
    for k in range(6):
        (file,) = kept.files(k)
        table = pyarrow.parquet.ParquetFile(file).read().replace_schema_metadata()
        pyarrow.parquet.write_table(table, file, compression="zstd")
    np.testing.assert_equal(values(kept, areas()), right)


@pytest.mark.parametrize("lacking", [MemoryError, ImportError])
def test_what_the_machine_lacks_is_no_damage_of_a_chunk(tmp_path, monkeypatch, lacking):
    """Who is told so would delete what is whole."""
    kept = keep(areas(), store=str(tmp_path / "areas.zarr"))

    def fails(*_):
        raise lacking("16 TiB")

    monkeypatch.setattr(stores, "_array", fails)
    with pytest.raises(lacking, match="16 TiB"):
        kept.read(0, "area")
