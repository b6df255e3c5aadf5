"""A system's record: what may stand together, what is refused by name, and ways to make one."""

import pytest

import tokenroof as tr
from tokenroof.inference.estimates import parameter
from tokenroof.serving import Drafts, Link, Pool, System

PLAN = tr.Plan(tp=4, weights="fp8", kv_cache="fp8")
GPU, DENSE, LATENT = "H200-SXM", "Llama-3.1-70B", "DeepSeek-R1"


def pools(prefill=PLAN, decode=PLAN, n=1, m=3):
    return [Pool(GPU, prefill, n, "prefill"), Pool(GPU, decode, m, "decode")]


def test_counts_and_names():
    one = System(DENSE, pools(n=2, m=3), speculation=Drafts("ngram", 3, 0.5), version="0.19")
    assert one.devices == 4 * 2 + 4 * 3 and one.engine == "vllm" and one.disaggregated
    assert one.pool("decode").count == 3 and one.pool("both") is None
    assert one.label().endswith("decode 3x H200-SXM tp4 fp8 kv fp8, 3 drafts by ngram")
    first, second = one.deployments("datasheet")
    assert first.plan is one.pools[0].layout and second.calibration.name == "datasheet"
    assert one.replace(version=None).version is None and hash(one) == hash(one.replace())


def test_expected_tokens_by_position():
    assert Drafts("mtp", 3, (0.9, 0.7, 0.5)).tokens == pytest.approx(1 + 0.9 + 0.63 + 0.315)
    assert Drafts("mtp", 2, 0.5).tokens == 1.75 and Drafts("mtp", 0, 0.5).tokens == 1.0
    # positions beyond the drafts do not count
    assert Drafts("mtp", 1, (0.9, 0.7)) == Drafts("mtp", 1, 0.9)


def test_the_link_is_what_the_devices_have():
    device = tr.device("GB200-NVL72")
    wide = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")

    def between(n, where="GB200-NVL72", other="GB200-NVL72"):
        parts = [Pool(where, wide, 1, "prefill"), Pool(other, wide, n, "decode")]
        return System(DENSE, parts).link.bandwidth

    assert between(8).mid == device.link_bandwidth  # 72 devices of one domain
    assert between(9).mid == device.node_link_bandwidth  # 80
    mixed = between(1, GPU)
    assert mixed.mid == min(device.node_link_bandwidth, tr.device(GPU).node_link_bandwidth)
    alone = tr.device(GPU).replace(name="alone", node_link_bandwidth=None)
    parts = [Pool(alone, PLAN, 2, "prefill"), Pool(alone, PLAN, 2, "decode")]
    assert System(DENSE, parts).link.bandwidth == parameter("decouple_link_bandwidth")
    assert System(DENSE, pools(), Link((1e9, 2e9, 3e9))).link.bandwidth.values.tolist() == [
        1e9,
        2e9,
        3e9,
    ]


def test_ways_to_make_one():
    serving = tr.serving
    assert serving.disaggregate(DENSE, (GPU, PLAN), (GPU, PLAN, 3)) == System(DENSE, pools())
    assert serving.aggregate(DENSE, (GPU, PLAN, 2)) == System(DENSE, Pool(GPU, PLAN, 2))
    apart = serving.split_experts("Qwen3-235B-A22B", ("B200-SXM", tr.Plan(tp=8)), "LPX", hop_s=1e-6)
    assert [p.role for p in apart.pools] == ["attention", "experts"] and apart.devices == 8
    assert apart.link.hop_s.mid == 1e-6
    assert apart.deployments()[1] is None  # chips are laid out when they are asked
    drafted = serving.draft_apart(
        DENSE, (GPU, PLAN), "Llama-3.2-1B", "LPX", drafts=5, acceptance=0.7
    )
    assert drafted.speculation == Drafts("Llama-3.2-1B", 5, 0.7) and drafted.engine == "vllm"
    # a pool keeps what it is, but for its role
    assert serving.disaggregate(DENSE, Pool(GPU, PLAN), Pool(GPU, PLAN, 3)) == System(
        DENSE, pools()
    )


BAD = [
    (lambda: Pool(GPU, PLAN, 0), ValueError, "count is 0; allowed: a positive integer"),
    (lambda: Pool(GPU, PLAN, 1, "prompts"), ValueError, "role is 'prompts'; allowed: both, prefill"),
    (lambda: Pool("H20O"), KeyError, "unknown device 'H20O'"),
    (lambda: Pool(GPU, "tp8"), TypeError, "plan is 'tp8'"),
    (lambda: Link(0.0), ValueError, "bandwidth of the link is 0; allowed: numbers > 0"),
    (lambda: Link((0.0, 1.0, 2.0)), ValueError, "bandwidth of the link is 0"),
    (lambda: Link(1e9, -1e-6), ValueError, "hop_s of the link is -1e-06; allowed: numbers >= 0"),
    (lambda: Link("fast"), TypeError, "bandwidth is 'fast'"),
    (lambda: Drafts("mtp", 2, 1.5), ValueError, "acceptance is 1.5; allowed: numbers from 0 to 1"),
    (lambda: Drafts("mtp", 2, (0.5, -0.1)), ValueError, r"acceptance\[1\] is -0.1"),
    (lambda: Drafts("mtp", 2, (0.5, 0.6)), ValueError, r"acceptance\[1\] is 0.6 after 0.5; allowed: none above"),
    (lambda: Drafts("mtp", 3, (0.5, 0.4)), ValueError, "acceptance has 2 positions of 3 drafts"),
    (lambda: Drafts("mtp", 2, [[0.5, 0.4]]), ValueError, "acceptance has 2 dimensions"),
    (lambda: Drafts("mtp", 9), ValueError, "drafts is 9; allowed: an integer from 0 to 8"),
    (lambda: Drafts(3.0, 2), TypeError, "method is 3.0; allowed: 'mtp', 'ngram', a model"),
    (lambda: System(DENSE, []), ValueError, "pools are none; allowed: both, prefill and decode"),
    (lambda: System(DENSE, pools()[:1]), ValueError, "pools are prefill; allowed"),
    (lambda: System(DENSE, [*pools(), Pool(GPU, PLAN)]), ValueError, "pools are prefill and decode and both"),
    (lambda: System(DENSE, GPU), TypeError, "pools is 'H200-SXM'; allowed: a sequence of Pool"),
    (lambda: System(DENSE, pools(), link=1e9), TypeError, "link is 1000000000.0; allowed: Link or None"),
    (lambda: System(DENSE, pools(), version=19), TypeError, "version is 19; allowed: str or None"),
    (lambda: System(DENSE, pools(), speculation="mtp"), TypeError, "speculation is 'mtp'; allowed: Drafts"),
    (lambda: System(DENSE, pools(decode=PLAN.replace(kv_cache="bf16"))), ValueError,
     "kv_cache is fp8 of prefill and bf16 of decode; allowed: one type"),
    (lambda: System(DENSE, pools(decode=PLAN.replace(engine="sglang"))), ValueError,
     "engine is vllm of prefill and sglang of decode; allowed: one engine"),
    (lambda: System("Llama-3.2-1B", pools(decode=tr.Plan(tp=3, kv_cache="fp8"))), ValueError,
     "pool decode: tp is 3"),
    (lambda: System(DENSE, pools(), speculation=Drafts("mtp")), ValueError,
     "method is 'mtp', but Llama-3.1-70B has no module"),
    (lambda: System(DENSE, pools(), speculation=Drafts("GPT-2")), ValueError, "method is GPT-2 with 50257 tokens"),
    (lambda: System(DENSE, pools(), speculation=Drafts("Llama-9")), KeyError, "unknown model 'Llama-9'"),
    (lambda: System(DENSE, [Pool(GPU, PLAN), Pool("LPX", role="draft")]), ValueError, "speculation None"),
    (lambda: System(DENSE, [Pool(GPU, PLAN), Pool("LPX", role="draft")], speculation=Drafts("ngram")),
     ValueError, "method is 'ngram' with a pool of drafts"),
    (lambda: System(DENSE, [Pool("LPX", PLAN, 1, "prefill"), pools()[1]]), ValueError, "prefill is Groq"),
    (lambda: tr.serving.split_experts(DENSE, (GPU, PLAN), GPU), ValueError, "experts is H200-SXM, a gpu"),
    (lambda: tr.serving.disaggregate(DENSE, (GPU, 3), GPU), ValueError, "prefill is .*allowed: a Pool"),
    (lambda: tr.serving.disaggregate(DENSE, 3, GPU), TypeError, "prefill has the device 3"),
    (lambda: tr.serving.disaggregate(DENSE, (GPU, PLAN), (GPU, PLAN), link_bandwidth=0.0), ValueError,
     "bandwidth of the link is 0"),
]  # fmt: skip


@pytest.mark.parametrize("call, kind, said", BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_systems_are_refused_by_name(call, kind, said):
    with pytest.raises(kind, match=said):
        call()


def test_heads_that_two_pools_split_unlike():
    """Six heads of keys in 2 and in 3 parts: no part of one is a part of the other."""
    model = tr.model(DENSE).replace(name="six", heads=48, kv_heads=6, ffn=28416)
    three, two, six = (tr.Plan(tp=n, weights="bf16", kv_cache="fp8") for n in (3, 2, 6))
    assert System(model, pools(three, six)).devices == 3 + 3 * 6
    said = "tp is 3 of prefill and 2 of decode, which split 6 kv_heads in 3 and 2; allowed: one a multiple"
    with pytest.raises(ValueError, match=said):
        System(model, pools(three, two))
    # a latent cache is whole on every rank
    assert (
        System(
            LATENT, pools(*(tr.Plan(tp=n, weights="fp8", kv_cache="fp8") for n in (8, 16)))
        ).devices
        == 8 + 48
    )
