"""This machine as a device: remembered, and used by the models like any other."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import measure
from tokenroof.measure import kept as _local
from tokenroof.records.calibration import Calibration
from tokenroof.support.sampling import Reading

DAY = "2026-11-25"
PEAK, BANDWIDTH = 100e9, 40e9
# GFLOP/s of products by rows, tall weights and wide ones
TALL = {1: 8.0, 2: 8.0, 8: 30.0, 64: 80.0, 512: 90.0}
WIDE = {1: 10.0, 2: 12.0, 8: 36.0, 64: 84.0, 512: 90.0}


def reading(value: float, unit: str) -> Reading:
    return Reading(value, value, value, value, 0.01, 9, unit, DAY)


def made(**changes: Any) -> measure.Machine:
    """A machine of round numbers."""
    rates = {
        "flops.fp64.generic": (PEAK / 2, "FLOP/s"), "flops.fp32.generic": (PEAK, "FLOP/s"),
        "clock": (3e9, "Hz"), "bandwidth.memory.read.1": (BANDWIDTH, "B/s"),
        "bandwidth.memory.triad.1": (30e9, "B/s"), "attention.fp32": (20e9, "B/s"),
        "gated.fp32": (1e-9, "s"), "cost.product": (1e-6, "s"), "hash.core": (4e7, "hash/s"), "hash.roll": (5e7, "hash/s"),
        "hash.all": (3.9e7, "hash/s"),
    }  # fmt: skip
    for shape, row in (("4096x1024", TALL), ("1024x4096", WIDE)):
        rates |= {f"product.fp32.{m}x{shape}": (v * 1e9, "FLOP/s") for m, v in row.items()}
    values: dict[str, Any] = {
        "name": "Abacus", "cores": 1, "hash_backend": "scalar", "memory_bytes": 64e9, "cache_bytes": 32e6,
        "watts_note": "unknown: none", "date": DAY, "seconds": 1.0,
        "readings": {name: reading(*value) for name, value in rates.items()},
    }  # fmt: skip
    return measure.Machine(**{**values, **changes})


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own, and a machine that takes no time to measure."""
    monkeypatch.setenv("TOKENROOF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(_local, "_known", {})
    monkeypatch.setattr(_local, "machine", lambda *arguments: made())
    return tmp_path / "cache"


# --- as a device ------------------------------------------------------------------------------------


def test_the_models_take_it(cache: Path) -> None:
    device = tr.device("local")
    assert (
        device.kind == "cpu"
        and device.peak["fp32"] == PEAK
        and device.memory_bandwidth == BANDWIDTH
    )
    assert pickle.loads(pickle.dumps(device)) == device
    plan = tr.Plan(weights="fp32", activations="fp32", kv_cache="fp32")
    for fidelity in ("calibrated", "datasheet"):
        step = tr.decode("local", "GPT-2", plan, batch=[1, 8, 64], context=512, fidelity=fidelity)
        assert (np.diff(step.time_s) > 0).all() and step.bound[0] == "memory"
        # watts of a machine without an energy counter are those of its kind, or unknown
        assert step.time_s.shape == step.watts.shape == (3,)
    assert "on this machine" in tr.decode("local", "GPT-2", plan).calibrated_on
    borrowed = tr.decode("local", "GPT-2")
    assert borrowed.error_band > 0.5 and "borrowed for bf16" in borrowed.calibrated_on
    assert tr.decode("local", "GPT-2", plan).error_band == 0.15
    assert tr.prefill("Local", "GPT-2", plan, tokens=512).bound == "compute"
    assert tr.mixed("local", "GPT-2", plan, batch=4, context=64, tokens=64).time_s > 0
    table = tr.sweep(["local", "H100-SXM"], ["GPT-2"], [plan], batch=[1, 8], context=[128])
    assert (table.time_s > 0).all() and table.sizes["device"] == 2
    assert (tr.serving.curve("local", "GPT-2", plan, 512, 128, [1, 4]).tpot_s > 0).all()
    assert tr.roofline.ridge("local", "fp32") == PEAK / BANDWIDTH
    assert tr.operators.attention_decode(
        "local", 1, 1024, 16, 16, 64, kv_dtype="fp32"
    ).time_s == pytest.approx(2 * 16 * 64 * 1024 * 4 / 20e9, rel=0.01)


def test_hashes_of_a_measured_device(cache: Path) -> None:
    assert tr.mining.hashrate("local") == 4e7 and tr.mining.hashrate("local", "roll") == 5e7
    with pytest.raises(ValueError, match="mode is 'spin'; allowed: nonce, roll"):
        tr.mining.hashrate("local", "spin")
    assert tr.mining.hashrate(made(cores=8, readings=_on(8)).device()) == 8 * 4e7
    # without a probe of hashes, the roofline of its core and measured clock
    few = {k: v for k, v in made().readings.items() if not k.startswith("hash")}
    device = made(readings=few).device().replace(family="Zen 4")
    assert tr.mining.hashrate(device) == tr.mining.hash_roofline("Zen 4", clock_hz=3e9).hashrate
    assert (
        made(readings=few).hashrate is None
        and made(readings=few, watts=5.0).joules_per_terahash is None
    )
    assert made(watts=39.0).joules_per_terahash == pytest.approx(1e6)


def _on(cores: int) -> dict[str, Reading]:
    return {name.replace(".1", f".{cores}") if name.startswith("bandwidth") else name: r
            for name, r in made().readings.items()}  # fmt: skip


def test_products_at_what_was_probed() -> None:
    device = made().device()
    for (n, k), row in (((4096, 1024), TALL), ((1024, 4096), WIDE)):
        for m, rate in row.items():
            got = tr.operators.gemm(device, m, n, k, dtype="fp32")
            want = 2.0 * m * n * k / (rate * 1e9) + 1e-6
            # one row also reads and writes its vectors
            assert got.time_s == pytest.approx(want, rel=5e-3 if m == 1 else 1e-12)
            assert got.bound == ("memory" if m == 1 else "compute")
            assert got.error_band == 0.15


def test_products_between_what_was_probed() -> None:
    device, n, k = made().device(), 2048, 2048
    rows = np.array([1, 2, 3, 5, 8, 20, 64, 300, 512, 4096], float)
    middle = tr.operators.gemm(device, rows, n, k, dtype="fp32").time_s
    ends = [
        tr.operators.gemm(device, rows, *shape, dtype="fp32").time_s
        for shape in ((4096, 1024), (1024, 4096))
    ]
    assert (middle >= np.minimum(*ends) * 0.995).all() and (
        middle <= np.maximum(*ends) * 1.005
    ).all()
    assert (np.diff(middle) > 0).all()
    # a straight line between counts of rows, here from 2 to 8 of the tall shape
    x = tr.operators.gemm(device, [2, 5, 8], 4096, 1024, dtype="fp32").time_s
    assert x[1] == pytest.approx((x[0] + x[2]) / 2, rel=1e-12)
    # shapes far beyond keep a sane rate
    far = tr.operators.gemm(device, rows, 10**6, 16, dtype="fp32")
    assert (far.flops / far.time_s < 1.05 * PEAK).all() and (far.flops / far.time_s > 1e8).all()
    none = tr.operators.gemm(device, 0, n, k, dtype="fp32").time_s
    assert none >= 0 and math.isfinite(none)


def test_loads_broadcast_with_records_for_each() -> None:
    device, plan = made().device(), tr.Plan(weights="fp32", kv_cache="fp32")
    batch, context = np.array([1.0, 4.0, 32.0]), np.array([[64.0], [512.0]])
    table = tr.decode(device, "GPT-2", plan, batch=batch, context=context).time_s
    assert table.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            one = tr.decode(device, "GPT-2", plan, batch=batch[j], context=context[i, 0])
            assert one.time_s == table[i, j]
    assert tr.decode(device, "GPT-2", plan, batch=[[], []], context=1).time_s.shape == (2, 0)


def test_calibration_checks_its_products() -> None:
    for bad in (((1, 2, 3),), ((0, 1, 1, 0.5),), ((1, 1, 1, math.nan),)):
        with pytest.raises(ValueError, match="products is"):
            Calibration(products=bad)  # type: ignore[arg-type]
    plain = Calibration(compute={"gemm": 0.5})
    assert np.array_equal(plain.pack(np.array([1.0, 2.0])), plain.pack(), equal_nan=True)


def test_measured_is_a_dict_of_numbers() -> None:
    for bad, error in (({"x": math.nan}, ValueError), ({"x": "1"}, TypeError), (3, TypeError)):
        with pytest.raises(error, match="measured"):
            tr.Device(name="x", memory_bandwidth=1e9, peak={"fp32": 1e9}, measured=bad)  # type: ignore[arg-type]
    assert tr.device("H100-SXM").measured == {}


# --- as a file --------------------------------------------------------------------------------------


def test_measured_once_then_remembered(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = []
    monkeypatch.setattr(_local, "machine", lambda *arguments: count.append(arguments) or made())
    first = measure.local()
    assert measure.local() is not None and tr.device("local") == first and len(count) == 1
    path = measure.cache_path()
    assert path.parent == cache and [p.name for p in cache.iterdir()] == [path.name]
    monkeypatch.setattr(_local, "_known", {})  # as in another process
    assert tr.device("local") == first and len(count) == 1
    assert tr.device("local").provenance == first.provenance
    measure.local(remeasure=True)
    assert len(count) == 2 and count[-1][2] == measure.GROUPS
    measure.local(threads=1)  # another count, another file
    assert len(count) == (2 if measure.cache_path(1) == path else 3)
    measure.forget()
    assert not path.exists()
    measure.forget()


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x00\xfe", b"{", b"[]", b"null", b'{"format": 99}', b'{"format": 1}',
     b'{"format": 1, "machine": {"readings": 3}}', b"[" * 100_000, b'{"format": 1, "machine": 7}'],
)  # fmt: skip
def test_a_damaged_file_is_measured_anew(cache: Path, content: bytes) -> None:
    path = measure.cache_path()
    cache.mkdir()
    path.write_bytes(content)
    with pytest.warns(RuntimeWarning, match="measuring anew"):
        assert tr.device("local").peak["fp32"] == PEAK
    assert measure.Machine.from_dict(json.loads(path.read_text())["machine"]) == made()


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TOKENROOF_CACHE_DIR", str(tmp_path / "file" / "below"))
    with pytest.warns(RuntimeWarning) as warned:
        assert tr.device("local").peak["fp32"] == PEAK
    assert "cannot be written" in str(warned[-1].message)
    assert tr.device("local").peak["fp32"] == PEAK  # this process knows it, without a word
    # nor is a folder in the place of the file read
    monkeypatch.setenv("TOKENROOF_CACHE_DIR", str(tmp_path / "other"))
    measure.cache_path().mkdir(parents=True)
    with pytest.warns(RuntimeWarning):
        assert tr.device("local").peak["fp32"] == PEAK
    assert [p.suffix for p in (tmp_path / "other").iterdir()] == [".json"]  # no half file is left


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TOKENROOF_CACHE_DIR", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = measure.cache_path()
    assert first.parent == tmp_path / "tokenroof"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert measure.cache_path().parent == Path("~/.cache/tokenroof").expanduser()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert measure.cache_path().parent == Path("~/Library/Caches/tokenroof").expanduser()
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "77")
    assert measure.cache_path().name != first.name
    assert measure.cache_path(3).name != measure.cache_path(4).name
    for of in (measure.cache_path, measure.forget):
        for bad, kind in (("4", TypeError), (True, TypeError), (2.0, TypeError), (0, ValueError)):
            with pytest.raises(kind, match=f"^threads is {bad!r}; allowed: "):
                of(bad)  # type: ignore[operator]


WRITTEN = made().as_dict()
LEAVES = ["name", "cores", "memory_bytes", "watts", "seconds", "date"]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.none()),
)


@given(st.sampled_from(LEAVES + list(WRITTEN["readings"]["clock"])), ODD, st.booleans())
def test_any_record_is_right_or_refused(field: str, value: Any, gone: bool) -> None:
    data = json.loads(json.dumps(WRITTEN))
    target = (
        data["readings"]["clock"]
        if field in data["readings"]["clock"] and field != "date"
        else data
    )
    target[field] = value
    if gone:
        del target[field]
    try:
        found = measure.Machine.from_dict(data)
    except ValueError:
        return
    numbers = [found.seconds, found.memory_bytes or 1.0, found.watts or 1.0, found.clock_hz or 0.0]
    assert all(math.isfinite(x) and x > 0 for x in numbers) and found.cores >= 1
    assert found.device().boost_clock_hz == found.clock_hz


@pytest.mark.parametrize("field", ["seconds", "memory_bytes", "watts"])
def test_an_integer_that_no_float_holds_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is 1000.*allowed: a number > 0"):
        measure.Machine.from_dict({**WRITTEN, field: 10**400})


def test_a_record_comes_back() -> None:
    assert measure.Machine.from_dict(json.loads(json.dumps(WRITTEN))) == made()
    with pytest.raises(ValueError, match="readings lack flops"):
        measure.Machine.from_dict({**WRITTEN, "readings": {"clock": WRITTEN["readings"]["clock"]}})


# --- which device -----------------------------------------------------------------------------------


def test_other_devices(cache: Path) -> None:
    with pytest.raises(ValueError, match="device is 'tpu'; allowed: 'cpu', 'cuda'"):
        measure.local("tpu")
    with pytest.raises(TypeError, match="device is 3"):
        measure.local(3)  # type: ignore[arg-type]
    try:
        assert measure.local("cuda:0").kind == "gpu"
    except RuntimeError as error:
        assert "no GPU can be measured: " in str(error)  # with the reason after it


def test_the_command_line(tmp_path: Path) -> None:
    environment = {**os.environ, "TOKENROOF_CACHE_DIR": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}

    def run(*arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "tokenroof.cli", *arguments, "--json"], env=environment, timeout=60,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    found = run("measure", "--seconds", "0.01")
    assert (
        Path(found["file"]).parent == tmp_path
        and found["readings"]["hash.core"]["unit"] == "hash/s"
    )
    # the same numbers, from the file
    roofs = run("roofline", "local", "GPT-2", "--weights", "fp32", "--kv-cache", "fp32")
    assert roofs["memory_bandwidth"] == found["memory_bandwidth"] and roofs["points"]
    assert run("measure")["readings"] == found["readings"]
    assert run("info")["measurements"] == found["file"]
