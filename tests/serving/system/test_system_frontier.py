"""The frontier over systems: a pruned search is the full one, constraints are kept and named, points are systems."""

import math
import re
import time
from dataclasses import replace

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.inference.door import as_device, as_model
from tokenroof.serving import Pool, Speculation, System, curve, frontier
from tokenroof.serving.loads import as_load
from tokenroof.serving.search import hunt
from tokenroof.serving.search.chips import _merged
from tokenroof.serving.search.constraints import asked
from tokenroof.serving.search.question import Question
from tokenroof.serving.search.table import frontier_of_systems

FEW = np.unique(np.round(np.geomspace(1, 4096, 24)))
GPU, MOE, DENSE, MIDDLE = "H200-SXM", "DeepSeek-R1", "Llama-3.1-70B", "Qwen3-32B"


def find(device=GPU, model=DENSE, **given):
    return frontier(device, model, concurrency=FEW, systems=True, **({"devices_max": 8} | given))


def _question(device, model, devices_max, engine="trtllm", **constraints):
    return Question(
        as_device(device), as_model(model), None, as_load(2048, 512), devices_max, FEW, "calibrated",
        engine, "provisioned", 1.2, asked(constraints),
    )  # fmt: skip


@pytest.mark.parametrize(
    "device, model, most, given",
    [
        ("GB200-NVL72", MOE, 16, {}), (GPU, DENSE, 8, {"ttft_max": 0.5}), (GPU, MOE, 16, {"tpot_max": 0.02}),
        (GPU, "Llama-3.1-8B", 8, {"devices": 27, "speculation": Speculation("Llama-3.2-1B", 3, 0.7)}),
        ("B200-SXM", "gpt-oss-120b", 8, {"power_w": 60_000.0}),
        (GPU, DENSE, 4, {"power_caps": [None, 500, 300]}), ("H20", DENSE, 8, {"others": ("H200-SXM", "L40S")}),
    ],
)  # fmt: skip
def test_a_pruned_search_is_the_full_one(device, model, most, given):
    others = tuple(map(as_device, given.pop("others", ())))
    question = replace(_question(device, model, most, **given), others=others)
    pruned, full = frontier_of_systems(question), frontier_of_systems(question, full=True)
    assert pruned.attrs["systems_tried"] < full.attrs["systems_tried"] and full.sizes["point"] > 5
    for name in ("interactivity", "output_tokens_per_s_per_mw", "concurrency", "binds"):
        np.testing.assert_array_equal(pruned[name], full[name], err_msg=name)


@pytest.mark.parametrize(
    "given, points",
    [
        ({"ttft_max": 1e-3}, False), ({"ttft_max": 1e-3, "tpot_max": 1e-4}, False),
        ({"ttft_max": 0.25, "tpot_max": 0.01, "power_w": 2e5}, True), ({"ttft_max": 0.25}, True),
    ],
)  # fmt: skip
def test_a_search_in_small_parts_says_the_same(monkeypatch, given, points):
    """Points, what binds, and what is nearest where nothing keeps to the constraints; with less work."""
    question = _question(GPU, DENSE, 8, **given)
    full = frontier_of_systems(question, full=True)
    monkeypatch.setattr(hunt, "_STATES", 100)
    monkeypatch.setattr(hunt, "_PAIRS", 200)
    parts = frontier_of_systems(question)
    assert bool(full.sizes["point"]) == points and bool(full.attrs["reason"]) != points
    assert parts.attrs.pop("systems_tried") < full.attrs.pop("systems_tried")
    assert parts.attrs == full.attrs and parts.equals(full)


def test_what_is_kept_of_a_search_is_little():
    """Of some 27,000 systems those that no other beats: a pile's part is no larger than its front."""
    question = _question(GPU, DENSE, 8, ttft_max=0.2)
    piles = hunt.search(question, full=True)
    tried, left = sum(p.tried for p in piles), sum(len(p.found) for p in piles)
    assert tried > 20_000 and left < 0.02 * tried


def test_replicas_are_tried_with_as_many_sequences_as_their_memory_holds():
    """Between two of the steps that are tried by themselves; not where it is said what is tried."""
    plan, load = tr.Plan(tp=2, weights="fp8", kv_cache="fp8"), (1100, 7300)
    given = {"systems": True, "exclude": ["disaggregated", "speculation"]}
    # whole ones: of one more a part has a place in a loop
    slots = int(curve(GPU, MIDDLE, plan, *load, [16384.0]).batch[0] - 1e-9)
    full = curve(GPU, MIDDLE, plan, *load, [slots, slots + 2, 16384])
    assert full.queue_s[0] == 0.0 < full.queue_s[1]
    most = frontier(GPU, MIDDLE, [plan], *load, **given)
    assert most.concurrency.max() == pytest.approx(slots)
    np.testing.assert_allclose(most.output_throughput.max(), full.output_throughput[0])
    said = frontier(GPU, MIDDLE, [plan], *load, concurrency=[1.0, 16.0, 16384.0], **given)
    assert said.concurrency.max() == pytest.approx(16.0)


@pytest.mark.parametrize("systems", [True, False])
def test_powers_of_two_are_tried_by_themselves(systems):
    """A tile more makes a step of 129 sequences longer than one of 128, and the search does not step over it."""
    plan, load = tr.Plan(tp=2, weights="fp8", kv_cache="fp8"), (900, 7300)
    at = curve(GPU, DENSE, plan, *load, [119, 128, 129, 144])
    assert at.output_throughput.argmax() == 1
    only = {"exclude": ["disaggregated", "speculation"]} if systems else {}
    found = frontier(GPU, DENSE, [plan], *load, systems=systems, **only)
    np.testing.assert_allclose(found.output_throughput.max(), at.output_throughput[1])


def _devices_said(label):
    """Devices of what a label says: a count, then the degrees of a replica, of each pool."""
    pools = re.findall(r"(\d+)x((?: (?:tp|pp|dp|cp|ep)\d+)+)", label)
    degrees = [re.findall(r"(tp|pp|dp|cp)(\d+)", said) for _, said in pools]
    return sum(
        int(n) * math.prod(int(size) for _, size in of)
        for (n, _), of in zip(pools, degrees, strict=True)
    )


@pytest.mark.parametrize("given", [{"devices": 61}, {"devices": 61, "exclude": ["both"]}, {}])
def test_a_label_says_the_whole_system(given):
    """Replicas of all pools and systems that stand on the devices, those that stay idle apart."""
    found = find(model="gpt-oss-120b", devices_max=4, **given)
    for point in found.transpose("point").point.values:
        at = found.isel(point=point)
        busy = float(at.devices) - float(at.idle_devices)
        assert _devices_said(at.system.item()) == busy, at.system.item()
        if "devices" in given:
            assert float(at.devices) == 61.0
        counts = [int(n) for n in re.findall(r"(\d+)x", at.system.item())]
        assert counts[-1] == float(at.replicas)
        assert counts[:-1] == ([float(at.prefill_replicas)] if len(counts) > 1 else [])
        sequences = float(at.reason.item().partition(" ")[0])
        assert float(at.batch) == pytest.approx(sequences * counts[-1], abs=0.5 * counts[-1])
    if given:
        assert (found.replicas > 1).any()


def test_over_systems_no_worse_than_over_plans():
    """Whatever a replica reaches, some system does, but for the grid of batches."""
    plans = frontier(GPU, DENSE, devices_max=8, concurrency=FEW)
    systems = find()
    speed, worth = systems.interactivity.values, systems.output_tokens_per_s_per_mw.values
    assert (np.diff(speed) > 0).all() and (np.diff(worth) < 0).all()
    for x, y in zip(
        plans.interactivity.values, plans.output_tokens_per_s_per_mw.values, strict=True
    ):
        assert (worth[speed >= x * (1 - 1e-9)] >= y * (1 - 1e-9)).any()


def test_a_point_is_the_curve_of_its_system():
    """Put together by hand, the same system answers the same at the same requests in flight."""
    plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
    one = frontier(
        GPU, DENSE, [plan], 20_000, 500, concurrency=[16], systems=True, exclude=["both"]
    )
    at = one.isel(point=0)
    n, m = int(at.prefill_replicas), int(at.replicas)
    system = System(prefill=Pool(GPU, plan, n), decode=Pool(GPU, plan, m))
    by_hand = curve(system.replace(link_bandwidth=tr.device(GPU).node_link_bandwidth), DENSE,
                    input_tokens=20_000, output_tokens=500, concurrency=[float(at.concurrency)])  # fmt: skip
    for name in ("tpot_s", "output_throughput", "devices", "provisioned_watts", "prefill_load"):
        assert float(by_hand[name].values[0]) == pytest.approx(float(at[name]), rel=2e-3), name
    assert "prefill busy" in str(at.reason.values) and str(at.system.values).startswith(
        f"prefill {n}x tp8"
    )


def test_constraints_are_kept_and_the_binding_ones_named():
    free = find()
    held = find(ttft_max=0.3, tpot_max=0.02)
    assert (held.ttft_s <= 0.3).all() and (held.tpot_s <= 0.02).all()
    words = {word for text in held.binds.values for word in text.split(", ") if word}
    assert words and words <= {"ttft_max", "tpot_max"} and set(free.binds.values) == {""}
    assert held.attrs["ttft_max"] == 0.3 and held.attrs["tpot_max"] == 0.02
    # what binds keeps a better one away: without it there is one as fast that yields more
    first = held.isel(point=0)
    assert first.binds and (free.output_tokens_per_s_per_mw[free.interactivity >= first.interactivity]
                            > first.output_tokens_per_s_per_mw).any()  # fmt: skip
    cheap = find(power_w=8_000.0)
    assert (cheap.provisioned_watts <= 8_000.0).all() and cheap.attrs["power_w"] == 8_000.0


def test_a_fixed_number_of_devices():
    held = find(devices=13)
    assert (held.devices == 13).all() and (held.idle_devices > 0).any()
    assert any("devices idle" in text for text in held.reason.values)
    assert float(held.per_device.max()) <= float(find().per_device.max())


def test_types_and_what_is_left_out():
    wide = find(types=["bf16"])
    assert all("bf16 kv" in text for text in wide.plan.values)
    assert float(wide.output_tokens_per_s_per_mw.max()) < float(
        find().output_tokens_per_s_per_mw.max()
    )
    assert set(find(exclude=["disaggregated"]).prefill_plan.values) == {""}
    assert "" not in set(find(exclude=["both"]).prefill_plan.values)
    alone = find(model=MOE, devices_max=16, exclude=["speculation", "pp"], engine="trtllm")
    drafted = find(model=MOE, devices_max=16, engine="trtllm")
    assert set(alone.drafts.values) == {0} and drafted.drafts.max() >= 2
    assert float(drafted.interactivity.max()) > 1.3 * float(alone.interactivity.max())
    assert not any("pp" in text for text in alone.plan.values)
    own = find(speculation={"method": "Llama-3.2-1B", "drafts": 4, "acceptance": 0.8})
    assert 0 < own.drafts.max() <= 4 and own.interactivity.max() > find().interactivity.max()
    assert set(find(engine="sglang").engine.values) == {"sglang"}


def test_the_nearest_miss_is_named():
    none = find(ttft_max=1e-6)
    assert none.sizes["point"] == 0 and none.attrs["reason"].startswith(
        "no system keeps to what was asked; ttft_max"
    )
    assert "nearest" in none.attrs["reason"]
    both = find(ttft_max=1e-6, tpot_max=1e-6).attrs["reason"]
    assert "ttft_max is 1e-06" in both and "tpot_max is 1e-06" in both
    assert (
        find(model=MOE, devices_max=16, devices=2)
        .attrs["reason"]
        .startswith("devices is 2, and no system")
    )


BAD = [
    ({"exclude": ["dp", "drafts"]}, ValueError, "exclude has 'drafts'; allowed: disaggregated, both"),
    ({"exclude": ["both", "disaggregated"]}, ValueError, "or nothing is left"),
    ({"types": ["fp9"]}, ValueError, "fp9"),
    ({"types": 8}, TypeError, "types is 8; allowed: a sequence of names"),
    ({"devices": 0}, ValueError, "devices is 0; allowed: an integer from 1"),
    ({"power_w": -1.0}, ValueError, "power_w is -1.0; allowed: a positive number"),
    ({"ttft_max": 0.0}, ValueError, "ttft_max is 0.0"),
    ({"speculation": "mtp"}, TypeError, "speculation is 'mtp'"),
    ({"systems": 1}, TypeError, "systems is 1; allowed: True or False"),
    ({"systems": False, "devices": 8}, ValueError, "devices is 8 without systems=True"),
    ({"systems": False, "types": ["fp8"]}, ValueError, "types is .* without systems=True"),
]  # fmt: skip


@pytest.mark.parametrize("given, kind, said", BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_constraints_are_refused_by_name(given, kind, said):
    with pytest.raises(kind, match=said):
        frontier(GPU, DENSE, **({"systems": True} | given))


def test_it_takes_seconds_of_a_processor_at_most():
    frontier(GPU, DENSE, systems=True)
    start = time.process_time()
    frontier("GB200-NVL72", MOE, engine="trtllm", systems=True)
    assert time.process_time() - start < 3.0  # under one on an idle core


def test_chips_beside_a_system_are_ranges_on_the_same_front():
    given = {"concurrency": FEW, "systems": True, "devices_max": 8, "tpot_max": 0.02}
    plain = frontier("Vera Rubin NVL72", "Qwen3-235B-A22B", **given)
    both = frontier("Vera Rubin NVL72", "Qwen3-235B-A22B", chips="LPX", **given)
    speed, worth = both.interactivity.values, both.output_tokens_per_s_per_mw.values
    assert (
        (np.diff(speed) > 0).all()
        and (np.diff(worth) < 0).all()
        and both.attrs["chips"] == tr.device("LPX").name
    )
    for x, y in zip(
        plain.interactivity.values, plain.output_tokens_per_s_per_mw.values, strict=True
    ):
        assert worth[speed >= x].max() >= y * (1 - 1e-12)
    far = both.way.values != ""
    assert (
        far.any()
        and speed.max() > plain.interactivity.values.max()
        and (both.chips.values[far] > 0).all()
    )
    for name in ("interactivity", "output_tokens_per_s_per_mw"):
        low, middle, high = (both[name + end].values for end in ("_low", "", "_high"))
        assert (low < middle).all() and (middle < high).all()
    # of a system without chips the ends are its band's
    own = both.isel(point=np.flatnonzero(~far))
    np.testing.assert_allclose(own.interactivity_low, 1 / own.tpot_high_s, rtol=1e-9)
    assert (both.tpot_s <= 0.02).all()
    alone = frontier("Vera Rubin NVL72", "Qwen3-235B-A22B", chips="LPX", power="board", **given)
    at = int(np.flatnonzero(alone.way.values != "")[0])
    assert float(alone.output_tokens_per_s_per_mw[at]) == pytest.approx(
        1e6 * float(alone.output_throughput[at] / alone.watts[at])
    )


def test_chances_of_drafts_on_chips_are_said_where_there_are_some():
    xr = pytest.importorskip("xarray")
    about = {"calibrated_on": "points", "reason": "", "drafts_assumed": ""}
    far = tr.device("LPX")
    for ways, said in ((["experts"], False), (["experts", "drafts"], True), (["drafts"], True)):
        found = _merged(xr.Dataset(attrs=about), [{"way": way} for way in ways], far, "")
        assert (f"those on {far.name} with" in found.attrs["drafts_assumed"]) is said
        assert found["way"].values.tolist() == ways


CHIPS = [
    ({"chips": "LPX"}, "chips is 'LPX' without systems=True; allowed: None"),
    ({"chips": "LPX", "systems": True, "devices": 8}, "devices is 8 with chips; allowed: None"),
    (
        {"chips": "LPX", "systems": True, "power": "facility"},
        "power is 'facility' with chips; allowed",
    ),
    ({"chips": GPU, "systems": True}, "chips is H200-SXM, a gpu"),
]


@pytest.mark.parametrize(("given", "said"), CHIPS)
def test_chips_that_a_search_does_not_take(given, said):
    with pytest.raises(ValueError, match=said):
        frontier("B200-SXM", DENSE, devices_max=4, concurrency=[8], **given)


def test_pools_of_unlike_devices():
    """Prompts on the one, answers on the other: better than either alone, and what the same system is by hand."""
    ask = {"model": DENSE, "input_tokens": 4096, "output_tokens": 512, "engine": "vllm"}
    both = find("H20", pool_devices=[GPU], exclude=["speculation"], **ask)
    alone = [find(name, exclude=["speculation"], **ask) for name in ("H20", GPU)]
    for one in alone:
        for x, y in zip(
            one.interactivity.values, one.output_tokens_per_s_per_mw.values, strict=True
        ):
            faster = both.interactivity.values >= x * (1 - 1e-12)
            assert (both.output_tokens_per_s_per_mw.values[faster] >= y * (1 - 1e-12)).any()
    mixed = (both.prefill_device == GPU) & (both.device == "H20")
    assert mixed.any() and both.attrs["device"] == f"H20 and {GPU}"
    point = both.isel(point=int(np.flatnonzero(mixed)[0]))
    h20, h200 = as_device("H20"), as_device(GPU)
    assert float(point.link_bandwidth) == min(h20.node_link_bandwidth, h200.node_link_bandwidth)
    # without the chassis of the one for the other
    per_device = (point.chassis_watts - point.watts) / point.devices
    own = sorted(float(tr.power.chassis_power(one, 0.0)) for one in (h20, h200))
    assert own[0] - 1e-6 <= float(per_device) <= own[1] + 1e-6


@pytest.mark.parametrize(
    "given, error, text",
    [({"pool_devices": GPU}, TypeError, "allowed: a sequence of devices"),
     ({"pool_devices": [GPU]}, ValueError, f"no other device than {GPU}"),
     ({"pool_devices": ["H999"]}, KeyError, "H999"),
     ({"pool_devices": ["LPX"]}, ValueError, "pool_devices has .* a lpu"),
     ({"pool_devices": ["H20"], "devices": 8}, ValueError, "devices is 8 with pool_devices"),
     ({"pool_devices": ["H20"], "chips": "LPX"}, ValueError, "chips is 'LPX' with pool_devices"),
     ({"pool_devices": ["H20"], "systems": False}, ValueError, "pool_devices is .* without systems=True")],
)  # fmt: skip
def test_bad_pool_devices(given, error, text):
    with pytest.raises(error, match=text):
        frontier(GPU, DENSE, **({"systems": True} | given))


def test_drafts_of_another_vocabulary_or_module_are_refused():
    spec = Speculation("Qwen3-0.6B", 2, 0.5)
    with pytest.raises(ValueError, match="method is Qwen3-0.6B with .* tokens in its vocabulary"):
        frontier(GPU, DENSE, systems=True, speculation=spec)
    with pytest.raises(ValueError, match="method is 'mtp', but Llama-3.1-70B has no module"):
        frontier(GPU, DENSE, systems=True, speculation={"method": "mtp", "drafts": 1})
    load = tr.serving.poisson(1.0, requests=3, input_tokens=64, output_tokens=8)
    with pytest.raises(ValueError, match="method is Qwen3-0.6B with .* tokens in its vocabulary"):
        tr.serving.simulate(GPU, "Llama-3.1-8B", tr.Plan(), load, speculation=spec)


def test_an_objective_that_nothing_meets_names_the_nearest_miss():
    for system in (
        (GPU, "Llama-3.1-8B", tr.Plan()),
        (System(both=(GPU, tr.Plan(), 2)), "Llama-3.1-8B", None),
    ):
        none = tr.serving.capacity(*system, tr.serving.SLO(tpot_s=1e-6, ttft_s=60.0))
        one = curve(*system, concurrency=[1])
        assert float(none.concurrency) == 0.0
        said = f"tpot_s is 1e-06, nearest {float(one.tpot_s[0]):.4g} s of one request"
        assert none.attrs["reason"] == f"no load meets the objective; {said}"
    seldom = tr.serving.capacity(
        GPU, "Llama-3.1-8B", tr.Plan(), tr.serving.SLO(tpot_s=1e-6, percentile=99)
    )
    assert (
        float(seldom.rate) == 0.0 and "tpot_p99_s is 1e-06, nearest 0.00" in seldom.attrs["reason"]
    )
