"""The machine's measured ceilings."""

from __future__ import annotations

import math
import time

import pytest

import tokenroof as tr
from tokenroof import _core, measure


@pytest.fixture(scope="module")
def here() -> measure.Machine:
    return measure.machine(seconds=0.1)


def test_rates_are_those_of_some_processor(here: measure.Machine) -> None:
    # a slow core of the last twenty years to a full rack of servers
    assert 1e8 < here.peak["fp64"] < 1e16
    assert 1e8 < here.peak["fp32"] < 1e16
    assert 1e8 < here.memory_bandwidth < 1e14
    assert 1e4 < here.hashrate < 1e13
    assert here.memory_bandwidth == max(here.bandwidth.values())
    assert set(here.bandwidth) == {"read", "copy", "triad"}


def test_it_says_what_it_measured(here: measure.Machine) -> None:
    assert here.name
    assert here.cores >= 1
    assert here.isa in _core.build_config()["isas_usable"]
    assert here.kind == "measured"
    assert len(here.date) == 10
    assert here.watts_note
    assert (here.watts is None) == (here.joules_per_terahash is None)


def test_it_is_a_device(here: measure.Machine) -> None:
    device = here.device()
    assert device.peak == here.peak
    assert device.memory_bandwidth == here.memory_bandwidth
    assert device.provenance["memory_bandwidth"].kind == "measured"
    assert math.isfinite(tr.roofline.ridge(device, "fp32"))
    tr.plot.roofline([device])


def test_the_whole_takes_its_time_and_no_more() -> None:
    start = time.perf_counter()
    found = measure.machine(seconds=0.2)
    assert found.seconds <= time.perf_counter() - start
    assert found.seconds < 10


@pytest.mark.parametrize("seconds", [0, -1.0, math.inf, math.nan])
def test_seconds_out_of_range(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds is"):
        measure.machine(seconds=seconds)


@pytest.mark.parametrize("arguments", [{"seconds": "1"}, {"threads": 1.5}, {"seconds": True}])
def test_wrong_types(arguments: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=r"is .*; allowed"):
        measure.machine(**arguments)  # type: ignore[arg-type]


def test_threads_out_of_range() -> None:
    with pytest.raises(ValueError, match="threads is 0"):
        measure.machine(threads=0)


@pytest.mark.parametrize("isa", _core.build_config()["isas_usable"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_instruction_set_runs(isa: str, dtype: str) -> None:
    assert _core.probe_flops(isa, 0.01, 1, dtype) > 1e7


@pytest.mark.parametrize("isa", _core.build_config()["isas_usable"])
@pytest.mark.parametrize("size", [3072, 1 << 16, 1 << 22])
def test_bandwidth_of_any_size(isa: str, size: int) -> None:
    found = _core.probe_bandwidth(isa, size, 0.005, 1)
    assert all(rate > 1e7 for rate in found.values())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("avx9", 0.1, 1, "float64"), "isa is 'avx9'"),
        (("generic", 0.0, 1, "float64"), "seconds is"),
        (("generic", math.nan, 1, "float64"), "seconds is"),
        (("generic", 0.1, 0, "float64"), "threads is 0"),
        (("generic", 0.1, 1, "float16"), "dtype is 'float16'"),
    ],
)
def test_probe_names_what_is_wrong(arguments: tuple[object, ...], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        _core.probe_flops(*arguments)


@pytest.mark.parametrize("size", [-1, 0, 100, 1 << 50])
def test_bandwidth_needs_room(size: int) -> None:
    with pytest.raises(ValueError, match=f"bytes is {size}"):
        _core.probe_bandwidth("generic", size, 0.1, 1)
