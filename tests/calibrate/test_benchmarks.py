"""How benchmarks ran beside their loads: columns of a table, and rules of public ones."""

from pathlib import Path

import numpy as np
import pytest

from tokenroof.calibrate.benchmarks import settings

pd = pytest.importorskip("pandas")

from tokenroof import calibrate  # noqa: E402

ROW = {"model": "Llama-3.1-70B", "device": "h200", "engine": "trtllm", "concurrency": 8, "input_tokens": 922,
       "output_tokens": 922, "isl": 1024, "osl": 1024, "tp": 4, "weights": "fp8", "ttft_ms": 200.0,
       "tpot_ms": 15.0}  # fmt: skip

NAMES = ("together", "max_batch", "wait_steps")


def _settings(*rows):
    frame = pd.DataFrame([ROW | {"ttft_ms": 200.0 + i} | row for i, row in enumerate(rows)])
    found = calibrate.read_serving(frame).settings
    return [tuple(map(float, row)) for row in zip(*(found[name] for name in NAMES), strict=True)]


def _locked(*rows):
    """Of a row with ``isl`` 1024: 8192 tokens are a step's."""
    frame = pd.DataFrame([ROW | {"ttft_ms": 200.0 + i} | row for i, row in enumerate(rows)])
    found = calibrate.read_serving(frame).settings
    return list(zip(found["locked"].tolist(), found["room"].tolist(), strict=True))


def test_a_table_that_says_nothing_ran_ten_rounds():
    assert _settings({}) == [(0.1, 0.0, 0.0)]


def test_a_tables_own_columns_count():
    four, one = ({"rounds": n, "max_batch": 6, "wait_steps": 3} for n in (4, 1))
    assert _settings(four, one | {"max_batch": 0, "wait_steps": 0}) == [
        (0.25, 6.0, 3.0),
        (1.0, 0.0, 0.0),
    ]


def test_public_benchmarks_by_their_source():
    public = {"source": "inferencex"}
    others = ({"tp": 8}, {"osl": 8192}, {"engine": "vllm"}, {"source": "mine"})
    assert _settings(public, *(public | other for other in others)) == [
        (0.1, 0.0, 20.0),
        *[(0.1, 0.0, 0.0)] * 4,
    ]
    # what the table says itself goes first
    assert _settings(public | {"wait_steps": 5}) == [(0.1, 0.0, 5.0)]
    one = {
        "source": "aiconfigurator",
        "model": "Qwen3-32B",
        "device": "h100_sxm",
        "engine": "sglang",
    }
    assert _settings(one, one | {"engine": "vllm"}) == [(1.0, 0.0, 0.0), (0.1, 0.0, 0.0)]
    rows = (one | {"isl": 1024}, one | {"isl": 9000}, one | {"engine": "vllm"})
    assert _locked(*rows) == [(1.0, 7.0), (1.0, 0.0), (0.0, 0.0)]
    less = {"source": "aiconfigurator", "model": "Llama-3.1-8B", "device": "h100_sxm"}
    assert _settings(less, less | {"concurrency": 1}) == [(0.1, 7.0, 0.0), (0.1, 1.0, 0.0)]


@pytest.mark.parametrize("name,value", [("rounds", 0.5), ("max_batch", -1.0), ("wait_steps", -2.0)])
def test_less_than_there_is_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value:g}; allowed: at least"):
        settings({name: np.array([value])}, np.array([8.0]))


def test_a_recipe_says_which_types_of_experts_ran():
    public = {"source": "inferencex", "model": "gpt-oss-120b", "engine": "vllm", "weights": "bf16",
              "experts": "mxfp4", "tp": 1, "tpot_ms": 6.0}  # fmt: skip
    rows = [
        {"device": "b200_sxm"},
        {"device": "b200_sxm", "source": "mine"},
        {"device": "h200"},
        {"device": "b200_sxm", "engine": "trtllm"},
    ]
    frame = pd.DataFrame([ROW | public | {"ttft_ms": 200.0 + i} | r for i, r in enumerate(rows)])
    found = calibrate.read_serving(frame).plans
    assert [plan.experts for plan in found] == ["mxfp4_mxfp8", "mxfp4", "mxfp4", "mxfp4"]


def test_prompts_wait_for_those_of_other_attention_ranks():
    public = {"source": "inferencex", "model": "DeepSeek-R1", "device": "b200_sxm", "weights": "nvfp4",
              "experts": "nvfp4", "kv_cache": "fp8", "tpot_ms": 30.0}  # fmt: skip
    spread = {"tp": 1, "dp": 8, "moe_ep": 8}
    assert _settings(public | {"tp": 8}, public | spread, public | spread | {"source": "x"}) == [
        (0.1, 0.0, 0.0),
        (0.1, 0.0, 60.0),
        (0.1, 0.0, 0.0),
    ]


def test_sequences_of_decode_replicas_are_the_tables_own_or_those_of_the_runs_public_recipe(
    monkeypatch,
):
    """128 of each of four replicas; of each rank where attention is data parallel; none where nothing says them."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "bench")
    from as_run import as_run

    apart = ROW | {
        "model_path": "nvidia/Kimi-K2.5-NVFP4", "system": "gb200", "backend": "trtllm", "mode": "disagg",
        "experts": "nvfp4", "source": "inferencex", "dp": 1, "concurrency": 668.0, "prefill_num_workers": 1.0,
        "decode_num_workers": 4.0, "decode_tp_size": 8.0, "decode_attention_dp_size": 1.0,
    }  # fmt: skip
    deepseek = {
        "model_path": "deepseek-ai/DeepSeek-V3", "concurrency": 4096.0, "osl": 8192, "decode_num_workers": 1.0,
        "decode_tp_size": 1.0, "decode_attention_dp_size": 32.0,
    }  # fmt: skip
    none = ({"backend": "sglang"}, {"decode_num_workers": np.nan}, {"concurrency": 667.0}, {"decode_tp_size": 4.0},
            {"model_path": "moonshotai/Kimi-K2"})  # fmt: skip
    rows = [apart | other for other in ({}, deepseek, *none)]
    found = as_run(pd.DataFrame(rows)).sequences.to_numpy()
    np.testing.assert_array_equal(found, [128.0, 32 * 128.0, *[np.nan] * len(none)])
    own = as_run(
        pd.DataFrame([apart | {"sequences": 9.0}, apart | {"sequences": np.nan}])
    ).sequences
    assert list(own) == [9.0, 128.0]
