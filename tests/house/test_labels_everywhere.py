"""Every public function that takes arrays keeps labels and masks, or refuses them by the argument's name.

Found by introspection, so that a new function cannot be forgotten. What is never allowed is a result that was made
by position of arrays whose labels are in another order.
"""

import numpy as np
import pytest

import tokenroof as tr
from _arrays import CHIP, FUNCTIONS, GPU, MODEL, USES, VALUES, arrays_of, given_to
from tokenroof.support.labels import kind_of

pd, xr = pytest.importorskip("pandas"), pytest.importorskip("xarray")


def _labelled(result, kind):
    """Whether a result, or one of its arrays, has labels or a mask."""
    parts = [
        result,
        *(
            getattr(result, n, None)
            for n in ("time_s", "tpot_s", "watts", "hashrate", "mean_btc", "profit")
        ),
    ]
    return any(kind_of(part) == kind for part in parts)


def _checked(name, function, given, kind, labelled):
    """Kept, or refused by one of the names that are labelled."""
    try:
        result = function(**given)
    except TypeError as error:
        assert any(n in str(error) for n in labelled) and "allowed" in str(error), (
            f"{name}: {error}"
        )
        return None
    assert _labelled(result, kind), f"{name} of {kind} for {labelled} gives {type(result).__name__}"
    return result


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_labelled_array_is_kept_or_refused(name):
    function, arrays, rest = given_to(name)
    for array, values in arrays.items():
        for kind, value in (
            ("pandas", pd.Series(values, ["c", "a", "b"])), ("xarray", xr.DataArray(values, dims="day")),
            ("masked", np.ma.masked_array(values, [False, True, False])),
        ):  # fmt: skip
            _checked(name, function, rest | arrays | {array: value}, kind, [array])


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if len(arrays_of(n, FUNCTIONS[n])) > 1])
def test_series_in_another_order_are_never_taken_by_position(name):
    function, arrays, rest = given_to(name)
    if len(arrays) < 2:
        return
    days = ["mon", "tue", "wed"]
    series = {n: pd.Series(values, days) for n, values in arrays.items()}
    last = list(series)[-1]
    got = _checked(
        name, function, rest | series | {last: series[last].iloc[[2, 0, 1]]}, "pandas", list(series)
    )
    if got is None:
        return
    want = function(**rest | arrays)
    for result, plain in [
        (got, want),
        *((getattr(got, n, None), getattr(want, n, None)) for n in ("time_s", "watts")),
    ]:
        if kind_of(result) == "pandas":
            np.testing.assert_array_equal(result.loc[days].to_numpy(), plain)


def test_no_function_is_forgotten():
    assert len(FUNCTIONS) >= 65
    assert {
        "economics.npv",
        "serving.curve",
        "operators.gemm",
        "mining.equilibrium",
        "roofline.roof",
    } <= {*FUNCTIONS}
    unknown = {a for name, f in FUNCTIONS.items() for a in arrays_of(name, f)} - {*VALUES, *USES}
    assert not unknown, f"{unknown}: three good numbers of each in VALUES"


def test_labels_of_rooflines_and_watts():
    intensity = pd.Series([1.0, 1e4], ["low", "high"])
    roof = tr.roofline.roof(GPU, intensity)
    assert list(roof.index) == ["low", "high"] and roof["high"] == tr.roofline.peak(GPU)
    load = xr.DataArray([100.0, 700.0], {"load": ["idle", "full"]}, "load")
    assert tr.power.facility_power(load).sel(load="full") == 875.0
    assert tr.power.chassis_power(GPU, load).dims == ("load",)
    hidden = tr.power.board_power(GPU, np.ma.masked_array([0.1, 9.0], [False, True]))
    assert hidden.mask.tolist() == [False, True] and hidden[0] == tr.power.board_power(GPU, 0.1)


@pytest.mark.parametrize(
    "call,said",
    [(lambda s: tr.economics.npv(0.1, s), "flows is a Series of pandas, whose labels would be lost"),
     (lambda s: tr.serving.curve(GPU, MODEL, concurrency=s), "concurrency is a Series of pandas"),
     (lambda s: tr.operators.gemm(GPU, s, 512, 512), "m is a Series of pandas"),
     (lambda s: tr.economics.payback(s, 1.0), "capex is"), (lambda s: tr.economics.crf(s, 3), "rate is"),
     (lambda s: tr.economics.Site(power_w=s), "power_w is"), (lambda s: tr.mining.Chain(cap=s), "cap is"),
     (lambda s: tr.decouple.drafts(MODEL, GPU, MODEL, CHIP, hop_s=s), "hop_s is"),
     (lambda s: tr.serving.SLO(ttft_s=s), "ttft_s is"), (lambda s: tr.Plan(tp=s), "tp is")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["pandas", "xarray"])
def test_what_has_no_place_for_labels_says_so(call, said, kind):
    value = pd.Series([1.0, 2.0]) if kind == "pandas" else xr.DataArray([1.0, 2.0], dims="x")
    expected = said.replace("Series of pandas", "DataArray of xarray") if kind == "xarray" else said
    with pytest.raises((TypeError, ValueError), match=expected):
        call(value)
