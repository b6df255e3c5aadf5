"""The kernel of systems against its twin, by hand, and by the laws that it must obey."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from _support import BY_ISA, every_isa, ulps
from tokenroof import _core, kernels, reference

TERMS, FIELDS = _core.SYSTEM_TERMS, _core.SYSTEM_FIELDS
# 3 replicas of 8 devices hold 32 sequences each, rounds of 20 ms that yield 2 tokens; a step of 4 prompts of 0.4 s on
# 4 devices, alone 0.16; caches of 1 GB over 10 GB/s a device
POOLS = {
    "replicas": 3, "batch": 32, "round_s": 0.02, "tokens": 2, "interference_s": 0, "watts": 6000, "idle_w": 800,
    "devices": 8, "provisioned_w": 12000, "prefill_replicas": 0, "prefill_batch": 4, "prefill_s": 0.4,
    "alone_s": 0.16, "prefill_w": 2400, "prefill_idle_w": 400, "prefill_devices": 4, "prefill_provisioned_w": 6000,
    "first_s": 0.05, "cache_bytes": 1e9, "link_bandwidth": 1e10, "hop_s": 1e-3, "burst": 0, "all_devices": 0,
    "prefill_stages": 1,
}  # fmt: skip


def at(output=401.0, **given):
    terms = POOLS | given
    assert set(terms) == set(TERMS)
    found = kernels.serving_system([terms[name] for name in TERMS], output)
    return dict(zip(FIELDS, found.tolist(), strict=True))


amounts = st.one_of(st.floats(1e-6, 1e6), st.sampled_from([0.0, 1.0, 2.0, 1e-300, np.inf, np.nan]))


@given(terms=st.lists(amounts, min_size=len(TERMS), max_size=len(TERMS)), output=amounts)
@every_isa
def test_the_kernel_is_its_twin(isa, terms, output):
    with np.errstate(all="ignore"):
        got = BY_ISA[isa]["serving_system"](terms, output)
    want = reference.serving_system(terms, output)
    assert (ulps(got, np.array([want[name] for name in FIELDS])) == 0).all(), want


@given(
    factors=st.lists(st.floats(0.2, 5.0), min_size=len(TERMS), max_size=len(TERMS)),
    load=st.sampled_from([0.3, 1.0, 10.0, 1000.0]),
    burst=st.sampled_from([0.0, 0.5]),
)
@every_isa
def test_likely_systems_are_their_twin(isa, factors, load, burst):
    """Pools of likely sizes, idle to far beyond what prefills can take."""
    terms = [POOLS[name] * factor for name, factor in zip(TERMS, factors, strict=True)]
    terms[TERMS.index("burst")] = burst
    terms[TERMS.index("prefill_replicas")] = factors[0]
    got = BY_ISA[isa]["serving_system"](terms, 400.0 / load + 1.0)
    want = reference.serving_system(terms, 400.0 / load + 1.0)
    assert (ulps(got, np.array([want[name] for name in FIELDS])) == 0).all(), want


def test_by_hand():
    """96 sequences that stay 400 tokens of 10 ms ask for 24 prompts a second; a replica gives 10."""
    found = at()
    assert found["tpot"] == 0.01 and found["rate"] == 24.0 and found["prefill_replicas"] == 3.0
    assert found["output_rate"] == 24.0 * 401 and found["devices"] == 36.0
    load, busy = 24.0 / 30.0, 24.0 * 1e9 / (12 * 1e10)
    assert found["prefill_load"] == pytest.approx(load) and found["link_load"] == pytest.approx(
        busy
    )
    assert found["transfer_s"] == pytest.approx(
        1e-3 + 1e9 / 4e10
    )  # by the four devices of one prefill replica
    # steps of one prompt, so that prompts wait by M/D/1, and for the link
    single = at(prefill_batch=1.0, prefill_s=0.16, prefill_replicas=1.0, replicas=0.5)
    assert single["rate"] == 4.0 and single["prefill_load"] == pytest.approx(0.64)
    crossing = 1e9 / (4 * 1e10)
    bare = 0.05 + 0.16 + 1e-3 + crossing + 0.02
    n = 4.0 * (bare + 4.0)
    f = (n - 1.0) / n
    wait = sum(0.5 * s * f * 4 * s / (1 - f * 4 * s) for s in (0.16, crossing))
    assert single["wait_s"] == pytest.approx(wait, rel=1e-3)
    assert single["ttft"] == pytest.approx(bare + wait, rel=1e-4)
    assert found["watts"] == pytest.approx(3 * 6000 + 3 * (400 + load * 2000))
    assert found["provisioned_w"] == 3 * 12000 + 3 * 6000 and found["short_of"] == 0.0


def batches(alone, full, many, rate, replicas, prompts=6000):
    """Mean wait and step of prompts at replicas that take all that came in a step; the least loaded is chosen."""
    rng = np.random.default_rng(5)
    queues, ends = [[] for _ in range(replicas)], [0.0] * replicas
    sizes, took = [0] * replicas, []

    def go_on(k, until):
        while queues[k] and ends[k] <= until:
            start = max(ends[k], queues[k][0])
            now, queues[k] = queues[k][:many], queues[k][many:]
            step = alone + (full - alone) / max(many - 1, 1) * (len(now) - 1)
            sizes[k], ends[k] = len(now), start + step
            took.extend((start - came, step) for came in now)

    for came in np.cumsum(rng.exponential(1.0 / (rate * replicas), prompts)).tolist():
        for k in range(replicas):
            go_on(k, came)
        k = min(range(replicas), key=lambda k: len(queues[k]) + (sizes[k] if ends[k] > came else 0))
        queues[k].append(came)
        go_on(k, came)
    return np.mean(took[prompts // 6 :], axis=0)


@pytest.mark.parametrize(
    "many, full, replicas, load",
    [(8, 6.0, 1, 0.7), (32, 9.0, 1, 0.8), (64, 50.0, 1, 0.5), (32, 27.0, 3, 0.7), (4, 1.6, 2, 0.5), (1, 1.0, 1, 0.6)],
)  # fmt: skip
def test_prompts_are_served_as_batches_of_what_came_meanwhile(many, full, replicas, load):
    """Against such replicas played with Poisson arrivals: neither always full nor one at a time."""
    rate = load * many / full
    wait, step = batches(1.0, full, many, rate, replicas)
    stay = 1e6  # so many in flight that what one does is nothing to the others
    found = at(
        2.0, batch=stay * rate * replicas, replicas=1, tokens=1, round_s=stay, prefill_batch=many, prefill_s=full,
        alone_s=1.0, prefill_replicas=replicas, first_s=0, hop_s=0, cache_bytes=0,
    )  # fmt: skip
    assert found["rate"] == pytest.approx(rate * replicas)
    assert found["ttft"] - stay == pytest.approx(wait + step, rel=0.12)
    off = 0.06 if replicas == 1 else 0.12
    assert found["ttft"] - stay - found["wait_s"] == pytest.approx(step, rel=off)


def test_stages_of_a_pipeline_take_turns():
    """Two stages: each takes half of a step's time, and a prompt that comes alone takes the whole of it."""
    alone = at(prefill_batch=1.0, prefill_s=0.16, prefill_replicas=8.0, batch=1e-9, tokens=1)
    piped = at(
        prefill_batch=2.0, prefill_s=0.32, alone_s=0.32, prefill_replicas=8.0, batch=1e-9, tokens=1, prefill_stages=2.0,
    )  # fmt: skip
    assert piped["ttft"] - alone["ttft"] == pytest.approx(0.16)
    busy, same = (
        at(prefill_batch=1.0, prefill_s=0.16),
        at(prefill_batch=2.0, prefill_s=0.32, alone_s=0.32, prefill_stages=2.0),
    )
    stays = [x["ttft"] - x["wait_s"] for x in (same, busy)]
    assert stays[0] - stays[1] == pytest.approx(0.16)


def test_requests_that_stay_bunched_wait_longer():
    """A tenth of the N - 1 others is half of a bunch over 3 replicas; full steps of four, one after the other."""
    wide = {"link_bandwidth": 1e30}
    found, plain = at(burst=0.1, **wide), at(**wide)
    step = plain["ttft"] - plain["wait_s"] - 0.05 - 1e-3 - 0.02
    n = 24.0 * (0.05 + step + 1e-3 + 0.02 + 4.0)
    bunch = 1.0 + 2.0 * 0.1 * (n - 1.0) / 3.0
    full_steps = np.mean([0.4 * (1 + i // 4) for i in range(8)])  # of eight at once
    assert full_steps == pytest.approx(0.4 * (8 + 4) / 8)
    assert bunch > 4.0 and found["wait_s"] + step == pytest.approx(0.4 * (bunch + 4.0) / 8.0)
    # of more replicas each has fewer of a bunch, all in one step
    more = {"prefill_replicas": 6.0, **wide}
    few, plain = at(burst=0.08, **more), at(**more)
    step = plain["ttft"] - plain["wait_s"] - 0.05 - 1e-3 - 0.02
    n = 24.0 * (0.05 + step + 1e-3 + 0.02 + 4.0)
    bunch = 1.0 + 2.0 * 0.08 * (n - 1.0) / 6.0
    assert bunch < 4.0 and few["wait_s"] + step == pytest.approx(0.16 + 0.08 * (bunch - 1.0))
    assert at(burst=1e-6) == at()


def test_what_is_short():
    few = at(prefill_replicas=2.0)
    assert few["rate"] == 20.0 and few["short_of"] == 1.0 and few["prefill_load"] == 1.0
    # decode replicas work for the share of the time that prompts come
    assert few["watts"] == pytest.approx(3 * (800 + 20 / 24 * 5200) + 2 * 2400)
    thin = at(link_bandwidth=1e9)
    assert (
        thin["rate"] == pytest.approx(12.0)
        and thin["short_of"] == 2.0
        and thin["link_load"] == pytest.approx(1.0)
    )
    more = at(prefill_replicas=5.0)
    assert (
        more["rate"] == 24.0
        and more["prefill_replicas"] == 5.0
        and more["prefill_load"] == pytest.approx(0.48)
    )
    assert more["ttft"] < at()["ttft"]


def test_a_fixed_number_of_devices_leaves_some_idle():
    """Systems of 36 devices: two of 100, of which 28 wait, drawing and set aside as decode devices do."""
    one, found = at(), at(all_devices=100.0)
    assert (
        found["rate"] == 2 * one["rate"]
        and found["devices"] == 100.0
        and found["idle_devices"] == 28.0
    )
    assert found["watts"] == pytest.approx(2 * one["watts"] + 28 * 100)
    assert found["provisioned_w"] == pytest.approx(2 * one["provisioned_w"] + 28 * 1500)
    assert found["ttft"] == one["ttft"] and found["concurrency"] == pytest.approx(
        2 * one["concurrency"]
    )
    assert np.isnan(list(at(all_devices=35.0).values())).all()  # too few for one


def test_one_pool_for_both():
    """Without a prefill pool a stay begins with the prompt, others' prompts slow steps, and nothing crosses."""
    found = at(prefill_s=0.0, interference_s=0.002, first_s=0.3)
    assert found["tpot"] == pytest.approx(0.012)
    assert found["rate"] == pytest.approx(96 / (400 * 0.012 + 0.32)) and found[
        "ttft"
    ] == pytest.approx(0.32)
    assert (
        found["devices"] == 24.0
        and found["transfer_s"] == found["wait_s"] == found["prefill_load"] == 0.0
    )
    assert found["concurrency"] == pytest.approx(96.0)  # as many as its batches hold


@given(
    batch=st.floats(1, 1e3), drafts=st.floats(1, 9), output=st.floats(2, 1e4), n=st.integers(1, 9),
    prefill=st.floats(0.01, 1), link=st.floats(1e9, 1e12),
)  # fmt: skip
def test_laws(batch, drafts, output, n, prefill, link):
    found = at(
        output, batch=batch, tokens=drafts, replicas=n, prefill_s=prefill, link_bandwidth=link
    )
    assert found["concurrency"] == pytest.approx(found["rate"] * found["latency"])  # Little
    assert found["latency"] == pytest.approx(found["ttft"] + (output - 1) * found["tpot"])
    # matched: one replica fewer would be short, where there is another
    assert found["prefill_load"] <= 1.0 and found["rate"] > 0
    fewer = found["prefill_replicas"] - 1.0
    if fewer and not found["short_of"]:
        assert at(output, batch=batch, tokens=drafts, replicas=n, prefill_s=prefill, link_bandwidth=link,
                  prefill_replicas=fewer)["short_of"] in (1.0, 2.0)  # fmt: skip
    # more drafts kept, no slower
    assert at(output, batch=batch, tokens=drafts + 1, replicas=n)["tpot"] < found["tpot"]


@pytest.mark.parametrize(
    "name",
    [t for t in TERMS if t not in ("prefill_replicas", "all_devices", "interference_s", "burst")],
)
def test_every_term_has_an_effect(name):
    base, other = at(all_devices=100.0), at(**{name: POOLS[name] * 1.5}, all_devices=100.0)
    assert base != other, name
