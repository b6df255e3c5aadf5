"""Collectives by protocol: their twins, bounds, topologies, and the constants that are shipped."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from _support import BY_ISA, each_isa, every_isa, same
from tokenroof import _core, reference
from tokenroof.calibrate import SPECS
from tokenroof.catalogue.fits import fits
from tokenroof.inference.door import link_domain

OPERATIONS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")
NAMES = (*OPERATIONS, "send")
# switches that add, PCIe, each to each, tori of two and three dimensions, bridges
DEVICES = ("H100-SXM", "GB200-NVL72", "A100-SXM4-80GB", "L40S", "Instinct MI300X", "TPU v5e", "TPU v5p",
           "H100-NVL")  # fmt: skip
short, share = st.floats(0, 1e-4), st.floats(0.02, 1)


def block(name):
    return st.fixed_dictionaries({
        key: short if key.endswith(("_t0", "_rank")) else st.floats(0, 3) if key == "contention" else share
        for key in _core.CALIBRATION_BLOCKS[name]
    })  # fmt: skip


blocks = st.fixed_dictionaries({name: block(name) for name in OPERATIONS})


@given(own=blocks, name=st.sampled_from(NAMES), device=st.sampled_from(DEVICES),
       ranks=st.integers(1, 300).map(float), nbytes=st.floats(0, 1e10))  # fmt: skip
@every_isa
def test_equals_the_reference(isa, own, name, device, ranks, nbytes):
    packed, record = tr.device(device).pack(), tr.Calibration(constants=own).pack()
    with np.errstate(all="ignore"):  # beyond a host without a network: NaN
        got = BY_ISA[isa][f"{name}_operator"](packed, record, ranks, nbytes)
    answer = getattr(reference, f"{name}_operator")(packed, record, ranks, nbytes)
    want = np.array([answer[field] for field in _core.OPERATOR_FIELDS])
    if tr.device(device).link_topology in ("torus2", "torus3", "host"):
        np.testing.assert_allclose(got, want, rtol=1e-13)  # logarithms and powers
    else:
        assert same(got, want)


@given(own=blocks, name=st.sampled_from(NAMES), device=st.sampled_from(DEVICES),
       ranks=st.integers(2, 300), nbytes=st.floats(1, 1e10), more=st.floats(1, 4))  # fmt: skip
def test_never_faster_than_the_links_and_never_faster_for_more_bytes(
    own, name, device, ranks, nbytes, more
):
    run = getattr(tr.operators, name)
    fidelity = tr.Calibration(constants=own)
    found = tr.device(device)
    if ranks > link_domain(found) and not found.node_link_bandwidth:
        with pytest.raises(ValueError, match="unless the device has a node_link_bandwidth"):
            run(device, ranks, nbytes)
        return
    time = run(device, ranks, [nbytes, nbytes * more], fidelity=fidelity).time_s
    bound = run(device, ranks, [nbytes, nbytes * more], fidelity="datasheet").time_s
    assert (time >= bound * (1 - 1e-12)).all()
    assert time[0] <= time[1] * (1 + 1e-12)


@each_isa
@pytest.mark.parametrize("name", OPERATIONS)
def test_one_rank_has_nothing_to_say(isa, name):
    fit = {name: fits(name)[0]["constants"]}
    packed, record = tr.device("H100-SXM").pack(), tr.Calibration(constants=fit).pack()
    assert (BY_ISA[isa][f"{name}_operator"](packed, record, 1.0, 1e6) == 0.0).all()


def test_bandwidth_is_what_each_topology_leaves():
    big = 1e9

    def seconds(device, ranks, name="all_reduce"):
        return float(getattr(tr.operators, name)(device, ranks, big, fidelity="datasheet").time_s)

    # a switch that adds moves the vector once
    assert seconds("H100-SXM", 8) == pytest.approx(big / 450e9)
    # rings over a switch move it 2 (n - 1) / n times
    assert seconds("A100-SXM4-80GB", 8) == pytest.approx(2 * 7 / 8 * big / 300e9)
    # two of eight that are joined each to each have one link of seven
    assert seconds("Instinct MI300X", 2) == pytest.approx(big / 64e9)
    assert seconds("Instinct MI300X", 8) == pytest.approx(2 * 7 / 8 * big / 448e9)
    # two neighbours of a torus have one of its four links, sixteen all
    assert seconds("TPU v5e", 2) == pytest.approx(big / 50e9)
    assert seconds("TPU v5e", 16) == pytest.approx(2 * 15 / 16 * big / 200e9)
    # 256 on a side of 16: messages of an all-to-all go eight hops on
    assert seconds("TPU v5e", 256, "all_to_all") == pytest.approx(255 / 256 * 8 * big / 200e9)


def test_groups_that_span_domains_are_hierarchical():
    one = tr.operators.all_reduce("H100-SXM", 8, 1e9, fidelity="datasheet").time_s
    two = tr.operators.all_reduce("H100-SXM", 16, 1e9, fidelity="datasheet").time_s
    assert two == pytest.approx(one + 2 / 2 * 1e9 / 8 / 50e9)
    inside = tr.operators.all_to_all("H100-SXM", 8, 1e9).time_s
    assert tr.operators.all_to_all("H100-SXM", 16, 1e9).time_s > 4 * inside
    message = tr.operators.send("H100-SXM", [2, 16], 1e9).time_s
    assert message[1] > 4 * message[0]


def test_any_link_is_answered_with_a_wider_band():
    measured = tr.operators.all_reduce("H100-SXM", 8, 1e6)
    stranger = tr.operators.all_reduce("Instinct MI300X", 8, 1e6)
    assert measured.error_band < stranger.error_band
    assert measured.bound.item() in ("communication", "launch")
    assert tr.operators.all_gather("H100-SXM", 8, 1e6, engine="vllm").time_s > 0


@pytest.mark.parametrize("name", OPERATIONS)
def test_shipped_constants_stand_within_their_ranges_and_below_the_datasheet(name):
    ranges = SPECS[name].constants
    sizes, ranks = np.meshgrid([256.0, 65536.0, 2.0**20, 2.0**28], [2.0, 4.0, 8.0])
    for row in fits(name):
        assert row["constants"].keys() == ranges.keys()
        for key, value in row["constants"].items():
            assert ranges[key].low * 0.999 <= value <= ranges[key].high * 1.001
        assert row["rows"] >= 40 and 0.0 < row["band"] < 0.5
        fitted, best = (
            getattr(tr.operators, name)(row["device"], ranks, sizes, row["engine"], fidelity).time_s
            for fidelity in ("calibrated", "datasheet")
        )
        assert (fitted >= best * (1 - 1e-12)).all()


def test_bad_sizes_are_nan():
    packed = tr.device("H100-SXM").pack()
    for c in (tr.Calibration.ideal(), tr.Calibration(constants={
            n: fits(n)[0]["constants"] for n in OPERATIONS})):  # fmt: skip
        for name in NAMES:
            kernel = getattr(tr.kernels, f"{name}_operator")
            with np.errstate(invalid="ignore"):
                assert np.isnan(kernel(packed, c.pack(), 8.0, -1.0)[0])
                assert np.isnan(kernel(packed, c.pack(), math.nan, 1.0)[0])
                for ranks in (0.0, 0.5, -8.0):
                    assert np.isnan(kernel(packed, c.pack(), ranks, 1.0)[0])
                    answer = getattr(reference, f"{name}_operator")(packed, c.pack(), ranks, 1.0)
                    assert math.isnan(answer["time"])


@pytest.mark.parametrize("engine", ["vllm", "trtllm", "sglang"])
def test_a_step_pays_for_the_way_between_nodes(engine):
    """More nodes, more latency: as much longer as the collectives alone are."""
    times, alone = [], []
    for tp in (16, 32, 64):
        plan = tr.Plan(tp=tp, weights="fp8", engine=engine)
        step = tr.decode("H200-SXM", "Llama-3.1-70B", plan, batch=1)
        times.append(float(step.breakdown()["operator"]["collective"]))
        one = tr.operators.all_reduce("H200-SXM", [8, tp], 8192 * 2.0, engine).time_s
        alone.append(160.0 * float(np.diff(one)[0]))
    assert np.all(np.diff(times) > 0.0)
    assert np.all(np.array(times) > 0.9 * np.array(alone))


def test_beyond_a_node_bands_are_wide_and_unknown_networks_refused():
    inside, across = tr.operators.all_reduce("H100-SXM", [8, 16], 1e6).error_band
    assert inside < 0.2 and across == 0.6
    wide = tr.decode("H100-SXM", "Llama-3.1-70B", tr.Plan(tp=16))
    near = tr.decode("H100-SXM", "Llama-3.1-70B", tr.Plan(tp=8))
    assert wide.error_band > near.error_band and "between nodes nothing" in wide.calibrated_on
    for name in NAMES:
        with pytest.raises(
            ValueError, match=r"ranks is 16; allowed: at most the 4 that Instinct MI300A"
        ):
            getattr(tr.operators, name)("Instinct MI300A", [2, 16], 1e6)


@pytest.mark.parametrize("name", ["H100-PCIe", "A100-PCIe-80GB", "RTX A6000", "H200-NVL"])
def test_cards_with_bridges_reach_further_ones_over_pcie(name):
    pair, host = tr.operators.all_reduce(name, [2, 8], 1e8).time_s
    assert host > 1.5 * pair
    assert tr.decode(name, "Llama-3.1-70B", tr.Plan(tp=8)).time_s > 0.0


@pytest.mark.parametrize("engine", ["vllm", "trtllm", "sglang", "ideal"])
@pytest.mark.parametrize("name", ["all_gather", "reduce_scatter", "all_to_all", "send"])
def test_small_messages_take_a_latency(name, engine):
    assert 1e-6 < getattr(tr.operators, name)("H200-SXM", 8, 1024, engine).time_s < 1e-4
