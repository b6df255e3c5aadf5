"""The same file of newer prices at every door, and what it changes, by hand."""

import json
import sys
import threading
from pathlib import Path

import pytest

import tokenroof as tr
from tokenroof import economics as ec
from tokenroof import measure, mining
from tokenroof.catalogue import latest, market_data, market_in_force
from tokenroof.cli.program import main
from tokenroof.plot.conventions import conventions

pytestmark = pytest.mark.filterwarnings("ignore:.*after today")  # a made-up file of 2027
NEWER = Path(__file__).parents[1] / "catalogue" / "fixtures" / "newer.csv"
HASHPRICE = 86400 * 1e15 / (1.5e14 * 2**32) * 3.15 * 1e5
# dollars of a MWh of an Antminer S21 (17.5 J/TH) at a PUE of 1.03: TH of a MWh over those of a PH/s and day
PER_MWH = 3.6e9 / (1.03 * 17.5) / 86.4e6 * HASHPRICE
SOURCE = "a list, made up (newer.csv, line 4)"


def test_the_meter():
    found = ec.Market.latest("gpt-oss-120b", market=NEWER)
    assert found.hashprice == pytest.approx(HASHPRICE, rel=1e-14)
    assert (found.price_per_kwh, found.price_per_mtok, found.price_per_mtok_input) == (
        0.08,
        0.7,
        0.2,
    )
    assert all(SOURCE in note for note in found.notes[:3]) and found.date == "2027-01-15"
    asked = ("Antminer S21", "H200-SXM", "gpt-oss-120b", tr.Plan(tp=2))
    with_file, without = ec.compare_per_mwh(*asked, NEWER), ec.compare_per_mwh(*asked)
    assert with_file.mining == pytest.approx(PER_MWH, rel=1e-12)
    assert with_file.electricity == 80.0
    # a prompt token for each of the answer: 0.2 + 0.7 over 0.15 + 0.6 $/Mtok
    assert with_file.inference / without.inference == pytest.approx(0.9 / 0.75, rel=1e-12)


def test_uses_of_a_megawatt():
    mine = ec.mine("Antminer S21", market=NEWER)
    assert mine.income.hashprice == pytest.approx(HASHPRICE, rel=1e-14)
    assert mine.site.price_per_mwh == pytest.approx(80.0, rel=1e-14)
    assert [key for key, _, _ in mine.market.keys] == ["site.price_per_mwh", "income.hashprice"]
    rent = ec.rent_gpus("H200-SXM", 31e3, market=NEWER)
    assert rent.income.price_per_gpu_hour == 2.5
    assert ("income.price_per_gpu_hour", 2.5, f"{SOURCE}, 2027-01-15") in rent.market.keys
    sold = ec.sell_tokens(
        "H200-SXM", "gpt-oss-120b", 31e3, plan=tr.Plan(tp=2), input_tokens=2048, market=NEWER
    )
    assert sold.income.price_per_mtok == pytest.approx(0.7 + 0.2 * 2, rel=1e-14)
    assert ec.mine("Antminer S21", 50.0, market=NEWER).income.hashprice == 50.0
    assert [quote.value for quote in ec.token_quotes("gpt-oss-120b", market=NEWER)] == [0.2, 0.7]
    hall = dict(ec.convert_hall(to=["H200-SXM"], paths=200, market=NEWER).assumptions)
    assert SOURCE in hall["income.hashprice"] and SOURCE in hall["income.price_per_gpu_hour"]


def test_a_scenario(tmp_path):
    keys = {"site.power_mw": 1.0, "site.pue": 1.0, "income.kind": "hashes", "finance.years": 1}
    found = ec.factory(keys, market=NEWER)
    year = found.flow.revenue.argmax()
    # 1 MW over 17.5 J/TH for 365 days; 8,760 MWh at 80 $
    assert found.flow.revenue[year] == pytest.approx(HASHPRICE * 1e6 / 17.5 / 1e3 * 365, rel=1e-12)
    assert abs(found.flow.power[year]) == pytest.approx(80.0 * 8760.0, rel=1e-12)
    (tmp_path / "newer.csv").write_bytes(NEWER.read_bytes())
    text = 'market = "newer.csv"\n[site]\npower_mw = 1\npue = 1.0\nprice_per_mwh = 63.6\n[income]\nkind = "hashes"\n'
    (tmp_path / "plan.toml").write_text(text)
    plan = ec.Scenario.from_toml(tmp_path / "plan.toml")
    # a key that the file says stays, though it is the default
    assert plan.site.price_per_mwh == 63.6
    assert [key for key, _, _ in plan.market.keys] == ["income.hashprice"]
    said = ec.run_manifest(plan)["market"]
    assert said["sha256"] == market_data(NEWER).sha256 and SOURCE in said["taken"][0]["source"]
    ec.factory(plan).to_csv(tmp_path / "out.csv")
    assert SOURCE in (tmp_path / "out.csv").read_text()
    assert plan.with_values({"income.hashprice": 40.0}).market.keys == ()


def test_what_a_scenario_does_not_take(tmp_path):
    (tmp_path / "m.csv").write_text("date,rent.H100-SXM,rent.H200-SXM\n2026-11,2,3\n")
    keys = {"income.kind": "gpu_hours"}
    with pytest.raises(
        ValueError, match="market has rent.H100-SXM, rent.H200-SXM; allowed for a scenario of gpu_h"
    ):
        ec.factory(keys, market=tmp_path / "m.csv")
    said = ec.factory(keys | {"income.price_per_gpu_hour": 4.0}, market=tmp_path / "m.csv").scenario
    assert said.income.price_per_gpu_hour == 4.0 and said.market.keys == ()
    with pytest.raises(TypeError, match=r"market is .*allowed: None, or with_market"):
        ec.Scenario(market="m.csv")
    (tmp_path / "plan.toml").write_text("market = 3\n")
    with pytest.raises(TypeError, match=r"plan.toml: market is 3; allowed: the path of a file"):
        ec.Scenario.from_toml(tmp_path / "plan.toml")


def test_mining_by_month():
    history = mining.market_history(market=NEWER)
    assert history.months[-2:] == ("2026-12", "2027-01")
    assert history.hashprice[-1] == pytest.approx(HASHPRICE, rel=1e-12)
    assert history.months[:-2] == mining.market_history().months
    race = mining.generations_race(["Antminer S21"], power_price_per_kwh=0.05, market=NEWER)
    # 200 TH/s earn a fifth of a hashprice and take 84 kWh a day
    assert race.margin[0, -1] == pytest.approx(0.2 * HASHPRICE - 84.0 * 0.05, rel=1e-12)
    power = mining.network_power(miners=["Antminer S21"], market=NEWER)
    assert power.lower_w[-1] == pytest.approx(1.5e14 * 2**32 / 600 / 1e12 * 17.5 * 1.01, rel=1e-12)
    with pytest.raises(ValueError, match="market is .*allowed without months"):
        mining.generations_race(["Antminer S21"], ["2026-01"], hashprice=40.0, market=NEWER)
    one = mining.network_power(["2027-01"], miners=["Antminer S21"], market=NEWER)
    assert one.lower_w.tolist() == [power.lower_w[-1]]


def test_years_and_worlds():
    course = ec.price_course("btc_price", "Bitcoin", "2026-01", market=NEWER)
    assert course[-1][0] == 2 and course[-1][1] == pytest.approx(1e5 / 91132, rel=0.03)
    eras = ec.both_eras(["H100-SXM"], token_prices={2026: 0.1}, market=NEWER)
    assert eras.hashprice[list(eras.years).index(2027)] == pytest.approx(HASHPRICE, rel=1e-12)
    work = ec.demand(4, 2e6, value_per_result=9.0, acceptance=0.5, price_per_mtok=1.5)
    sure = ec.Uncertainty()
    worlds = ec.two_worlds(work, 1e4, 3e5, sure, years=1, paths=1, price_per_mwh=0.0, market=NEWER)
    assert worlds.speculation[0, 0] == pytest.approx(PER_MWH * 1.03 * 100 * 8760, rel=1e-12)


def test_the_command_line(capsys, tmp_path, monkeypatch):
    words = ["economics", "--market", str(NEWER), "--set", "income.kind=hashes", "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["assumptions"]["income.hashprice"] == pytest.approx(HASHPRICE, rel=1e-12)
    assert found["assumptions"]["site.price_per_mwh"] == pytest.approx(80.0)
    assert found["market"]["file"] == str(NEWER)
    (tmp_path / "bad.csv").write_text("date,price\n2026-10,x\n")
    assert main(["economics", "--market", str(tmp_path / "bad.csv")]) == 2
    assert "bad.csv:2:9: price is 'x'" in capsys.readouterr().err
    # the report reads it before it measures, and it counts while the page is made
    seen = []

    def measured(seconds):
        seen.append(latest("btc_hashprice").value)
        raise ValueError("enough; allowed")

    monkeypatch.setattr("tokenroof.measure.machine", measured)
    assert main(["report", "--market", str(NEWER), "--out", str(tmp_path / "r"), "--json"]) == 2
    assert seen == pytest.approx([HASHPRICE], rel=1e-14)
    assert latest("btc_hashprice").value != seen[0]


def test_a_report_names_what_of_a_file_it_did_not_use(monkeypatch, tmp_path, capsys):
    made = measure.machine(seconds=0.002)

    def page(*_):
        latest("btc_hashprice")
        return made, {}, "<html></html>"

    monkeypatch.setattr(sys.modules["tokenroof.report.build"], "_page", page)
    found = tr.report.build(tmp_path / "a", quiet=True, market=NEWER)["market"]["unused"]
    assert [line.split()[0] for line in found] == ["power", "rent.H200-SXM", "input.gpt-oss-120b",
                                                   "output.gpt-oss-120b"]  # fmt: skip
    assert main(["report", "--market", str(NEWER), "--out", str(tmp_path / "b")]) == 0
    assert (
        "not used of newer.csv: power 0.08 of 2027-01-15; rent.H200-SXM" in capsys.readouterr().out
    )


def test_whatever_is_asked_within():
    axes = conventions()
    with market_in_force(NEWER):
        assert conventions() == axes  # a chart's axes are those of printed tables
        assert ec.mine("Antminer S21").income.hashprice == pytest.approx(HASHPRICE, rel=1e-14)
        assert mining.market_history().months[-1] == "2027-01"


def test_months_are_means_where_these_are_measured():
    history = mining.market_history()
    at = history.months.index
    assert set(history.dates[at("2021-11") : at("2026-05") + 1]) == set(
        history.months[at("2021-11") : at("2026-05") + 1]
    )
    # of 2025-10: 114,085.43 $ at a difficulty of 1.493152e14, new coins alone
    assert history.hashprice[at("2025-10")] == pytest.approx(48.03, abs=5e-3)


def test_one_meter_takes_the_electricity_of_its_options_files(tmp_path):
    mine, rent = ec.mine("Antminer S21", market=NEWER), ec.rent_gpus("H200-SXM", 31e3)
    ladder = ec.same_meter([rent, mine])
    assert ladder.price_per_mwh == pytest.approx(80.0, rel=1e-14)
    for rung in ladder.rungs:
        earned, left = rung.revenue_per_mwh, rung.margin_per_mwh
        assert earned - left == pytest.approx(80.0, rel=1e-9)
        assert rung.factory.scenario.site.price_per_mwh == ladder.price_per_mwh
    keys = {rung.name: rung.factory.scenario.market for rung in ladder.rungs}
    assert keys[rent.name] is None
    assert "site.price_per_mwh" in [key for key, _, _ in keys[mine.name].keys]
    given = ec.same_meter([rent, mine], price_per_mwh=30.0)
    assert [r.factory.scenario.site.price_per_mwh for r in given.rungs] == [30.0, 30.0]
    assert "site.price_per_mwh" not in [
        key for key, _, _ in given.rungs[1].factory.scenario.market.keys
    ]
    path = tmp_path / "dear.csv"
    path.write_text("date,power\n2026-09-10,0.12\n")
    dear = ec.lease_shell().with_market(path)
    with pytest.raises(
        ValueError, match=r"at 80 \$/MWh \(mine .*120 \$/MWh \(lease .*price_per_mwh"
    ):
        ec.same_meter([mine, dear])
    assert ec.same_meter([rent]).price_per_mwh == 50.0


def test_what_a_mine_stands_on_names_its_shell(capsys, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[income]\nkind = "hashes"\njoules_per_terahash = 17.5\nhashprice = 40\n')
    assert main(["economics", "--scenario", str(path)]) == 0
    said = capsys.readouterr().out
    assert "40 $/(PH/s day) at 17.5 J/TH, constant, no halving" in said
    assert "machines stand already, at 0 $, shell at 11.7 M$ by MW of computers" in said
    assert "shell" not in str(ec.same_meter([ec.mine("Antminer S21", 40.0)]))


def test_another_file_in_place_of_a_scenario_s_own_is_said(tmp_path):
    (tmp_path / "own.csv").write_text("date,hashprice\n2026-10,50\n")
    (tmp_path / "other.csv").write_text("date,power\n2026-10,0.08\n")
    hall = tmp_path / "hall.toml"
    hall.write_text('market = "own.csv"\n[income]\nkind = "hashes"\n')
    assert ec.Scenario.from_toml(hall).income.hashprice == 50.0
    assert ec.Scenario.from_toml(hall, market=tmp_path / "own.csv").income.hashprice == 50.0
    with pytest.warns(
        UserWarning, match=r"hall.toml takes newer prices of .*other.csv, and none of own.csv"
    ):
        plan = ec.Scenario.from_toml(hall, market=tmp_path / "other.csv")
    assert plan.income.hashprice != 50.0


def test_a_file_in_force_counts_in_its_own_thread(tmp_path):
    file = tmp_path / "now.csv"
    file.write_text("date,hashprice\n2026-10,50\n")
    seen = []
    with market_in_force(file):
        other = threading.Thread(target=lambda: seen.append(latest("btc_hashprice").value))
        other.start()
        other.join()
        seen.append(latest("btc_hashprice").value)
    assert seen[0] != 50.0
    assert seen[1] == 50.0
