"""Floors of an allocation lie within what is sold: demand over supply, in megawatts."""

import pytest

from tokenroof.economics import Site, Tier, allocate


def test_a_floor_is_held_to_what_can_be_sold():
    """400,000 token/s sold at 200,000 a megawatt are 2 MW; nothing is sold of what is not supplied."""
    site, tiers = Site(power_w=10e6), [Tier("a", 3.0), Tier("b", 5.0)]
    supply, demand = [2e5, 1e5], [4e5, 9e5]
    found = allocate(site, tiers, supply=supply, demand=demand, floors=[1.9, 0.0])
    assert found.power_mw[0] >= 1.9
    with pytest.raises(ValueError, match="floors is .*; allowed: within demand, .* MW in all"):
        allocate(site, tiers, supply=supply, demand=demand, floors=[2.1, 0.0])
    with pytest.raises(ValueError, match="floors is .*; allowed: within demand"):
        allocate(site, tiers, supply=[0.0, 1e5], demand=demand, floors=[0.1, 0.0])
