"""Probes of CUDA devices, their code run on the CPU (tests/cuda/shim): results checked, failures told."""

import dataclasses
import json
import math
import sys
import types

import pytest
from _shim import in_place_of_the_real_one

import tokenroof as tr
from tokenroof import cuda, measure, mining
from tokenroof.cuda import probes as _cuda_probe
from tokenroof.measure import ProbeError

W = 2e-4  # window [s]


@pytest.fixture(autouse=True)
def module(monkeypatch):
    return in_place_of_the_real_one(monkeypatch)


@pytest.mark.parametrize("kind", ["fp64", "fp32", "fp16", "add32", "logic32", "shift32"])
def test_loops_in_registers_do_their_work(module, kind):
    rates, right, built = module.probe_compute(0, kind, W, 2)
    assert len(rates) == 2 and all(r > 1e5 for r in rates) and right and built
    assert module.shim.used(0) == 0


@pytest.mark.parametrize("kind", ["bf16", "fp16", "fp8", "int8"])
def test_products_of_tensor_cores(module, kind):
    """Mma is played by a stand-in; wgmma is not, which is told from its results."""
    rates, right, built = module.probe_tensor(0, kind, False, W, 2)
    assert len(rates) == 2 and all(r > 0 for r in rates) and right and built
    assert module.probe_tensor(0, kind, True, W, 2) == ([], True, False)
    module.shim.set(capability=75)
    assert module.probe_tensor(0, kind, False, W, 2) == ([], True, False)
    assert module.shim.used(0) == 0


@pytest.mark.parametrize("kind", ["read", "write", "copy", "triad", "l2", "shared"])
def test_passes_move_what_they_claim(module, kind):
    rates, right, _ = module.probe_pass(1, kind, 1 << 18, W, 3)
    assert len(rates) == 3 and all(r > 1e5 for r in rates) and right
    assert module.shim.used(1) == 0


@pytest.mark.parametrize("kind", ["to_device", "to_host", "to_peer"])
def test_copies(module, kind):
    rates, right, _ = module.probe_copy(0, kind, 1, 1 << 20, 2)
    assert len(rates) == 2 and all(r > 1e6 for r in rates) and right
    assert module.shim.used(0) == module.shim.used(1) == 0


@pytest.mark.parametrize("waited", [True, False])
def test_launches(module, waited):
    module.shim.log()
    rates, right, _ = module.probe_launch(0, waited, 2)
    assert len(rates) == 2 and all(0 < r < 1 for r in rates) and right
    launches = sum(what == "launch" for what, _ in module.shim.log())
    assert launches == 3 * (50 if waited else 500)


@pytest.mark.parametrize(
    "call",
    [lambda m: m.probe_compute(0, "fp64", W, 1), lambda m: m.probe_pass(0, "read", 1 << 16, W, 1),
     lambda m: m.probe_pass(0, "write", 1 << 16, W, 1), lambda m: m.probe_pass(0, "copy", 1 << 16, W, 1),
     lambda m: m.probe_pass(0, "triad", 1 << 16, W, 1), lambda m: m.probe_pass(0, "l2", 1 << 16, W, 1),
     lambda m: m.probe_pass(0, "shared", 1 << 16, W, 1)],
)  # fmt: skip
def test_a_loop_that_does_not_run_is_found_out(module, call):
    """Launches that do nothing, as an optimiser that sees through a loop would leave them."""
    assert call(module)[1]
    module.shim.skip(True)
    try:
        assert not call(module)[1]
    finally:
        module.shim.skip(False)


@pytest.fixture(scope="module")
def whole():
    """A device measured as a whole, which takes seconds, as whoever measures machines asks for it; what was told."""
    seen, found = [], []
    probe = cuda.probe
    with pytest.MonkeyPatch.context() as patch:
        in_place_of_the_real_one(patch)
        patch.setattr(cuda, "probe", lambda *a, **k: found.append(probe(*a, **k)) or found[0])
        device = measure.local("cuda:1", seconds=0.02, progress=lambda *told: seen.append(told))
    return found[0], device, seen


def test_a_device_as_a_whole(whole):
    got, device, seen = whole
    names = set(got.readings)
    assert names >= {
        "flops.fp64.fma", "flops.fp32.fma", "flops.fp16.fma", "flops.bf16.mma", "flops.fp8.mma", "flops.int8.mma",
        "integer.add32", "bandwidth.memory.triad", "bandwidth.l2.read", "bandwidth.shared.read", "launch.wait",
        "launch.row", "copy.to_device", "copy.to_host", "copy.to_peer.0", "hash.nonce", "hash.roll",
    }  # fmt: skip
    assert set(got.absent) == {f"flops.{k}.wgmma" for k in ("bf16", "fp16", "fp8", "int8")}
    for reading in got.readings.values():
        assert reading.low <= reading.value <= reading.high and reading.repeats >= 3
    assert got.name == "shim1" and got.index == 1 and seen[-1] == ("done", 1.0)
    assert set(got.peak) == {"fp64", "fp32", "fp16", "bf16", "fp8", "int8"}
    assert got.memory_bandwidth == max(
        r.best for n, r in got.readings.items() if n.startswith("bandwidth.memory")
    )
    json.dumps(got.as_dict())
    assert device == got.device()
    assert device.kind == "gpu" and device.sm_count == 4 and "cuda:1" in device.aliases
    assert device.memory_bandwidth == got.memory_bandwidth


def test_clock_and_watts(module, monkeypatch):
    told = types.ModuleType("pynvml")
    told.NVML_CLOCK_SM = 1
    told.nvmlInit = lambda: None
    told.nvmlDeviceGetHandleByPciBusId = lambda bus: bus
    told.nvmlDeviceGetClockInfo = lambda handle, which: 1980
    told.nvmlDeviceGetPowerUsage = lambda handle: 654_000
    told.nvmlDeviceGetEnforcedPowerLimit = lambda handle: 700_000
    monkeypatch.setitem(sys.modules, "pynvml", told)

    def on_a_gpu(probed):
        """Its readings as those of a GPU: a starved processor's are no rates that a device may have."""
        fast = {
            n: dataclasses.replace(r, best=max(r.best, 1e12)) for n, r in probed.readings.items()
        }
        return dataclasses.replace(probed, readings=fast).device()

    got = cuda.probe(0, seconds=0.1, groups=("flops", "memory"))
    assert got.clock_hz == 1.98e9 and got.watts == 654 and "NVML" in got.sensors_note
    assert got.power_limit_w == 700 and on_a_gpu(got).tdp_w == 700

    def fail():
        raise RuntimeError("no driver")

    told.nvmlInit = fail
    got = cuda.probe(0, seconds=0.02, groups=("flops", "memory"))
    assert got.clock_hz is None and got.watts is None and "no driver" in got.sensors_note
    assert got.power_limit_w is None and on_a_gpu(got).tdp_w is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "nvidia-ml-py" in _cuda_probe.Sensors("0").note


def test_wrong_results_are_refused(module, monkeypatch):
    monkeypatch.setattr(module, "probe_compute", lambda *a: ([1.0] * a[-1], False, True))
    with pytest.raises(ProbeError, match=r"flops.fp64.fma: .*optimised away"):
        cuda.probe(0, seconds=0.02)


def test_failures(module):
    module.shim.fail("launch", 719, after=3)
    with pytest.raises(RuntimeError, match="unspecified launch failure"):
        cuda.probe(0, seconds=0.02)
    module.shim.set(memory=1 << 16)
    with pytest.raises(MemoryError, match="out of memory"):
        cuda.probe(0, seconds=0.02)
    module.shim.set(driver=0)
    with pytest.raises(RuntimeError, match="no CUDA here: no NVIDIA driver"):
        cuda.probe(0)


@pytest.mark.parametrize(
    "arguments,named",
    [({"device": 2}, "device is 2"), ({"device": True}, "device is True"), ({"seconds": 0}, "seconds is 0"),
     ({"seconds": math.nan}, "seconds is nan"), ({"seconds": "x"}, "seconds is 'x'"), ({"groups": "flops"}, "groups is"),
     ({"groups": ["flop"]}, "groups has 'flop'"), ({"groups": ["flops"]}, "groups lacks")],
)  # fmt: skip
def test_bad_arguments(arguments, named):
    with pytest.raises((ValueError, TypeError), match=f"{named}.*allowed"):
        cuda.probe(**{"device": 0, "seconds": 0.1, **arguments})


def test_bad_arguments_of_the_module(module):
    with pytest.raises(ValueError, match="kind is 'fp7'; allowed: .*fp64"):
        module.probe_compute(0, "fp7", W, 1)
    with pytest.raises(ValueError, match="window"):
        module.probe_compute(0, "fp64", math.nan, 1)
    with pytest.raises(ValueError, match="repeats"):
        module.probe_launch(0, True, 0)
    with pytest.raises(ValueError, match="bytes"):
        module.probe_copy(0, "to_host", 0, 1, 1)
    assert mining.scan(bytes(80), 0, 10, 1, backend="cuda").hashes == 10  # the device works on


def test_a_device_like_any_other(whole):
    """What was measured, as models take it; its number is asked for where machines are measured."""
    device = whole[1]
    assert device.name.endswith("shim1") and device.kind == "gpu"
    step = tr.decode(device, "Qwen3-0.6B", batch=[1, 8], context=128)
    assert (step.time_s > 0).all()
    assert tr.roofline.peak(device, "bf16") > 0
    with pytest.raises(ValueError, match="device is 7"):
        measure.local("cuda:7", seconds=0.02)
