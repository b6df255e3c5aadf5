"""Plans whose data-parallel ranks step as one: their rounds in the closed forms, against the simulator."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels
from tokenroof.inference.door import deployment
from tokenroof.serving import (
    SLO,
    Lengths,
    Scheduler,
    capacity,
    curve,
    poisson,
    simulate,
    stability,
    summary,
    users,
)
from tokenroof.serving.prompts import padded_decode, prompts_of, slower
from tokenroof.serving.rounds import (
    StepsOf,
    carrying,
    fullest,
    round_beside,
    round_decode,
    round_further,
)
from tokenroof.serving.twin import Shape, shape_of, told_of, twin_of

QWEN2 = ("H200-SXM", "Qwen3-30B-A3B", tr.Plan(dp=2, moe_ep=2))
QWEN4 = ("H200-SXM", "Qwen3-30B-A3B", tr.Plan(dp=4, moe_ep=4))
R1 = ("H200-SXM", "DeepSeek-R1", tr.Plan(dp=8, moe_ep=8, weights="fp8", kv_cache="fp8"))
SHORT = {
    "input_tokens": Lengths.lognormal(400, 0.3),
    "output_tokens": Lengths.lognormal(150, 0.3),
}
GRAPHS = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 512.0])


def on_of(place):
    return deployment(*place, "calibrated")


def steps_in(on, shape, scheduler=None):
    told = told_of(on, shape, scheduler)
    return StepsOf(on, shape, told.graphs, told.budget)


def rounds_of(place, load):
    """Seconds of every round, its sequences past their prompt, those of the fullest rank, and its prompts."""
    run = simulate(*place, load, record_steps=True)
    past = run.entries["before"] >= run.requests["input_tokens"][run.entries["request"]]
    ends, which = np.unique(run.steps["end_ns"], return_inverse=True)
    of_step = [np.bincount(run.entries["step"], x, len(run.steps)) for x in (past, ~past)]
    sequences, most, prompts, seconds = (np.zeros(len(ends)) for _ in range(4))
    np.add.at(sequences, which, of_step[0])
    np.maximum.at(most, which, of_step[0])
    np.add.at(prompts, which, of_step[1])
    np.maximum.at(seconds, which, 1e-9 * (run.steps["end_ns"] - run.steps["start_ns"]))
    last = 1e9 * load.arrival_s[-1]
    some = (ends > 0.3 * last) & (ends < last)
    return seconds[some], sequences[some], most[some], prompts[some]


@pytest.mark.parametrize(("place", "rate"), [(QWEN2, 30.0), (QWEN4, 60.0), (R1, 10.0)])
def test_rounds_take_what_the_simulator_has(place, rate):
    """The fullest rank, rounds without prompts, and those of one, two, ... prompts."""
    load = poisson(rate, requests=2500, seed=3, **SHORT)
    seconds, sequences, most, prompts = rounds_of(place, load)
    on, shape = on_of(place), shape_of(load)
    steps_of = steps_in(on, shape)
    n = np.array([sequences.mean()])
    assert float(fullest(n, place[2].dp)[0]) == pytest.approx(most.mean(), rel=0.05)
    bare = seconds[(prompts == 0.0) & (sequences > 0.0)]
    assert float(steps_of.decode(n)[0]) == pytest.approx(bare.mean(), rel=0.04)
    first = float(steps_of.beside(n)[0, 0])
    for k in (1.0, 2.0, 3.0):
        further = (k - 1.0) * float(steps_of.further(n, np.array([max(k - 1.0, 1.0)]))[0])
        assert first + further == pytest.approx(seconds[prompts == k].mean(), rel=0.06), k


def test_every_rank_runs_what_the_fullest_has():
    """Four sequences of a rank are a graph of four on every one; five of it one of eight."""
    on = on_of(QWEN4)
    assert fullest([0.0, 1.0, 13.0], 4).tolist() == [1.0, 1.0, 4.0]
    found = round_decode(on, np.array([1.0, 13.0, 17.0, 15.0]), 600.0, GRAPHS)
    alone, four, five = (
        float(kernels.decode_time(*on.records, 4.0 * wide, 600.0 * own / wide))
        for own, wide in ((1.0, 1.0), (4.0, 4.0), (5.0, 8.0))
    )
    assert found == pytest.approx([alone, four, five, 0.5 * (four + five)], rel=1e-12)


def test_a_prompt_on_one_rank_is_as_wide_on_all():
    """In a captured graph every rank computes as much; one without a prompt as many sequences, which sample."""
    on = on_of(QWEN4)
    few = np.array([9.0])
    found = round_beside(on, few, 600.0, prompts_of([500.0]), GRAPHS)[0]
    rows = 12.0  # three sequences, and nine of padding
    with_prompt = kernels.mixed_prompts_time(
        *on.records, 4 * rows, 600.0 * 3.0 / rows, 4.0, 500.0, 0.0
    )
    with_prompt = float(with_prompt) + float(slower(on, 500.0))
    without = float(kernels.decode_time(*on.records, 4 * 512.0, 600.0 * 3.0 / 512.0))
    assert without > with_prompt
    assert found[0] == pytest.approx(without, rel=1e-12)
    assert found[1:] == pytest.approx([0.0, 0.0], abs=1e-18)
    # with a prompt on each rank nobody is without
    many = float(round_further(on, few, 600.0, prompts_of([500.0]), np.array([3.0]), GRAPHS)[0])
    assert many == pytest.approx(1e-9)
    # alone on its rank it has no company that slows it
    one = float(round_beside(on, np.array([3.0]), 600.0, prompts_of([100.0]), GRAPHS[-1:])[0, 0])
    rows = 1.5 + 512.0 - 101.5
    want = kernels.mixed_prompts_time(*on.records, 4 * rows, 600.0 * 1.5 / rows, 4.0, 100.0, 0.0)
    wide = kernels.decode_time(*on.records, 4 * 512.0, 600.0 * 1.5 / 512.0)
    assert one == pytest.approx(max(float(want), float(wide)), rel=1e-9)


def test_beyond_graphs_experts_see_the_tokens_that_there_are():
    """Of two ranks the exchanges take as much as if both had a prompt, of four nearly what there is."""
    for place, spread in ((QWEN2, 0.0), (QWEN4, 8.0 / 9.0)):
        on, ranks = on_of(place), place[2].dp
        none = np.empty(0)
        n = np.array([ranks + 1.0])
        own = (2.0 * ranks) / ranks
        found = float(round_beside(on, n, 600.0, prompts_of([2000.0]), none)[0, 0])
        shape = (ranks * own, 600.0)
        every = float(kernels.mixed_prompts_time(*on.records, *shape, ranks, 2000.0, 0.0))
        every += float(slower(on, 2000.0)) * 2.0 / ranks  # how often it has company
        both = [
            np.asarray(kernels.mixed_prompts_step(*on.records, ranks * own, 1.0, k, 2000.0, 0.0))
            for k in (float(ranks), 1.0)
        ]
        fewer = both[0] - both[1]
        assert found == pytest.approx(every - (fewer[0] - (1.0 - spread) * fewer[7]), rel=1e-9)
        assert found < every


def test_further_prompts_take_the_time_of_the_longest():
    """Of two lengths; beyond one on each rank the fullest has several."""
    on = on_of(QWEN2)
    none, n = np.empty(0), np.array([3.0])
    both = prompts_of([1000.0, 3000.0])
    short, long_ = (
        float(round_beside(on, n, 600.0, prompts_of([x]), none)[0, 0]) for x in (1000.0, 3000.0)
    )
    one = round_beside(on, n, 600.0, both, none)[0]
    assert one[0] == pytest.approx(0.5 * (short + long_), rel=1e-9)
    assert one[1] == pytest.approx(0.25 * (short - long_) ** 2, rel=1e-9)
    added = float(round_further(on, n, 600.0, both, np.array([1.0]), none)[0])
    # three in four times the longer of the two is long, and the other rank has tokens of its own
    assert 0.25 * (long_ - short) < added < 0.6 * long_
    alike = prompts_of([2000.0])
    more = [
        float(round_further(on, n, 600.0, alike, np.array([k]), none)[0]) * k
        for k in (1.0, 3.0, 5.0)
    ]
    apiece = np.diff(more) / 2.0  # of each pair one on either rank: half a prompt's time on both
    assert apiece[1] == pytest.approx(apiece[0], rel=0.1)


def test_long_rounds_follow_one_another():
    """Prompts come as often as time passes: of rounds ten times as long with one, most follow another."""
    came = np.array([0.0, 0.5])
    same = carrying(came, np.ones(2), np.zeros(2), np.zeros(2))
    assert same == pytest.approx([1.0, -np.expm1(-0.5) / 0.5], rel=1e-9)
    step, begin = np.ones(2), np.full(2, 9.0)
    found = float(carrying(came, step, begin, np.zeros(2))[1])
    q, share = found * 0.5, 1.0 - np.exp(-0.5)
    rate = 0.5 / (1.0 + 9.0 * q)  # in the mean length of a round
    begins, stays = -np.expm1(-rate), -np.expm1(-10.0 * rate)
    assert q == pytest.approx(begins / (begins + 1.0 - stays), rel=1e-3)
    assert q < 0.9 * share


def test_places_are_those_of_every_rank():
    on, shape = on_of(QWEN4), Shape(400.0, 150.0)
    knobs = Scheduler.preset("vllm-0.33", max_num_seqs=8, num_blocks=200)
    told, twin = told_of(on, shape, knobs), twin_of(on, shape, knobs)
    assert (told.sequences, twin.sequences) == (8.0, 32.0)
    assert len(twin.steps) == 4 * told.places + 1
    assert twin.memory == 4.0 * told.memory
    assert (twin.inputs["ranks"], twin.inputs["budget"]) == (4.0, told.budget)
    one = tr.Plan()
    alone = steps_in(deployment(*QWEN4[:2], one, "calibrated"), shape, knobs)
    assert steps_in(on, shape, knobs).ranks == 4
    assert steps_in(on, Shape(9000.0, 150.0), knobs).ranks == 1  # in pieces: held nowhere
    n = np.array([1.0, 7.0])
    assert alone.ranks == 1
    same = padded_decode(alone.on, n, shape.context, told.graphs)
    assert alone.decode(n).tolist() == same.tolist()


def test_ranks_of_a_dense_model_are_held_nowhere():
    """They wait for nobody, and are not played."""
    row = curve("H100-SXM", "Llama-3.1-8B", tr.Plan(dp=2), rate=[1.0], **SHORT).isel(rate=0)
    assert not row.means_hold
    assert not row.percentiles_hold


@pytest.mark.parametrize(("output", "held"), [(24, False), (30, True)])
def test_answers_are_longer_where_ranks_hold(output, held):
    row = curve(*QWEN2, input_tokens=1200, output_tokens=output, rate=[2.0]).isel(rate=0)
    assert bool(row.means_hold) is held


@pytest.mark.parametrize("place", [QWEN2, QWEN4, R1], ids=["dp2", "dp4", "dp8"])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.6, 0.9])
def test_open_loops_of_ranks(place, share):
    """Where it is said to hold it does; and it is at light load, which was a third fast."""
    means = {name: of.mean for name, of in SHORT.items()}
    rate = share * stability(*place, **means).rate
    many = 2500 if share < 0.5 else 6000
    load = poisson(rate, requests=many, seed=2, **SHORT)
    row = curve(*place, load=load).isel(rate=0)
    run = simulate(*place, load).requests
    seen = summary(run[many // 10 : -many // 10])
    if share < 0.3:
        assert row.means_hold
    for time in ("ttft", "tpot", "e2e"):
        if row.means_hold:
            assert float(row[f"{time}_s"]) == pytest.approx(seen[f"{time}_s"]["mean"], rel=0.1)
        if row.percentiles_hold:
            for p in ("p50", "p90", "p99"):
                assert float(row[f"{time}_{p}_s"]) == pytest.approx(seen[f"{time}_s"][p], rel=0.2)


@pytest.mark.parametrize("count", [1, 4, 64])
def test_closed_loops_of_ranks(count):
    load = users(count, max(800, 40 * count), seed=2, **SHORT)
    row = curve(*QWEN4, concurrency=[count], **SHORT).isel(concurrency=0)
    run = simulate(*QWEN4, load).requests
    seen = summary(run[len(run) // 10 : -len(run) // 10])
    assert row.means_hold
    for time in ("ttft", "tpot", "e2e"):
        assert float(row[f"{time}_mean_s"]) == pytest.approx(seen[f"{time}_s"]["mean"], rel=0.08)
    assert float(row.tpot_p99_s) == pytest.approx(seen["tpot_s"]["p99"], rel=0.15)


def test_a_tight_promise_is_kept_at_the_rate_that_is_said():
    """It was said to hold at twenty times what the simulator proves."""
    slo = SLO(ttft_s=0.06, percentile=99)
    most = capacity(*QWEN4, slo, **SHORT)
    assert most.percentiles_hold
    seen = simulate(*QWEN4, poisson(float(most.rate), requests=2500, seed=2, **SHORT)).summary()
    assert seen["ttft_s"]["p99"] == pytest.approx(0.06, rel=0.15)
