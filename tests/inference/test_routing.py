"""A model's own routing: means over how tokens fall, so that no edge falls on all experts at once."""

import itertools

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.reference.inference.experts import tile_rows
from tokenroof.reference.inference.routing import Routing, further_tiles, loads, octaves

MIXTURES = ("Qwen3-30B-A3B", "gpt-oss-20b", "gpt-oss-120b", "DeepSeek-V3", "Llama-4-Maverick",
            "Mixtral-8x7B", "GLM-4.5", "MiniMax-M2.5", "Qwen3-235B-A22B")  # fmt: skip
DEVICES = ("H100-SXM", "H200-SXM", "B200-SXM", "L40S", "A100-SXM4-80GB", "MI300X")
LAYERS = [(256, 8), (128, 8), (32, 4), (8, 2), (128, 1)]


def _drawn(tokens, routing, rows, draws=3000):
    """Pairs, touched experts and tiles of the busiest rank: mean over draws of popularity and of tokens."""
    rng = np.random.default_rng(5)
    levels = octaves(routing)
    chance = np.array([o.chance for o in levels])
    share = np.array([o.experts for o in levels]) * routing.ranks / routing.experts
    experts, ranks = int(routing.experts), int(routing.ranks)
    own = chance[rng.choice(len(chance), p=share / share.sum(), size=(draws, experts))]
    # an octave's experts lie evenly within a third of its mean
    own = np.clip(own * rng.uniform(2 / 3, 4 / 3, own.shape), 0, 1)
    own = np.clip(own * (routing.topk / own.sum(1, keepdims=True)), 0, 1)
    counts = rng.binomial(int(tokens), own).reshape(draws, ranks, -1)
    busiest = counts[np.arange(draws), counts.sum(2).argmax(1)]
    return (
        busiest.sum(1).mean(),
        (busiest > 0).sum(1).mean(),
        np.ceil(busiest / rows).sum(1).mean(),
    )


@pytest.mark.parametrize(("experts", "topk"), LAYERS)
@pytest.mark.parametrize("ranks", [1, 4])
@pytest.mark.parametrize(("tokens", "rows"), [(3, 8), (17, 8), (64, 16), (700, 64), (5000, 128)])
def test_loads_are_those_of_random_draws(experts, topk, ranks, tokens, rows):
    routing = Routing(float(experts), float(topk), float(ranks), 1.01, popular=True)
    got = loads(float(tokens), routing, float(rows))
    pairs, touched, tiles = _drawn(tokens, routing, rows)
    few = experts / ranks < 8 or tokens * topk < 4 * ranks  # far from sums of many draws
    assert got.pairs == pytest.approx(pairs, rel=0.35 if few else 0.15)
    assert got.touched == pytest.approx(touched, rel=0.25 if few else 0.08)
    assert got.tiles == pytest.approx(tiles, rel=0.25 if few else 0.12)


@pytest.mark.parametrize(("experts", "topk"), [*LAYERS, (16, 16), (2, 1)])
@pytest.mark.parametrize("skew", [0.3, 1.0, 1.01, 2.0, 6.0])
def test_a_token_takes_topk_experts_whatever_their_popularity(experts, topk, skew):
    routing = Routing(float(experts), float(topk), 1.0, skew, popular=True)
    levels = octaves(routing)
    assert all(0.0 < o.chance <= 1.0 for o in levels)
    assert sum(o.experts for o in levels) == pytest.approx(experts)
    assert sum(o.experts * o.chance for o in levels) == pytest.approx(topk)
    for octave, next_ in itertools.pairwise(levels):  # octaves, until a token takes one always
        assert next_.chance == pytest.approx(min(2.0 * octave.chance, 1.0), rel=1e-9)
        assert next_.experts == pytest.approx(octave.experts * 2.0 ** (1.0 - skew), rel=1e-9)
    one = loads(1.0, routing, 8.0)
    assert one.pairs == topk and one.touched == pytest.approx(topk) and one.tiles == one.touched
    many = loads(1e5, routing, 8.0)
    assert many.touched == pytest.approx(experts, rel=1e-3)
    # half a tile more of each than its tokens fill
    assert many.tiles * 8.0 == pytest.approx(1e5 * topk + 4.0 * experts, rel=0.01)


def test_further_tiles_are_the_mean_over_an_even_distribution():
    rng = np.random.default_rng(3)
    for mean, half, rows in (
        (20.0, 5.0, 16.0),
        (16.0, 3.0, 16.0),
        (40.0, 8.0, 16.0),
        (7.0, 3.0, 16.0),
    ):
        numbers = rng.uniform(mean - half, mean + half, 200_000) - 0.5
        want = np.maximum(np.ceil(numbers / rows) - 1.0, 0.0).mean()
        assert further_tiles(mean, half, rows) == pytest.approx(want, abs=0.01)
    # a number that is known: rounded up, less one
    for number, want in ((16.0, 0.0), (17.0, 1.0), (32.0, 1.0), (33.0, 2.0), (1.0, 0.0)):
        assert further_tiles(number, 0.0, 16.0) == want


@pytest.mark.parametrize("skew", [0.0, 1.01])
@pytest.mark.parametrize(("experts", "topk"), LAYERS)
def test_nothing_jumps_where_a_token_comes(experts, topk, skew):
    """Tiles times rows, touched experts and pairs grow by no more than the tokens do."""
    routing = Routing(float(experts), float(topk), 1.0, skew, popular=True)
    tokens = np.arange(1.0, 1500.0)
    rows = np.clip(np.sqrt(2.0) * tokens * topk / experts, 8.0, 128.0)
    all_ = [loads(float(n), routing, float(r)) for n, r in zip(tokens, rows, strict=True)]
    for name in ("pairs", "touched", "tiles"):
        x = np.array([getattr(load, name) for load in all_]) * (rows if name == "tiles" else 1.0)
        assert (x[1:] / x[:-1] <= tokens[1:] / tokens[:-1] * 1.02).all(), name
        assert (x[1:] >= x[:-1] * (1.0 if name != "tiles" else 0.97)).all(), name
    assert tile_rows(17.0, 128.0) == 32.0  # a benchmark that deals tokens out knows the number


@pytest.mark.parametrize("model", MIXTURES)
def test_one_more_sequence_costs_a_few_percent_of_the_throughput_at_most(model):
    """H100, Qwen3-30B-A3B went from 1,146 token/s at a batch of 16 to 897 at 17."""
    batch = np.arange(1.0, 514.0)
    for device, engine in itertools.product(DEVICES, ("vllm", "trtllm", "sglang")):
        for tp, dp in ((1, 1), (8, 1), (1, 8)):
            plan = tr.Plan(tp=tp, dp=dp, engine=engine)
            try:
                step = tr.decode(device, model, plan, batch=batch, context=1024.0)
            except ValueError:
                continue  # a layout that does not divide this model
            rate = np.asarray(step.tokens_per_s)
            assert (rate[1:] > rate[:-1] * 0.95).all(), (device, engine, tp, dp)
            experts = np.asarray(step.breakdown()["operator"]["experts"])
            assert (experts[1:] / experts[:-1] <= batch[1:] / batch[:-1] * 1.01).all()


def test_the_batch_of_sixteen_and_seventeen():
    step = tr.decode(
        "H100-SXM", "Qwen3-30B-A3B", tr.Plan(weights="bf16"), batch=[16, 17], context=1024
    )
    few, more = np.asarray(step.tokens_per_s)
    assert more > few
