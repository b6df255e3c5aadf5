"""Equal by value, arrays too; after pickle as before; no hash where arrays may change."""

import pickle

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import tokenroof as tr
from tokenroof import economics as ec
from tokenroof import serving
from tokenroof.support.equality import by_value, same

LEASE = {"income.kind": "lease", "income.lease_per_mw_year": 1.9e6}
ASKED = {"arrival": [0.0, 1.0], "input_tokens": [50, 60], "output_tokens": [2, 3]}


def played(more: int = 0):
    asked = serving.as_requests(ASKED | {"output_tokens": [2, 3 + more]})
    return serving.simulate("H200-SXM", "Llama-3.1-8B", None, asked, record_steps=True)


PAIRS = {  # how to make it, and another that differs in one thing
    "factory": (lambda: ec.factory(LEASE), lambda: ec.factory(LEASE | {"site.availability": 0.9})),
    "cash flow": (lambda: ec.factory(LEASE).flow, lambda: ec.factory(LEASE | {"shell.om_share": 0.1}).flow),
    "issuance": (lambda: ec.issuance(), lambda: ec.issuance(2030)),
    "step": (lambda: tr.decode("H200-SXM", "Llama-3.1-8B", batch=[1, 8]),
             lambda: tr.decode("H200-SXM", "Llama-3.1-8B", batch=[1, 9])),
    "simulation": (played, lambda: played(1)),
    "requests": (lambda: serving.as_requests(ASKED), lambda: serving.as_requests(ASKED | {"arrival": [0.0, 2.0]})),
    "uniform": (lambda: serving.Lengths.uniform(1, 5), lambda: serving.Lengths.uniform(1, 6)),
    "empirical": (lambda: serving.Lengths.empirical([1, 2, 4]), lambda: serving.Lengths.empirical([1, 3, 4])),
}  # fmt: skip


@pytest.mark.parametrize("kind", PAIRS)
def test_equal_by_value(kind):
    make, other = PAIRS[kind]
    one = make()
    for again in (make(), pickle.loads(pickle.dumps(one))):
        assert again is not one and (again == one) is True and (again != one) is False
    assert (one == other()) is False and one != "text" and one != 3
    if kind in ("requests", "uniform", "empirical"):
        assert hash(make()) == hash(one) == hash(pickle.loads(pickle.dumps(one)))
        assert len({one, make(), other()}) == 2
    else:
        with pytest.raises(TypeError, match=type(one).__name__):
            hash(one)


def test_steps_of_another_form_device_or_kind_differ():
    def made(batch=(1.0, 8.0), device="H200-SXM", call=tr.decode, **loads):
        return call(device, "Llama-3.1-8B", batch=batch, **loads)

    assert made() == made() != made(device="H100-SXM")
    assert made() != made(context=2048) and made() != made(call=tr.prefill)
    series = [made(pd.Series([1.0, 8.0], index=list(index))) for index in ("ab", "ab", "ac")]
    assert series[0] == series[1] != series[2] != made()


def test_same():
    rows = np.array([(1.0, "a"), (np.nan, "b")], [("x", float), ("y", "U1")])
    other = rows.copy()
    assert same(rows, other)
    other["y"][1] = "c"
    assert not same(rows, other)
    nan = float("nan")
    assert same([nan, {"a": np.array([nan, 1.0])}], [float("nan"), {"a": np.array([np.nan, 1.0])}])
    masked = np.ma.masked_array([1.0, 2.0], [False, True])
    assert same(masked, np.ma.masked_array([1.0, 3.0], [False, True]))  # what is masked is nothing
    table = xr.DataArray([1.0], dims="x", coords={"x": [1]})
    assert same(table, table.copy()) and not same(table, table.rename(x="y"))
    for a, b in ((1, 1.0), (np.array([1]), np.array([1.0])), (np.zeros(2), np.zeros((2, 1))), ((1,), (1, 2)),
                 ({"a": 1}, {"b": 1}), (masked, np.ma.masked_array([1.0, 2.0])), ("a", "b")):  # fmt: skip
        assert not same(a, b) and not same(b, a), (a, b)


def test_a_hash_of_its_own_stays():
    @by_value("name")
    class Named:
        def __init__(self, name):
            self.name, self.rest = name, object()

        def __hash__(self):
            return hash(self.name)

    assert Named("a") == Named("a") != Named("b") and len({Named("a"), Named("a")}) == 1
