"""What commands print without xarray is what the public functions return with it."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import serving
from tokenroof.serving.curve import columns
from tokenroof.serving.frontier import points

WHERE = tr.device("H200-SXM"), tr.model("Llama-3.1-8B")


def same(found, table):
    assert found.sizes == dict(table.sizes)
    assert list(found.data_vars) == list(table.data_vars) and found.attrs == table.attrs
    for name in (*found.data_vars, *found.coords):
        np.testing.assert_array_equal(found[name].values, table[name].values, name)
        assert found[name].attrs == table[name].attrs
    assert found.dataset().identical(table)


@pytest.mark.parametrize("plan", [tr.Plan(tp=2, weights="fp8"), tr.Plan(pp=2)])
def test_a_curve(plan):
    found = columns(*WHERE, plan, 512.0, 64.0, [1, 8], "calibrated")
    table = serving.curve(*WHERE, plan, 512, 64, [1, 8])
    same(found, table)
    assert found["ttft_s"].attrs["units"] == "s" and found["concurrency"].attrs["units"] == "1"


@pytest.mark.parametrize("limits", [{}, {"power_caps": [500.0, None]}, {"ttft_max": 1e-6}])
def test_a_frontier(limits):
    found = points(*WHERE, None, 1024, 1024, devices_max=1, **limits)
    same(found, serving.frontier(*WHERE, devices_max=1, **limits))
    assert ("power_cap_w" in found.data_vars) == ("power_caps" in limits)
    assert bool(found.sizes["point"]) == ("ttft_max" not in limits)
