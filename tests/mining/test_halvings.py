"""When a machine is paid back, with the halvings that the chain's schedule has from a day on."""

import math
from datetime import date, datetime

import pytest

from tokenroof import mining
from tokenroof.records.miner import Miner

RIG = Miner(name="rig", hashrate=1e15, power=1000.0)  # a PH/s and a kW: 24 kWh a day


def test_halvings_from_a_day_on():
    """Block 840,000 came on 2024-04-20; the next 210,000 of ten minutes are 1,458 days and 8 hours."""
    ask = ("Antminer S21", 3000, 40.67, 0.05)
    bare, dated = mining.payback(*ask), mining.payback(*ask, start="2026-11-28")
    assert bare.pays and bare.halvings == () and "no halving counted" in str(bare)
    to_come = (date(2028, 4, 17) - date(2026, 11, 28)).days
    assert not dated.pays and dated.halvings == (to_come,) == (506.0,)
    assert dated == mining.payback(*ask, halving_days=[506])
    assert dated == mining.payback(*ask, start=date(2026, 11, 28))
    # of a month its 15th; those that were count too, and in ten years two more
    assert mining.payback(*ask, start="2026-11").halvings == (519.0,)
    assert mining.payback(*ask, start="2024-04-19").halvings == (1.0, 1459.0)
    assert mining.payback(*ask, start="2024-04-20").halvings == (1458.0,)
    assert mining.payback(*ask, start="2026-11-28", life_years=10).halvings == (
        506.0,
        1964.0,
        3423.0,
    )
    ever = mining.payback(RIG, 1e9, 48.0, 0.0, start="2026-11-28", life_years=math.inf)
    assert len(ever.halvings) == 29 and str(ever).endswith("1964, 3423 days and 26 more")


@pytest.mark.parametrize(
    "start", ["2026", "2026-13", "soon", "2026-02-30", 2026, "2008-12-01", datetime(2026, 1, 1), ""]
)
def test_what_is_no_day(start):
    with pytest.raises(
        (ValueError, TypeError), match=r"start is .*; allowed: a date, YYYY-MM-DD or YYYY-MM"
    ):
        mining.payback(RIG, 1.0, 48.0, 0.5, start=start)


def test_a_start_and_days_are_one_too_many():
    with pytest.raises(ValueError, match="start is '2026-11' with halving_days; allowed: one"):
        mining.payback(RIG, 1.0, 48.0, 0.5, start="2026-11", halving_days=[5])
