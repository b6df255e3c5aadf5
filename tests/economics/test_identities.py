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


def test_a_site_by_hand():
    """10 MW half of the time: 43,800 MWh, of which what computes gets 4 in 5; costs of one, and of one of these."""
    site = ec.Site(power_w=1e7, pue=1.25, price_per_kwh=0.05, capex=43.8e6, life_years=10.0, om_per_year=438_000.0,
                   utilization=0.5)  # fmt: skip
    assert site.mwh_per_year == pytest.approx(43_800.0) and site.it_mwh_per_year == pytest.approx(
        35_040.0
    )
    assert site.it_power_w == 8e6
    assert site.capital_per_mwh == pytest.approx(100.0)  # a tenth of it each year, without interest
    assert site.cost_per_mwh == pytest.approx(100.0 + 10.0 + 50.0)
    assert site.cost_per_it_mwh == pytest.approx(200.0)
    dear = ec.Site(power_w=1e7, capex=43.8e6, life_years=10.0, discount_rate=0.08, utilization=0.5)
    assert dear.capital_per_mwh == pytest.approx(1000.0 * 0.08 / (1.0 - 1.08**-10))


def test_edges_of_a_site():
    assert ec.Site(power_w=1e-6, pue=1.0, life_years=1e-3, utilization=1.0).pue == 1.0
    for name, value in (("power_w", 0.0), ("life_years", 0.0), ("pue", 0.999), ("utilization", 0.0), ("utilization", 1.001),
                        ("capex", -1.0), ("om_per_year", -1.0), ("price_per_kwh", -1.0), ("discount_rate", -0.1)):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{name} is"):
            ec.Site(**{"power_w": 1.0, name: value})
