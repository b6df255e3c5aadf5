"""What users call: steps, operators, sweeps, serving; with real input and with bad input."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import _core, kernels
from tokenroof.records.calibration import Calibration

MOE = tr.Plan(tp=8, moe_ep=8, weights="fp8", kv_cache="fp8")


def test_a_decode_step():
    batch = np.arange(1, 513)
    step = tr.decode("H200-SXM", "Qwen3-235B-A22B", MOE, batch=batch, context=4096)
    assert "fields" not in step.__dict__
    assert (
        step.time_s.shape == (512,) and "fields" not in step.__dict__
    )  # one kernel of seconds alone
    assert (np.diff(step.time_s) > 0).all()
    assert np.array_equal(step.tokens_per_s, batch / step.time_s)
    assert step.bound[-1] == "memory"
    plain = tr.decode(
        "H200-SXM", "Qwen3-235B-A22B", MOE.replace(engine="trtllm"), batch=[1, 512], context=4096
    )
    assert plain.bound.tolist() == [
        "launch",
        "memory",
    ]  # gaps of 1,100 kernels, then weights and caches
    assert (step.watts < 8 * 700).all() and (step.watts > 8 * 70).all()
    parts = step.breakdown()
    for half in parts.values():
        np.testing.assert_allclose(sum(half.values()), step.time_s, rtol=1e-12)
    assert step.error_band > 0.1 and "serving points" in step.calibrated_on
    bound = tr.decode(
        "H200-SXM", "Qwen3-235B-A22B", MOE, batch=batch, context=4096, fidelity="datasheet"
    )
    assert (bound.time_s < step.time_s).all() and np.isnan(bound.error_band)
    assert step.fits.all() and "Qwen3" in repr(step)


def test_worked_example_of_a_dense_step():
    """Llama-3.1-70B on eight devices: bytes of weights and cache, batch by batch."""
    model, context = tr.model("Llama-3.1-70B"), 4096
    read = model.parameters - model.embedding_parameters - model.parameter_groups()["norms"]
    for batch, moved, work, seconds in (
        (1, 140345606144, 149740847104, 0.00523677634866), (16, 160478265344, 2395853553664, 0.00598799497552),
        (64, 224902774784, 9583414214656, 0.00839189458149), (256, 482600812544, 38333656858624, 0.0180074930054),
    ):  # fmt: skip
        nbytes = 2 * read + batch * context * model.kv_bytes_per_token("bf16")
        flops = batch * (2 * read + 4 * 80 * 64 * 128 * context)
        assert (nbytes, flops) == (moved, work)
        assert kernels.time_bound(flops, nbytes, 8 * 989.4e12, 8 * 3.35e12) == pytest.approx(
            seconds, rel=1e-11
        )
        # the step counts activations too, a few in a hundred
        step = tr.decode(
            "H100-SXM", model, tr.Plan(tp=8), batch=batch, context=context, fidelity="datasheet"
        )
        assert step.flops == pytest.approx(flops, rel=1e-9)
        assert 1.0 < step.bytes / nbytes < 1.1
        assert step.time_s > seconds * 0.999


def test_worked_example_of_a_prompt():
    step = tr.prefill("H100-SXM", "Llama-3.1-70B", tr.Plan(tp=8), tokens=2048, fidelity="datasheet")
    assert step.flops == pytest.approx(285877808922624, rel=1e-9)


def test_worked_example_of_a_mixture():
    """DeepSeek-V3 in FP8 at context 4096: weights of the experts that a batch touches."""
    model = tr.model("DeepSeek-V3")
    for batch, weights, cache, work in (
        (1, 36624596992, 287834112, 142841085952), (8, 162861763835.66, 2302672896, 1142728687616),
        (64, 584381720168.4, 18421383168, 9141829500928), (256, 669905648036.42, 73685532672, 36567318003712),
    ):  # fmt: skip
        touched = kernels.experts_touched(float(batch), 256.0, 8.0)
        groups = model.parameter_groups()
        fixed = model.parameters - groups["embedding"] - groups["norms"] - groups["experts"]
        fixed -= 58 * 256 + 61 * (1536 + 512)  # routing biases and inner norms are not matrices
        assert fixed + groups["experts"] * touched / 256 == pytest.approx(weights, rel=1e-12)
        assert batch * 4096 * model.kv_bytes_per_token("bf16") == cache
        plan = tr.Plan(tp=8, moe_ep=8, weights="fp8", kv_cache="bf16")
        step = tr.decode("H200-SXM", model, plan, batch=batch, context=4096, fidelity="datasheet")
        # projections that each rank repeats (latents, router) come on top
        assert 1.0 <= step.flops / work < 1.12


def test_rooflines_and_energy():
    """Williams 2009 and Choi 2013 with an H100's numbers."""
    peak, bw = 989.4e12, 3.35e12
    for intensity, tflops in ((1, 3.35), (2, 6.7), (64, 214.4), (295, 988.25), (512, 989.4)):
        assert tr.roofline.roof("H100-SXM", intensity) == pytest.approx(tflops * 1e12, rel=1e-12)
    assert tr.roofline.ridge("H100-SXM") == pytest.approx(295.3432835820896, rel=1e-14)
    gemm = kernels.time_bound(2147483648.0, 134742016.0, peak, bw)
    assert gemm == pytest.approx(40.2214973134e-6, rel=1e-11)
    assert kernels.ridge_point(17.6e9, 15e9) == pytest.approx(1.17333333333, rel=1e-11)
    flop, byte, idle = 0.5e-12, 30e-12, 100.0
    for intensity, seconds, joules, watts, gflops in (
        (1, 298.507462687, 60350.7462687, 202.175, 16.5698033882),
        (16, 18.6567164179, 4240.67164179, 227.3, 235.811702596),
        (60, 4.97512437811, 1497.51243781, 301, 667.774086379),
        (295.3432835820896, 1.01071356378, 702.648069537, 695.2, 1423.18757192),
        (1024, 1.01071356378, 630.368231378, 623.686328125, 1586.37436061),
    ):
        time = kernels.time_bound(1e15, 1e15 / intensity, peak, bw)
        assert time == pytest.approx(seconds, rel=1e-11)
        assert kernels.energy(1e15, 1e15 / intensity, flop, byte, idle, time) == pytest.approx(
            joules, rel=1e-11
        )
        assert kernels.roofline_power(intensity, peak, bw, flop, byte, idle) == pytest.approx(
            watts, rel=1e-11
        )
        got = kernels.flops_per_joule(intensity, peak, bw, flop, byte, idle)
        assert got / 1e9 == pytest.approx(gflops, rel=1e-11)
    capped = kernels.time_bound_capped(
        1.01071356378, (1e15 * flop + 1e15 / 295.3432835820896 * byte), 500.0
    )
    assert capped == pytest.approx(1.20315342632, rel=1e-11)
    share = 0.831847990583487
    at = kernels.effective_energy_balance(85.2401444626586, 295.3432835820896, 60.0, share)
    assert at == pytest.approx(85.2401444626586, rel=1e-12)


def test_collectives_of_the_literature():
    """n = 8, alpha = 3 us, 450 GB/s; 64 MiB and 32 KiB."""
    for kernel, large, small in (
        ("all_reduce_ring", 302.978915556, 42.1274311111), ("reduce_scatter", 151.489457778, 21.0637155556),
        ("all_gather", 151.489457778, 21.0637155556), ("all_reduce_one_shot", 1046.91566222, 3.50972444444),
        ("all_reduce_two_shot", 266.978915556, 6.12743111111),
    ):  # fmt: skip
        for nbytes, want in ((64 * 2**20, large), (32 * 2**10, small)):
            got = getattr(kernels, kernel)(float(nbytes), 8.0, 3e-6, 450e9)
            assert got * 1e6 == pytest.approx(want, rel=1e-11)
    assert kernels.all_reduce(32 * 2.0**10, 8.0, 3e-6, 450e9) * 1e6 == pytest.approx(
        3.50972444444, rel=1e-11
    )


def test_operators():
    ops = tr.operators
    m = np.array([1, 16, 256, 4096, 16384])
    gemm = ops.gemm("H100-SXM", m, 8192, 8192)
    assert gemm.time_s.shape == (5,) and gemm.bound[0] == "memory" and gemm.bound[-1] == "compute"
    assert (gemm.watts <= 700).all() and (gemm.error_band > 0).all() and gemm.calibrated_on
    assert np.array_equal(gemm.flops, 2.0 * m * 8192 * 8192)
    narrow = ops.gemm("H100-SXM", 4096, 8192, 8192, dtype="fp8")
    assert narrow.time_s < gemm.time_s[3]
    full = ops.attention_decode("H200-SXM", 32, 8192, 64, 8, 128, fidelity="datasheet")
    windowed = ops.attention_decode(
        "H200-SXM", 32, 8192, 64, 8, 128, window=128, fidelity="datasheet"
    )
    assert windowed.time_s < full.time_s / 30
    assert (
        ops.attention_prefill("H200-SXM", 1, 4096, 0, 32, 8, 128).flops
        == 2 * 32 * 256 * 4096 * 4097 / 2
    )
    assert ops.mla_decode("H200-SXM", 32, 4096, 128).bytes > 32 * 4096 * 576 * 2
    assert ops.mla_prefill("H200-SXM", 1, 4096, 0, 128, fidelity="datasheet").bound == "compute"
    one, all_ = (
        ops.experts("H200-SXM", t, 7168, 2048, 256, 8, moe_ep=8, fidelity="datasheet")
        for t in (1, 4096)
    )
    assert one.bytes < all_.bytes / 20
    for name in ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send"):
        got = getattr(ops, name)("H100-SXM", 8, [2**10, 2**30], engine="nccl")
        assert got.bound[1] == "communication" and got.time_s[0] < got.time_s[1]
        assert getattr(ops, name)("H100-SXM", 1, 2**20, fidelity="datasheet").time_s >= 0


def test_a_sweep():
    table = tr.sweep(["H100-SXM", "B200-SXM", "Instinct MI300X"], ["Llama-3.1-8B", "Llama-3.1-405B"],
                     [tr.Plan(), tr.Plan(tp=8, weights="fp8")], batch=[1, 32], context=[512, 8192])  # fmt: skip
    assert dict(table.sizes) == {"device": 3, "model": 2, "plan": 2, "batch": 2, "context": 2}
    assert table.time_s.attrs["units"] == "s" and all("units" in table[v].attrs for v in table)
    # too large for one device: not an error, and no number
    alone = table.sel(model="Llama-3.1-405B").isel(plan=0)
    assert (
        not alone.fits.any() and np.isnan(alone.time_s).all() and np.isnan(alone.tokens_per_s).all()
    )
    small = table.sel(model="Llama-3.1-8B", device="H100-SXM").isel(plan=0, batch=1, context=0)
    want = tr.decode("H100-SXM", "Llama-3.1-8B", batch=32, context=512)
    assert float(small.time_s) == want.time_s and float(small.tokens_per_s) == want.tokens_per_s
    every = tr.sweep(["H100-SXM"], ["Llama-3.1-8B"], fields=True)
    assert set(_core.STEP_FIELDS) - {"time"} <= set(every) and every.watts.attrs["units"] == "W"


def test_serving_curves():
    table = tr.serving.curve("H200-SXM", "Llama-3.1-70B", tr.Plan(tp=8, weights="fp8", kv_cache="fp8"),
                             concurrency=[1, 4, 16, 64, 256])  # fmt: skip
    for name in ("ttft_s", "tpot_s", "interactivity", "output_throughput", "input_throughput",
                 "total_throughput", "per_device", "watts", "output_tokens_per_joule",
                 "output_tokens_per_s_per_mw", "fits"):  # fmt: skip
        assert table[name].attrs["units"]
    assert (np.diff(table.output_throughput) > 0).all() and (np.diff(table.interactivity) < 0).all()
    np.testing.assert_allclose(table.interactivity * table.tpot_s, 1)
    assert (table.tpot_low_s < table.tpot_s).all() and (table.tpot_s < table.tpot_high_s).all()
    assert table.attrs["provisioned_w_per_device"] == 1730
    np.testing.assert_allclose(
        table.output_tokens_per_s_per_mw, table.output_throughput / (8 * 1730) * 1e6
    )
    huge = tr.serving.curve("L4", "Llama-3.1-8B", concurrency=[1, 10_000])
    assert (
        huge.fits.all() and huge.batch[1] < 100 and huge.queue_s[0] == 0 and huge.queue_s[1] > 100
    )
    heavy = tr.serving.curve("L4", "Llama-3.1-70B", concurrency=[1])
    assert not heavy.fits.any() and np.isnan(heavy.tpot_s[0])


def test_a_frontier():
    front = tr.serving.frontier("B200-SXM", "gpt-oss-120b", input_tokens=1024, output_tokens=1024)
    assert (np.diff(front.interactivity) > 0).all()
    assert (np.diff(front.output_tokens_per_s_per_mw) < 0).all()
    assert set(front.devices.values) <= {1, 2, 4, 8} and front.attrs["plans_tried"] > 4
    # nothing that was tried beats it
    plan = tr.Plan(tp=4, weights="nvfp4", kv_cache="fp8", moe_ep=4)
    one = tr.serving.curve("B200-SXM", "gpt-oss-120b", plan, concurrency=[64])
    faster = front.where(front.interactivity >= one.interactivity.values[0], drop=True)
    assert (
        faster.output_tokens_per_s_per_mw.max() >= one.output_tokens_per_s_per_mw.values[0] * 0.95
    )
    none = tr.serving.frontier("T4", "DeepSeek-V3", devices_max=1)
    assert none.sizes["point"] == 0


def _decode(**changes):
    return tr.decode(
        **{"device": "H100-SXM", "model": "Llama-3.1-8B", "batch": 1, "context": 10, **changes}
    )


@pytest.mark.parametrize(
    "call,error,named",
    [(lambda: _decode(device="H20O"), KeyError, "unknown device 'H20O'; did you mean 'H200-SXM'"),
     (lambda: _decode(model="Lama-3.1-8B"), KeyError, "did you mean 'Llama-3.1-8B'"),
     (lambda: _decode(device=3), TypeError, "device is 3"),
     (lambda: _decode(plan="tp8"), TypeError, "plan is 'tp8'"),
     (lambda: _decode(batch=-1), ValueError, "batch is -1; allowed"),
     (lambda: _decode(batch=[1, np.nan]), ValueError, r"batch\[1\] is nan; allowed"),
     (lambda: _decode(context=[5, -2]), ValueError, r"context\[1\] is -2; allowed"),
     (lambda: _decode(batch="many"), TypeError, "batch is 'many'; allowed"),
     (lambda: _decode(fidelity="guess"), ValueError, "fidelity is 'guess'; allowed"),
     (lambda: _decode(plan=tr.Plan(tp=3)), ValueError, "tp is 3 for Llama-3.1-8B; allowed"),
     (lambda: _decode(model="Mixtral-8x7B", plan=tr.Plan(dp=16)), ValueError, "moe_ep is 16 for Mixtral-8x7B"),
     (lambda: _decode(plan=tr.Plan(pp=64)), ValueError, "pp is 64 for Llama-3.1-8B; allowed"),
     (lambda: _decode(device="L40S", plan=tr.Plan(tp=16)), ValueError, "plan has 16 devices; allowed"),
     (lambda: _decode(device=tr.Device(name="x", memory_bandwidth=1e12, peak={"fp8": 1e15}), model="GPT-2"),
      ValueError, "dtype is 'bf16' on x"),
        (lambda: tr.Plan(tp=0), ValueError, "tp is 0; allowed: a positive integer"),
     (lambda: tr.Plan(tp=1.5), ValueError, "tp is 1.5; allowed"),
     (lambda: tr.Plan(pp=True), ValueError, "pp is True; allowed"),
     (lambda: tr.Plan(cp="2"), ValueError, "cp is '2'; allowed"),
     (lambda: tr.Plan(tp=4, moe_ep=3), ValueError, "moe_ep is 3; allowed: a divisor"),
     (lambda: tr.Plan(tp=4, moe_tp=4, moe_ep=4), ValueError, "allowed: a product equal to tp . dp = 4"),
     (lambda: tr.Plan(weights="fp5"), ValueError, "weights is 'fp5'; allowed: fp32"),
     (lambda: tr.Plan(kv_cache=None), ValueError, "kv_cache is None; allowed"),
     (lambda: tr.Plan(engine="mine"), ValueError, "engine is 'mine'; allowed"),
     (lambda: tr.prefill("H100-SXM", "Llama-3.1-8B", tokens=-5), ValueError, "tokens is -5; allowed"),
     (lambda: tr.prefill("H100-SXM", "Llama-3.1-8B", tokens=5, past=-1), ValueError, "past is -1; allowed"),
     (lambda: tr.sweep([], ["Llama-3.1-8B"]), ValueError, "devices is empty"),
     (lambda: tr.sweep(["H100-SXM"], ["Llama-3.1-8B"], batch=[[1]]), ValueError, "batch has 2 dimensions"),
     (lambda: tr.serving.curve("H100-SXM", "Llama-3.1-8B", concurrency=[0]), ValueError, r"concurrency is 0"),
     (lambda: tr.serving.curve("H100-SXM", "Llama-3.1-8B", input_tokens=0), ValueError, "input_tokens is 0"),
     (lambda: tr.serving.frontier("H100-SXM", "Llama-3.1-8B", devices_max=0), ValueError, "devices_max is 0"),
     (lambda: tr.operators.gemm("H100-SXM", -1, 1, 1), ValueError, "m is -1; allowed"),
     (lambda: tr.operators.gemm("H100-SXM", 1, 1, 1, dtype="x"), ValueError, "dtype is 'x'; allowed"),
     (lambda: tr.operators.gemm("H100-SXM", 1, 1, 1, engine="x"), ValueError, "engine is 'x'; allowed"),
     (lambda: tr.operators.experts("H100-SXM", 1, 8, 8, 4, 5), ValueError, "topk is 5; allowed"),
     (lambda: tr.operators.experts("H100-SXM", 1, 8, 8, 4, 1, skew=-1.0), ValueError, "skew is -1.0; allowed"),
     (lambda: tr.operators.all_reduce("H100-SXM", 0.5, 8), ValueError, "ranks is 0.5; allowed"),
     (lambda: Calibration(compute={"gem": 1.0}), ValueError, "compute has the key 'gem'; allowed"),
     (lambda: Calibration(compute={"gemm": 0.0}), ValueError, "allowed: a number > 0"),
     (lambda: Calibration(launch_s=-1.0), ValueError, "launch_s is -1.0; allowed"),
     (lambda: tr.roofline.peak("H100-SXM", "fp3"), ValueError, "dtype is 'fp3'; allowed")],
)  # fmt: skip
def test_bad_input_is_named(call, error, named):
    with pytest.raises(error, match=named):
        call()


def test_the_last_names_of_the_surface():
    assert callable(tr.device) and callable(tr.model) and callable(tr.miner)
    for name in tr.__all__:
        assert getattr(tr, name) is not None
    assert "sweep" in dir(tr)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tr.nothing  # noqa: B018
