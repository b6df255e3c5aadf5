"""Kernels by keyword over Dask arrays of different chunks."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels

RECORDS = {
    "device": tr.device("H200-SXM").pack(), "calibration": tr.Calibration.ideal().pack(),
    "model": tr.model("Llama-3.1-8B").pack(), "plan": tr.Plan().pack(),
}  # fmt: skip


@pytest.mark.parametrize("batch", [(8,), (3, 5), (2, 2, 4)])
@pytest.mark.parametrize("name", ["decode_time", "decode_step"])
def test_by_keyword_over_dask_in_chunks_that_differ(name, batch):
    """As elementwise: what broadcasts together comes into the same chunks, along records nothing does."""
    da, records = pytest.importorskip("dask.array"), RECORDS
    first, second = np.arange(1.0, 9.0), 100.0 * np.arange(1.0, 17.0).reshape(2, 8)
    devices = np.stack([tr.device(n).pack() for n in ("H200-SXM", "B200-SXM") * 4])
    want = kernels.by_keyword(
        name, **records | {"device": devices, "batch": first, "context": second}
    )
    for context in (da.from_array(second, chunks=(1, 4)), second):
        given = {
            "device": da.from_array(devices, chunks=(5, -1)), "context": context,
            "batch": da.from_array(first, chunks=(batch,)),
        }  # fmt: skip
        got = kernels.by_keyword(name, **records | given)
        assert isinstance(got, da.Array) and np.array_equal(got.compute(), want)
    row = kernels.by_keyword(
        name, **records | {"batch": da.from_array(first, chunks=3)[:, None], "context": da.from_array(second[0], chunks=4)}
    )  # fmt: skip
    assert row.chunks[:2] == ((3, 3, 2), (4, 4))
    plain = kernels.by_keyword(name, **records | {"batch": first[:, None], "context": second[0]})
    assert np.array_equal(row.compute(), plain)
