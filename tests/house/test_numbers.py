"""One answer to what a number is: by every checker, for every number of the money's functions and records."""

import dataclasses
import datetime as dt
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import economics as ec
from tokenroof import mining
from tokenroof.support.arguments import (
    amounts,
    count,
    finite_number,
    is_number,
    reals,
    whole_number,
)

# Each number of the money's functions and records, with the other arguments that it needs.
NUMBERS = [
    *((ec.Site, {"power_w": 1e6}, name) for name in ("power_w", "pue", "price_per_kwh", "capex", "life_years",
                                                    "discount_rate", "om_per_year", "utilization")),
    *((ec.Tier, {"name": "a", "price_per_mtok": 1.0}, name) for name in ("price_per_mtok", "interactivity", "context")),
    *((ec.Market, {"hashprice": 1.0, "price_per_mtok": 1.0}, name)
      for name in ("hashprice", "price_per_mtok", "price_per_mtok_input", "price_per_kwh", "mining_pue", "utilization")),
    *((ec.Market.latest, {}, name) for name in ("price_per_mtok", "price_per_mtok_input", "price_per_kwh", "mining_pue",
                                                "utilization")),
    *((ec.cost_per_mtok, {"tokens_per_s": 1.0, "watts": 1.0, "price_per_kwh": 1.0}, name)
      for name in ("tokens_per_s", "watts", "price_per_kwh", "cost_per_hour", "pue")),
    *((ec.revenue_per_mwh, {"tokens_per_s_per_mw": 1.0, "price_per_mtok": 1.0}, name)
      for name in ("tokens_per_s_per_mw", "price_per_mtok")),
    *((ec.crf, {"rate": 0.1, "years": 5.0}, name) for name in ("rate", "years")),
    *((mining.hashprice, {"difficulty": 1e14, "price": 1e5}, name) for name in ("difficulty", "price", "subsidy_btc", "fees_btc")),
]  # fmt: skip
NO_NUMBERS = [
    "1", b"1", True, np.True_, 1j, np.timedelta64(1, "s"), np.datetime64("2026-01-01"), dt.date(2026, 1, 1),
    dt.timedelta(1), [1.0, "2"], [True, 2.0], np.array(["1"], dtype=object), np.array([True], dtype=object),
    np.array([1.0, None], dtype=object), np.array([True]), np.array([1j]), np.array([1], dtype="m8[s]"), {}, [[1.0], [1.0, 2.0]],
]  # fmt: skip
OUT_OF_RANGE = [-1, -1.0, np.float16(-1), np.nan, np.inf, 10**400, -(10**400), Decimal(-1), Decimal("NaN"),
                Fraction(10**400), Decimal("sNaN"), Decimal("1e400")]  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("function,base,name", NUMBERS)
def test_no_number_of_money_is_taken_unseen(function, base, name):
    for bad in NO_NUMBERS:
        with pytest.raises(TypeError, match=rf"^{name}(\[[01]\])? is .*; allowed: "):
            function(**{**base, name: bad})
    for bad in OUT_OF_RANGE:
        with pytest.raises(ValueError, match=f"^{name} is .*; allowed: "):
            function(**{**base, name: bad})


@pytest.mark.parametrize("function,base,name", NUMBERS)
def test_every_real_number_is_taken_in_64_bits(function, base, name):
    value = 1.0 if name in ("utilization", "pue", "mining_pue") else 2.0
    want = function(**{**base, name: value})
    for kind in (
        int,
        np.int8,
        np.int16,
        np.uint16,
        np.int64,
        np.float16,
        np.float32,
        np.longdouble,
        Decimal,
        Fraction,
    ):
        given = {
            key: kind(other) if key == name else other
            for key, other in {**base, name: value}.items()
        }
        got = function(**given)
        assert got == want
        if dataclasses.is_dataclass(got):
            assert type(getattr(got, name)) is float
    site = ec.Site(power_w=np.float16(6e4), capex=np.int16(30_000))
    assert site == ec.Site(power_w=np.float64(np.float16(6e4)), capex=30_000.0)
    assert (
        site.capital_per_mwh == ec.Site(power_w=float(np.float16(6e4)), capex=3e4).capital_per_mwh
    )


NUMBERS_TAKEN = [0, 1.5, 2**70, np.int8(7), np.float16(0.1), np.longdouble(3), Decimal("0.1"), Fraction(1, 3), [1, 2.5],
                 [Decimal("0.5"), 2], np.array([1, Decimal(2)], dtype=object), np.arange(3, dtype=np.int16),
                 np.float16([0.1, 3e4]), (), np.zeros((0, 2)), [2**70, 1]]  # fmt: skip


def test_one_answer_to_what_a_number_is():
    """`amounts`, `reals` and `finite_number` agree on all of them, and so do the integers' checkers."""
    for good in NUMBERS_TAKEN:
        array = reals("x", good)
        assert array.dtype == np.float64 and np.array_equal(amounts("x", good), array)
        assert np.array_equal(
            array,
            np.array([float(v) for v in np.asarray(good, object).ravel()]).reshape(array.shape),
        )
        if not isinstance(good, (list, tuple, np.ndarray)):
            assert finite_number("x", good) == array and is_number(good)
    for bad in NO_NUMBERS:
        for check in (reals, amounts, finite_number):
            with pytest.raises(TypeError, match=r"^x(\[[01]\])? is .*; allowed: "):
                check("x", bad)
        for check in (count, lambda name, value: whole_number(name, value, 0)):
            with pytest.raises((TypeError, ValueError), match="^x is .*; allowed: "):
                check("x", bad)
    for bad in OUT_OF_RANGE:
        for check in (reals, amounts, finite_number):
            with pytest.raises(ValueError, match="^x is .*; allowed: "):
                check("x", bad)
    with pytest.raises(ValueError, match="^x is an integer of thousands of digits; allowed"):
        reals("x", 10**5000)


@pytest.mark.parametrize(
    "bad", ["a" * 10**6, [1] * 10**5, 10**5000], ids=["text", "list", "integer"]
)
def test_an_error_quotes_a_long_value_in_part(bad):
    for call in (
        mining.bits_from_target,
        mining.target_from_bits,
        mining.difficulty_of,
        mining.difficulty,
    ):
        with pytest.raises((TypeError, ValueError), match="; allowed: ") as caught:
            call(bad)
        assert len(str(caught.value)) < 700


@pytest.mark.parametrize("bad", [np.timedelta64(2, "s"), np.True_, True])
def test_a_span_of_time_is_no_integer(bad):
    for call in (lambda: tr.Plan(tp=bad), lambda: mining.scan(bytes(80), count=bad), lambda: mining.difficulty(bad),
                 lambda: tr.model("GPT-2").replace(layers=bad), lambda: tr.device("H100-SXM").replace(tdp_w=bad),
                 lambda: mining.bits_from_target(bad)):  # fmt: skip
        with pytest.raises((TypeError, ValueError)):
            call()
