"""Results go through pickle as they are: into other processes, and back with their labels."""

import pickle

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import tokenroof as tr

USERS = {
    "numbers": 3.0,
    "masked": np.ma.masked_array([1.0, 2.0, 4.0], [False, True, False]),
    "series": pd.Series([1.0, 2.0], index=["a", "b"], name="users"),
    "frame": pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], index=["a", "b"], columns=["x", "y"]),
    "xarray": xr.DataArray([1.0, 2.0], dims="users", coords={"users": [10, 20]}),
}


@pytest.mark.parametrize("kind", USERS)
@pytest.mark.parametrize("step", [tr.decode, tr.prefill])
def test_a_step_comes_back_with_its_labels(step, kind):
    before = step("H200-SXM", "Llama-3.1-8B", batch=USERS[kind])
    after = pickle.loads(pickle.dumps(before))
    for name in ("time_s", "watts"):
        mine, theirs = getattr(after, name), getattr(before, name)
        assert type(mine) is type(theirs)
        if kind == "frame":
            pd.testing.assert_frame_equal(mine, theirs)
        elif kind == "series":
            pd.testing.assert_series_equal(mine, theirs)
        elif kind == "xarray":
            xr.testing.assert_identical(mine, theirs)
        elif kind == "masked":
            assert mine.mask.tolist() == theirs.mask.tolist() == [False, True, False]
            assert mine.compressed().tolist() == theirs.compressed().tolist()
        else:
            assert mine == theirs
    assert after.device == before.device and after.breakdown().keys() == before.breakdown().keys()


@pytest.mark.parametrize("result", [
    tr.operators.gemm("H200-SXM", 16, 4096, 4096), tr.mining.hash_roofline("H100-SXM"),
    tr.serving.curve("H200-SXM", "Llama-3.1-8B", concurrency=[1, 8]), tr.economics.issuance(),
], ids=lambda result: type(result).__name__)  # fmt: skip
def test_others_too(result):
    assert type(pickle.loads(pickle.dumps(result))) is type(result)
