"""Speculation: chances by position, who drafts, captured graphs, the batch beyond which it stops paying."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import catalogue, kernels, speculative

DENSE = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
R1 = tr.Plan(
    tp=8, moe_tp=4, moe_ep=2, weights="nvfp4", attention="bf16", kv_cache="bf16", engine="trtllm"
)
CAPTURED = [1, 2, 4, *range(8, 256, 8), *range(256, 513, 16)]


def dense(**given):
    return speculative.decode("H200-SXM", "Llama-3.3-70B", DENSE, **{"draft": "eagle", **given})


def test_every_measured_length_comes_back_from_its_chances():
    for row in catalogue.acceptances():
        chances = row.by_position
        assert len(chances) == row.most and all(0.0 <= a <= 1.0 for a in chances)
        assert all(b <= a for a, b in pairwise(chances))
        tokens = speculative.ByPosition(chances).tokens
        # lengths that fall with more drafts are noise: the largest falls 5.1 % after 3.16, and pooling moves it by 6.2
        assert tokens[list(row.drafts)] == pytest.approx(row.lengths, rel=0.065)
        assert row.provenance.kind in ("measured", "vendor")


def test_chances_by_hand():
    # 1.92, 2.61, 2.97: 0.92 of all; 0.69 of 0.92; 0.36 of 0.69
    found = catalogue.acceptance("MTP, coding").by_position
    assert found[:3] == pytest.approx((0.92, 0.69 / 0.92, 0.36 / 0.69))
    # 3.00, 3.10, 3.16 add 0.03, 0.1, 0.06: 0.065, 0.065, 0.06, as no draft is kept more often than the one
    # before it; and of 0.36, 0.065 and 0.065 trials these are kept alike
    assert found[3:6] == pytest.approx([0.19 / (0.36 + 2 * 0.065)] * 3)
    assert found[6:] == (0.0, 0.0)  # 3.00 and 3.11 after 3.16 add nothing
    one = catalogue.acceptance("Llama-3.3-70B EAGLE-3, chat")
    assert not one.positions_known and len(set(one.by_position)) == 1
    assert float(kernels.expected_tokens(one.by_position[0], 7.0)) == pytest.approx(3.89)
    shares = catalogue.acceptance("EAGLE-3 in llama.cpp, chat")
    assert shares.lengths == pytest.approx((1.805, 2.437, 2.92))


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_tokens_are_a_sum_of_products(chances):
    chances = sorted(chances, reverse=True)
    tokens = speculative.ByPosition(chances).tokens
    assert tokens == pytest.approx([1.0, *(1.0 + np.cumsum(np.cumprod(chances)))], rel=1e-12)


def test_one_chance_everywhere_is_the_geometric_sum():
    flat = dense(length=[0, 1, 3], acceptance=0.7)
    by = dense(length=[0, 1, 3], acceptance=speculative.ByPosition((0.7, 0.7, 0.7)))
    assert by.tpot_s == pytest.approx(flat.tpot_s, rel=1e-12)
    assert by.acceptance.tolist() == pytest.approx([0.7, 0.7, (flat.expected_tokens[2] - 1) / 3])


def test_the_published_gain_of_deepseek_r1_by_number_of_drafts():
    """TensorRT-LLM on 8 B200, one user: 111 tokens/s alone, 198 250 253 245 239 with 1 to 5 drafts."""
    found = speculative.decode(
        "B200-SXM", "DeepSeek-R1", R1, context=2048, length=[0, 1, 2, 3, 4, 5],
        acceptance="DeepSeek-R1 MTP, reasoning",
    )  # fmt: skip
    published = np.array([111, 198, 250, 253, 245, 239]) / 111
    assert found.speedup == pytest.approx(published, rel=0.10)
    assert found.best() == published.argmax() == 3


def test_a_head_has_one_dense_layer_its_fusion_and_a_narrow_head():
    m, head = tr.model("Llama-3.3-70B"), speculative.eagle_model("Llama-3.3-70B")
    h = m.hidden
    layer = h * (m.heads + 2 * m.kv_heads) * m.head_dim + m.heads * m.head_dim * h + 3 * h * m.ffn
    fused = 3 * h * h + h * (m.heads + 2 * m.kv_heads) * m.head_dim
    own = head.parameters - 2 * 32_000 * h
    assert own == pytest.approx(layer + fused, rel=1e-3)
    assert speculative.eagle_model("DeepSeek-R1").moe_layers == 0
    # it costs a small part of a step, more than a look-up, less than a model of a tenth of the target
    costs = [dense(draft=d, length=1).draft_s for d in ("ngram", "eagle", "Llama-3.1-8B")]
    assert costs[0] == 0.0 < costs[1] < costs[2]
    assert costs[1] < 0.05 * dense(length=0).plain_s


def test_graphs_pad_to_the_next_size_and_nothing_beyond_the_largest():
    at = {name: tr.speculative.verify("H200-SXM", "Llama-3.3-70B", DENSE, tokens=4, context=0,
                                      batch=[25, 26, 128, 129], captured=sizes)["time"]
          for name, sizes in (("all", None), ("some", CAPTURED), ("none", []))}  # fmt: skip
    # 100 and 104 tokens are both 104; 512 is a size; 516 is beyond the largest
    assert at["some"][0] == at["some"][1] == at["all"][1] > at["all"][0]
    assert at["some"][2] == at["all"][2]
    assert at["some"][3] == at["none"][3] >= at["all"][3]
    assert (at["none"] >= at["all"]).all() and at["none"][0] > 1.5 * at["all"][0]
    plain = dense(length=0, batch=5, captured=CAPTURED)
    assert plain.plain_s == plain.verify_s > dense(length=0, batch=5).plain_s
    # waiting for the host draws less than working
    assert dense(length=0, captured=[]).watts < dense(length=0).watts


def test_until_which_batch_it_pays():
    found = speculative.pays_until(
        "H200-SXM", "Llama-3.3-70B", DENSE, draft="eagle", acceptance=0.7, most=2048
    )
    assert 1 < found.until < 2048 and not found.still
    at = dense(
        acceptance=0.7, length=np.arange(1, 9)[:, None], batch=[found.until, found.until + 1]
    )
    assert at.speedup[:, 0].max() > 1.0 >= at.speedup[:, 1].max()
    assert found.speedup[found.until - 1] == at.speedup[:, 0].max()
    assert found.length[0] > found.length[-1] == 1  # many users leave room for fewer drafts
    # better drafts pay longer; useless ones never
    more = speculative.pays_until(
        "H200-SXM", "Llama-3.3-70B", DENSE, draft="eagle", acceptance=0.9, most=2048
    )
    assert more.until > found.until
    never = speculative.pays_until(
        "H200-SXM", "Llama-3.3-70B", DENSE, draft="eagle", acceptance=0.0, most=64
    )
    assert never.until == 0 and not never.still and (never.speedup < 1.0).all()
    # where the memory ends first, it pays to the end
    held = speculative.pays_until(
        "H200-SXM", "Llama-3.3-70B", DENSE, draft="eagle", acceptance=0.9, context=131072
    )
    assert held.still and held.until == held.batch[-1] < 200


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: dense(acceptance=speculative.ByPosition((0.5, 0.6))), ValueError,
         r"acceptance\[1\] is 0.6 after 0.5; allowed"),
        (lambda: speculative.ByPosition((0.5, 1.5)), ValueError, r"acceptance\[1\] is 1.5; allowed"),
        (lambda: speculative.ByPosition((0.5, -0.5)), ValueError, r"acceptance\[1\] is -0.5; allowed"),
        (lambda: speculative.ByPosition(()), ValueError, r"acceptance is \(\); allowed"),
        (lambda: speculative.ByPosition("a"), TypeError, "acceptance is 'a'"),
        (lambda: dense(acceptance=speculative.ByPosition((0.5,)), length=2), ValueError,
         "length is 2 with acceptance of 1 positions; allowed: whole numbers from 0 to 1"),
        (lambda: dense(acceptance="MTP, coding", length=1.5), ValueError, "length is 1.5 with acceptance of 8"),
        (lambda: dense(acceptance="MTP, codin"), KeyError, "did you mean 'MTP, coding'"),
        (lambda: dense(draft="mtp"), ValueError, "no module that predicts further tokens; .*mtp_modules"),
        (lambda: dense(captured=[0.0]), ValueError, r"captured(\[0\])? is"),
        (lambda: dense(captured=1.0), ValueError, "captured has 0 dimensions; allowed: one"),
        (lambda: dense(draft_plan=tr.Plan()), ValueError, "draft_plan is .* with draft 'eagle'; allowed: None"),
        (lambda: speculative.pays_until("H200-SXM", "Llama-3.3-70B", DENSE, length=0), ValueError, "length is 0"),
        (lambda: speculative.pays_until("H200-SXM", "Llama-3.3-70B", DENSE, most=70_000), ValueError,
         "most is 70000; allowed: at most 65536"),
        (lambda: speculative.pays_until("H200-SXM", "Llama-3.3-70B", DENSE, context=[1, 2]), ValueError,
         "context has 1 dimension"),
        (lambda: speculative.pays_until("H200-SXM", "Llama-3.3-70B", DENSE, drafts=3), TypeError, "drafts"),
    ],
)  # fmt: skip
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()


def _known(name):
    try:
        return tr.model(name).layers > 0
    except ValueError:  # without published shapes
        return False


def test_every_model_of_the_catalogue_has_a_head_and_its_own_modules():
    """Layers that choose, compress or share their keys too: of one layer, the counts within it are of one."""
    names = [name for name in tr.catalogue.models()["name"] if _known(name)]
    assert len(names) > 100
    for name in names:
        model = tr.model(name)
        head = tr.speculative.eagle_model(model)
        assert (head.layers, head.moe_layers, head.dense_layers) == (1, 0, 1), name
        if model.mtp_modules:
            module = tr.speculative.mtp_model(model)
            assert module.layers == 1 == module.moe_layers + module.dense_layers, name
            assert 0.0 < module.parameters < 0.25 * model.parameters or model.layers < 48, name
    sparse = tr.speculative.mtp_model("DeepSeek-V3.2")
    assert (sparse.full_layers, sparse.sparse_layers, sparse.index_layers) == (1, 1, 1)
    packed = tr.speculative.mtp_model("DeepSeek-V4-Pro")
    assert (packed.compressed_layers, packed.selected_layers, packed.softmax_layers) == (1, 0, 1)
