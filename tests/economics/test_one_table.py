"""One table, one rate, one name: what is compared stands on the same numbers, and files of prices are heard."""

import warnings

import pytest

from tokenroof import economics as ec
from tokenroof import mining
from tokenroof.catalogue import market_data, market_in_force
from tokenroof.cli.program import main
from tokenroof.economics.offers import gpu_price, priced_devices

QUICK = {"paths": 100}


def file_of(folder, text):
    (folder / "m.csv").write_text(text)
    return folder / "m.csv"


def told(found):
    return dict(found.assumptions)


def test_electricity_of_a_file_counts_where_no_price_is_given(tmp_path, capsys):
    file = file_of(tmp_path, "date,power\n2026-11,0.085\n")
    found = ec.convert_hall(to=[], market=file, **QUICK)
    assert found.price_per_mwh == pytest.approx(85.0)
    assert told(found)["site.price_per_mwh"].startswith("85: no source named (m.csv, line 2)")
    assert (
        found.choices[1].npv == ec.convert_hall(price_per_mwh=85.0, to=[], **QUICK).choices[1].npv
    )
    given = ec.convert_hall(price_per_mwh=60.0, to=[], hashprice=50.0, market=file, **QUICK)
    assert (
        given.price_per_mwh == 60.0
        and "power 0.085 of 2026-11" in told(given)[f"not used of {file}"]
    )
    assert main(["economics", "--convert", "Antminer S19 XP", "--market", str(file)]) == 0
    out = capsys.readouterr().out
    assert "20 MW at 85 $/MWh" in out and "site.price_per_mwh: 85: no source named (m.csv" in out
    work = ec.demand(4, 2e6, value_per_result=9.0, acceptance=0.5, price_per_mtok=1.5)
    calm = ec.Uncertainty()
    worlds = [ec.two_worlds(work, 1e4, 3e5, calm, years=1, paths=1, hashprice=h, **m).productivity[0]
              for h, m in ((None, {"market": file}), (30.0, {"price_per_mwh": 85.0}))]  # fmt: skip
    assert worlds[0] == pytest.approx(worlds[1], rel=1e-12)
    eras = [ec.both_eras(["H100-SXM"], token_prices={2026: 0.1}, **m).power[0, 0]
            for m in ({"market": file}, {"price_per_mwh": 85.0})]  # fmt: skip
    assert eras[0] == pytest.approx(eras[1], rel=1e-12)


HINT = ": a hashprice follows from price and difficulty of one row"


@pytest.mark.parametrize(("column", "number"), [("price", "50000"), ("difficulty", "1.2e+14")])
def test_what_is_of_no_use_is_named(tmp_path, column, number, capsys):
    file = file_of(tmp_path, f"date,{column}\n2026-11,{number}\n")
    said = f"{column} {number} of 2026-11{HINT}"
    calls = (
        lambda: ec.convert_hall(to=[], market=file, **QUICK),
        lambda: ec.mine("Antminer S21", market=file),
        lambda: ec.rent_gpus("H200-SXM", 45e3, market=file),
        lambda: ec.Market.latest(3.0, market=file),
        lambda: ec.factory({"income.kind": "hashes", "income.hashprice": 40.0}, market=file),
        lambda: mining.market_history(market=file),
    )
    for call in calls:
        with pytest.warns(UserWarning, match=column) as caught:
            found = call()
        assert len(caught) == 1
        assert said in str(caught[0].message)
        if isinstance(found, ec.Market):
            assert found.notes[-1] == f"not used of {file}: {said}"
        if isinstance(found, ec.Conversion):
            assert told(found)[f"not used of {file}"] == said
    with warnings.catch_warnings(action="default"):
        assert main(["economics", "--set", 'income.kind="hashes"', "--set", "income.hashprice=40",
                     "--market", str(file)]) == 0  # fmt: skip
    assert f"not used of {file}: {said}" in capsys.readouterr().out


def test_some_of_a_file_is_used_and_the_rest_named(tmp_path):
    file = file_of(
        tmp_path,
        "date,price,difficulty,power,rent.H200-SXM,rent.L4\n2026-11,9e4,1.4e14,0.08,2.5,0.4\n",
    )
    plan = ec.mine("Antminer S21", market=file)
    assert plan.market.unused == ("rent.H200-SXM 2.5 of 2026-11", "rent.L4 0.4 of 2026-11")
    assert ec.rent_gpus("H200-SXM", 45e3, market=file).market.unused == (
        "price 90000 of 2026-11", "difficulty 1.4e+14 of 2026-11", "rent.L4 0.4 of 2026-11")  # fmt: skip
    hall = told(ec.convert_hall(to=["H200-SXM"], market=file, **QUICK))
    assert hall[f"not used of {file}"] == "rent.L4 0.4 of 2026-11"
    old = file_of(tmp_path, "date,hashprice\n2024-11,50\n")  # the catalogue has newer ones
    with pytest.warns(UserWarning, match="which has hashprice 50 of 2024-11"):
        assert ec.mine("Antminer S21", market=old).income.hashprice != 50.0
    with pytest.warns(UserWarning, match="nothing of .*"), market_in_force(market_data(old)):
        assert mining.market_history().months  # of prices and difficulties, not of hashprices


@pytest.mark.parametrize("where", ["hall", "converted", "to"])
def test_one_rate_and_one_tax_for_all_choices(where):
    keys = {"finance.discount_rate": 0.15, "finance.tax_rate": 0.3}
    plan = ec.rent_gpus("H200-SXM", 44_175)
    given = {where: keys} if where != "to" else {"to": [plan.with_values(keys)]}
    found = ec.convert_hall("Antminer S19 XP", 20, 50.0, **{"to": [plan], "paths": 100} | given)
    for choice in found.choices[1:]:
        finance = choice.rung.factory.scenario.finance
        assert (finance.discount_rate, finance.tax_rate) == (0.15, 0.3)
    assert told(found)["discount"] == "15.0% a year, tax 30%"
    calm = {"wander": ec.Uncertainty(), "rents": ec.Uncertainty(), "hashprice": 60.0}
    kept = ec.convert_hall(
        "Antminer S21", 20, 50.0, **{"to": [plan], "paths": 100} | given | calm
    ).choices[1]
    flow = kept.rung.factory.flow.ebitda[1:]
    assert kept.npv == pytest.approx(sum(0.7 * x / 1.15 ** (k + 1) for k, x in enumerate(flow)))


def test_two_rates_in_one_table_are_refused():
    with pytest.raises(
        ValueError, match=r"finance.discount_rate is 0.1 of hall, 0.15 of converted; allowed: one"
    ):
        ec.convert_hall(
            to=[],
            hall={"finance.discount_rate": 0.1},
            converted={"finance.discount_rate": 0.15},
            **QUICK,
        )
    one, other = (
        ec.mine("Antminer S21"),
        ec.lease_shell().with_values({"finance.discount_rate": 0.15}),
    )
    with pytest.raises(
        ValueError,
        match=r"options discount by 0.083 \(mine .*\) and 0.15 \(lease .*\); allowed: one",
    ):
        ec.same_meter([one, other])
    ladder = ec.same_meter(
        [plan.with_values({"finance.discount_rate": 0.12}) for plan in (one, other)]
    )
    assert all("discounted by 12.0%" in rung.premises for rung in ladder.rungs)


@pytest.mark.parametrize("rate", [-0.5, -0.11, -1.5])
def test_a_rate_that_no_capital_has(rate):
    with pytest.raises(
        ValueError, match=rf"finance.discount_rate is {rate}; allowed: a finite number >= -0.1"
    ):
        ec.factory({"finance.discount_rate": rate, "income.kind": "nothing"})


def test_names_of_prices_are_those_of_the_catalogue():
    assert {"Instinct MI300X", "H200-SXM", "B200-SXM", "H100-SXM"} <= {*priced_devices()}
    assert all(gpu_price(name) is not None for name in priced_devices())
    share = (270e3 / 8 / 25e3 + 450e3 / 8 / 37.5e3) / 2
    assert gpu_price("Instinct MI300X")[0] == pytest.approx(15_000 * share)
    for name in ("MI355X", "instinct mi355x", "Instinct MI355X"):
        found = ec.convert_hall(to=["MI355X"], usd_per_gpu={name: 30_000}, **QUICK)
        plan = found.choices[-1].rung.factory.scenario
        assert plan.computers.capex_per_it_mw == pytest.approx(30_000 * 1e6 / plan.gpu.watts)
    with pytest.raises(ValueError, match="usd_per_gpu has 'B200'; allowed: of Instinct MI355X"):
        ec.convert_hall(to=["MI355X"], usd_per_gpu={"MI355X": 3e4, "B200": 3e4}, **QUICK)
    with pytest.raises(ValueError, match="usd_per_gpu has Instinct MI355X twice"):
        ec.convert_hall(to=["MI355X"], usd_per_gpu={"MI355X": 3e4, "Instinct MI355X": 3e4}, **QUICK)


def test_a_price_and_a_hashprice_at_the_prompt(capsys):
    asked = ["economics", "--convert", "Antminer S19 XP", "--to", "MI355X"]
    assert main(asked) == 2
    said = capsys.readouterr().err
    option = said.partition(" or --set ")[2].split()[0]
    assert option == "usd_per_gpu.Instinct-MI355X=30000" and "quoted are H100-SXM" in said
    assert (
        main(
            [
                *asked,
                "--set",
                option,
                "--set",
                "income.hashprice=60",
                "--set",
                "finance.discount_rate=0.15",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "hashprice: 60 $/(PH/s day)" in out and "discount: 15.0% a year" in out


@pytest.mark.parametrize("price", [3, 2.9, 9.0])
def test_a_gpu_for_the_price_of_an_hour_is_refused(price):
    for call in (lambda: ec.rent_gpus("H200-SXM", price), lambda: ec.convert_hall(
            to=["H200-SXM"], usd_per_gpu={"H200-SXM": price}, **QUICK)):  # fmt: skip
        with pytest.raises(ValueError, match=rf"usd_per_gpu is {price:g}; allowed: at least 10 \$"):
            call()
    with pytest.warns(
        UserWarning, match=r"usd_per_gpu is 31 \$, which is legal and odd; did you mean 31000"
    ):
        ec.rent_gpus("H200-SXM", 31)
    for call in (lambda: ec.rent_gpus("H200-SXM", 31), lambda: ec.mine("Antminer S21", 0.05)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        assert len(caught) == 1 and "legal and odd" in str(caught[0].message)


def test_the_first_month_of_income_is_one_rule():
    lease, rent = ec.lease_shell(), ec.rent_gpus("H200-SXM", 44_175)
    ladder = ec.same_meter([lease, rent])
    assert [rung.months_to_revenue for rung in ladder.rungs] == [1, 1]
    assert str(ladder).count("first income in month 1") == 2
    for years in (0, 1, 2):
        found = ec.convert_hall(to=[rent], conversion_years=years, **QUICK)
        months = [choice.rung.months_to_revenue for choice in found.choices[2:]]
        waited = {"shell.delay_years": years}
        later = ec.same_meter([lease.with_values(waited), rent.with_values(waited)])
        assert months == [12 * years + 1] * 2 == [rung.months_to_revenue for rung in later.rungs]
