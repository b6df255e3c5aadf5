"""Queues of systems of pools, the longest link, and axes of step tables: by hand."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import _core, kernels, serving
from tokenroof.inference.door import deployment
from tokenroof.serving.prompts import SLOWER, ungapped_prompts
from tokenroof.serving.simulation.energy import _few
from tokenroof.serving.simulation.host_tier import link_rules
from tokenroof.serving.simulation.pooled import _carried, _stages, _waits
from tokenroof.serving.simulation.step_time import _missing, _reach, step_table

MS = 10**6
TIME, EXCHANGES = "time", "communication_s"


def played(engine, preset):
    """Prompts in bursts of twelve, one pool of two and one of one, over a narrow link."""
    plan = tr.Plan(engine=engine)
    system = serving.disaggregate(
        ("H100-SXM", plan, 2), ("H100-SXM", plan, 1), link_bandwidth=2e9, hop_s=0.001
    )
    load = {"arrival": np.repeat(np.arange(5) * 0.3, 12), "input_tokens": 200, "output_tokens": 20}
    return serving.simulate(
        system, "Llama-3.1-8B", None, load, serving.Scheduler.preset(preset),
        step_time={"prefill": serving.StepTime(5 * MS), "decode": serving.StepTime(2 * MS)},
    )  # fmt: skip


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("start", [0, 10**9])
def test_who_waits_where(together, start):
    """One by one: for a step of prompts, for others on the link, for blocks and a step of answers."""
    run = played("vllm", "vllm-0.33")
    requests, alone_s = run.requests.copy(), run.link["alone_s"]
    for name in requests.dtype.names:
        if name.endswith("_ns"):
            requests[name] += start
    requests["received_ns"][7] = requests["joined_ns"][7] = -1  # cut on its way
    requests["transfer_s"][7] = np.nan
    requests["prefilled_ns"][9] = requests["received_ns"][9] = requests["joined_ns"][9] = -1
    requests["transfer_s"][9] = np.nan
    for name in ("received_ns", "prefilled_ns", "reserved_ns", "scheduled_ns"):
        requests[name][0] = requests["arrival_ns"][0]  # at once, and at the very beginning
    requests["transfer_s"][0] = 0.0
    link = {"together": together, "narrow": "prefill_replica"}
    found = _stages(requests, alone_s, link)
    prompts, crossing, answers = [], [], []
    for r, alone in zip(requests, alone_s, strict=True):
        asked = r["arrival_ns"] if together else r["prefilled_ns"]
        room = max(int(r["reserved_ns"] - asked), 0)
        prompts.append((r["arrival_ns"] + (room if together else 0), r["scheduled_ns"]))
        took = round(1e9 * alone)
        if r["received_ns"] >= 0:
            others = max(round(1e9 * r["transfer_s"]) - took, 0)
            crossing.append((r["received_ns"] - others, r["received_ns"]))
        if r["prefilled_ns"] >= 0:
            begun = r["received_ns"] - room if r["received_ns"] >= 0 else asked
            answers.append((begun, r["joined_ns"]))
    for name, want in (("prefill", prompts), ("link", crossing), ("decode", answers)):
        got = list(
            zip(
                found[name]["arrival_ns"].tolist(),
                found[name]["scheduled_ns"].tolist(),
                strict=True,
            )
        )
        assert got == want, name
    for name, part in (("prefill", "prefill_replica"), ("decode", "replica")):
        keep = requests["prefilled_ns"] >= 0 if name == "decode" else slice(None)
        assert found[name]["replica"].tolist() == requests[part][keep].tolist()
    waits = _waits(requests, alone_s)
    for r, alone, one in zip(requests, alone_s, waits, strict=True):
        late = max(int(r["joined_ns"] - r["prefilled_ns"]) - round(1e9 * alone), 0)
        want = int(r["scheduled_ns"]) + late if r["joined_ns"] >= 0 else -1
        assert one["scheduled_ns"] == want and one["arrival_ns"] == r["arrival_ns"]
    assert (requests["reserved_ns"] > requests["prefilled_ns"]).any()


@pytest.mark.parametrize(
    ("near", "senders", "far", "receivers", "narrow"),
    [(1.0, 2, 1.0, 3, "prefill_replica"), (1.0, 3, 1.0, 2, "replica"), (1.0, 2, 2.0, 1, "prefill_replica"),
     (4.0, 1, 1.0, 3, "replica"), (4.0, 1, 1.0, 4, "prefill_replica")],
)  # fmt: skip
def test_what_a_link_carries_and_at_which_end_it_is_narrow(near, senders, far, receivers, narrow):
    """Three caches of 1, 2 and 3 MB within 10 ms, one of which has not arrived; bytes a nanosecond."""
    run = played("vllm", "vllm-0.33")
    requests = run.requests[:3].copy()
    requests["sent_bytes"] = [1e6, 2e6, 3e6]
    requests["received_ns"] = [5 * MS, 12 * MS, -1]
    link = {"near": near, "far": far, "senders": senders, "receivers": receivers, "hop_ns": MS,
            "sending_ns": np.array([2 * MS, 7 * MS, MS]), "together": False}  # fmt: skip
    found = _carried(requests, link)
    most = min(near * senders, far * receivers)
    assert found["narrow"] == narrow and found["bytes"] == 6e6
    assert found["load"] == pytest.approx(6e6 / (most * 10 * MS))
    each = min(near, far)
    assert found["alone_s"] == pytest.approx([0.001 + 1e-9 * b / each for b in (1e6, 2e6, 3e6)])


@pytest.mark.parametrize(("many", "seen"), [(3, False), (4, True)])
def test_queues_of_fewer_than_four_say_nothing(many, seen):
    """One prompt a step of 50 ms, which come at 1 ms: the last of four wait in the second half of the arrivals."""
    system = serving.disaggregate(
        ("H100-SXM", None, 1), ("H100-SXM", None, 1), link_bandwidth=1e12, hop_s=0.0
    )
    load = {"arrival": 0.001 * np.arange(many), "input_tokens": 200, "output_tokens": 2}
    run = serving.simulate(
        system, "Llama-3.1-8B", None, load,
        serving.Scheduler.preset("vllm-0.33", max_num_seqs=1, max_num_batched_tokens=200),
        step_time={"prefill": serving.StepTime(50 * MS), "decode": serving.StepTime(2 * MS)},
    )  # fmt: skip
    late, waits = run._queues(np.ones(many, bool))
    assert not any(late.values()) or seen
    assert (waits["prefill"] > 0.5) is seen


def test_a_link_beyond_what_is_counted_takes_no_time():
    for speed, want in ((2.0**62, 0), (2.0**61, 2**61), (0.25, 1), (1e9, 10**9)):
        tier = serving.HostTier(1e9, speed, bytes_per_token=1000.0)
        rules = link_rules(tier, 1000.0, 16, None)
        assert (rules["link_bytes_per_s"], rules["host_block_bytes"]) == (want, 16_000)


def test_a_tier_of_nothing_needs_no_cache_of_tiers():
    load = {"arrival": [0.0, 1.0], "input_tokens": 30, "output_tokens": 2}
    off = serving.Scheduler.preset(
        "sglang-0.5.23", max_total_tokens=2000, enable_hierarchical_cache=False
    )

    def run(capacity):
        tier = serving.HostTier(capacity, 1e6, bytes_per_token=1000.0)
        return serving.simulate(
            None, None, None, load, off, step_time=serving.StepTime(MS), host_tier=tier
        )

    assert (run(0.0).requests["status"] == "done").all()
    for capacity in (1.0, 1e9):
        with pytest.raises(ValueError, match="enable_hierarchical_cache is False with a host_tier"):
            run(capacity)


def test_axes_of_a_step_table():
    """Contexts at powers of two from 64 and between them, what was cached at powers of two from 256."""
    context, past = _reach(4096.0)
    powers = [0, 64, 128, 256, 512, 1024, 2048, 4096]
    assert context.tolist() == sorted([*powers, 96, 192, 384, 768, 1536, 3072])
    assert past.tolist() == [0, 256, 512, 1024, 2048, 4096]


@pytest.fixture(scope="module")
def place():
    on = deployment("H100-SXM", "Llama-3.1-8B", tr.Plan(), "calibrated")
    engine = serving.Scheduler.preset("vllm-0.33", max_num_seqs=64, max_num_batched_tokens=512)
    return on, step_table(on, engine.limits(engine.resolved(on)), 1000.0)


def test_tokens_of_a_step_are_a_tenth_apart_and_at_both_sides_of_tiles(place):
    """Whole prompts' tokens; one in company is looked at a seventh apart, sequences two fifths."""
    sequences, tokens, whole = (place[1].axes[k] for k in (0, 2, 6))
    for axis, apart in ((whole, 0.1), (tokens, 0.15), (sequences, 0.4)):
        assert axis[:2].tolist() == [0.0, 1.0]
        steps = np.diff(axis)
        assert (steps <= np.maximum(1.0, apart * axis[:-1] + 0.5)).all()
    assert {64.0, 65.0, 128.0, 129.0, 448.0, 449.0} <= set(whole)
    assert set(range(64)) <= set(whole) and {63.0, 64.0} <= set(sequences)
    # what prompts' kernels take by themselves, of one token at least
    on, table = place
    want = [1e9 * float(ungapped_prompts(on, max(n, 1.0))) for n in whole]
    assert table.alone == pytest.approx(want, rel=1e-9)
    assert table.slower == pytest.approx(on.records[1][SLOWER] - 1.0)


def test_power_is_looked_at_at_every_other_point_of_short_axes():
    for many, every in ((4, 2), (12, 2), (13, 3), (30, 3), (40, 4), (95, 9)):
        want = sorted({0, 1, many - 1, *range(0, many, every)})
        assert _few(np.arange(float(many))).tolist() == want


@pytest.mark.parametrize("ranks", [2, 4])
def test_what_a_token_takes_off_that_other_ranks_do_not_have(ranks):
    """Of exchanges all but (ranks - 2) ranks / (ranks - 1)^2 stays; by token of each of the others."""
    plan = tr.Plan(dp=ranks, moe_ep=ranks, weights="fp8", kv_cache="fp8")
    on = deployment("H200-SXM", "Qwen3-30B-A3B", plan, "calibrated")
    sequences, tokens = np.array([1.0, 16.0]), np.array([0.0, 64.0, 512.0])
    found = _missing(on, ranks, sequences, tokens)
    spread = (ranks - 2) * ranks / (ranks - 1) ** 2
    names = _core.STEP_FIELDS
    assert found.shape == (3, 2) and (found > 0.0).any()
    for i, n in enumerate(np.maximum(tokens, 1.0)):
        for k, b in enumerate(sequences):
            each = (ranks * b, 1.0, 1.0 * ranks, n, 0.0)
            every = dict(zip(names, kernels.mixed_prompts_step(*on.records, *each), strict=True))
            one = dict(zip(names, kernels.mixed_step(*on.records, *each[:2], n, 0.0), strict=True))
            less = {name: every[name] - one[name] for name in (TIME, EXCHANGES)}
            kept = less[TIME] - (1.0 - spread) * less[EXCHANGES]
            want = 1e9 * max(kept, 0.0) / ((ranks - 1) * n)
            assert found[i, k] == pytest.approx(want, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("running", "slots"), [(1, 2), (31, 62), (32, 64), (33, 0), (None, 0)])
def test_places_of_answers_that_wait_for_their_caches(running, slots):
    """Of few that run twice as many more, of more than 32 none."""
    knobs = {} if running is None else {"max_running_requests": running}
    on = deployment("H100-SXM", "Llama-3.1-8B", tr.Plan(engine="sglang"))
    found = serving.Scheduler.preset("sglang-0.5.23", **knobs).resolved(on)
    assert found["disaggregation_decode_extra_slots"] == slots
