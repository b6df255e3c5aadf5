"""Sparse attention, recurrent mixers, grouped products and kernels that move data: known answers and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from _support import BY_ISA, constants_of, every_isa, same
from tokenroof import _core, kernels, reference

ops = tr.operators
IDEAL = {"fidelity": "datasheet"}


# --- known answers --------------------------------------------------------------------------------------


def test_the_indexer_of_deepseek_v3_2():
    """arXiv:2512.02556, section 2.1: O(L) scores of 64 heads of 128, then 2,048 keys of 576 for 128 heads."""
    context = np.array([1024.0, 2048.0, 131072.0])
    got = ops.sparse_decode("H200-SXM", 1, context, 128, **IDEAL)
    per_key, per_pair = 2 * 64 * 128, 2 * 128 * (576 + 512)
    assert np.array_equal(got.flops, per_key * context + per_pair * np.minimum(context, 2048))
    assert per_pair / per_key == 17  # dense attention does 17 times the indexer's work per key
    # a key of the indexer: 128 bytes and a scale of 4 (flashinfer-bench: head_dim_with_scale = 132), a score
    # written and read; a query: 64 heads of 128 bytes with a weight, 2,048 places out
    keys = 576 * 2 * np.minimum(context, 2048) + 128 * (576 + 512) * 2
    index = (132 + 8) * context + 64 * (128 + 4) + 4 * 2048
    assert np.array_equal(got.bytes, keys + index)
    dense = ops.mla_decode("H200-SXM", 1, 131072, 128, **IDEAL)
    assert got.flops[2] < dense.flops / 13
    # the cache of a layer: a latent and a key of the indexer
    model = tr.model("DeepSeek-V3.2")
    assert (model.index_heads, model.index_head_dim, model.index_topk) == (64, 128, 2048)
    assert model.kv_bytes(1000, "bf16") == 61 * 1000 * (576 * 2 + 132)
    assert model.kv_bytes(1000, "fp8") == 61 * 1000 * (576 + 132)


def test_prompts_of_sparse_attention_mask_when_short_and_choose_when_long():
    tokens = np.array([512.0, 2048.0, 65536.0])
    got = ops.sparse_prefill("H200-SXM", 1, tokens, 0, 128, **IDEAL)
    index = 2 * 64 * 128 * tokens * (tokens + 1) / 2
    masked = ops.mla_prefill("H200-SXM", 1, tokens, 0, 128, **IDEAL)
    assert np.array_equal(got.flops[:2], (masked.flops + index)[:2])
    chosen = 2 * 128 * (576 + 512) * (2048 * 2049 / 2 + (65536 - 2048) * 2048)
    assert got.flops[2] == chosen + index[2] < masked.flops[2]


def test_the_state_of_qwen3_next():
    """32 value heads of 128 x 128 in fp32 (its config.json), whatever the context: 2 MiB a layer."""
    model = tr.model("Qwen3-Next-80B-A3B")
    shape = (model.linear_key_heads, model.linear_key_dim, model.linear_value_heads,
             model.linear_value_dim, model.linear_conv)  # fmt: skip
    assert shape == (16, 128, 32, 128, 4) and (model.linear_layers, model.full_layers) == (36, 12)
    state, tail = 4 * 32 * 128 * 128, 2 * 4 * (2 * 16 * 128 + 32 * 128)
    assert state == 2 * 2**20
    assert model.kv_bytes(0) == 36 * (state + tail)
    assert model.kv_bytes(1000) - model.kv_bytes(0) == 12 * 1000 * 2 * 2 * 256 * 2
    step = ops.gated_delta_decode("H200-SXM", 8, *shape, **IDEAL)
    # arXiv:2412.06464, equation 10: decay 1, S k 2, rank one 2, S q 2 a cell
    assert step.flops == 8 * 7 * 32 * 128 * 128
    inputs, gates = 2 * 8192 + 2 * 4096, 4 * 8192 + 6 * 4096
    assert step.bytes == 8 * (2 * (state + tail) + inputs + gates)
    assert step.bound == "memory"


def test_a_chunk_of_the_delta_rule():
    """arXiv:2406.06484, section 3.2: the products of one chunk of 64, counted one by one."""
    c, k, v = 64, 128, 128
    products = [
        (c, c, k),
        (c, k, c),
        (c, v, c),
        (c, v, k),
        (c, v, k),
        (c, c, k),
        (c, v, c),
        (k, v, c),
    ]
    chunk = (
        sum(2 * m * n * inner for m, n, inner in products) + c**3 / 3
    )  # and a triangle's inverse
    got = ops.gated_delta_prefill("H200-SXM", 1, 64 * 100, **IDEAL)
    assert got.flops == pytest.approx(100 * 32 * chunk, rel=1e-14)
    # smaller chunks do less inside, and the recurrence is their limit in order of magnitude
    less = ops.gated_delta_prefill("H200-SXM", 1, 6400, chunk=16, **IDEAL)
    assert 6 / 7 < less.flops / (6400 * 7 * 32 * 128 * 128) < got.flops / less.flops


def test_the_state_of_mamba_2():
    """arXiv:2405.21060: 2.7B has 80 heads of 64 and a state of 128; section 6 for a chunk's four blocks."""
    heads, p, n, q = 80, 64, 128, 256
    step = ops.mamba2_decode("H200-SXM", 1, heads, p, 1, n, **IDEAL)
    assert step.flops == 5 * heads * p * n
    channels = heads * p + 2 * n
    kept = 4 * heads * p * n + 2 * 4 * channels
    assert step.bytes == 2 * kept + 2 * channels + 2 * heads * p + 4 * channels + 6 * heads * p
    inside = 2 * q * q * n + heads * 2 * q * q * p  # C B' once, its product with x per head
    states = heads * (2 * q * n * p + 2 * q * n * p + 2 * n * p)
    got = ops.mamba2_prefill("H200-SXM", 1, 10 * q, heads, p, 1, n, chunk=q, **IDEAL)
    assert got.flops == pytest.approx(10 * (inside + states), rel=1e-14)
    model = tr.model("Nemotron-3-Nano")
    assert model.kv_bytes(0) == model.mamba_layers * (
        4 * model.mamba_heads * model.mamba_head_dim * model.mamba_state
        + 2 * model.mamba_conv
        * (model.mamba_heads * model.mamba_head_dim + 2 * model.mamba_groups * model.mamba_state)
    )  # fmt: skip


def test_multi_query_attention_reads_one_head():
    """Shazeer, arXiv:1911.02150: Falcon's 71 query heads share one key and one value."""
    one, all_ = (ops.attention_decode("H100-SXM", 4, 2048, 71, kv, 64, **IDEAL) for kv in (1, 71))
    assert one.flops == all_.flops == 4 * 2048 * 4 * 71 * 64
    assert one.bytes == 4 * (2048 * 2 * 64 * 2 + 71 * 2 * 64 * 2)
    assert all_.bytes == 4 * (2048 * 71 * 2 * 64 * 2 + 71 * 2 * 64 * 2)


def test_kernels_that_move_data():
    for got, nbytes in (
        (ops.norm("H100-SXM", 10, 4096, **IDEAL), 10 * 4096 * 8),
        (ops.norm("H100-SXM", 10, 4096, residual=False, **IDEAL), 10 * 4096 * 4),
        (ops.rotary("H100-SXM", 10, 32, 8, 128, **IDEAL), 10 * (4 * 40 * 128 + 4 * 16 * 128)),
        (ops.activation("H100-SXM", 10, 14336, **IDEAL), 10 * 6 * 14336),
        (ops.activation("H100-SXM", 10, 14336, 2, **IDEAL), 10 * 4 * 14336),
        (ops.quantise("H100-SXM", 10, 4096, "nvfp4", **IDEAL), 10 * 4096 * 2.5625),
        (ops.quantise("H100-SXM", 10, 4096, "bf16", **IDEAL), 0),
        (ops.sampling("H100-SXM", 10, 128256, **IDEAL), 10 * 18 * 128256),
    ):
        assert got.bytes == nbytes and got.flops == 0
        assert got.time_s == pytest.approx(nbytes / 3.35e12, rel=1e-14)
    assert ops.head("H100-SXM", 7, 8192, 128256, **IDEAL).flops == 2 * 7 * 8192 * 128256


def test_a_cache_moves_between_pools():
    got = ops.kv_transfer("H200-SXM", "Llama-3.1-70B", [1, 8192], "fp8", devices=8, **IDEAL)
    assert np.array_equal(got.bytes, np.array([1, 8192]) * 80 * 2 * 8 * 128 / 8)
    network = tr.device("H200-SXM").node_link_bandwidth
    np.testing.assert_allclose(got.time_s, got.bytes / network, rtol=1e-14)
    inside = ops.kv_transfer("H200-SXM", "Llama-3.1-70B", 8192, "fp8", 8, "domain", **IDEAL)
    assert inside.time_s < got.time_s[1] and inside.watts < 200  # no memory is moved by it


# --- one formula, one place -----------------------------------------------------------------------------


@pytest.mark.parametrize("tp", [1, 4])
@pytest.mark.parametrize("name", ["Qwen3-Next-80B-A3B", "Nemotron-3-Nano"])
def test_a_step_holds_the_operators_of_its_recurrent_layers(name, tp):
    device, model, plan = tr.device("H200-SXM"), tr.model(name), tr.Plan(tp=tp)
    if model.linear_layers:
        layers, kind = model.linear_layers, "gated_delta"
        shape = (model.linear_key_heads / tp, model.linear_key_dim, model.linear_value_heads / tp,
                 model.linear_value_dim, model.linear_conv)  # fmt: skip
        k, v = shape[0] * shape[1], shape[2] * shape[3]
        columns, out = 2 * k + 2 * v + 2 * shape[2], v
    else:
        layers, kind = model.mamba_layers, "mamba2"
        shape = (model.mamba_heads / tp, model.mamba_head_dim, model.mamba_groups / tp,
                 model.mamba_state, model.mamba_conv)  # fmt: skip
        out = shape[0] * shape[1]
        columns = 2 * out + 2 * shape[2] * shape[3] + shape[0]

    def products(m):
        return sum(
            ops.gemm(device, m, n, k, **IDEAL).time_s
            for n, k in ((columns, model.hidden), (model.hidden, out))
        )

    at = _core.STEP_FIELDS.index("linear_attention_s")
    records = [device.pack(), tr.Calibration.ideal().pack(), model.pack(), plan.pack()]
    step = kernels.decode_step(*records, 48.0, 5000.0)
    mixer = getattr(ops, f"{kind}_decode")(device, 48, *shape, **IDEAL)
    assert step[at] == pytest.approx(layers * (mixer.time_s + products(48)), rel=1e-12)
    prompt = kernels.prompts_step(*records, 3.0, 3000.0, 70.0)
    mixer = getattr(ops, f"{kind}_prefill")(device, 3, 3000, *shape, **IDEAL)
    assert prompt[at] == pytest.approx(layers * (mixer.time_s + products(9000)), rel=1e-12)


@pytest.mark.parametrize("fidelity", ["datasheet", "measured"])
@pytest.mark.parametrize("name", ["DeepSeek-V3.2", "GLM-5"])
def test_a_step_holds_the_operators_of_its_sparse_layers(name, fidelity):
    device, model, plan = tr.device("H200-SXM"), tr.model(name), tr.Plan(tp=8)
    blocks = {b: constants_of(b, 3) for b in ("mla_decode", "mla_prefill")}
    record = tr.Calibration(constants={} if fidelity == "datasheet" else blocks, whole=True)
    heads, index = model.heads / 8, (model.index_topk, model.index_heads, model.index_head_dim)
    widths = (model.nope_head_dim, model.rope_head_dim, model.v_head_dim, model.kv_lora_rank)
    at = _core.STEP_FIELDS.index("attention_s")
    records = [device.pack(), record.pack(), model.pack(), plan.pack()]

    def alone(operator):
        launch = operator.fields[..., _core.OPERATOR_FIELDS.index("launch_s")]
        return model.full_layers * (operator.time_s - launch)

    for context in (1000.0, 90000.0):
        step = kernels.decode_step(*records, 48.0, context)
        mixer = ops.sparse_decode(
            device, 48, context, heads, *index, *widths[3:], model.rope_head_dim, fidelity=record
        )
        assert step[at] == pytest.approx(alone(mixer), rel=1e-12)
        prompt = kernels.prompts_step(*records, 2.0, context, 70.0)
        mixer = ops.sparse_prefill(device, 2, context, 70, heads, *index, *widths, fidelity=record)
        assert prompt[at] == pytest.approx(alone(mixer), rel=1e-12)


def test_two_grouped_products_are_the_experts_but_for_what_is_around_them():
    constants = constants_of("experts", 5)
    around = dict.fromkeys(("touched", "held"), 0.0) | dict.fromkeys(
        ("local", "routed", "token"), 1e30
    )
    record = tr.Calibration(constants={"experts": constants | around})
    shape = {"experts": 128, "topk": 8, "moe_ep": 4, "dtype": "fp8", "fidelity": record}
    for skew in ("balanced", "random", 1.2):
        tokens = np.array([0.0, 1.0, 100.0, 5000.0])
        both = ops.experts("H200-SXM", tokens, 4096, 1536, skew=skew, **shape)
        up, down = (
            ops.grouped_gemm("H200-SXM", tokens, n, k, skew=skew, **shape)
            for n, k in ((2 * 1536, 4096), (4096, 1536))
        )
        np.testing.assert_allclose(up.time_s + down.time_s, both.time_s, rtol=1e-12)
        np.testing.assert_allclose(up.flops + down.flops, both.flops, rtol=1e-12)
        np.testing.assert_allclose(up.bytes + down.bytes, both.bytes, rtol=1e-12)


# --- the twins with measured constants ------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["sparse_decode", "sparse_prefill"])
@given(data=st.data())
@every_isa
def test_measured_forms_equal_the_reference(isa, operator, data):
    draw = data.draw
    device = tr.device(draw(st.sampled_from(["H100-SXM", "B300-SXM", "L40S"]))).pack()
    block = operator.replace("sparse", "mla")
    record = tr.Calibration(
        constants={block: constants_of(block, draw(st.integers(0, 10**6)))}
    ).pack()
    amounts = [draw(st.floats(0, 2e5) | st.integers(0, 9000).map(float)) for _ in range(3)]
    heads, topk = float(draw(st.integers(1, 128))), float(draw(st.sampled_from([1, 512, 2048])))
    kv = float(_core.DTYPES.index(draw(st.sampled_from(["bf16", "fp8"]))))
    given_ = (
        (*amounts[:2], heads, 512.0, 64.0, topk, 64.0, 128.0, kv)
        if operator == "sparse_decode"
        else (*amounts, heads, 128.0, 64.0, 128.0, 512.0, topk, 64.0, 128.0, 2.0, kv)
    )
    got = BY_ISA[isa][f"{operator}_operator"](device, record, *given_)
    want = getattr(reference, f"{operator}_operator")(device, record, *given_)
    assert same(got, [want[field] for field in _core.OPERATOR_FIELDS])


@given(seed=st.integers(0, 10**6), tokens=st.floats(0, 1e5) | st.integers(0, 4096).map(float),
       n=st.integers(1, 20000), k=st.integers(1, 20000), skew=st.sampled_from([-1.0, 0.0, 1.01]),
       ep=st.sampled_from([1.0, 8.0]))  # fmt: skip
@every_isa
def test_measured_grouped_products_equal_the_reference(isa, seed, tokens, n, k, skew, ep):
    device = tr.device("B200-SXM").pack()
    record = tr.Calibration(constants={"experts": constants_of("experts", seed)}).pack()
    given_ = (tokens, float(n), float(k), 256.0, 8.0, ep, skew, 4.0)
    got = BY_ISA[isa]["grouped_gemm_operator"](device, record, *given_)
    want = reference.grouped_gemm_operator(device, record, *given_)
    want = [want[field] for field in _core.OPERATOR_FIELDS]
    assert same(got, want) if skew < 0.0 else np.allclose(got, want, rtol=1e-8, atol=0.0)


# --- laws -----------------------------------------------------------------------------------------------


@given(batch=st.integers(1, 256), context=st.integers(1, 300000), more=st.integers(1, 100000),
       heads=st.sampled_from([8, 16, 128]), fidelity=st.sampled_from(["datasheet", "calibrated"]))  # fmt: skip
def test_sparse_attention_grows_with_the_context_and_is_never_above_indexer_and_dense(
    batch, context, more, heads, fidelity
):
    short, long = ops.sparse_decode(
        "H200-SXM", batch, [context, context + more], heads, engine="trtllm", fidelity=fidelity
    ).time_s
    assert short <= long * (1 + 1e-12)
    got = ops.sparse_prefill(
        "B200-SXM", 1, context, more, heads, engine="trtllm", fidelity=fidelity
    )
    dense = ops.mla_prefill("B200-SXM", 1, context, more, heads, engine="trtllm", fidelity=fidelity)
    nothing = ops.sparse_prefill(
        "B200-SXM", 1, context, more, heads, topk=1e9, engine="trtllm", fidelity=fidelity
    )
    assert got.time_s <= nothing.time_s * (1 + 1e-12)
    assert dense.time_s <= nothing.time_s * (1 + 1e-12)


def test_what_was_not_measured_says_so():
    for got in (
        ops.sparse_decode("H200-SXM", 8, 8192, 128), ops.gated_delta_decode("H200-SXM", 8),
        ops.mamba2_prefill("H200-SXM", 1, 1024, 64), ops.norm("H200-SXM", 8, 4096),
        ops.grouped_gemm("H200-SXM", 8, 4096, 4096, 64, 4),
    ):  # fmt: skip
        assert (got.error_band >= 0.6).all() and "itself was measured" in got.calibrated_on
        assert 0 < got.watts < 700 and got.time_s > 2e-6  # a launch at least
    measured = ops.mla_decode("H200-SXM", 8, 8192, 128)
    assert "itself" not in measured.calibrated_on


def test_links_move_no_memory():
    busy = ops.all_reduce("H200-SXM", 8, 2**30)
    assert busy.watts == pytest.approx(float(tr.power.board_power("H200-SXM")), rel=1e-12)


@pytest.mark.parametrize(
    "call,error,named",
    [(lambda: ops.sparse_decode("H100-SXM", 1, 1, 1, topk=0), ValueError, "topk is 0; allowed"),
     (lambda: ops.sparse_prefill("H100-SXM", 1, -1, 0, 1), ValueError, "tokens is -1; allowed"),
     (lambda: ops.sparse_decode("H100-SXM", 1, 1, 1, kv_dtype="x"), ValueError, "kv_dtype is 'x'"),
     (lambda: ops.gated_delta_prefill("H100-SXM", 1, 1, chunk=0), ValueError, "chunk is 0; allowed"),
     (lambda: ops.gated_delta_decode("H100-SXM", np.nan), ValueError, "batch is nan; allowed"),
     (lambda: ops.mamba2_decode("H100-SXM", 1, 0), ValueError, "heads is 0; allowed"),
     (lambda: ops.mamba2_prefill("H100-SXM", 1, "a", 8), TypeError, "tokens is 'a'; allowed"),
     (lambda: ops.norm("H100-SXM", -1, 8), ValueError, "tokens is -1; allowed"),
     (lambda: ops.activation("H100-SXM", 1, 8, 4), ValueError, "matrices is 4; allowed: 2 or 3"),
     (lambda: ops.quantise("H100-SXM", 1, 8, "fp3"), ValueError, "dtype is 'fp3'; allowed"),
     (lambda: ops.sampling("H100-SXM", 1, np.inf), ValueError, "vocab is inf; allowed"),
     (lambda: ops.grouped_gemm("H100-SXM", 1, 8, 8, 4, 5), ValueError, "topk is 5; allowed"),
     (lambda: ops.kv_transfer("H100-SXM", "GPT-2", 1, across="rack"), ValueError, "across is 'rack'"),
     (lambda: ops.kv_transfer("L40S", "GPT-2", 1), ValueError, "across is 'nodes' on L40S"),
     (lambda: ops.kv_transfer("H100-SXM", "GPT-2", 1, devices=0), ValueError, "devices is 0")],
)  # fmt: skip
def test_bad_input_is_named(call, error, named):
    with pytest.raises(error, match=named):
        call()
