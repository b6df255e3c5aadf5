"""Devices without a table of their own multiply as fast as their boards were reported to."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.catalogue.fits import fits
from tokenroof.catalogue.squares import SIDES, squares
from tokenroof.inference.carried import carried
from tokenroof.inference.constants import find
from tokenroof.inference.operators.gemm import gemm

OWN_TABLE = {row["device"] for row in fits("gemm") if row["dtype"] in ("bf16", "fp16")}
REPORTED = {row.device: row for row in squares()}


def rates(device, dtype, engine="vllm"):
    side = np.array(SIDES)
    return 2.0 * side**3 / gemm(device, side, side, side, dtype, warm=True, engine=engine).time_s


@pytest.mark.parametrize("name", sorted(REPORTED.keys() - OWN_TABLE))
@pytest.mark.parametrize("engine", ["vllm", "trtllm"])
def test_the_best_square_is_the_median_boards(name, engine):
    row = REPORTED[name]
    assert rates(name, row.dtype, engine).max() == pytest.approx(np.median(row.boards), rel=1e-8)
    boards = len(row.boards)
    said = gemm(name, 64, 64, 64, row.dtype).calibrated_on
    assert said.endswith(f"square products as of {boards} reported board{'s' * (boards > 1)}")


@pytest.mark.parametrize("name", sorted(REPORTED.keys() & OWN_TABLE))
def test_devices_with_tables_come_near_what_their_boards_were_reported_to_do(name):
    """Nothing of this went into their constants: H100 and H200 5 % above, L40S 10 % below."""
    row = REPORTED[name]
    found = gemm(name, 64, 64, 64, row.dtype)
    assert "reported" not in found.calibrated_on
    off = np.log(rates(name, row.dtype).max() / row.flops_per_s)
    assert abs(off) < np.log1p(found.error_band)


def test_boards_for_players_pass_their_printed_peak():
    """Their 16-bit products run at half of the multiprocessors' rate, and their clocks above the printed one."""
    share = {n: REPORTED[n].flops_per_s / tr.device(n).peak["bf16"] for n in REPORTED
             if "bf16" in tr.device(n).peak}  # fmt: skip
    players = {"RTX 3090", "RTX 4090", "RTX 5090"}
    assert all((share[n] > 0.98) == (n in players) for n in share)


def test_what_is_multiplied_at_another_rate_stays_as_it_was_carried_over():
    device = tr.device("RTX 4090")
    rows = [r for r in fits("gemm") if r["device"] == "L40S" and r["engine"] == "vllm"]
    for dtype in ("fp8", "bf16"):
        plain = carried("gemm", [r for r in rows if r["dtype"] == dtype], device, dtype)
        assert (find("gemm", device, "vllm", dtype).constants == plain) == (dtype == "fp8")
    four = find("gemm", device, "vllm", "int4").constants  # multiplied as 16 bits
    assert four["joule"] == 0.0 and four["compute"] > 1.0
    assert "square" not in find("gemm", tr.device("L4"), "vllm", "bf16").origin


def test_attention_of_prompts_is_to_products_as_on_the_measured_board():
    device, board = tr.device("RTX 4090"), tr.device("L40S")
    found = find("attention_prefill", device, "vllm", "bf16")
    there = find("attention_prefill", board, "vllm", "bf16")
    products = [rates(d, "bf16").max() / d.peak["bf16"] for d in (device, board)]
    want = products[0] / products[1]
    assert found.constants["compute"] / there.constants["compute"] == pytest.approx(want, rel=1e-8)
    assert want > 1.3 and "8 reported boards" in found.origin and found.near == "generation"
    same = {k: v for k, v in found.constants.items() if k not in ("compute", "memory")}
    assert same == {k: there.constants[k] for k in same}
    eight = find("attention_prefill", device, "vllm", "fp8")
    assert "square" not in eight.origin
