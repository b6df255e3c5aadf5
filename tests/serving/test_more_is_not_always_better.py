"""A device with more of something, or under more load, that looks worse: where docs/serving/load.md says so."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.serving import Lengths, curve, simulate, summary, users

SIZES = {
    "input_tokens": Lengths.lognormal(1000, 0.5),
    "output_tokens": Lengths.lognormal(200, 0.5),
}


def compared(concurrency, seed, **more):
    """What a device with more has over the plain one, of the table and of the simulator."""
    rows, played = [], []
    plain = tr.device("L40S")
    more = {name: getattr(plain, name) * times for name, times in more.items()}
    for device in (plain, plain.replace(**more)):
        rows.append(
            curve(device, "Llama-3.1-8B", concurrency=[concurrency], **SIZES).isel(concurrency=0)
        )
        requests = users(concurrency, max(4000, 20 * concurrency), seed=seed, **SIZES)
        run = simulate(device, "Llama-3.1-8B", tr.Plan(), requests).requests
        played.append(summary(run[len(run) // 10 : -len(run) // 10]))
    of_table = {
        name: float(rows[1][name] / rows[0][name])
        for name in ("ttft_s", "ttft_mean_s", "output_throughput")
    }
    return of_table, {
        "ttft": played[1]["ttft_s"]["mean"] / played[0]["ttft_s"]["mean"],
        "rate": played[1]["output_throughput"] / played[0]["output_throughput"],
    }


def test_bandwidth_lengthens_the_wait_for_prompts_that_bunch_alone():
    table, played = compared(128, 3, memory_bandwidth=2.0)
    assert table["ttft_s"] == pytest.approx(1.10, abs=0.01)
    assert table["ttft_mean_s"] == pytest.approx(0.87, abs=0.01)
    assert played["ttft"] == pytest.approx(0.87, abs=0.03)
    assert table["output_throughput"] == pytest.approx(1.22, abs=0.01)
    assert played["rate"] == pytest.approx(1.25, abs=0.03)


def test_memory_shortens_a_queue_and_leaves_the_rate():
    table, played = compared(512, 3, memory_bytes=2.0)
    assert table["output_throughput"] == pytest.approx(1.01, abs=0.01)
    assert played["rate"] == pytest.approx(1.01, abs=0.02)
    assert table["ttft_s"] == pytest.approx(0.174, abs=0.01)


def test_boards_draw_less_where_attention_and_exchanges_take_time_from_products():
    plan = tr.Plan(tp=2, weights="fp8", kv_cache="fp8")
    board = {
        sizes: curve(
            "H200-SXM", "Llama-3.3-70B", plan, concurrency=[1, 64],
            input_tokens=sizes[0], output_tokens=sizes[1],
        ).watts.values / 2
        for sizes in ((128, 4096), (1000, 200))
    }  # fmt: skip
    np.testing.assert_allclose(board[128, 4096], [526.8, 495.4], atol=1.0)
    np.testing.assert_allclose(board[1000, 200], [527.1, 531.8], atol=1.0)
    step = tr.decode("H200-SXM", "Llama-3.3-70B", plan, batch=[1, 64], context=2176)
    of = step.breakdown()["operator"]
    products = sum(of[name] for name in ("projection", "mlp", "head")) / step.time_s
    np.testing.assert_allclose(products, [0.70, 0.48], atol=0.006)
    np.testing.assert_allclose(of["attention"] / step.time_s, [0.025, 0.24], atol=0.006)
    np.testing.assert_allclose(step.watts / 2, board[128, 4096], atol=2.0)
