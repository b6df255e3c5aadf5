"""Tables and schedules of a scenario against their publications and by hand; ranges of chance that are taken."""

import math

import pytest

from tokenroof.economics.hall.case import RENTS, WANDER
from tokenroof.economics.scenarios.schedules import METHODS, depreciation_shares, loan_schedule

# IRS Publication 946 (2025), appendix A, table A-1, half-year convention, in percent; the last year's is the rest.
PUBLISHED = {
    "macrs3": (33.33, 44.45, 14.81, 7.41), "macrs5": (20.00, 32.00, 19.20, 11.52, 11.52, 5.76),
    "macrs7": (14.29, 24.49, 17.49, 12.49, 8.93, 8.92, 8.93, 4.46), "bonus": (100.0,),
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_what_is_written_off_is_all(method):
    shares = depreciation_shares(method, 5)
    assert math.fsum(shares) == pytest.approx(1.0, abs=1e-12)
    want = PUBLISHED.get(method, (20.0,) * 5)
    assert (100.0 * shares).tolist() == pytest.approx(want, abs=1e-9)


def test_a_loan_of_equal_payments():
    """1,000 at 10 % over two years: 576.19 a year, of which 100 and 52.38 are interest."""
    interest, repaid = loan_schedule(1000.0, 0.1, 2)
    payment = 1000.0 * 0.1 / (1.0 - 1.1**-2)
    assert interest + repaid == pytest.approx([payment, payment])
    assert interest.tolist() == pytest.approx([100.0, (1000.0 - (payment - 100.0)) * 0.1])
    assert math.fsum(repaid) == pytest.approx(1000.0)
    free = loan_schedule(900.0, 0.0, 3)
    assert free[0].tolist() == [0.0, 0.0, 0.0] and free[1].tolist() == pytest.approx([300.0] * 3)


def test_what_wanders_where_nobody_says():
    assert (WANDER.price_volatility, WANDER.supply_response) == (0.55, 0.5)
    assert (WANDER.power_volatility, WANDER.power_reversion) == (0.25, 0.5)
    assert (RENTS.price_volatility, RENTS.price_reversion) == (0.35, 0.4)
