"""Best measured points beside a frontier: two ways to compare, rows that cannot be, causes by rule."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tokenroof as tr

BENCH = Path(__file__).parents[2] / "bench"
PLAN = tr.Plan(tp=1, weights="fp8", kv_cache="fp8")


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(BENCH))
    try:
        import as_run
        import best_points
        import measured_rows
    finally:
        sys.path.remove(str(BENCH))
    return best_points, measured_rows, as_run


def _front(bench, speed, worth):
    names = [("", "", 0)] * len(speed)
    return bench.Front(np.array(speed), np.array(worth), names, np.ones(len(speed)), "vllm")


def test_at_equal_speed_and_at_equal_users(bench):
    """Of 100 to 50 tokens/s and 10 to 40 a device, straight in logarithms: y = 10 (x / 100)^-2."""
    points = bench[0]
    front = [_front(points, [50.0, 100.0], [40.0, 10.0])]
    assert points.at_speed(front, 80.0) == pytest.approx(10.0 / 0.8**2)
    assert points.at_speed(front, 101.0) == 0.0  # beyond the fastest
    # (80 s, 20 s): 20 s = 10 (0.8 s)^-2, s^3 = 0.78125
    assert points.at_users(front, 80.0, 20.0) == pytest.approx(0.78125 ** (1 / 3))
    # 101 tokens/s lie 1 % beyond the last point, and are 1 % off
    assert points.at_users(front, 101.0, 10.0) == pytest.approx(100.0 / 101.0)
    # more users than any of ours: the fullest point, of which speed is not what is short
    assert points.at_users(front, 10.0, 80.0) == pytest.approx(0.5)
    assert points.at_users([], 10.0, 80.0) == 0.0
    # of two frontiers the better, of each of them
    both = [*front, _front(points, [90.0, 120.0], [20.0, 12.0])]
    assert points.at_users(both, 110.0, 10.0) > points.at_users(front, 110.0, 10.0)


def test_what_is_outside_at_equal_users_is_outside_at_equal_speed(bench):
    points, rng = bench[0], np.random.default_rng(0)
    for _ in range(200):
        speed = np.sort(rng.uniform(10.0, 200.0, 5))
        front = [_front(points, speed, np.sort(rng.uniform(10.0, 900.0, 5))[::-1])]
        x, y = rng.uniform(8.0, 220.0), rng.uniform(8.0, 990.0)
        s, at = points.at_users(front, x, y), points.at_speed(front, x) / y
        assert (s >= 1.0) == (at >= 1.0) or s == pytest.approx(1.0)
        assert s >= points.LOW or at < points.LOW
        assert s <= points.HIGH or at > points.HIGH


def _rows(times, users=(8.0, 16.0, 32.0, 64.0), **given):
    """Rows of one plan, with a prediction's times to the first token and `times` its times per token."""
    load = (1024.0, 1024.0)
    table = tr.serving.curve("H200-SXM", "Llama-3.1-8B", PLAN, *load, list(users))
    every = {
        "source": "own", "label": "ok", "system": "H200-SXM", "model_path": "Llama-3.1-8B", "backend": "vllm",
        "backend_version": "1", "mode": "agg", "isl": 1024, "osl": 1024, "mean_input_tokens": load[0],
        "mean_output_tokens": load[1], "tp": 1.0, "dp": 1.0, "moe_tp": 1.0, "moe_ep": 1.0, "weights": "fp8",
        "experts": "fp8", "kv_cache": "fp8",
    }  # fmt: skip
    every |= {f"{p}_{n}": np.nan for p in ("prefill", "decode")
              for n in ("num_workers", "tp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")}  # fmt: skip
    return pd.DataFrame([
        {"id": i, "concurrency": n, "silicon_ttft_ms": 1e3 * float(t.ttft_s),
         "silicon_tpot_ms": 1e3 * float(t.tpot_s) * f} | every | given
        for i, (n, f, t) in enumerate(zip(users, times, (table.isel(concurrency=k) for k in range(len(users))),
                                          strict=True))
    ])  # fmt: skip


def test_points_that_are_ours_are_within_and_those_off_have_their_cause(bench):
    points, _, as_run = bench
    rows, left = points.buckets(as_run.as_run(_rows([1.0] * 4)))
    assert [r["least"] for r in rows] == [20.0, 50.0, 100.0, 150.0]
    for r in rows:
        np.testing.assert_allclose([r["plans"], r["plans_users"]], 1.0, rtol=0.01)
        assert r["cause"] == "" and r["ours"] >= r["plans"]
    assert set(left.values()) == {""}
    rows, _ = points.buckets(as_run.as_run(_rows([0.8] * 4)))
    assert {r["cause"] for r in rows} == {"the step of its own plan, slow"}
    np.testing.assert_allclose([r["plans_users"] for r in rows], 0.8, rtol=0.02)
    rows, _ = points.buckets(as_run.as_run(_rows([1.6] * 4)))
    assert {r["cause"] for r in rows} == {"the step of its own plan, fast"}
    rows, _ = points.buckets(as_run.as_run(_rows([0.93] * 4)))
    assert {r["cause"] for r in rows if points.outside(r["plans"])} == {
        "its own step within 11 %, where a curve is steep"
    }
    sides, causes = points.bucket_sides(rows), points.bucket_causes(rows)
    assert sides[0]["inside"] == 1.0 > sides[1]["inside"] and causes[0]["users"] == 0


def test_a_time_that_is_off_says_what_it_is_of(bench):
    """A step, one by constants of other devices, a round with drafts."""
    points, _, as_run = bench
    kept = {"model_path": "DeepSeek-R1", "backend": "trtllm", "weights": "fp8_block", "experts": "fp8_block",
            "tp": 8.0, "moe_tp": 1.0, "moe_ep": 8.0}  # fmt: skip
    for given, what in (
        ({}, "the step"),
        ({"label": "speculative"}, "the round of drafts"),
        ({"system": "GB200-NVL72", "backend": "sglang"}, "the step, by borrowed constants,"),
    ):
        row = as_run.as_run(_rows([1.0], users=(16.0,), **(kept | given))).iloc[0]
        row["worth"] = 100.0
        assert points.own_of(row).what == what
    found = {"plans": 2.0, "plans_users": 1.3}
    fast = points.Own(0.8, 1.0, 1.2, what="the round of drafts")
    assert points._below(0.8, points.Own(1.2, 1.0, 0.8)) == "the step of its own plan, slow"
    assert points._below(0.8, points.Own(1.0, 2.0, 0.8)) == "the first token of its own plan, late"
    assert points._above(found, row, fast, [], None) == "the round of drafts of its own plan, fast"


def test_a_row_of_ours_is_known_by_the_name_that_a_frontier_gives_its_plan(bench):
    """Two attention ranks of a model without experts: no frontier names any of theirs."""
    points, _, as_run = bench
    row = as_run.as_run(_rows([1.0], users=(16.0,), tp=2.0, dp=2.0, moe_tp=2.0, moe_ep=2.0)).iloc[0]
    row["replica"] = 4.0
    front = points.tried(row.to_frame().T)[0]
    (plan, _, drafts), *_ = front.names
    assert plan == "tp2 dp2 fp8 kv fp8" and points._same(row, plan, drafts)
    assert not points._same(row, "tp4 fp8 kv fp8", drafts)


def test_rows_that_cannot_be_are_passed_over_by_rule(bench):
    points, rows_of, as_run = bench
    odd = pd.concat([_rows([1.0] * 4), _rows([0.1], users=(512.0,))], ignore_index=True)
    assert rows_of.contradicted(as_run.as_run(odd)).tolist() == [False] * 4 + [True]
    # of another label or plan nothing is said
    odd.loc[4, "label"] = "repaired"
    assert not rows_of.contradicted(as_run.as_run(odd)).any()
    large = _rows([1.0], users=(8.0,), model_path="Llama-3.1-405B")
    fast = _rows([0.02], users=(64.0,))
    for frame, why in ((large, points.IMPOSSIBLE[1]), (fast, points.IMPOSSIBLE[2])):
        row = rows_of.measured(as_run.as_run(frame)).iloc[0]
        assert points.impossible(row) == why
        left = {}
        assert points.best_of(row.to_frame().T, left) is None and list(left.values()) == [why]
    assert points.passed_over(left) == [{"why": points.IMPOSSIBLE[2], "rows": 1}]


def test_a_row_is_asked_with_the_drafts_and_the_experts_of_its_run(bench):
    _, rows_of, _ = bench
    row = {"system": "H200-SXM", "model_path": "DeepSeek-R1", "backend": "trtllm", "mode": "agg",
           "weights": "fp8_block", "experts": "fp8_block", "kv_cache": "fp8", "moe_tp": 1.0, "moe_ep": 8.0}  # fmt: skip
    for tp, dp, label, drafts in (
        (8, 1, "speculative", 3),
        (1, 8, "speculative", 1),
        (8, 1, "ok", 0),
    ):
        system = rows_of.system_of(pd.Series(row | {"tp": tp, "dp": dp, "label": label}))
        length = 0 if system.speculation is None else system.speculation.length
        assert length == drafts and system.both.layout.dp == dp
    # vLLM splits no expert of 1,536 columns in blocks of 128 over 8 devices: such a run spread them
    split = row | {
        "model_path": "MiniMax-M2.5",
        "backend": "vllm",
        "tp": 8,
        "dp": 1,
        "moe_tp": 8.0,
        "moe_ep": 1.0,
    }
    plan = rows_of.plan_of(pd.Series(split))
    assert (plan.moe_tp, plan.moe_ep) == (1, 8)
    four = rows_of.plan_of(pd.Series(split | {"tp": 4, "moe_tp": 4.0}))
    assert (four.moe_tp, four.moe_ep) == (4, 1)
