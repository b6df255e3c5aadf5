"""The public estimator's definition, by hand; identities; what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenroof import catalogue
from tokenroof import economics as ec

SOME = {
    "output_tokens_per_s": 1500.0,
    "price_per_mtok": 4.4,
    "cost_per_hour": 1.73,
    "watts": 1710.0,
}
OPTIONS = {"input_tokens_per_s": 20_000.0, "price_per_mtok_input": 1.4, "cached_price_ratio": 0.26 / 1.4,
           "cache_hits": 0.92, "utilization": 0.6, "licence_fee": 0.1}  # fmt: skip


def test_by_hand():
    """A B200 of July 2026 at GLM-5.2's list price: 4.40 $ out, 1.40 in, 0.26 cached, 10 % to its owner."""
    got = ec.profit(**SOME, **OPTIONS)
    output = 1500 * 3600 / 1e6 * 4.4 * 0.6
    prompts = 20_000 * 3600 / 1e6 * 0.6
    paid = prompts * (0.08 * 1.40 + 0.92 * 0.26)  # each token of the prompt at its own price
    assert got.revenue == pytest.approx(output + paid, rel=1e-14)
    assert got.licence == pytest.approx(0.1 * (output + paid), rel=1e-14)
    assert got.profit == pytest.approx(0.9 * (output + paid) - 1.73, rel=1e-13)
    assert got.margin == pytest.approx(got.profit / got.revenue, rel=1e-14)
    assert got.gpu_hours_per_gw_year == pytest.approx(1e9 / 1710 * 8760, rel=1e-14)
    for name in ("revenue", "cost", "licence", "profit"):
        year = getattr(got, f"{name}_per_gw_year")
        assert year == pytest.approx(getattr(got, name) * got.gpu_hours_per_gw_year, rel=1e-14)


def test_the_estimators_defaults():
    got = ec.profit(1000.0, 4.0, 1.17, 1370.0, input_tokens_per_s=1000.0)
    assert got.revenue == pytest.approx(
        (4.0 + 1.0) * 3.6 * 0.6
    )  # the input at a quarter of the output's price
    assert got.licence == pytest.approx(0.3 * got.revenue)
    hits = ec.profit(1000.0, 4.0, 1.17, 1370.0, input_tokens_per_s=1000.0, cache_hits=1.0)
    assert hits.revenue == pytest.approx((4.0 + 0.1) * 3.6 * 0.6)  # at a tenth of the input's


def test_dollars_per_million_tokens_are_the_hour_over_its_tokens():
    """The price at which nothing is left, without fee, is the estimator's $/Mtok over the part that is sold."""
    price = ec.cost_per_mtok(1000.0, 0.0, 0.0, cost_per_hour=1.17)
    got = ec.profit(1000.0, price / 0.6, 1.17, 1370.0, licence_fee=0.0)
    assert got.profit == pytest.approx(0.0, abs=1e-12)


@given(st.floats(1e-3, 1e3), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_identities(factor, sold, fee):
    base = SOME | OPTIONS | {"utilization": sold, "licence_fee": fee}
    one = ec.profit(**base)
    assert one.revenue == pytest.approx(one.profit + one.cost + one.licence)
    dearer = base | {"price_per_mtok": 4.4 * factor, "price_per_mtok_input": 1.4 * factor}
    assert ec.profit(**dearer).revenue == pytest.approx(one.revenue * factor)  # linear in price
    assert ec.profit(**base | {"utilization": sold / 2}).cost == one.cost
    watts = ec.profit(**base | {"watts": 1710.0 * factor})
    assert watts.revenue_per_gw_year == pytest.approx(one.revenue_per_gw_year / factor)
    assert watts.revenue == one.revenue


def test_arrays_broadcast_and_keep_their_labels():
    pd = pytest.importorskip("pandas")
    rates = pd.Series([1000.0, 2000.0], index=["a", "b"])
    got = ec.profit(rates, 4.0, 1.17, 1370.0)
    assert list(got.profit.index) == ["a", "b"] and list(got.margin.index) == ["a", "b"]
    assert got.profit["b"] == pytest.approx(ec.profit(2000.0, 4.0, 1.17, 1370.0).profit)
    grid = ec.profit(np.array([1e3, 2e3])[:, None], np.array([1.0, 2.0, 3.0]), 1.0, 1e3)
    assert grid.profit.shape == grid.cost.shape == (2, 3)
    nothing = ec.profit(0.0, 4.0, 1.17, 1370.0)
    assert nothing.profit == -1.17 and nothing.margin == -np.inf


def test_hours_of_the_catalogue():
    """All-in power was redefined within 2026: the same tokens/s are 26 % more per MW."""
    before, after = (catalogue.gpu_hour("H100-SXM", date) for date in ("2026-04-03", "2026-07"))
    assert before.watts / after.watts == pytest.approx(1.263, abs=5e-4)
    newest = catalogue.gpu_hour("B200")
    assert (newest.date, newest.watts, newest.owning, newest.rent) == ("2026-09", 1710.0, 1.73, 3.7)
    assert newest.owning / newest.watts * 1e6 == pytest.approx(1012, abs=1)  # $/MWh all in
    with pytest.raises(
        ValueError, match=r"date is '2025-01'; allowed for H100-SXM: 2026-04-03, 2026-07, 2026-09"
    ):
        catalogue.gpu_hour("H100-SXM", "2025-01")
    with pytest.raises(
        ValueError, match="device is L4, whose hour nobody priced; allowed: H100-SXM"
    ):
        catalogue.gpu_hour("L4")
    with pytest.raises(KeyError, match="H100-SXM"):
        catalogue.gpu_hour("H100-SXN")


@pytest.mark.parametrize("change,said", [
    ({"watts": 0.0}, "watts is 0.0; allowed: finite numbers > 0"),
    ({"price_per_mtok": -1.0}, "price_per_mtok is -1.0"), ({"cost_per_hour": np.nan}, "cost_per_hour is nan"),
    ({"output_tokens_per_s": "1"}, "output_tokens_per_s is '1'"), ({"utilization": 1.1}, "utilization is 1.1"),
    ({"licence_fee": 1.5}, "licence_fee is 1.5"), ({"cache_hits": -0.1}, "cache_hits is -0.1"),
    ({"cached_price_ratio": 2}, "cached_price_ratio is 2.0"), ({"licence": 0.1}, "unexpected option 'licence'"),
    ({"watts": [1.0, 2.0], "price_per_mtok": [1.0] * 3}, "shapes are"),
])  # fmt: skip
def test_bad_input_by_name(change, said):
    with pytest.raises((ValueError, TypeError), match=said):
        ec.profit(**SOME | change)
