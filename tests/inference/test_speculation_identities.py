"""Rounds of speculation put together by hand: seconds, joules, and bytes of drafts; edges of what is taken."""

from types import SimpleNamespace

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels
from tokenroof.inference import speculative
from tokenroof.inference.door import deployment
from tokenroof.inference.speculative.chances import ByPosition
from tokenroof.inference.speculative.drafting import _one_layer, eagle_model, mtp_model

PLAN = tr.Plan(tp=4, dp=2, weights="fp8", kv_cache="fp8")
ON = {"batch": 6.0, "context": 900.0, "fidelity": "datasheet"}
TARGET = ("H200-SXM", "Llama-3.1-70B", PLAN)


def _plain():
    return tr.decode(*TARGET, **ON)


@pytest.mark.parametrize("draft", ["ngram", 0.25, 0.0, "Llama-3.1-8B"])
def test_a_round_is_its_drafts_and_its_verification(draft):
    found = speculative.decode(*TARGET, draft=draft, length=3.0, acceptance=0.7, **ON)
    wide = speculative.verify(*TARGET, tokens=4.0, **ON)
    plain = _plain()
    tokens = 1 + 0.7 + 0.7**2 + 0.7**3
    seconds, watts = 0.0, float(plain.watts)
    if isinstance(draft, float):
        seconds = draft * float(plain.time_s)
    elif draft != "ngram":
        own = tr.decode("H200-SXM", draft, tr.Plan(tp=8, weights="fp8", kv_cache="fp8"), **ON)
        seconds, watts = float(own.time_s), float(own.watts)
    draft_s, verify_s = 3.0 * seconds, float(wide["time"])
    assert found.draft_s == pytest.approx(draft_s, rel=1e-9) and found.verify_s == pytest.approx(
        verify_s, rel=1e-12
    )
    assert found.round_s == pytest.approx(draft_s + verify_s, rel=1e-12)
    assert found.expected_tokens == pytest.approx(tokens, rel=1e-12)
    tpot = (draft_s + verify_s) / tokens
    assert found.tpot_s == pytest.approx(tpot, rel=1e-12)
    assert found.interactivity == pytest.approx(1 / tpot, rel=1e-12)
    assert found.tokens_per_s == pytest.approx(6.0 / tpot, rel=1e-12)
    assert found.speedup == pytest.approx(float(plain.time_s) / tpot, rel=1e-12)
    mean = (draft_s * watts + verify_s * float(wide["watts"])) / (draft_s + verify_s)
    assert found.watts == pytest.approx(mean, rel=1e-9)
    assert found.tokens_per_joule == pytest.approx(6.0 / tpot / mean, rel=1e-9)


def test_devices_that_do_not_draft_wait_at_their_idle_power():
    narrow = tr.Plan(tp=2, weights="fp8", kv_cache="fp8")
    found = speculative.decode(
        *TARGET, draft="Llama-3.1-8B", draft_plan=narrow, length=2.0, acceptance=1.0, **ON
    )
    own, wide = (
        tr.decode("H200-SXM", "Llama-3.1-8B", narrow, **ON),
        speculative.verify(*TARGET, tokens=3.0, **ON),
    )
    idle = deployment("H200-SXM", "Llama-3.1-8B", narrow, "datasheet").device.idle_w
    draft_s, verify_s = 2.0 * float(own.time_s), float(wide["time"])
    joules = draft_s * (float(own.watts) + 6 * idle) + verify_s * float(wide["watts"])
    assert found.expected_tokens == 3.0 and found.draft_s == pytest.approx(draft_s, rel=1e-12)
    assert found.watts == pytest.approx(joules / (draft_s + verify_s), rel=1e-9)


def test_energy_of_a_wide_step_is_that_of_products_and_of_attention():
    """One token is a plain step; more draw no more than the higher of both parts, and more joules than one."""
    one, four = (speculative.verify(*TARGET, tokens=k, **ON) for k in (1.0, 4.0))
    plain = _plain()
    assert one["watts"] == pytest.approx(float(plain.watts), rel=1e-12)
    assert four["time"] * four["watts"] > one["time"] * one["watts"]
    assert four["watts"] <= 8 * tr.device("H200-SXM").tdp_w
    assert four["flops"] == pytest.approx(4.0 * one["flops"], rel=1e-9)


@pytest.mark.parametrize("batch,seen", [(3.0, 4.0), (4.0, 4.0), (5.0, 8.0), (8.0, 8.0), (9.0, 9.0)])
def test_padding_to_captured_graphs(batch, seen):
    """Of two ranks each: tokens up to the next size, none beyond the largest."""
    on = ("H200-SXM", "Llama-3.1-8B", tr.Plan(tp=1, dp=2, weights="fp8"))
    given = {"context": 0.0, "tokens": 1.0, "fidelity": "datasheet"}
    got = speculative.verify(*on, batch=2.0 * batch, captured=[2, 4, 8], **given)
    want = speculative.verify(*on, batch=2.0 * seen, **given)
    assert got["flops"] == pytest.approx(want["flops"], rel=1e-12)


def test_a_step_without_a_graph_takes_what_its_launches_take():
    """Joules: those of the work, and the waiting board's while the host is slower."""
    on, given = (
        ("H100-SXM", "Llama-3.2-1B", tr.Plan(engine="vllm")),
        {"batch": 4.0, "context": 100.0, "tokens": 1.0},
    )
    quick, slow = speculative.verify(*on, **given), speculative.verify(*on, captured=[], **given)
    device, constants, *_ = deployment(*on, "calibrated").records
    rest = kernels.board_power(device, constants, *[0.0] * 6)  # in a step, of which nothing runs
    waits = slow["time"] - quick["time"]
    assert waits > 0 and slow["launch_s"] - quick["launch_s"] == pytest.approx(waits, rel=1e-9)
    assert slow["overhead_s"] - quick["overhead_s"] == pytest.approx(waits, rel=1e-9)
    joules = quick["watts"] * quick["time"] + rest * waits
    assert slow["watts"] * slow["time"] == pytest.approx(joules, rel=1e-9)
    covered = speculative.verify(*on, captured=[4], **given)
    assert covered["time"] == quick["time"] and covered["watts"] == quick["watts"]


def test_a_head_and_a_module_by_hand():
    llama, deep = tr.model("Llama-3.1-70B"), tr.model("DeepSeek-V3")
    head = eagle_model(llama)
    attention_inputs = (llama.heads + 2 * llama.kv_heads) * llama.head_dim
    assert head.ffn == round(llama.ffn + llama.hidden + attention_inputs / 3)
    assert (head.layers, head.full_layers, head.dense_layers, head.moe_layers) == (1, 1, 1, 0)
    other = eagle_model(deep)
    assert other.ffn == round(deep.topk * deep.moe_ffn + deep.shared_ffn + deep.hidden
                              + (deep.heads + 2 * deep.kv_heads) * deep.head_dim / 3)  # fmt: skip
    assert (
        eagle_model("GPT-2").vocab == 32_000
        and eagle_model(llama.replace(vocab=31_999)).vocab == 31_999
    )
    module = mtp_model(deep)
    assert (module.layers, module.moe_layers, module.dense_layers, module.mtp_modules) == (
        1,
        1,
        0,
        0,
    )
    chosen = mtp_model("DeepSeek-V3.2") if tr.model("DeepSeek-V3.2").mtp_modules else None
    if chosen is not None:
        assert chosen.full_layers == 1 and chosen.layers == 1


def test_edges_of_chances_lengths_and_plans():
    for chance in (0.0, 1.0):
        found = speculative.decode(*TARGET, draft="ngram", length=2.0, acceptance=chance, **ON)
        assert found.expected_tokens == 1.0 + 2.0 * chance
    for chance in (-1e-9, 1.0 + 1e-9, [0.5, 1.5], [0.5, -0.5]):
        with pytest.raises(ValueError, match=r"^acceptance(\[\d\])? is .*allowed: "):
            speculative.decode(*TARGET, draft="ngram", acceptance=chance, **ON)
    two = ByPosition((1.0, 0.0))
    got = speculative.decode(
        *TARGET, draft="ngram", length=np.array([0.0, 1.0, 2.0]), acceptance=two, **ON
    )
    assert got.expected_tokens.tolist() == [1.0, 2.0, 2.0] and got.acceptance.tolist() == [
        1.0,
        1.0,
        0.5,
    ]
    assert ByPosition((0.5, 0.5)).tokens.tolist() == [1.0, 1.5, 1.75]
    for chances, says in (((0.5, 0.6), r"acceptance\[1\] is 0.6 after 0.5"), ((), "one number a position"),
                          (((0.5,),), "one number a position"), ((0.5, -0.1), "allowed: ")):  # fmt: skip
        with pytest.raises(ValueError, match=says):
            ByPosition(chances)
    for length in (3.0, 1.5):
        with pytest.raises(ValueError, match="whole numbers from 0 to 2"):
            speculative.decode(*TARGET, draft="ngram", length=length, acceptance=two, **ON)
    # a draft plan as wide as the target's is taken, a wider one is not, and only a model has one
    speculative.decode(*TARGET, draft="Llama-3.1-8B", draft_plan=tr.Plan(tp=8), **ON)
    with pytest.raises(ValueError, match="draft_plan has 16 devices; allowed: at most the 8"):
        speculative.decode(*TARGET, draft="Llama-3.1-8B", draft_plan=tr.Plan(tp=8, dp=2), **ON)
    for draft in ("ngram", "eagle", 0.5):
        with pytest.raises(ValueError, match="only a draft model has a plan"):
            speculative.decode(*TARGET, draft=draft, draft_plan=tr.Plan(tp=1), **ON)
    for bad, says in (
        ({"draft_plan": "tp8", "draft": "Llama-3.1-8B"}, "a Plan or None"),
        ({"draft": [1]}, "draft is"),
    ):
        with pytest.raises(TypeError, match=says):
            speculative.decode(*TARGET, **bad, **ON)
    with pytest.raises(ValueError, match="captured has 2 dimensions; allowed: one"):
        speculative.verify(*TARGET, captured=[[1.0]], **ON)


def test_until_which_batch_by_hand():
    """A number that costs as much as what it saves: batch, speed and length are those of `decode`."""
    given = {"draft": 0.3, "acceptance": 0.6, "context": 900.0, "fidelity": "datasheet"}
    found = speculative.pays_until(*TARGET, length=(1, 4), most=200, **given)
    each = [
        speculative.decode(*TARGET, length=float(k), batch=np.arange(1.0, 201.0), **given)
        for k in (1, 4)
    ]
    speed = np.stack([one.speedup for one in each])
    assert np.array_equal(found.batch, np.arange(1.0, 201.0)) and found.speedup == pytest.approx(
        speed.max(axis=0)
    )
    assert np.array_equal(found.length, np.array([1.0, 4.0])[speed.argmax(axis=0)])
    pays = np.flatnonzero(speed.max(axis=0) > 1.0)
    assert found.until == (pays[-1] + 1 if pays.size else 0) and found.still == (found.until == 200)
    always = speculative.pays_until(
        *TARGET, length=1, most=3, draft="ngram", acceptance=1.0, fidelity="datasheet"
    )
    never = speculative.pays_until(
        *TARGET, length=1, most=3, draft=5.0, acceptance=0.0, fidelity="datasheet"
    )
    assert (always.until, always.still) == (3, True) and (never.until, never.still) == (0, False)
    for bad, says in (({"length": [0, 1]}, r"length\[0\] is"), ({"length": []}, "length is"), ({"most": 65_537}, "at most 65536"),
                      ({"context": [1.0]}, "context has 1 dimension")):  # fmt: skip
        with pytest.raises(ValueError, match=says):
            speculative.pays_until(*TARGET, draft="ngram", **bad)


@pytest.mark.parametrize(
    ("mixer", "within"),
    [("full_layers", {"sparse_layers": 1, "index_layers": 1}), ("selected_layers", {"index_layers": 1}),
     ("window_layers", {}), ("mamba_layers", {})],
)  # fmt: skip
def test_a_module_has_one_layer_of_the_first_kind(mixer, within):
    """What chooses its keys has one indexer, whatever the target counts."""
    kinds = (
        "full_layers",
        "window_layers",
        "compressed_layers",
        "selected_layers",
        "linear_layers",
        "mamba_layers",
    )
    target = SimpleNamespace(**dict.fromkeys(kinds, 0) | {"sparse_layers": 7} | {mixer: 9})
    found = _one_layer(target)
    assert {name: n for name, n in found.items() if n} == {mixer: 1, "layers": 1} | within
