"""What is left when a plan ends before a life does, and rows that add up to the cash."""

import csv
import re

import numpy as np
import pytest

from tokenroof import economics as ec
from tokenroof.cli.program import main

HALL = {"site.power_mw": 20.0, "site.pue": 1.25, "shell.capex_per_it_mw": 9e6, "shell.life_years": 15,
        "computers.capex_per_it_mw": 3e6, "computers.life_years": 4, "computers.om_share": 0.02,
        "income.kind": "tokens", "income.tokens_per_s_per_mw": 1e6, "income.price_per_mtok": 0.4,
        "income.licence_fee": 0.1, "finance.years": 5, "finance.tax_rate": 0.25, "finance.loan_to_cost": 0.5}  # fmt: skip


def test_lives_that_outlast_the_plan_by_hand():
    """16 MW: ten of fifteen years of the shell, three of four of the second computers; the first are worn out."""
    whole = ec.factory(HALL).flow.residual
    assert whole[5] == pytest.approx(16 * (9e6 * 10 / 15 + 3e6 * 3 / 4)) and not whole[:5].any()
    half = ec.factory(HALL | {"finance.unexpired_share": 0.5}).flow.residual
    assert half == pytest.approx(whole / 2)
    none = ec.factory(HALL | {"finance.unexpired_share": 0.0})
    assert not none.flow.residual.any()  # as the key says: residual_share is 0
    assert none.flow.depreciation.sum() == pytest.approx(none.flow.capex.sum())
    shares = {"shell.residual_share": 0.2, "computers.residual_share": 0.1}
    ends = ec.factory(HALL | shares | {"finance.unexpired_share": 0.0}).flow.residual
    assert ends[[4, 5]] == pytest.approx([16 * 3e5, 16 * (1.8e6 + 3e5)])
    line = ec.factory(HALL | shares).flow.residual[5]
    assert line == pytest.approx(16 * (9e6 * (1 - 0.8 / 3) + 3e6 * (1 - 0.9 / 4)))


@pytest.mark.parametrize("loan", [0.0, 0.5])
def test_printed_rows_add_up(loan, tmp_path, capsys):
    keys = HALL | {"finance.loan_to_cost": loan}
    asked = [x for name, value in keys.items() for x in ("--set", f"{name}={value}")]
    file = tmp_path / "flow.csv"
    assert main(["economics", *asked, "--csv", str(file)]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.split()[:1] == ["year"])
    heads = re.split(r"\s{2,}", lines[at].strip())
    rows = [list(map(float, line.replace(",", "").split())) for line in lines[at + 1 :]
            if re.match(r"^\s*\d+\s", line)]  # fmt: skip
    year = dict(zip(heads, np.array(rows).T, strict=True))
    tax = year["tax without debt" if loan else "tax"]
    near = {"abs": 0.04}  # of two digits each
    assert year["revenue"] - year["power"] - year["operation"] - year["licence"] == pytest.approx(
        year["ebitda"], **near
    )
    assert year["ebitda"] + year["residual"] - year["capex"] - tax == pytest.approx(
        year["free"], **near
    )
    if loan:
        owners = (
            year["free"] + tax - year["tax"] + year["draw"] - year["interest"] - year["principal"]
        )
        assert owners == pytest.approx(year["equity"], **near)
    assert (
        "residual: 132.00 M$ for what is left of shell and computers; finance.unexpired_share is 1"
        in out
    )
    with file.open(encoding="utf-8", newline="") as stream:
        written = list(csv.reader(stream))
    gap = written.index([])
    units = {row[0]: row[2] for row in written[:gap]}
    names = written[gap + 1]
    assert [units[f"column.{name}"] for name in names[:4]] == ["year", "MWh", "Mtok", "$"]
    assert all(units[f"column.{name}"] for name in names)
    of = dict(zip(names, np.array(written[gap + 2 :], float).T, strict=True))
    free = (
        of["ebitda"]
        + of["residual"]
        - of["shell_capex"]
        - of["computer_capex"]
        - of["unlevered_tax"]
    )
    assert free == pytest.approx(of["free"], abs=1e-3)
    equity = (
        of["free"] + of["unlevered_tax"] - of["tax"] + of["draw"] - of["interest"] - of["principal"]
    )
    assert equity == pytest.approx(of["equity"], abs=1e-3)


def test_a_table_says_what_it_credits():
    plan = ec.rent_gpus("H200-SXM", 44_175).with_values({"shell.capex_per_it_mw": 9e6})
    one, none = (
        ec.same_meter([plan.with_values({"finance.unexpired_share": x})]) for x in (1.0, 0.0)
    )
    assert (
        one.rungs[0].residual_per_mw == pytest.approx(6e6) and none.rungs[0].residual_per_mw == 0.0
    )
    assert "(with 6.00 M$/MW that is left at the end)" in str(one) and "left at" not in str(none)
    gone = one.rungs[0].npv_per_mw - none.rungs[0].npv_per_mw
    assert gone == pytest.approx(6e6 / 1.083**5)
    said = dict(ec.convert_hall(to=[plan], shell_per_mw=6e6, paths=100).assumptions)[
        "left at the end"
    ]
    assert "rent out H200-SXM 120.00 M$" in said
    keys = {"finance.unexpired_share": 0.0}
    assert "left at the end" not in dict(
        ec.convert_hall(to=[plan], converted=keys, paths=100).assumptions
    )


def test_what_never_pays_back_and_units_of_a_ratio(capsys):
    asked = ("income.kind=hashes", "income.hashprice=1", "shell.capex_per_it_mw=1e6")
    assert main(["economics", *(x for key in asked for x in ("--set", key))]) == 0
    out = capsys.readouterr().out
    assert "payback never" in out and "inf" not in out
    assert re.search(r"levelised cost: [\d.,]+ \$/\(PH/s day\) against", out)
