"""Contracts: the rent that is printed follows from the terms."""

import pytest

from tokenroof import catalogue

# Millions of dollars a MW and year: revenue over years over MW, each contract's own, worked out by hand.
RENTS = {
    "TeraWulf-Fluidstack Lake Mariner": 1.850, "TeraWulf-Fluidstack Abernathy": 2.262,
    "TeraWulf-Fluidstack, both leases": 1.489, "TeraWulf-Core42": 1.517, "Cipher-Fluidstack Barber Lake": 1.786,
    "Cipher-Fluidstack expansion": 2.128, "Cipher-AWS": 1.222, "Hut 8 River Bend": 1.905, "Hut 8 Beacon Point": 1.856,
    "Galaxy-CoreWeave Helios phase 1": 2.256, "Galaxy-CoreWeave Helios": 1.901, "Core Scientific-CoreWeave": 1.441,
    "Core Scientific-CoreWeave June 2024": 1.450, "Core Scientific-CoreWeave option of October 2024": 1.389,
    "Core Scientific-CoreWeave 2024": 1.450, "Riot-AMD": 1.244, "Hyperscale Data Michigan": 6.000,
    "IREN-Microsoft": 9.700,
}  # fmt: skip


def test_every_contract_is_held_to_its_rent():
    assert {deal.name for deal in catalogue.deals()} == set(RENTS)


@pytest.mark.parametrize("deal", catalogue.deals(), ids=lambda deal: deal.name)
def test_the_printed_rent_follows_from_the_terms(deal):
    """To 1 %, from revenue, MW and years."""
    assert deal.revenue_per_mw_year == pytest.approx(RENTS[deal.name] * 1e6, rel=0.001)
    if deal.prints is not None:
        assert deal.revenue_per_mw_year == pytest.approx(deal.prints, rel=0.01)
    assert deal.revenue_per_mwh * 8760 * deal.mw * deal.years == pytest.approx(deal.revenue)
    n, grown = int(deal.years), 1 + (deal.escalator or 0.0)
    whole = sum(deal.first_year_per_mw * grown**k for k in range(n)) * deal.mw
    assert whole == pytest.approx(deal.revenue)


def test_the_only_rented_gpus():
    """76,000 GPUs of 2.63 kW and 76.3 k$, at 2.91 $ an hour, 29 M$/MW."""
    deal = catalogue.deal("IREN-Microsoft")
    assert deal.revenue_per_gpu_hour == pytest.approx(2.914, abs=5e-4)
    assert deal.mw * 1e6 / deal.gpus == pytest.approx(2632, abs=0.5)
    assert deal.gpu_capex / deal.gpus == pytest.approx(76_316, abs=0.5)
    assert deal.gpu_capex / deal.mw == 29e6
    assert [d.name for d in catalogue.deals() if d.revenue_per_gpu_hour] == ["IREN-Microsoft"]


def test_utility_power_over_that_of_computers():
    ratios = {d.name: d.utility_mw / d.mw for d in catalogue.deals() if d.utility_mw}
    assert ratios["Hut 8 River Bend"] == pytest.approx(1.347, abs=5e-4)
    assert ratios["Hut 8 Beacon Point"] == pytest.approx(1.42, abs=5e-3)


def test_an_unknown_deal_has_near_matches():
    with pytest.raises(KeyError, match="Riot-AMD"):
        catalogue.deal("riot-amd 2")
