"""Queues of systems of pools, the longest link, and axes of step tables: by hand."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import serving
from tokenroof.serving.simulation.host_tier import link_rules
from tokenroof.serving.simulation.pooled import _stages, _waits
from tokenroof.serving.simulation.step_time import _reach

MS = 10**6


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


@pytest.mark.parametrize(("running", "slots"), [(1, 2), (31, 62), (32, 64), (33, 0), (None, 0)])
def test_places_of_answers_that_wait_for_their_caches(running, slots):
    """Of few that run twice as many more, of more than 32 none."""
    knobs = {} if running is None else {"max_running_requests": running}
    on = tr.inference.door.deployment("H100-SXM", "Llama-3.1-8B", tr.Plan(engine="sglang"))
    found = serving.Scheduler.preset("sglang-0.5.23", **knobs).resolved(on)
    assert found["disaggregation_decode_extra_slots"] == slots
