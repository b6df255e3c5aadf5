"""A system's record: what may stand together, what is refused by name, and ways to make one."""

import pytest

import tokenroof as tr
from tokenroof.inference.estimates import parameter
from tokenroof.serving import Pool, Speculation, System, disaggregate, draft_apart, split_experts

PLAN = tr.Plan(tp=4, weights="fp8", kv_cache="fp8")
GPU, DENSE, LATENT = "H200-SXM", "Llama-3.1-70B", "DeepSeek-R1"


def pools(prefill=PLAN, decode=PLAN, n=1, m=3, **given):
    return System(prefill=Pool(GPU, prefill, n), decode=Pool(GPU, decode, m), **given)


def narrow(**degrees):
    return tr.Plan(weights="fp8", kv_cache="fp8", **degrees)


def test_counts_and_names():
    one = pools(n=2, m=3, speculation=Speculation("ngram", 3, 0.5), version="0.19")
    assert one.devices == 4 * 2 + 4 * 3 and one.engine == "vllm" and one.disaggregated
    assert one.decode.count == 3 and list(one.pools) == ["prefill", "decode"]
    assert one.label().endswith("decode 3x H200-SXM tp4 fp8 kv fp8, 3 drafts by ngram")
    found = one.deployments(DENSE, "datasheet")
    assert (
        found["prefill"].plan is one.prefill.layout
        and found["decode"].calibration.name == "datasheet"
    )
    assert one.replace(version=None).version is None and hash(one) == hash(one.replace())


def test_a_model_of_its_own_or_the_one_that_is_asked_for():
    one = pools(model=DENSE)
    assert one.serves(None) == one.serves(DENSE) == tr.model(DENSE)
    assert pools().serves("Llama-3.1-8B").name == "Llama-3.1-8B"
    with pytest.raises(
        ValueError, match=r"model is Llama-3.1-8B with a System of Llama-3.1-70B; allowed: that"
    ):
        one.serves("Llama-3.1-8B")
    with pytest.raises(TypeError, match="model is None, of a System without one"):
        pools().serves(None)


def test_expected_tokens_by_position():
    assert Speculation("mtp", 3, (0.9, 0.7, 0.5)).tokens == pytest.approx(1 + 0.9 + 0.63 + 0.315)
    assert Speculation("mtp", 2, 0.5).tokens == 1.75 and Speculation("mtp", 0, 0.5).tokens == 1.0
    # positions beyond the drafts do not count, and without a number all do
    assert Speculation("mtp", 1, (0.9, 0.7)) == Speculation("mtp", 1, 0.9)
    assert Speculation("mtp", acceptance=(0.9, 0.7)).drafts == 2 and Speculation().drafts == 1
    fields = {"method": "ngram", "drafts": 2, "acceptance": 0.4}
    assert pools(speculation=fields).speculation == Speculation(**fields)


def test_the_link_is_what_the_devices_have():
    device = tr.device("GB200-NVL72")
    wide = narrow(tp=8)

    def between(n, where="GB200-NVL72", other="GB200-NVL72"):
        return System(prefill=(where, wide), decode=(other, wide, n)).link_bandwidth

    assert between(8).mid == device.link_bandwidth  # 72 devices of one domain
    assert between(9).mid == device.node_link_bandwidth  # 80
    mixed = between(1, GPU)
    assert mixed.mid == min(device.node_link_bandwidth, tr.device(GPU).node_link_bandwidth)
    alone = tr.device(GPU).replace(name="alone", node_link_bandwidth=None)
    assert disaggregate((alone, PLAN, 2), (alone, PLAN, 2)).link_bandwidth == parameter(
        "decouple_link_bandwidth"
    )
    given = pools(link_bandwidth=(1e9, 2e9, 3e9), hop_s=1e-6)
    assert given.link_bandwidth.values.tolist() == [1e9, 2e9, 3e9] and given.hop_s.mid == 1e-6
    assert System(both=Pool(GPU)).link_bandwidth is None
    # other pools, another link
    near = disaggregate(("GB200-NVL72", wide), ("GB200-NVL72", wide, 8))
    assert near.replace(decode=Pool("GB200-NVL72", wide, 9)).link_bandwidth == between(9)
    assert near.replace(version="1").link_bandwidth == between(8)


def test_ways_to_make_one():
    assert disaggregate(prefill=(GPU, PLAN), decode=(GPU, PLAN, 3)) == pools()
    assert disaggregate(Pool(GPU, PLAN), Pool(GPU, PLAN, 3), model=DENSE) == pools(model=DENSE)
    apart = split_experts(("B200-SXM", tr.Plan(tp=8)), "LPX", hop_s=1e-6)
    assert list(apart.pools) == ["attention", "experts"] and apart.devices == 8
    assert apart.hop_s.mid == 1e-6
    # chips are laid out when they are asked
    assert list(apart.deployments("Qwen3-235B-A22B")) == ["attention"]
    drafted = draft_apart((GPU, PLAN), "Llama-3.2-1B", "LPX", drafts=5, acceptance=0.7)
    assert drafted.speculation == Speculation("Llama-3.2-1B", 5, 0.7) and drafted.engine == "vllm"
    assert drafted.serves(DENSE).name == DENSE


FIRST = Pool(GPU, PLAN)
BAD = [
    (lambda: Pool(GPU, PLAN, 0), ValueError, "count is 0; allowed: an integer from 1 to 65536"),
    (lambda: Pool(GPU, PLAN, 1, 0), ValueError, "sequences is 0; allowed: a positive integer"),
    (lambda: Pool(GPU, PLAN, step_tokens=0.5), ValueError, "step_tokens is 0.5; allowed: a positive integer"),
    (lambda: System(prefill=Pool(GPU, PLAN, 1, 8), decode=FIRST), ValueError,
     "sequences is 8 of the pool prefill; allowed: None, but for both and decode"),
    (lambda: System(both=Pool(GPU, PLAN, step_tokens=8)), ValueError, "step_tokens is 8 of the pool both; allowed: None"),
    (lambda: Pool("H20O"), KeyError, "unknown device 'H20O'"),
    (lambda: Pool(GPU, "tp8"), TypeError, "plan is 'tp8'"),
    (lambda: pools(link_bandwidth=0.0), ValueError, "link_bandwidth is 0; allowed: numbers > 0"),
    (lambda: pools(link_bandwidth=400), ValueError, "link_bandwidth is 400; allowed: B/s, at least 1e\\+06"),
    (lambda: pools(link_bandwidth=(0.0, 1.0, 2.0)), ValueError, "link_bandwidth is 0"),
    (lambda: pools(hop_s=-1e-6), ValueError, "hop_s is -1e-06; allowed: numbers >= 0"),
    (lambda: pools(link_bandwidth="fast"), TypeError, "link_bandwidth is 'fast'"),
    (lambda: Speculation("mtp", 2, 1.5), ValueError, "acceptance is 1.5; allowed: numbers from 0 to 1"),
    (lambda: Speculation("mtp", 2, (0.5, -0.1)), ValueError, r"acceptance\[1\] is -0.1"),
    (lambda: Speculation("mtp", 2, (0.5, 0.6)), ValueError, r"acceptance\[1\] is 0.6 after 0.5; allowed: none above"),
    (lambda: Speculation("mtp", 1, (0.5, 0.6)), ValueError, r"acceptance\[1\] is 0.6 after 0.5"),
    (lambda: Speculation("mtp", 3, (0.5, 0.4)), ValueError, "acceptance has 2 positions of 3 drafts"),
    (lambda: Speculation("mtp", 2, [[0.5, 0.4]]), ValueError, "acceptance has 2 dimensions"),
    (lambda: Speculation("mtp", 9), ValueError, "drafts is 9; allowed: an integer from 0 to 8"),
    (lambda: Speculation("mtp", 2.5), TypeError, "drafts is 2.5; allowed: an integer from 0 to 8"),
    (lambda: Speculation(3.0, 2), TypeError, "method is 3.0; allowed: 'mtp', 'eagle', 'ngram', a model"),
    (lambda: pools(speculation={"method": "mtp", "length": 2}), TypeError, "speculation has 'length'; allowed: method"),
    (lambda: pools(speculation="mtp"), TypeError, "speculation is 'mtp'; allowed: a Speculation"),
    (System, ValueError, "pools are none; allowed: both, or prefill and decode"),
    (lambda: System(prefill=FIRST), ValueError, "pools are prefill; allowed"),
    (lambda: pools(both=FIRST), ValueError, "pools are both and prefill and decode"),
    (lambda: pools(version=19), TypeError, "version is 19; allowed: a text or None"),
    (lambda: pools(decode=PLAN.replace(kv_cache="bf16")), ValueError,
     "kv_cache is fp8 of prefill and bf16 of decode; allowed: one type"),
    (lambda: pools(decode=PLAN.replace(engine="sglang")), ValueError,
     "engine is vllm of prefill and sglang of decode; allowed: one engine"),
    (lambda: pools(decode=narrow(tp=3), model=DENSE), ValueError, "decode: tp is 3"),
    (lambda: pools(decode=narrow(tp=3)).serves(DENSE), ValueError, "decode: tp is 3"),
    (lambda: System(both=("RTX 4090", narrow(tp=16))), ValueError, "both: plan has 16 devices; allowed"),
    (lambda: pools(speculation=Speculation("mtp"), model=DENSE), ValueError,
     "method is 'mtp', but Llama-3.1-70B has no module"),
    (lambda: pools(speculation=Speculation("mtp")).serves(DENSE), ValueError, "has no module"),
    (lambda: pools(speculation=Speculation("GPT-2")).serves(DENSE), ValueError, "method is GPT-2 with 50257 tokens"),
    (lambda: pools(speculation=Speculation("Llama-9")).serves(DENSE), ValueError, "unknown model 'Llama-9'"),
    (lambda: System(both=FIRST, draft=Pool("LPX")), ValueError, "speculation is None with a pool draft"),
    (lambda: System(both=FIRST, draft=Pool("LPX"), speculation=Speculation("ngram")), ValueError,
     "speculation is by 'ngram' with a pool draft"),
    (lambda: disaggregate("LPX", (GPU, PLAN)), ValueError, "prefill is Groq"),
    (lambda: split_experts((GPU, PLAN), GPU), ValueError, "experts is H200-SXM, a gpu"),
    (lambda: disaggregate((GPU, 3), GPU), ValueError, "prefill is .*allowed: a Pool"),
    (lambda: disaggregate(3, GPU), TypeError, "prefill has the device 3"),
    (lambda: disaggregate((GPU, PLAN), (GPU, PLAN), link=1e9), TypeError, "unexpected option 'link'"),
]  # fmt: skip


@pytest.mark.parametrize("call, kind, said", BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_systems_are_refused_by_name(call, kind, said):
    with pytest.raises(kind, match=said):
        call()


def test_heads_that_two_pools_split_unlike():
    """Six heads of keys in 2 and in 3 parts: no part of one is a part of the other."""
    model = tr.model(DENSE).replace(name="six", heads=48, kv_heads=6, ffn=28416)
    three, two, six = (tr.Plan(tp=n, weights="bf16", kv_cache="fp8") for n in (3, 2, 6))
    assert pools(three, six).serves(model) == model
    said = "tp is 3 of prefill and 2 of decode, which split 6 kv_heads in 3 and 2; allowed: one a multiple"
    with pytest.raises(ValueError, match=said):
        pools(three, two).serves(model)
    # a latent cache is whole on every rank
    assert pools(narrow(tp=8), narrow(tp=16)).serves(LATENT).name == LATENT
