"""Uses of one meter: by hand, and what breaks them."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import economics as ec
from tokenroof.catalogue import deal, gpu_hour
from tokenroof.economics.scenarios.premises import premises

USES = {
    "mine": ec.mine("Antminer S19 XP", hashprice=38.5, usd_per_terahash=10.0),
    "lease": ec.lease_shell("Hut 8 River Bend"),
    "rent": ec.rent_gpus("H200-SXM", usd_per_gpu=31_000),
    "sell": ec.sell_tokens("H200-SXM", "gpt-oss-120b", usd_per_gpu=31_000, interactivity=50.0),
}


def rung(name, **options):
    return ec.same_meter([USES[name]], **options).rungs[0]


def test_mining_by_hand():
    """38.5 $ a PH/s and day at 21.5 J/TH behind a PUE of 1.03: 72.4 $/MWh, which is where power breaks it."""
    got = rung("mine", power_mw=20, price_per_mwh=50)
    earned = 38.5 * 3.6e9 / (86400e3 * 21.5 * 1.03)
    assert got.revenue_per_mwh == pytest.approx(earned)
    assert got.margin_per_mwh == pytest.approx(earned - 50)
    assert got.break_even_power == pytest.approx(earned)
    assert got.capex_per_mw == pytest.approx(10 * 1e6 / 21.5 / 1.03)
    assert got.months_to_revenue == 1
    assert got.npv_per_mw == pytest.approx(got.factory.npv / 20) and got.irr == got.factory.irr


def test_a_lease_by_its_contract():
    got, terms = rung("lease", price_per_mwh=80.0), deal("Hut 8 River Bend")
    assert got.revenue_per_mwh == pytest.approx(terms.first_year_per_mw / 8760 * 245 / 330)
    assert got.margin_per_mwh == got.revenue_per_mwh  # the tenant pays the power
    assert got.break_even_power == np.inf
    assert got.factory.flow.revenue.sum() * 330 / 245 == pytest.approx(7e9 / 245)  # of one MW
    costs = ec.lease_shell("TeraWulf-Fluidstack Abernathy")
    assert (
        costs.shell.capex_per_it_mw == 9e6 and costs.finance.years == 25 == costs.shell.life_years
    )
    assert ec.lease_shell("Core Scientific-CoreWeave").income.price_growth == 0.0


def test_rented_gpus_by_hand():
    got, hour = rung("rent"), gpu_hour("H200-SXM")
    assert got.revenue_per_mwh == pytest.approx(hour.rent / hour.watts * 1e6)
    assert got.capex_per_mw == pytest.approx(31_000 / hour.watts * 1e6 + 11.7e6 * 245 / 330)


def test_sold_tokens_by_the_frontier():
    """At 50 token/s to each user, the first within 10 s: what the frontier yields, at 0.60 and 0.15 $/Mtok."""
    got = rung("sell")
    front = tr.serving.frontier("H200-SXM", "gpt-oss-120b", ttft_max=10.0)
    rate = float(front.output_tokens_per_s_per_mw.values[front.interactivity.values >= 50.0][0])
    # by the watts of the same table as a rented one, in place of those that the frontier sets aside
    watts, aside = gpu_hour("H200-SXM").watts, front.attrs["provisioned_w_per_device"]
    want = rate * aside / watts * 3600 / 1e6 * 0.75 * 0.6
    assert watts != aside and got.revenue_per_mwh == pytest.approx(want)
    assert got.watts_per_gpu == watts == rung("rent").watts_per_gpu and got.use == 0.6
    assert got.capex_per_mw == pytest.approx(31_000 / watts * 1e6 + 11.7e6 * 245 / 330)
    other = ec.sell_tokens("H200-SXM", "gpt-oss-120b", 31_000, interactivity=50.0, watts=aside)
    assert other.income.tokens_per_s_per_mw == pytest.approx(rate, rel=1e-14)
    assert other.computers.capex_per_it_mw == pytest.approx(31_000 / aside * 1e6)
    longer = ec.sell_tokens(
        "H200-SXM", "gpt-oss-120b", 31_000, input_tokens=4096, output_tokens=1024
    )
    assert longer.income.price_per_mtok == pytest.approx(0.6 + 4 * 0.15)
    one = ec.sell_tokens("H200-SXM", "gpt-oss-120b", 31_000, plan=tr.Plan(tp=2))
    assert one.income.tokens_per_s_per_mw < USES["sell"].income.tokens_per_s_per_mw * 1.5
    with pytest.raises(
        ValueError, match=r"interactivity is 1e\+06; allowed for gpt-oss-120b on H200-SXM: at most"
    ):
        ec.sell_tokens("H200-SXM", "gpt-oss-120b", 31_000, interactivity=1e6)


@pytest.mark.parametrize("name", USES)
def test_what_breaks_a_use_breaks_it(name):
    got = rung(name)
    plan = got.factory.scenario
    changed = plan.with_values({got.breaks: plan.values()[got.breaks] * got.breaks_at})
    worth = ec.factory(changed).npv
    assert abs(worth) < 1e-6 * max(abs(got.factory.npv), got.factory.flow.capex.sum())
    for lever in ("site.price_per_mwh", "shell.capex_per_it_mw", "computers.capex_per_it_mw"):
        value = plan.values()[lever]  # no nearer change of another key does it
        nearer = [abs(np.log(got.breaks_at)) * 0.99 * sign for sign in (-1, 1)]
        moved = [ec.factory(plan.with_values({lever: value * np.exp(x)})).npv for x in nearer]
        assert all(np.sign(x) == np.sign(got.factory.npv) for x in moved)


@pytest.mark.parametrize("name", ["mine", "rent", "sell"])
def test_the_break_even_price_of_power_leaves_nothing(name):
    got = rung(name)
    at = ec.same_meter([USES[name]], price_per_mwh=got.break_even_power).rungs[0]
    assert at.factory.flow.ebitda[1] == pytest.approx(0.0, abs=1e-6 * at.factory.flow.revenue[1])


def test_the_ladder_of_2026():
    """Mining below a lease below rented GPUs below tokens, as one MWh earns them."""
    ladder = ec.same_meter(list(USES.values()), power_mw=20, price_per_mwh=50)
    revenue = [r.revenue_per_mwh for r in ladder.rungs]
    assert revenue == sorted(revenue)
    frame = ladder.to_frame()
    assert frame["revenue_per_mwh"].tolist() == revenue and "factory" not in frame
    assert ladder.power_mw == 20.0 and ladder.price_per_mwh == 50.0


def test_a_delay_and_a_curtailed_meter():
    late = USES["rent"].with_values({"shell.build_years": 2, "shell.delay_years": 1})
    assert ec.same_meter([late]).rungs[0].months_to_revenue == 25
    dear = USES["rent"].with_values(
        {"site.price_by_hour": [0.5] * 12 + [1.5] * 12, "site.curtail_above": 60.0}
    )
    half = ec.same_meter([dear]).rungs[0]
    assert half.revenue_per_mwh == pytest.approx(rung("rent").revenue_per_mwh / 2)
    assert np.isnan(
        half.break_even_power
    )  # what is dear is not taken: earnings are not linear in the price


@pytest.mark.parametrize("call,error,said", [
    (lambda: ec.mine("Antminer S19 XPP"), KeyError, "Antminer S19 XP"),
    (lambda: ec.mine("Antminer S21", hashprice=-1), ValueError, "hashprice is -1"),
    (lambda: ec.mine("Antminer S21", usd_per_terahash=-1), ValueError, "usd_per_terahash is -1"),
    (lambda: ec.mine(tr.Miner(name="x", hashrate=1e12)), ValueError, "power of x is unknown"),
    (lambda: ec.lease_shell("IREN-Microsoft"), ValueError, "IREN-Microsoft, of gpu_hours by critical IT; allowed"),
    (lambda: ec.lease_shell("Cipher-AWS"), ValueError, "of shell by utility; allowed: a shell by critical IT"),
    (lambda: ec.lease_shell("Hut 9"), KeyError, "Hut 8"),
    (lambda: ec.rent_gpus("L4", 1000), ValueError, "device is L4, whose hour nobody priced"),
    (lambda: ec.rent_gpus("H200-SXM", "31000"), TypeError, "usd_per_gpu is '31000'"),
    (lambda: ec.rent_gpus("H200-SXM", 31000, date="2025"), ValueError, "date is '2025'"),
    (lambda: ec.sell_tokens("H200-SXM", "Llama-3.2-1B", 31_000), ValueError, "whose price the catalogue lacks"),
    (lambda: ec.same_meter(USES["rent"]), TypeError, "allowed: a sequence of Scenario"),
    (lambda: ec.same_meter([USES["rent"]], power_mw=0), ValueError, "site.power_mw is 0"),
])  # fmt: skip
def test_bad_input_by_name(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_one_device_counts_by_one_power_and_by_a_use_that_is_said():
    options = [USES["rent"], USES["sell"]]
    apart, alike = ec.same_meter(options), ec.same_meter([*options, USES["mine"]], use=0.5)
    assert [r.use for r in apart.rungs] == [1.0, 0.6] and [r.use for r in alike.rungs] == [
        0.5,
        0.5,
        1.0,
    ]
    for one, other, part in zip(apart.rungs, alike.rungs, (0.5, 0.5 / 0.6), strict=False):
        assert other.revenue_per_mwh == pytest.approx(part * one.revenue_per_mwh)
    for share, watts in (("60% of", "1,370 W a GPU"), ("100% rented", "31,000 $ a GPU")):
        assert share in str(apart) and watts in str(apart)
    said = apart.to_frame()["premises"][0]
    assert (
        "rent of 2.9 $/GPU-h" in said
        and "5 years" in said
        and "PUE 1," in said
        and "50 $/MWh" in said
    )
    old = ec.rent_gpus("H200-SXM", 31_000, "2026-04-03")
    with pytest.raises(
        ValueError, match=r"count a H200-SXM by 1730 W \(rent .*1370 W \(sell .*; allowed: one"
    ):
        ec.same_meter([old, USES["sell"]])
    same = USES["sell"].with_values({"income.sold_share": 1.0})
    assert (
        same.gpu == USES["sell"].gpu
        and old.with_values({"income.gpu_watts": 1370.0}).gpu.basis == "given"
    )
    assert ec.same_meter([ec.rent_gpus("H200-SXM", 31_000, "2026-04-03", watts=1370.0), same])
    for bad in (1.2, -0.1, np.nan):
        with pytest.raises(ValueError, match="use is"):
            ec.same_meter(options, use=bad)
    with pytest.raises(ValueError, match="watts is 0; allowed: a finite number above 0"):
        ec.rent_gpus("H200-SXM", 31_000, watts=0)


def test_one_number_is_warned_of_once():
    """However many scenarios it goes into."""
    with pytest.warns(UserWarning, match="price_per_mwh is 0.05") as caught:
        ec.same_meter(list(USES.values()), price_per_mwh=0.05)
    assert len(caught) == 1
    for given in (
        {"price_per_mwh": 0.05},
        {"converted": {"finance.discount_rate": 8.0}},
        {"hashprice": 0.04},
    ):
        with pytest.warns(UserWarning, match="which is legal and odd") as caught:
            ec.convert_hall("Antminer S21", to=["H200-SXM"], paths=100, **given)
        assert len(caught) == 1


def test_premises_say_what_the_shell_costs_and_by_which_power():
    """By the power of the computers, and of the meter: of one hall it is one by the meter."""
    gpus, lease = ec.rent_gpus("H200-SXM", 44_175), ec.lease_shell("Hut 8 River Bend")
    own = gpus.shell.capex_per_it_mw / 1e6
    assert gpus.site.pue == 1.0
    assert f"shell at {own:.3g} M$ by MW of the meter" in premises(gpus)
    shell = lease.shell.capex_per_it_mw / 1e6
    meter = f"{shell:.3g} M$ by MW of computers, {shell / lease.site.pue:.3g} by MW of the meter"
    assert f"shell at {meter}" in premises(lease) and lease.site.pue > 1.1
    own = {"site.pue": 1.0, "income.kind": "tokens", "income.price_per_mtok": 1.0,
           "income.tokens_per_s_per_mw": 1e6}  # fmt: skip
    assert "M$ by MW of computers, here all of the meter, " in premises(
        ec.Scenario().with_values(own)
    )
    said = ec.same_meter([lease, gpus], power_mw=20, price_per_mwh=50).to_frame()["premises"]
    assert all("shell at " in one for one in said)
    assert "shell" not in premises(gpus.with_values({"shell.capex_per_it_mw": 0.0}))


@pytest.mark.parametrize(
    ("contract", "computers", "meter", "source"),
    [("Hut 8 River Bend", 11.7e6, 11.7e6 * 245 / 330, "Cushman & Wakefield"),  # 8.69 M$
     ("Galaxy-CoreWeave Helios", 11.7e6, 11.7e6 * 526 / 800, "Cushman & Wakefield"),
     ("TeraWulf-Fluidstack Abernathy", 9e6, 9e6 / 1.18, "TeraWulf")],  # its costs, the usual PUE
)  # fmt: skip
def test_one_hall_costs_the_same_whatever_is_put_into_it(contract, computers, meter, source):
    """By hand: a MW of computers costs so much; by the MW of the meter, of which these are a part, less."""
    lease = ec.lease_shell(contract)
    assert lease.shell.capex_per_it_mw == pytest.approx(computers)
    gpus = ec.rent_gpus("H200-SXM", 44_175, contract=contract)
    sold = ec.sell_tokens("H200-SXM", "gpt-oss-120b", 44_175, contract=contract)
    for use, more in ((lease, 0.0), (gpus, 44_175e6 / 1370), (sold, 44_175e6 / 1370)):
        capex = ec.factory(use.with_values({"site.power_mw": 20.0})).flow.capex
        assert capex.sum() / 20 == pytest.approx(meter + more)
    said = [origin for origin in gpus.origins if origin[0] == "shell.capex_per_it_mw"]
    assert len(said) == 1 and source in said[0][1] and said[0] in sold.origins
    hall = ec.convert_hall("Antminer S21", 10, 50.0, ["H200-SXM"], contract=contract, paths=100)
    assert dict(hall.assumptions)["hall for AI"] == f"{meter / 1e6:.2f} M$ by MW at the meter"


def test_watts_of_a_gpu_in_kilowatts_are_refused_by_their_name():
    with pytest.raises(
        ValueError, match=r"^watts is 1.37; allowed: at least 10 W; did you mean 1370 W"
    ):
        ec.rent_gpus("H200-SXM", 44_175, watts=1.37)
    assert ec.rent_gpus("H200-SXM", 44_175, watts=1370).income.gpu_watts == 1370.0
