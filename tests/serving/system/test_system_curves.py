"""Curves and capacities of systems: one pool is a replica, links and drafts count, laws hold."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.inference.decouple import attention_experts, drafts, prefill_decode
from tokenroof.serving import (
    SLO,
    Pool,
    Speculation,
    System,
    capacity,
    curve,
    disaggregate,
    draft_apart,
    split_experts,
)

PLAN = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
GPU, DENSE, MOE = "H200-SXM", "Llama-3.1-70B", "DeepSeek-R1"
BLOCK = tr.Plan(tp=8, weights="fp8_block", kv_cache="fp8")
USERS = np.array([2.0, 32.0, 256.0, 2048.0])
SAME = (
    "ttft_s",
    "tpot_s",
    "latency_s",
    "ttft_low_s",
    "tpot_high_s",
    "error_band",
    "output_tokens_per_joule",
)
TWICE = (
    "output_throughput",
    "input_throughput",
    "watts",
    "provisioned_watts",
    "facility_watts",
    "batch",
)


@pytest.mark.parametrize("count", [1, 2])
def test_a_pool_for_both_is_so_many_replicas(count):
    got = curve(System(both=(GPU, PLAN, count)), DENSE, concurrency=USERS)
    want = curve(GPU, DENSE, PLAN, concurrency=USERS / count)
    for name in SAME:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-9, err_msg=name)
    for name in TWICE:
        np.testing.assert_allclose(got[name], count * want[name], rtol=1e-9, err_msg=name)


def apart(n=1, m=2, **given):
    return disaggregate((GPU, PLAN, n), (GPU, PLAN, m), **given)


def test_laws_of_two_pools():
    table = curve(apart(), DENSE, None, 4096, 512, USERS)
    rate = table.output_throughput / 512
    in_flight = rate * table.latency_s
    # Little; where the prefill pool is short, the rest of the users waits for it
    np.testing.assert_allclose(in_flight, USERS, rtol=1e-6)
    np.testing.assert_allclose(table.latency_s, table.ttft_s + 511 * table.tpot_s, rtol=1e-9)
    assert table.prefill_load[-1] == pytest.approx(1.0, abs=1e-6) and table.queue_s[-1] > 1.0
    assert (table.prefill_load[:2] < 1.0).all() and (table.queue_s[:2] == 0.0).all()
    assert (table.devices == 24).all() and (table.idle_devices == 0).all()
    np.testing.assert_allclose(table.per_device, table.output_throughput / 24)
    # no prompt passes through a decode step: tokens come faster than where one pool does both
    both = curve(System(both=(GPU, PLAN, 3)), DENSE, None, 4096, 512, USERS)
    assert (table.tpot_s[1:] < both.tpot_s[1:]).all()


def test_sequences_that_an_engine_takes_at_once():
    """Two decode replicas of 16 hold 32 of 48 in flight; the rest waits for one of them to end."""
    few = System(prefill=(GPU, PLAN), decode=Pool(GPU, PLAN, 2, sequences=16))
    table, free = (curve(one, DENSE, None, 1024, 512, [8.0, 48.0, 480.0]) for one in (few, apart()))
    assert table.batch.values[1:] == pytest.approx([32.0, 32.0], rel=1e-6)
    stay = table.latency_s - table.queue_s
    held = 512 * stay / 511 / table.tpot_s  # tokens of a stay, without what goes before the first
    assert (held > 512).all()
    want = (np.array([48.0, 480.0]) / (table.output_throughput[1:] / 512)) - stay[1:]
    np.testing.assert_allclose(table.queue_s[1:], want, rtol=1e-9)
    np.testing.assert_allclose(
        table.queue_s[2], 480 / 32 * 511 * table.tpot_s[2] - stay[2], rtol=1e-6
    )
    assert (table.tpot_s[1:] < free.tpot_s[1:]).all() and (table.ttft_s[1:] > free.ttft_s[1:]).all()
    # below them nothing changes, and a pool for both waits likewise
    assert float(table.ttft_s[0]) == pytest.approx(float(free.ttft_s[0]), rel=1e-9)
    both = curve(System(both=Pool(GPU, PLAN, sequences=16)), DENSE, None, 1024, 512, [8.0, 160.0])
    open_ = curve(GPU, DENSE, PLAN, 1024, 512, [8.0, 16.0])
    assert float(both.ttft_s[0]) == pytest.approx(float(open_.ttft_s[0]), rel=1e-9)
    assert float(both.output_throughput[1]) == pytest.approx(
        float(open_.output_throughput[1]), rel=1e-6
    )


def test_a_prefill_pool_gives_what_its_steps_take():
    """What an engine adds to a request's own prompt delays it, and not the pool's next step."""
    table = curve(apart(n=1, m=16), DENSE, None, 2048, 64, [4096.0])
    step = tr.prefill(GPU, DENSE, PLAN, batch=4, tokens=2048)
    assert float(table.output_throughput[0]) / 64 == pytest.approx(4 / float(step.time_s), rel=1e-6)
    # steps of one prompt give less; a prompt that comes alone is alone in either
    short = System(prefill=Pool(GPU, PLAN, step_tokens=2048), decode=(GPU, PLAN, 16))
    one = tr.prefill(GPU, DENSE, PLAN, batch=1, tokens=2048)
    got = curve(short, DENSE, None, 2048, 64, [1.0, 4096.0])
    assert float(got.output_throughput[1]) / 64 == pytest.approx(1 / float(one.time_s), rel=1e-6)
    alone = curve(apart(n=1, m=16), DENSE, None, 2048, 64, [1.0])
    assert float(got.ttft_s[0]) == float(alone.ttft_s[0])


def test_a_prefill_pool_that_does_not_hold_the_model():
    """671 GB on one device: no number is given, and the search takes no such pool."""
    small = tr.Plan(weights="fp8_block", kv_cache="fp8")
    one = disaggregate((GPU, small, 4), (GPU, BLOCK, 1))
    table = curve(one, MOE, None, 1024, 512, [4.0, 64.0])
    assert not table.fits.any() and table.output_throughput.isnull().all() and table.attrs["reason"]
    front = tr.serving.frontier(
        "GB200-NVL72", MOE, devices_max=8, concurrency=[8, 64, 512], systems=True, exclude=["both"]
    )
    assert front.sizes["point"] and np.isfinite(front.ttft_s).all()


def test_more_prefill_replicas_bear_more():
    one, two = (curve(apart(n=n, m=1), DENSE, None, 4096, 512, [2048.0]) for n in (1, 2))
    assert two.output_throughput > 1.5 * one.output_throughput and two.ttft_s < one.ttft_s


def test_the_link_is_part_of_the_first_token():
    nbytes = tr.model(DENSE).kv_bytes(4096.0, "fp8")
    slow, fast = (
        curve(apart(link_bandwidth=rate, hop_s=0.0), DENSE, None, 4096, 512, [1.0])
        for rate in (1e8, 1e12)
    )
    assert float(slow.transfer_s[0]) == pytest.approx(nbytes / (8 * 1e8))
    gap = float((slow.ttft_s - fast.ttft_s)[0])
    assert gap == pytest.approx(nbytes / (8 * 1e8) - nbytes / (8 * 1e12), rel=0.1)
    ranged = curve(apart(link_bandwidth=(1e8, 1e9, 1e10), hop_s=0.0), DENSE, None, 4096, 512, [1.0])
    exact = curve(apart(link_bandwidth=1e9, hop_s=0.0), DENSE, None, 4096, 512, [1.0])
    assert ranged.ttft_s == exact.ttft_s and ranged.tpot_s == exact.tpot_s
    assert ranged.ttft_low_s < exact.ttft_low_s and ranged.ttft_high_s > exact.ttft_high_s
    # a link that carries less than the pools give is what is short
    thin = curve(apart(link_bandwidth=2e8), DENSE, None, 4096, 512, [2048.0])
    assert float(thin.link_load[0]) == pytest.approx(1.0, abs=1e-6)
    assert float(thin.output_throughput[0]) == pytest.approx(512 * 8 * 2e8 / nbytes, rel=1e-6)


@pytest.mark.parametrize("make", [lambda s: System(both=(GPU, BLOCK), speculation=s),
                                  lambda s: disaggregate((GPU, BLOCK), (GPU, BLOCK), s)])  # fmt: skip
def test_drafts_are_rounds_of_the_step(make):
    """Tokens come at the pace of `speculative.decode` at the batch that is settled at."""
    spec = Speculation("mtp", 2, (0.9, 0.6))
    plain, none, found = (
        curve(make(s), MOE, concurrency=[4.0]) for s in (None, Speculation("mtp", 0), spec)
    )
    assert plain.tpot_s == none.tpot_s
    one = tr.speculative.decode(
        GPU, MOE, BLOCK, batch=float(found.batch[0]), context=1024 + 512, length=2,
        acceptance=tr.speculative.ByPosition((0.9, 0.6)),
    )  # fmt: skip
    assert one.expected_tokens == pytest.approx(spec.tokens) == pytest.approx(1 + 0.9 + 0.54)
    shared = make(None).both is not None
    assert float(found.tpot_s[0]) == pytest.approx(one.tpot_s, rel=0.1 if shared else 1e-9)
    assert found.interactivity > 1.3 * plain.interactivity
    # what is never accepted costs and yields nothing
    lost = curve(make(Speculation("mtp", 2, 0.0)), MOE, concurrency=[4.0])
    assert lost.tpot_s > plain.tpot_s


def test_a_head_over_the_states_drafts_for_any_model():
    plain, drafted = (
        curve(System(both=(GPU, PLAN), speculation=how), DENSE, concurrency=[2.0])
        for how in (None, Speculation("eagle", 3, (0.8, 0.7, 0.6)))
    )
    assert drafted.interactivity > 1.3 * plain.interactivity


def test_chips_bring_their_ranges():
    """Systems with dataflow chips are the layouts of `decouple`, number for number."""
    link = {"link_bandwidth": 5e10, "hop_s": 2e-6}
    table = curve(
        split_experts(("B200-SXM", PLAN), "LPX", **link), "Qwen3-235B-A22B", concurrency=[1, 64]
    )
    want = attention_experts(
        "Qwen3-235B-A22B", ("B200-SXM", PLAN), "LPX", batch=[1.0, 64.0], context=1536.0, **link
    )
    for end in ("low", "high"):
        assert np.array_equal(table[f"tpot_{end}_s"], getattr(want.tpot_s, end))
        assert np.array_equal(
            table[f"output_tokens_per_s_per_mw_{end}"], 1e6 * getattr(want.tokens_per_joule, end)
        )
    assert np.array_equal(table.tpot_s, want.tpot_s.mid) and np.array_equal(
        table.watts, want.watts.mid
    )
    system = draft_apart((GPU, PLAN, 2), "Llama-3.2-1B", "LPX", drafts=3, acceptance=0.7, **link)
    table = curve(system, DENSE, concurrency=[8])
    want = drafts(DENSE, (GPU, PLAN), "Llama-3.2-1B", "LPX", length=3, acceptance=0.7, batch=[4.0],
                  context=1536.0, **link)  # fmt: skip
    assert np.array_equal(table.tpot_s, want.tpot_s.mid)
    assert np.array_equal(table.output_throughput, 2 * want.tokens_per_s.mid)
    system = disaggregate((GPU, PLAN, 2), ("LPX", PLAN), **link)
    table = curve(system, DENSE, concurrency=[8])
    want = prefill_decode(DENSE, (GPU, PLAN, 2), ("LPX", PLAN, 1), concurrency=[8.0], **link)
    assert np.array_equal(table.ttft_s, want.parts["ttft_s"].mid)
    assert np.array_equal(table.tpot_low_s, want.tpot_s.low)


def test_capacity_is_the_most_that_meets():
    slo = SLO(ttft_s=1.0, tpot_s=0.02)
    most = capacity(apart(), DENSE, None, slo, 4096, 512)
    at = float(most.concurrency)
    assert at == int(at) > 1 and most.ttft_s <= 1.0 and most.tpot_s <= 0.02
    more = curve(apart(), DENSE, None, 4096, 512, [at + 1.0])
    assert (more.ttft_s > 1.0) | (more.tpot_s > 0.02)
    sure = capacity(apart(), DENSE, None, SLO(ttft_s=1.0, tpot_s=0.02, sure=True), 4096, 512)
    assert sure.concurrency < most.concurrency and sure.tpot_high_s <= 0.02
    none = capacity(apart(), DENSE, None, SLO(tpot_s=1e-4), 4096, 512)
    assert none.concurrency == 0.0 and np.isnan(none.tpot_s)


def test_what_does_not_fit_is_said():
    table = curve(System(both="L4"), DENSE, concurrency=[1, 8])
    assert not table.fits.any() and "do not fit a pool of 1x L4" in table.attrs["reason"]
    assert curve(apart(version="0.19"), DENSE).attrs["version"] == "0.19"


BAD = [
    (lambda: curve(apart(), DENSE, PLAN), ValueError, "plan is .* with the System .*as its pools have plans"),
    (lambda: curve(apart(), DENSE, rate=[1.0], requests=9), ValueError, "requests is 9 .*its closed form is one of users"),
    (lambda: curve(apart(), DENSE, rate=[1.0], concurrency=[2]), ValueError, "concurrency is given beside a rate"),
    (lambda: curve(apart(), DENSE, rate=[0.0]), ValueError, "rate is 0; allowed"),
    (lambda: curve(GPU, DENSE, rate=[1.0], scheduler={}), TypeError, "scheduler is {}; allowed: a Scheduler"),
    (lambda: curve(apart()), TypeError, "model is None, of a System without one"),
    (lambda: curve(GPU), TypeError, "model is None; allowed: a name"),
    (lambda: capacity(apart(), DENSE, None, SLO(ttft_s=1.0, percentile=95)), ValueError, "percentile is 95"),
    (lambda: capacity(apart(), DENSE, None, SLO(ttft_s=1.0), prove=True, sure=1), TypeError, "unexpected option 'sure'"),
    (lambda: capacity(apart(), DENSE, None, SLO(ttft_s=1.0, sure=True), fidelity="datasheet"), ValueError,
     "sure is True with ttft_s"),
]  # fmt: skip


@pytest.mark.parametrize("call, kind, said", BAD, ids=[str(i) for i in range(len(BAD))])
def test_what_a_system_does_not_take(call, kind, said):
    with pytest.raises(kind, match=said):
        call()


def test_capacity_of_one_user_is_one_user():
    """Two would wait longer than asked; fewer than one there is not."""
    system = tr.serving.disaggregate("H200-SXM", "H200-SXM")
    one, two = tr.serving.curve(system, "Llama-3.1-8B", None, concurrency=[1.0, 2.0]).tpot_s.values
    found = tr.serving.capacity(
        system, "Llama-3.1-8B", None, tr.serving.SLO(tpot_s=0.5 * (one + two))
    )
    assert (float(found.concurrency), float(found.tpot_s)) == (1.0, one)
    none = tr.serving.capacity(system, "Llama-3.1-8B", None, tr.serving.SLO(tpot_s=0.5 * one))
    assert float(none.concurrency) == 0.0
