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


R1 = {"source": "inferencex", "model": "DeepSeek-R1", "engine": "trtllm", "device": "h200", "tp": 8, "dp": 1,
      "moe_tp": 8, "moe_ep": 1, "weights": "fp8_block", "experts": "fp8_block", "kv_cache": "fp8",
      "isl": 8192, "osl": 1024, "tpot_ms": 30.0, "backend_version": ""}  # fmt: skip
B200 = R1 | {"device": "b200_sxm", "weights": "nvfp4", "experts": "nvfp4"}
GPT = {"model": "gpt-oss-120b", "weights": "bf16", "experts": "mxfp4", "tp": 2, "moe_tp": 2}
#: What a row says, and tp, dp, moe_tp and moe_ep as its launch script has them.
LAYOUTS = [
    (R1 | {"concurrency": 32}, (8, 1, 1, 8)),
    (R1 | {"concurrency": 64}, (1, 8, 1, 8)),
    (R1 | {"concurrency": 64, "isl": 1024}, (8, 1, 1, 8)),
    (R1 | {"concurrency": 64, "backend_version": "1.1.0rc2.post2"}, (8, 1, 8, 1)),
    (R1 | {"concurrency": 64, "source": "mine"}, (8, 1, 8, 1)),
    (R1 | GPT | {"concurrency": 4}, (2, 1, 1, 2)),
    (R1 | GPT | {"concurrency": 4, "backend_version": "gpt-oss-dev"}, (2, 1, 2, 1)),
    (B200 | {"concurrency": 32}, (8, 1, 8, 1)),
    (B200 | {"concurrency": 33}, (1, 8, 1, 8)),
    (B200 | {"concurrency": 8, "isl": 1024}, (8, 1, 8, 1)),
    (B200 | {"concurrency": 9, "isl": 1024}, (8, 1, 1, 8)),
    (B200 | {"concurrency": 255, "isl": 1024}, (8, 1, 1, 8)),
    (B200 | {"concurrency": 256, "isl": 1024}, (1, 8, 1, 8)),
    (B200 | {"concurrency": 16, "isl": 1024, "osl": 8192}, (8, 1, 8, 1)),
    (B200 | {"concurrency": 17, "isl": 1024, "osl": 8192}, (8, 1, 1, 8)),
    (B200 | {"concurrency": 32, "isl": 1024, "tp": 4, "moe_tp": 4}, (4, 1, 4, 1)),
    (B200 | {"concurrency": 33, "isl": 1024, "tp": 4, "moe_tp": 4}, (4, 1, 1, 4)),
    (B200 | {"concurrency": 33, "isl": 1024, "tp": 4, "moe_tp": 4, "weights": "fp8_block"}, (4, 1, 4, 1)),
    (R1 | {"model": "MiniMax-M2.5", "engine": "vllm", "concurrency": 4, "backend_version": "0.18.0"}, (8, 1, 1, 8)),
]  # fmt: skip


@pytest.mark.parametrize("row,layout", LAYOUTS)
def test_layouts_are_those_of_launch_scripts_where_rows_say_only_how_many_devices_split_a_layer(
    row, layout
):
    plan = calibrate.read_serving(pd.DataFrame([ROW | row]), possible=False).plans[0]
    assert (plan.tp, plan.dp, plan.moe_tp, plan.moe_ep) == layout


@pytest.mark.parametrize(
    "row,kept",
    [
        ({"model": "MiniMax-M2.5", "engine": "vllm", "device": "h100_sxm"}, "bf16"),
        ({"model": "MiniMax-M2.5", "engine": "vllm", "device": "b200_sxm"}, "fp8"),
        ({"model": "Kimi-K2.5", "engine": "vllm", "weights": "int4", "experts": "int4"}, "bf16"),
        ({"model": "GLM-5", "engine": "sglang"}, "bf16"),
        ({"model": "GLM-5", "engine": "sglang", "source": "mine"}, "fp8"),
    ],
)
def test_caches_whose_type_no_launch_script_sets_are_the_checkpoints(row, kept):
    plan = calibrate.read_serving(pd.DataFrame([ROW | R1 | row]), possible=False).plans[0]
    assert plan.kv_cache == kept


def test_rows_as_run_have_the_layout_the_cache_and_the_waits_of_their_launch_scripts(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "bench")
    from as_run import as_run

    named = [("model", "model_path"), ("device", "system"), ("engine", "backend")]
    rows = [ROW | R1 | {"concurrency": 64}, ROW | R1 | {"model": "Kimi-K2.5", "engine": "vllm"}]
    apart = rows[0] | dict.fromkeys(("tp", "dp", "moe_tp", "moe_ep"), np.nan)
    found = as_run(pd.DataFrame([*rows, apart]).rename(columns=dict(named)))
    assert found[["tp", "dp", "moe_tp", "moe_ep"]].to_numpy()[:2].tolist() == [
        [1, 8, 1, 8],
        [8, 1, 8, 1],
    ]
    assert found[["tp", "dp", "moe_tp", "moe_ep"]].iloc[2].isna().all()
    assert list(found.kv_cache) == ["fp8", "bf16", "fp8"]
    assert list(found.wait_steps) == [60.0, 0.0, 0.0]


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
