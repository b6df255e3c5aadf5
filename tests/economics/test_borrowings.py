"""Plans that earn before they spend: what their flows' rate is, it is no return."""

import json

import numpy as np
import pytest

from tokenroof import economics as ec
from tokenroof.cli import main
from tokenroof.economics.flows import borrows, rates_of_return, years_to_return

# a mine whose machines stand already, and whose income halves below what power costs
LOST = {
    "site.power_mw": 20, "site.price_per_mwh": 50, "site.pue": 1.03, "income.kind": "hashes",
    "income.joules_per_terahash": 17.5, "income.hashprice": 28.68, "computers.capex_per_it_mw": 0,
    "income.price_course": [[2, 0.711], [3, 0.5]], "shell.capex_per_it_mw": 0, "finance.years": 5,
}  # fmt: skip
SAID = "no rate of return: nothing is invested first"


@pytest.mark.parametrize(
    ("flows", "borrowed", "rates", "years"),
    [([10.0, -11.0], True, (), np.nan), ([0.0, 3.0, -1.0, -1.0], True, (), np.nan),
     ([0.0, 10.0, -20.0, 30.0], True, (), np.nan), ([0.0, 3.0, 0.0], False, (), 0.0),
     ([0.0, 0.0], False, (), 0.0), ([0.0, -2.0, 4.0], False, (1.0,), 1.5), ([-10.0, 5.0, 4.0], False, None, np.inf),
     ([-1.0, 3.0, -2.0], False, (0.0, 1.0), 1 / 3), ([-4.0, 1.0, 6.0], False, None, 1.5)],
)  # fmt: skip
def test_who_earns_first_borrows(flows, borrowed, rates, years):
    given = np.array(flows)
    assert borrows(given) == borrowed
    assert years_to_return(given) == pytest.approx(years, nan_ok=True)
    want = ec.irr(given) if rates is None else rates
    assert rates_of_return(given) == pytest.approx(want, abs=1e-12) and (rates == () or len(want))


def test_a_loss_that_is_lent_is_no_return():
    """The root is a rate far above the discount's, of a plan that loses money."""
    found = ec.factory(ec.Scenario().with_values(LOST))
    (root,) = ec.irr(found.flow.free)
    assert found.npv < 0.0 and root > 0.5 > found.scenario.finance.discount_rate
    assert found.irr == found.equity_irr == found.real_irr == () and np.isnan(found.payback_years)
    assert found.return_note.startswith(SAID)
    bought = ec.factory(
        found.scenario.with_values({"computers.capex_per_it_mw": 1e5, "income.price_course": []})
    )
    assert bought.irr == ec.irr(bought.flow.free) and len(bought.irr) == 1
    assert bought.return_note == "" and 0.0 < bought.payback_years < 5.0


def test_uses_of_a_meter_say_so():
    uses = [
        ec.mine("Antminer S19 XP", 28.68),
        ec.mine("Antminer S19 XP", 28.68, usd_per_terahash=1.0),
    ]
    stands, bought = ec.same_meter(uses).rungs
    assert stands.irr == () and SAID in stands.premises and f", {SAID}" in stands.premises
    assert bought.irr and SAID not in bought.premises
    frame = ec.same_meter(uses).to_frame()
    assert frame.irr.tolist() == [(), bought.irr]


def test_services_that_cost_nothing_have_no_return():
    service = {
        "name": "chat", "devices": 100.0, "output_tokens_per_s": 1000.0, "price_per_mtok": 1.0,
        "watts": 1500.0, "use": 0.6, "cost_per_hour": 1.6,
    }  # fmt: skip
    # the hours run whatever they earn: what is theirs at first is lost as the tokens get cheaper
    free = ec.profit_over_years([ec.Service(**service, capex=0.0)], 60.0, token_price_growth=-0.2)
    paid = ec.profit_over_years([ec.Service(**service, capex=1e3)], 60.0, token_price_growth=-0.2)
    assert free.flows[1] > 0.0 > free.flows[-1] and len(ec.irr(free.flows)) == 1
    assert free.irr is None and np.isnan(free.payback_years)
    assert paid.flows[0] < 0.0 and not np.isnan(paid.payback_years)


def test_the_command_says_none_and_why(capsys):
    words = ["economics"]
    for key, value in LOST.items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "internal rate of return: none; owners' none; payback none\n" + SAID in said
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["irr"] == found["equity_irr"] == [] and found["payback_years"] is None
    assert found["return_note"].startswith(SAID)
