"""Compressed keys, chosen blocks, streams, embeddings of layers, latent experts: values by hand, and laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof.inference.unmeasured import UNMEASURED_BAND, unmeasured
from tokenroof.records.model import Model

ops = tr.operators
IDEAL = {"fidelity": "datasheet"}
BASE = {"name": "m", "hidden": 1024, "vocab": 1000, "layers": 8, "heads": 16, "ffn": 4096}


def single_key(**more):
    return Model(
        **{**BASE, "kv_heads": 1, "head_dim": 64, "single_key": True, "window": 100, **more}
    )


def test_a_query_sees_its_window_and_the_chosen_compressed_keys():
    context = np.array([64.0, 4096.0, 1_048_576.0])
    got = ops.compressed_decode("B200-SXM", 2, context, 128, ratio=4, topk=1024, **IDEAL)
    keys = np.minimum(context, 128) + np.minimum(context / 4, 1024)
    attention = 2 * 4 * 512 * 128 * keys
    index = 2 * 2 * 64 * 128 * context / 4
    assert np.array_equal(got.flops, attention + index)
    moved = 2 * (512 * 2 * keys + 4 * 128 * 512)
    scores = 2 * ((132 + 8) * context / 4 + 64 * (128 + 4) + 4 * 1024)
    assert np.array_equal(got.bytes, moved + scores)


def test_heavy_compression_sees_all_its_keys_and_no_indexer():
    got = ops.compressed_decode("B200-SXM", 1, 128_000, 8, 512, 128, 128, **IDEAL)
    assert float(got.flops) == 4 * 512 * 8 * (128 + 1000)
    assert float(got.bytes) == (128 + 1000) * 1024 + 4 * 8 * 512
    alone = ops.compressed_decode("B200-SXM", 1, 128_000, 8, 512, 128, **IDEAL)
    assert float(alone.flops) == 4 * 512 * 8 * 128


@given(tokens=st.integers(1, 4000), past=st.integers(0, 4000), ratio=st.sampled_from([4, 128]))
def test_a_prompt_is_the_sum_of_its_tokens(tokens, past, ratio):
    got = ops.compressed_prefill("B200-SXM", 1, tokens, past, 1, 64, 100, ratio, 10, 1, 1, **IDEAL)
    seen = np.arange(past + 1, past + tokens + 1, dtype=float)
    pairs = np.minimum(seen, 100).sum() + np.minimum(seen / ratio, 10).sum()
    assert float(got.flops) == pytest.approx(4 * 64 * pairs + 2 * (seen / ratio).sum(), rel=1e-12)


def test_chosen_blocks_are_a_window_beside_their_indexer():
    shape = {"kv_heads": 4, "head_dim": 128}
    got = ops.block_sparse_decode("H100-SXM", 3, 50_000, 64, 4, topk=2048, **IDEAL)
    same = ops.attention_decode("H100-SXM", 3, 50_000, 64, 4, 128, window=2048, **IDEAL)
    assert float(got.flops - same.flops) == 3 * 2 * 4 * 128 * 50_000
    few = ops.block_sparse_decode("H100-SXM", 3, 1000, 64, **shape, **IDEAL)
    full = ops.attention_decode("H100-SXM", 3, 1000, 64, 4, 128, **IDEAL)
    assert float(few.flops - full.flops) == 3 * 2 * 4 * 128 * 1000


def test_streams_move_and_mix():
    got = ops.hyper_connection("B200-SXM", 8, 4096, 4, **IDEAL)
    weights, columns = 24 * 4 * 4096, 24
    assert float(got.flops) == 8 * 2 * weights
    each = 4 * 4096 * 2 + columns * 4 + (3 * 4 + 2) * 4096 * 2
    assert float(got.bytes) == weights * 4 + 8 * each


def test_latent_experts_are_projections_and_narrow_experts():
    got = ops.latent_experts(
        "B200-SXM", 64, 4096, 1024, 2688, 512, 22, dtype="bf16", matrices=2, **IDEAL
    )
    inside = ops.experts("B200-SXM", 64, 1024, 2688, 512, 22, dtype="bf16", matrices=2, **IDEAL)
    down = ops.gemm("B200-SXM", 64, 1024, 4096, **IDEAL)
    up = ops.gemm("B200-SXM", 64, 4096, 1024, **IDEAL)
    assert float(got.flops) == float(inside.flops + down.flops + up.flops)
    assert float(got.time_s) == pytest.approx(
        float(inside.time_s + down.time_s + up.time_s), rel=1e-12
    )
    # LongCat-Flash: of 12 choices among 512 and 256, 8 compute
    some = ops.latent_experts(
        "B200-SXM", 64, 64, 64, 32, 512, 12, zero_experts=256, dtype="bf16", **IDEAL
    )
    all_ = ops.latent_experts("B200-SXM", 64, 64, 64, 32, 512, 8, dtype="bf16", **IDEAL)
    assert float(some.flops) == float(all_.flops)
    with pytest.raises(ValueError, match="matrices is 4"):
        ops.latent_experts("B200-SXM", 64, 64, 64, 32, 512, 12, matrices=4)


def test_unmeasured_operators_say_so():
    for got in (
        ops.compressed_decode("H100-SXM", 1, 1000, 64, ratio=4, topk=512),
        ops.hyper_connection("H100-SXM", 1, 4096),
        ops.latent_experts("H100-SXM", 1, 4096, 1024, 2048, 128, 4),
    ):
        assert "itself was measured" in got.calibrated_on
        assert float(got.error_band) >= 0.6


def test_a_steps_band_says_what_of_it_nobody_measured():
    plain = Model(**BASE, kv_heads=4)
    known = tr.decode("B200-SXM", plain, batch=1, context=1000)
    model = plain.replace(layer_embedding=256, layer_vocab=1000)
    got = tr.decode("B200-SXM", model, batch=1, context=1000)
    assert unmeasured(plain) == () and unmeasured(model) == ("embeddings of each layer",)
    assert got.error_band == math.hypot(known.error_band, UNMEASURED_BAND)
    assert (
        got.calibrated_on
        == f"{known.calibrated_on}; nothing of embeddings of each layer was measured"
    )
    sure = tr.decode("B200-SXM", model, batch=1, context=1000, fidelity="datasheet")
    assert "embeddings" not in sure.calibrated_on


def test_caches_of_compressed_layers():
    """By hand: windows of 100, one key of 64 values a token or stretch, and what waits in fp32."""
    model = single_key(
        window_layers=2, compressed_layers=3, compress_ratio=128, selected_layers=3, select_ratio=4,
        index_heads=4, index_head_dim=32, index_topk=16, o_groups=4,
    )  # fmt: skip
    assert model.index_layers == 3 and model.attention == "compressed"
    context = 12_800
    windows = 8 * 100 * 64 * 2
    keys = (3 * 100 + 3 * 3200) * 64 * 2 + 3 * 3200 * (32 + 1)
    waiting = 3 * (2 * 64 * 128 * 4) + 3 * (4 * 64 * 4 * 8) + 3 * (4 * 32 * 4 * 8)
    assert float(model.kv_bytes(context)) == windows + keys + waiting
    assert model.kv_bytes_per_token() == (3 / 128 + 3 / 4) * 64 * 2


def test_shared_caches_are_held_once_and_read_by_all():
    alone = Model(**BASE, kv_heads=4, full_layers=4, window_layers=4, window=100)
    shared = alone.replace(shared_full_layers=2, shared_window_layers=3)
    assert float(shared.kv_bytes(1000)) == (2 * 1000 + 1 * 100) * 4 * 128 * 2
    saved = 5 * 1024 * 2 * 4 * 64
    assert alone.parameters - shared.parameters == saved
    load = {"batch": 4, "context": 1000, **IDEAL}
    one, other = (tr.decode("H100-SXM", m, **load) for m in (alone, shared))
    assert one.breakdown()["operator"]["attention"] == other.breakdown()["operator"]["attention"]
    assert float(one.flops - other.flops) == 4 * 2 * saved
    idle = shared.replace(idle_kv_weights=True)
    assert idle.parameters == alone.parameters and idle.active_parameters == shared.parameters


def test_windows_may_have_other_heads():
    model = Model(
        **BASE, kv_heads=2, head_dim=128, full_layers=2, window_layers=6, window=64, window_heads=16,
        window_kv_heads=8, window_head_dim=32, window_v_head_dim=32, tied_values=True,
    )  # fmt: skip
    full = 1024 * (16 * 128 * 2 + 2 * 128)
    window = 1024 * (16 * 32 * 2 + 2 * 8 * 32)
    assert model.parameter_groups()["attention"] == 2 * full + 6 * window
    assert float(model.kv_bytes(1000)) == 2 * 1000 * 2 * 256 * 2 + 6 * 64 * 8 * 64 * 2


def test_fewer_indexers_than_layers_that_choose():
    model = tr.model("DeepSeek-V3.2")
    shared = model.replace(index_layers=20)
    each = model.parameter_groups()["index"] // 61
    assert model.parameters - shared.parameters == 41 * each
    assert float(model.kv_bytes(1000) - shared.kv_bytes(1000)) == 41 * 1000 * 132


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"compressed_layers": 2}, "compress_ratio is 0"),
        ({"selected_layers": 2, "select_ratio": 4}, "index_topk is 0"),
        ({"full_layers": 1, "window_layers": 7}, "full_layers is 1"),
        ({"window_layers": 8, "o_lora_rank": 64}, "o_groups is 0"),
    ],
)
def test_bad_shapes_are_named(change, text):
    with pytest.raises(ValueError, match=text):
        single_key(**change)
    with pytest.raises(ValueError, match="shared_full_layers is 9"):
        Model(**BASE, shared_full_layers=9)


RELEASES = {
    "DeepSeek-V4-Pro": "hyper-connections", "DeepSeek-V4-Flash": "hyper-connections",
    "Kimi-K3": "residuals over earlier results", "GLM-5.2": "", "MiniMax-M3": "chosen blocks",
    "Nemotron-3-Super": "Mamba-2", "Gemma-4-26B-A4B": "", "Gemma-4-E4B": "embeddings of each layer",
    "Gemma-3n-E4B": "embeddings of each layer", "Step-3.7-Flash": "", "Hy3": "",
    "MiMo-V2-Flash": "", "LongCat-Flash": "",
}  # fmt: skip


@pytest.mark.parametrize("device", ["B200-SXM", "H100-SXM"])
@pytest.mark.parametrize("name", RELEASES)
def test_a_step_of_each_has_a_bound_and_a_band(name, device):
    model = tr.model(name)
    plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8") if model.parameters > 1e11 else tr.Plan()
    steps = [
        tr.decode(device, model, plan, batch=16, context=32768),
        tr.prefill(device, model, plan, tokens=8192),
    ]
    for step in steps:
        parts = step.breakdown()["operator"].values()
        assert float(sum(parts)) == pytest.approx(float(step.time_s), rel=1e-9)
        assert str(step.bound) in ("memory", "compute", "launch", "communication")
        assert 0.1 < step.error_band < 1.0
        assert ("nothing of" in step.calibrated_on) == bool(RELEASES[name])
        assert RELEASES[name] in step.calibrated_on
    ideal = tr.decode(device, model, plan, batch=16, context=32768, fidelity="datasheet")
    assert float(ideal.time_s) < float(steps[0].time_s)
    # a token's products: two FLOP for each active parameter but the tables', and attention beside them
    looked_up = model.layer_vocab * model.layers * model.layer_embedding
    used = model.active_parameters - model.embedding_parameters - looked_up
    assert float(ideal.flops) > 2 * 16 * used * 0.97


@pytest.mark.parametrize("name", ["heads", "width", "index_heads", "index_head_dim"])
def test_no_heads_and_no_width_are_named(name):
    said = f"{name} is 0; allowed: "
    with pytest.raises(ValueError, match=said):
        ops.compressed_decode(
            "B200-SXM", 1, 1000, **{"heads": 8, "ratio": 4, "topk": 64} | {name: 0}
        )
    with pytest.raises(ValueError, match=said):
        ops.compressed_prefill("B200-SXM", 1, 1000, 0, **{"heads": 8} | {name: 0})
