"""What must hold of money and energy whatever the numbers: sums, products, and roots that are known beforehand."""

import numpy as np
import pytest

from tokenroof import economics as ec


@pytest.mark.parametrize(
    "rates", [(-0.4, 0.1, 0.5), (-0.9, -0.2, 0.05), (0.1, 0.2, 0.4), (-0.5, 1.0, 3.0)]
)
def test_all_known_rates_of_flows_of_three_roots(rates):
    """Coefficients of (x - 1 - r1)(x - 1 - r2)(x - 1 - r3), x the growth of a year: worth nothing at each."""
    flows = np.poly([1.0 + rate for rate in rates])
    assert ec.irr(flows) == pytest.approx(rates, rel=1e-9, abs=1e-12)
    assert ec.irr(-flows) == pytest.approx(rates, rel=1e-9, abs=1e-12)
    for rate in rates:
        assert ec.npv(rate, flows) == pytest.approx(0.0, abs=1e-12)
