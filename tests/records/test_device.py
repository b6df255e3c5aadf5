"""Devices: look-up, sane peaks, validation, packing."""

from __future__ import annotations

import copy
import math
import pickle
from collections import Counter

import numpy as np
import pytest

from tokenroof import catalogue
from tokenroof.catalogue.lookup import device
from tokenroof.records.device import PEAK_TYPES, Device
from tokenroof.records.miner import Miner
from tokenroof.support.names import normalise

OWN = {"name": "own", "memory_bandwidth": 1e12, "peak": {"bf16": 2e14}}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("H200-SXM", "H200-SXM"),
        ("h200", "H200-SXM"),
        ("h200_sxm", "H200-SXM"),
        ("H200 SXM", "H200-SXM"),
        ("  H100--sxm5 ", "H100-SXM"),
        ("gb200_nvl72", "GB200-NVL72"),
        ("b300_sxm", "B300-SXM"),
        ("RTX PRO 6000", "RTX PRO 6000 Blackwell Server"),
        ("mi300x", "Instinct MI300X"),
        ("LPX", "Groq 3 LPU (LPX rack)"),
    ],
)
def test_lookup(written, name):
    assert device(written).name == name
    assert device(device(written)) is device(name)


def test_aliases_are_unique():
    names = Counter()
    for item in catalogue.all_devices():
        names.update({normalise(n) for n in (item.name, *item.aliases)})
    assert [n for n, count in names.items() if count > 1] == []


def test_near_matches():
    with pytest.raises(KeyError) as caught:
        device("H20O")
    text = str(caught.value)
    assert text.startswith("unknown device 'H20O'; did you mean 'H200-SXM'")
    assert "'H20'" in text
    with pytest.raises(KeyError, match="Rubin CPX"):
        device("Rubin CPY")


@pytest.mark.parametrize("bad", [None, 3, ["h100"]])
def test_lookup_wants_a_name(bad):
    with pytest.raises(TypeError, match=r"name or a tokenroof\.Device"):
        device(bad)


def test_peaks_are_dense():
    h100 = device("H100-SXM")
    assert h100.peak["bf16"] == 989.4e12
    assert h100.peak["fp8"] == 1978.9e12
    assert device("B200").peak["fp4"] == 9e15
    assert device("GB200").peak["bf16"] == 2.5e15
    assert device("rubin").peak["fp4"] == 35e15
    assert device("mi355x").peak["fp8"] == 5033.2e12
    assert device("RTX 5090").peak["fp4"] == 1676e12
    for item in catalogue.all_devices():
        if item.kind == "cpu" or not {"bf16", "fp8"} <= set(item.peak):
            continue
        assert item.peak["bf16"] <= item.peak["fp8"] <= 5 * item.peak["bf16"], item.name


def test_catalogue_is_sane():
    for item in catalogue.all_devices():
        assert 5e10 < item.memory_bandwidth < 1e17, item.name
        assert set(item.peak) <= set(PEAK_TYPES)
        if item.tdp_w is not None and item.idle_w is not None:
            assert item.idle_w < item.tdp_w
        if item.tdp_w is not None and item.system_power_w is not None:
            assert item.system_power_w >= item.tdp_w
        if item.provisioned_power_w is not None:
            assert item.provisioned_power_w > item.system_power_w if item.system_power_w else True
        if item.link_bandwidth is not None:
            assert 1e9 < item.link_bandwidth <= 2e12, item.name
        assert item.release[:2] == "20"
        assert item.vendor
        assert item.family


def test_provisioned_power():
    kw = {"h100": 1.73, "h200": 1.73, "b200": 2.17, "b300": 2.17, "gb200": 2.10, "gb300": 2.10}
    kw |= {"mi300x": 1.79, "mi325x": 2.18, "mi355x": 2.65}
    for name, value in kw.items():
        assert device(name).provisioned_power_w == pytest.approx(value * 1e3, rel=1e-15)
    assert device("rubin").provisioned_power_w is None  # nobody prints it
    assert device("lpx").tdp_w is None


def test_fallbacks():
    peak = {"fp32": 1e12, "tf32": 2e12, "fp16": 3e12, "fp8": 4e12}
    item = Device(name="x", memory_bandwidth=1e12, peak=peak)
    resolved = {t: item.peak_of(t) / 1e12 for t in PEAK_TYPES if t != "fp64"}
    assert resolved == dict(fp32=1, tf32=2, bf16=3, fp16=3, fp8=4, int8=3, fp4=4)
    only = Device(name="x", memory_bandwidth=1e12, peak={"fp32": 5e12})
    assert {only.peak_of(t) for t in ("fp32", "tf32")} == {5e12}
    assert all(math.isnan(only.peak_of(t)) for t in ("bf16", "fp16", "fp8", "int8", "fp4"))
    core = Device(name="x", kind="cpu", memory_bandwidth=1e12, peak={"fp32": 5e12})
    assert {core.peak_of(t) for t in PEAK_TYPES if t != "fp64"} == {5e12}
    two = Device(name="x", memory_bandwidth=1e12, peak={"fp32": 1e12, "bf16": 2e12, "fp16": 4e12})
    assert {two.peak_of(t) for t in ("fp16", "fp8", "int8", "fp4")} == {4e12}
    assert two.peak_of("bf16") == 2e12
    none = Device(name="x", memory_bandwidth=1e12, peak={})
    assert all(math.isnan(none.peak_of(t)) for t in PEAK_TYPES)
    with pytest.raises(ValueError, match="fp4"):
        only.peak_of("fp5")


@pytest.mark.parametrize(
    ("field", "slip", "unit"),
    [("memory_bandwidth", 6, "B/s"), ("memory_bandwidth", 3350, "B/s"), ("memory_bytes", 80, "B"),
     ("sram_bytes", 50, "B"), ("l2_bytes", 50, "B"), ("boost_clock_hz", 1.98, "Hz"),
     ("boost_clock_hz", 1980, "Hz"), ("link_bandwidth", 450, "B/s"), ("node_link_bandwidth", 50, "B/s"),
     ("tdp_w", 0.7, "W"), ("provisioned_power_w", 0.9, "W"), ("system_power_w", 0.9, "W"),
     ("peak", {"bf16": 989}, "FLOP/s"), ("peak", {"bf16": 0.989}, "FLOP/s")],
)  # fmt: skip
def test_another_unit_is_refused_by_name(field, slip, unit):
    with pytest.raises(
        ValueError, match=rf"{field}.* must be in {unit}, at least .*, not .*another unit"
    ):
        Device(**{**OWN, field: slip})


def test_link():
    assert device("h100").link.name == "NVLink 4"
    assert device("h100").link.scale_up
    pcie = device("L40S").link
    assert (pcie.name, pcie.bandwidth, pcie.scale_up) == ("PCIe 4 x16", 3.1508e10, False)
    assert Device(**OWN).link is None
    assert Device(**OWN, pcie_generation=2).link is None  # a generation nobody lists
    assert Device(**OWN, pcie_generation=5, link_domain_size=4).link.domain_size == 4
    assert Device(**OWN, link_bandwidth=1e11).link.domain_size == 1


def test_pack_by_name():
    from tokenroof._core import DEVICE_FIELDS, TOPOLOGIES

    for name in ("H100-SXM", "L40S", "v3", "wse3"):
        item = device(name)
        vector = item.pack()
        assert vector.dtype == np.float64
        assert vector.shape == (len(DEVICE_FIELDS),)
        packed = dict(zip(DEVICE_FIELDS, vector, strict=True))
        for field, value in packed.items():
            if field.startswith("peak_"):
                np.testing.assert_equal(value, item.peak_of(field.removeprefix("peak_")))
            elif field == "link_topology":
                assert TOPOLOGIES[int(value)] == item.link_topology
            elif field not in ("link_bandwidth", "link_domain_size"):
                raw = getattr(item, field)
                np.testing.assert_equal(value, np.nan if raw is None else raw)
    packed = dict(zip(DEVICE_FIELDS, Device(**OWN).pack(), strict=True))
    assert packed["link_bandwidth"] == 0
    assert packed["link_domain_size"] == 1
    assert packed["peak_fp4"] == 2e14
    assert np.isnan(packed["tdp_w"])
    packed = dict(zip(DEVICE_FIELDS, device("L40S").pack(), strict=True))
    assert packed["link_bandwidth"] == 3.1508e10


def test_every_device_packs():
    assert np.isfinite([d.pack()[0] for d in catalogue.all_devices()]).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"memory_bandwidth": 0}, ValueError, ["memory_bandwidth", "> 0", "not 0"]),
        ({"memory_bandwidth": math.nan}, ValueError, ["memory_bandwidth", "finite"]),
        ({"memory_bandwidth": "3 TB/s"}, TypeError, ["memory_bandwidth", "'3 TB/s'"]),
        ({"memory_bandwidth": None}, TypeError, ["memory_bandwidth", "None"]),
        ({"memory_bandwidth": True}, TypeError, ["memory_bandwidth", "True"]),
        ({"memory_bytes": -1.0}, ValueError, ["memory_bytes", "-1.0"]),
        ({"tdp_w": math.inf}, ValueError, ["tdp_w", "inf"]),
        ({"idle_w": -1}, ValueError, ["idle_w", ">= 0"]),
        ({"sm_count": 1.5}, ValueError, ["sm_count", "whole"]),
        ({"link_domain_size": 0}, ValueError, ["link_domain_size"]),
        ({"peak": {"bf17": 1e12}}, ValueError, ["bf17", "fp8"]),
        ({"peak": {"bf16": -1e12}}, ValueError, ["peak['bf16']", "-1000000000000.0"]),
        ({"peak": 1e12}, TypeError, ["peak", "dict"]),
        ({"aliases": "x"}, TypeError, ["aliases"]),
        ({"name": ""}, ValueError, ["name"]),
        ({"name": 7}, TypeError, ["name", "7"]),
    ],
)
def test_validation(change, error, words):
    with pytest.raises(error) as caught:
        Device(**{**OWN, **change})
    for word in words:
        assert word in str(caught.value)


def test_record_behaviour():
    item = device("H100-SXM")
    assert pickle.loads(pickle.dumps(item)) == item == copy.deepcopy(item)
    assert hash(item) == hash(copy.deepcopy(item))
    with pytest.raises(AttributeError):
        item.tdp_w = 1.0
    assert isinstance(item.tdp_w, float)
    assert isinstance(item.sm_count, int)
    assert item.provenance["tdp_w"].unit == "W"


def test_replace_drops_provenance_of_what_changed():
    item = device("H100-SXM").replace(tdp_w=500, peak={"bf16": 1e15})
    assert item.tdp_w == 500.0
    assert "tdp_w" not in item.provenance
    assert "peak_bf16" not in item.provenance
    assert "memory_bandwidth" in item.provenance
    with pytest.raises(ValueError, match="tdp_w"):
        item.replace(tdp_w=-1)


def test_a_site_provisions_no_less_than_the_board_draws():
    card = {"name": "mine", "memory_bandwidth": 1e12, "peak": {"bf16": 1e14}}
    for watts, whole in ((450.0, 100.0), (1000.0, 900.0)):
        with pytest.raises(
            ValueError, match=f"provisioned_power_w is {whole:g} with tdp_w {watts:g}; allowed"
        ):
            Device(**card, tdp_w=watts, provisioned_power_w=whole)
    assert Device(**card, tdp_w=450, provisioned_power_w=450).provisioned_power_w == 450.0
    assert Device(**card, provisioned_power_w=100).tdp_w is None
    held = [d for d in catalogue.all_devices() if d.provisioned_power_w and d.tdp_w]
    assert len(held) > 5 and all(d.provisioned_power_w > d.tdp_w for d in held)


CARD = {"name": "mine", "memory_bandwidth": 1e12, "peak": {"bf16": 1e14}}


@pytest.mark.parametrize(
    "powers,words",
    [
        ({"tdp_w": 450, "system_power_w": 100}, "system_power_w is 100 with tdp_w 450; allowed: at least tdp_w"),
        (
            {"system_power_w": 2000, "provisioned_power_w": 900},
            "provisioned_power_w is 900 with system_power_w 2000; allowed: at least system_power_w",
        ),
        ({"tdp_w": 450, "idle_w": 900}, "idle_w is 900 with tdp_w 450; allowed: at most tdp_w"),
        ({"idle_w": 120, "system_power_w": 100}, "idle_w is 120 with system_power_w 100; allowed: at most"),
    ],
)  # fmt: skip
def test_no_power_is_above_one_that_has_it_in_it(powers, words):
    with pytest.raises(ValueError, match=words):
        Device(**CARD, **powers)
    for name, watts in powers.items():
        assert getattr(Device(**CARD, **{name: watts}), name) == watts
        level = dict.fromkeys(powers, float(watts))
        assert Device(**CARD, **level).pack().size > 0  # as much is allowed
    with pytest.raises(ValueError, match="idle_w is 800 with tdp_w 700"):
        device("H200-SXM").replace(idle_w=800.0)
    order = ("idle_w", "tdp_w", "system_power_w", "provisioned_power_w")
    known = [[w for n in order if (w := getattr(d, n))] for d in catalogue.all_devices()]
    assert all(row == sorted(row) for row in known) and sum(len(row) > 1 for row in known) > 20


@pytest.mark.parametrize(
    "words", ["soon", "2026-13", "2026-Q5", "26", "2026-3", "2026-03-32", "in 2026"]
)
def test_a_release_is_a_date_of_any_precision(words):
    with pytest.raises(
        ValueError, match=f"release is '{words}'; allowed: a date such as 2026, .*2026-H2"
    ):
        Device(**CARD, release=words)
    with pytest.raises(ValueError, match=f"release is '{words}'"):
        Miner(name="mine", hashrate=1e12, release=words)
    with pytest.raises(TypeError, match="release is 2026;"):
        Device(**CARD, release=2026)


@pytest.mark.parametrize("date", ["", "2026", "2026-03", "2026-03-16", "2026-Q3", "2026-H2"])
def test_releases_of_any_precision_are_taken(date):
    assert (
        Device(**CARD, release=date).release == Miner(name="a", hashrate=1e12, release=date).release
    )
