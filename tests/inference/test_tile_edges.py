"""Steps just beyond a tile of their matrix products say so."""

import re

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.inference.tile_edges import EDGE, _before

PLANS = {1: tr.Plan(weights="fp8", kv_cache="fp8"), 4: tr.Plan(dp=4, weights="fp8", kv_cache="fp8")}
CLAUSE = re.compile(
    r"(\d+) sequences start a tile of the matrix products beyond (\d+): a step is (\d+) % longer, "
    r"tokens/s (\d+) % fewer"
)


def test_whole_tiles_below_so_many_rows():
    """Of 8, 16, 32 and 64, then every 64; the first tile has none before it."""
    rows = [1, 7, 8, 9, 16, 17, 32, 33, 64, 65, 128, 129, 192, 193]
    before = [0, 0, 0, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 192]
    assert _before(np.array(rows, float)).tolist() == before


@pytest.mark.parametrize("ranks", [1, 4])
def test_a_step_beyond_a_tile_is_named_with_what_it_costs(ranks):
    """By steps asked of the same kernel: on H20, whose tensor cores are what batches of 64 wait for."""

    def step(batch):
        return tr.decode("H20", "Llama-3.1-8B", PLANS[ranks], batch=batch, context=2048)

    full = 64 * ranks
    said = step([full - ranks, full, full + ranks, full + 2 * ranks]).edges
    batch, edge, longer, fewer = map(int, CLAUSE.fullmatch(said).groups())
    assert (batch, edge) == (full + ranks, full)
    before, after = step([full, full + ranks]).time_s
    assert longer == round(100 * (after / before - 1.0)) > 100 * EDGE
    assert fewer == round(100 * (1.0 - (batch / after) / (full / before))) > 0
    assert step([1, full - ranks, full]).edges == ""
    # twice the tile yields more than one: what it cost is paid
    assert step(2 * full).edges == "" and len(CLAUSE.findall(step(2 * full + ranks).edges)) == 1


def test_of_several_contexts_the_one_that_loses_most_is_named_wherever_it_stands():
    """Long contexts take time that no tile lengthens, and of batches beyond a tile the first loses most."""

    def said(batch, context):
        return tr.decode("H20", "Llama-3.1-8B", PLANS[1], batch=batch, context=context).edges

    contexts = np.array([2048, 64, 1024])
    alone = {int(c): list(map(int, CLAUSE.fullmatch(said(65, c)).groups()[2:])) for c in contexts}
    assert alone[64][0] > alone[1024][0] > alone[2048][0]  # steps are longer by more
    assert alone[64][1] > alone[1024][1] > alone[2048][1]  # and tokens fewer by more
    of_all = said(np.array([[68], [65]]), contexts)
    assert of_all == said(65, 64).replace("65 sequences", "65 sequences of 64 tokens")
    # one context of batches: nothing to tell apart; each edge has its own
    assert "tokens start" not in said([65, 129], 64)
    edges = said(np.array([129, 65, 130, 66]), np.array([64, 2048, 64, 64]))
    assert [part.split(" start")[0] for part in edges.split("; ")] == [
        "66 sequences of 64 tokens",
        "129 sequences of 64 tokens",
    ]


def test_where_memory_is_what_a_step_waits_for_there_are_none():
    batch = np.arange(0, 600)
    for device in ("H200-SXM", "B200-SXM"):
        assert tr.decode(device, "Llama-3.1-8B", batch=batch, context=2048).edges == ""
    prompts = tr.prefill("H20", "Llama-3.1-8B", tokens=65)
    assert prompts.edges == ""


def test_a_curve_says_it_too():
    curve = tr.serving.curve("H20", "Llama-3.1-8B", PLANS[1], 1024, 1024, [64, 65])
    assert CLAUSE.fullmatch(curve.attrs["edges"]).group(1, 2) == ("65", "64")
    assert tr.serving.curve("H20", "Llama-3.1-8B", PLANS[1], 1024, 1024, [64]).attrs["edges"] == ""
    none = tr.serving.curve("H20", "Llama-3.1-405B", PLANS[1], 1024, 1024, [65])
    assert none.attrs["edges"] == "" and none.attrs["reason"]
