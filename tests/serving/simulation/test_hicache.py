"""SGLang's blocks in the host's memory: what must come out by hand, and what is refused."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import serving
from tokenroof.inference.door import deployment
from tokenroof.serving.simulation import hicache

MS = 1_000_000


def play(load, tier=None, tokens=2000, **options):
    knobs = {
        name: options.pop(name) for name in list(options) if name not in ("replicas", "router")
    }
    scheduler = serving.Scheduler.preset("sglang-0.5.23", max_total_tokens=tokens, **knobs)
    return serving.simulate(
        None, None, None, load, scheduler, step_time=serving.StepTime(MS, 20_000), host_tier=tier,
        record_steps=True, **options,
    )  # fmt: skip


THREE = {  # the first prompt, another that drives it out, and the first once more
    "arrival": [0.0, 1.0, 2.0], "input_tokens": [30, 40, 30], "output_tokens": 2,
    "prompt": [np.array([[0, 30]]), np.array([[1000, 40]]), np.array([[0, 30]])],
}  # fmt: skip


def three(policy, layers=None, **options):
    tier = serving.HostTier(1e9, 1e6, bytes_per_token=1000.0, layers=layers)  # 1 ms a token
    return play(
        THREE, tier, 64, disable_overlap_schedule=True, hicache_write_policy=policy, **options
    )


def test_all_is_copied_at_once_and_a_step_waits_for_what_it_loads():
    """29 tokens of 30, as the last is computed, a step of 1.02 ms."""
    run = three("write_through")
    assert run.requests["cached_tokens"].tolist() == [0, 0, 29]
    assert run.requests["loaded_tokens"].tolist() == [0, 0, 29]
    # prompts, and of the two answers' tokens the one that was computed with
    assert run.totals["stored_bytes"] == (30 + 1 + 40 + 1 + 1) * 1000
    assert run.totals["store_ns"] == 73 * MS
    assert run.totals["loaded_bytes"] == 29_000
    assert run.totals["load_ns"] == 29 * MS
    first = run.requests["first_token_ns"] - run.requests["arrival_ns"]
    assert first.tolist() == [1_600_000, 1_800_000, 29 * MS + 1_020_000]


@pytest.mark.parametrize(
    ("layers", "ends"),
    [
        (1, 29 * MS + 1_020_000),
        (4, 29 * MS + 255_000),
        (100, 29 * MS + 10_200),
    ],
)
def test_a_layer_is_computed_while_the_next_is_loaded(layers, ends):
    run = three("write_through", layers)
    assert run.requests["first_token_ns"][2] == 2 * 10**9 + ends


def test_layers_that_are_slower_than_their_loads_hide_them():
    """30 tokens to compute beside 30 that come in 30 us: but for the first layer's, nothing waits."""
    load = {**THREE, "input_tokens": [30, 58, 60]}
    prompts = [[0, 30]], [[1000, 58]], [[0, 30], [9000, 30]]
    load["prompt"] = [np.array(prompt) for prompt in prompts]
    tier = serving.HostTier(1e9, 1e9, bytes_per_token=1000.0, layers=29)
    run = play(load, tier, 68, disable_overlap_schedule=True)
    assert run.requests["loaded_tokens"][2] == 30
    took = run.requests["first_token_ns"][2] - run.requests["arrival_ns"][2]
    assert took == MS + 30 * 20_000 + -(-30_000 // 29)


def test_with_write_through_selective_the_second_use_is_what_is_copied():
    """The first prompt is gone when it comes again; of the three that are alike the second brings a copy."""
    assert three("write_through_selective").totals["stored_bytes"] == 0
    load = {**THREE, "prompt": [np.array([[0, 30]]), np.array([[0, 40]]), np.array([[0, 30]])]}
    tier = serving.HostTier(1e9, 1e6, bytes_per_token=1000.0)
    run = play(
        load, tier, 200, disable_overlap_schedule=True,
        hicache_write_policy="write_through_selective",
    )  # fmt: skip
    assert run.requests["cached_tokens"].tolist() == [0, 30, 29]
    assert run.totals["stored_bytes"] == 30_000


def test_with_write_back_the_loop_waits_for_copies_of_what_has_to_go():
    """64 tokens, of which 31 are cached: 40 more drive out an answer's token and its prompt."""
    run = three("write_back")
    assert run.requests["loaded_tokens"].tolist() == [0, 0, 29]
    assert run.totals["stored_bytes"] == (31 + 41) * 1000
    first = run.requests["first_token_ns"] - run.requests["arrival_ns"]
    assert first.tolist() == [1_600_000, 31 * MS + 1_800_000, (41 + 29) * MS + 1_020_000]
    start = run.steps["start_ns"] - run.steps["scheduled_ns"]
    assert start.tolist() == [0, 0, 31 * MS, 0, 41 * MS, 0]


def test_fewer_than_ten_tokens_are_computed_anew():
    found = []
    for same in (9, 10):
        load = {**THREE, "input_tokens": [same, 58, 30]}
        prompts = [[0, same]], [[1000, 58]], [[0, same], [9000, 30 - same]]
        load["prompt"] = [np.array(prompt) for prompt in prompts]
        tier = serving.HostTier(1e9, 1e6, bytes_per_token=1000.0)
        found.append(play(load, tier, 66).requests["loaded_tokens"][2])
    assert found == [0, 10]


def test_what_the_host_has_is_admitted_as_if_it_were_to_be_computed():
    """While another runs there is no room for a prompt of 30, 29 of which would come from the host."""
    load = {name: list(value) for name, value in THREE.items() if name != "output_tokens"}
    load["output_tokens"] = [2, 30, 2]
    load["arrival"] = [0.0, 1.0, 1.005]
    tier = serving.HostTier(1e9, np.inf, bytes_per_token=1.0)
    run = play(load, tier, 90, disable_overlap_schedule=True, schedule_conservativeness=1.4)
    assert run.requests["loaded_tokens"][2] == 29
    assert run.requests["scheduled_ns"][2] >= run.requests["last_token_ns"][1]
    roomy = play(load, tier, 120, disable_overlap_schedule=True, schedule_conservativeness=1.4)
    assert roomy.requests["scheduled_ns"][2] < roomy.requests["last_token_ns"][1]


def test_of_prompts_alike_that_the_host_alone_has_one_goes_before_all_others():
    """`lpm` counts what the host has, but who finds little on the device is no company to its like."""
    prompts = [[0, 40]], [[1000, 130]], [[0, 40], [2000, 5]], [[0, 40], [3000, 5]], [[4000, 20]]
    load = {
        "arrival": [0.0, 1.0, 2.0, 2.0, 2.0], "input_tokens": [40, 130, 45, 45, 20],
        "output_tokens": 2, "prompt": [np.array(prompt) for prompt in prompts],
    }  # fmt: skip
    tier = serving.HostTier(1e9, np.inf, bytes_per_token=1.0)
    driven_out, there = (
        play(load, tier, tokens, schedule_policy="lpm", prefill_max_requests=2)
        for tokens in (150, 180)
    )
    assert driven_out.requests["cached_tokens"].tolist() == [0, 0, 40, 40, 0]
    assert driven_out.requests["loaded_tokens"].tolist() == [0, 0, 40, 0, 0]
    assert driven_out.entries["request"].tolist()[4:7] == [2, 4, 3]
    assert there.requests["loaded_tokens"].sum() == 0
    assert there.entries["request"].tolist()[4:7] == [2, 3, 4]


# --- what it is good for ---------------------------------------------------------------------------------


def conversation(turns=8, users=6, gap=3.0):
    """Users whose turns go on where the last one ended, one request at a time."""
    rows = [(10**6 * user, 200 + 100 * turn) for turn in range(turns) for user in range(users)]
    return {
        "arrival": gap * np.arange(len(rows)), "input_tokens": [tokens for _, tokens in rows],
        "output_tokens": 20, "prompt": [np.array([row]) for row in rows],
    }  # fmt: skip


def test_no_bytes_are_no_tier():
    load = conversation()
    assert play(load, serving.HostTier(0.0)).requests.tobytes() == play(load).requests.tobytes()


@pytest.mark.parametrize("policy", ["write_through", "write_back"])
def test_conversations_beyond_the_device_s_memory_find_more(policy):
    """As much as in a cache that never evicts, in less time; and no more than could be found at best."""
    load = conversation()
    short, whole = play(load), play(load, tokens=10**6)
    tier = serving.HostTier(np.inf, 1e12, bytes_per_token=1e5)
    run = play(load, tier, hicache_write_policy=policy)
    found = [one.requests["cached_tokens"].sum() for one in (short, run, whole)]
    best = serving.best_hits(load, 10**6, 1).cached_tokens.sum()
    assert found[0] < found[1] == found[2] <= best
    waits = [
        (one.requests["first_token_ns"] - one.requests["arrival_ns"]).mean() for one in (short, run)
    ]
    assert waits[1] < waits[0]


def test_a_small_host_keeps_no_more_than_it_has_room_for():
    load = conversation()
    small = play(load, serving.HostTier(3000.0, np.inf, bytes_per_token=1.0))
    large = play(load, serving.HostTier(1e9, np.inf, bytes_per_token=1.0))
    kept = small.totals["stored_bytes"] - small.totals["host_evicted"]
    assert 0 < kept <= 3000
    assert large.totals["host_evicted"] == 0
    assert small.requests["loaded_tokens"].sum() < large.requests["loaded_tokens"].sum()


def test_a_link_that_replicas_share_is_slower_than_one_of_their_own():
    load = conversation(users=8, gap=2.0)
    twice = {name: np.repeat(load[name], 2) for name in ("arrival", "input_tokens")}
    twice["prompt"] = [one for one in load["prompt"] for _ in range(2)]
    twice["output_tokens"] = 20
    own, shared = (
        play(twice, serving.HostTier(np.inf, 1e9, n, bytes_per_token=1e6), replicas=2)
        for n in (1, 2)
    )
    assert own.totals["loaded_bytes"] == shared.totals["loaded_bytes"] > 0
    more = (shared.requests["first_token_ns"] - own.requests["first_token_ns"]).reshape(-1, 2)
    loaded = own.requests["loaded_tokens"].reshape(-1, 2)
    assert (more.max(axis=1) == loaded[:, 0] * MS).all()
    assert (more.min(axis=1) == 0).all()


def test_a_router_that_knows_prefixes_sends_them_to_whose_host_has_them():
    """All turns of one who talks go where the first went, with a host; else to who holds more of them."""
    load = conversation(turns=4, users=5)
    run = play(
        load, serving.HostTier(np.inf, np.inf, bytes_per_token=1.0), 700, replicas=2,
        router="prefix_aware",
    )  # fmt: skip
    where = run.requests["replica"].reshape(4, 5)
    assert (where == where[0]).all() and set(where[0]) == {0, 1}
    alone = play(load, None, 700, replicas=2, router="prefix_aware")
    assert alone.requests["cached_tokens"].sum() < run.requests["cached_tokens"].sum()


# --- how large it is --------------------------------------------------------------------------------------


def test_of_a_device_by_its_slots_and_its_models_cache():
    load = conversation(turns=2, users=4)
    scheduler = serving.Scheduler.preset(
        "sglang-0.5.23", max_total_tokens=500, context_length=2000, enable_hierarchical_cache=True
    )
    run = serving.simulate("H100-SXM", "Llama-3.1-8B", None, load, scheduler)
    per_token = tr.model("Llama-3.1-8B").kv_bytes_per_token("bf16")
    assert run.totals["loaded_bytes"] == run.requests["loaded_tokens"].sum() * per_token > 0
    assert run.totals["load_ns"] == pytest.approx(run.totals["loaded_bytes"] / 63.015, abs=9)
    assert run.config["hicache_ratio"] == 2.0
    kept = run.totals["stored_bytes"] / per_token - run.totals["host_evicted"]
    assert 0 < kept <= 1001


def test_a_head_s_own_cache_is_copied_with_the_models():
    """Of one layer beside 32, as wide as theirs."""
    load = conversation(turns=2, users=4)
    knobs = {"max_total_tokens": 600, "context_length": 2000}
    plain, drafted = (
        serving.simulate(
            "H100-SXM", "Llama-3.1-8B", None, load, serving.Scheduler.preset("sglang-0.5.23", **knobs),
            host_tier=serving.HostTier(1e12), speculation=spec,
        )
        for spec in (None, serving.Speculation("eagle", 3, 0.8))
    )  # fmt: skip
    each = [
        run.totals["loaded_bytes"] / run.requests["loaded_tokens"].sum() for run in (plain, drafted)
    ]
    assert each[1] == pytest.approx(each[0] * 33 / 32, rel=1e-6)


def blocks(on=None, tier=None, **knobs):
    scheduler = serving.Scheduler.preset(
        "sglang-0.5.23", enable_hierarchical_cache=True, page_size=16, **knobs
    )
    tier = tier or serving.HostTier(bytes_per_s=1e9, bytes_per_token=None if on else 1000.0)
    rules = hicache.host_rules(tier, scheduler, scheduler.resolved(on), on)
    return rules["host_blocks"], rules["host_block_bytes"]


def test_a_page_more_than_the_knobs_ask_for():
    """As the engine rounds it up; its gigabytes are of each device."""
    assert blocks(max_total_tokens=1600, hicache_ratio=1.5) == (151, 16_000)
    assert blocks(max_total_tokens=1600) == (201, 16_000)
    assert blocks(max_total_tokens=1600, hicache_size=1) == (62_501, 16_000)
    by_hand = serving.HostTier(32_000.0, 1e9, bytes_per_token=1000.0)
    assert blocks(tier=by_hand, max_total_tokens=1600) == (2, 16_000)


def test_of_latents_each_device_has_a_copy_of_its_own():
    """DeepSeek's cache is on all devices of a plan: as many tokens of a gigabyte each, all of them moved."""
    plans = [tr.Plan(tp=n, weights="fp8", kv_cache="bf16") for n in (8, 16)]
    on = [deployment("H200-SXM", "DeepSeek-R1", plan) for plan in plans]
    eight, sixteen = (blocks(one, max_total_tokens=16_000, hicache_size=4) for one in on)
    assert sixteen[0] == eight[0]
    assert sixteen[1] == 2 * eight[1]


def refused(**knobs):
    return lambda: play(
        conversation(1, 1), serving.HostTier(bytes_per_s=1.0, bytes_per_token=1.0), **knobs
    )


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (refused(enable_hierarchical_cache=True, hicache_ratio=0.0),
         "hicache_ratio is 0.0; allowed: numbers above 0"),
        (refused(enable_hierarchical_cache=True, hicache_ratio=-1.0), "hicache_ratio is -1.0"),
        (refused(enable_hierarchical_cache=True, hicache_size=-1), "hicache_size is -1"),
        (refused(enable_hierarchical_cache=True, hicache_ratio=2.0, hicache_size=4),
         "hicache_ratio is 2 and hicache_size is 4; allowed: one of them"),
        (refused(enable_hierarchical_cache=True, hicache_write_policy="write_around"),
         "hicache_write_policy is 'write_around'; allowed: write_through, write_through_selective, write_back"),
        (refused(enable_hierarchical_cache=True, hicache_storage_backend="file"),
         "hicache_storage_backend is not played by sglang-0.5.23"),
        (refused(enable_hierarchical_cache=True, disable_radix_cache=True), "disable_radix_cache is True"),
        (refused(), "enable_hierarchical_cache is False with a host_tier"),
        (lambda: play(conversation(1, 1), hicache_ratio=2.0),
         "hicache_ratio is 2.0 without enable_hierarchical_cache"),
        (lambda: play(conversation(1, 1), enable_hierarchical_cache=True), "bytes_per_token is None"),
        (lambda: play(conversation(1, 1), serving.HostTier(1e9, 1.0, bytes_per_token=1.0),
                      enable_hierarchical_cache=False), "enable_hierarchical_cache is False"),
        (lambda: play(conversation(1, 1), serving.HostTier(1e9, 1.0, bytes_per_token=1.0),
                      enable_hierarchical_cache=True, hicache_size=4),
         "capacity_bytes is 1e.09 and hicache_size is 4; allowed: one of them"),
        (lambda: play(conversation(1, 1), serving.HostTier(0.0), enable_hierarchical_cache=True),
         "capacity_bytes is 0 with enable_hierarchical_cache"),
        (lambda: play(conversation(1, 1), 5.0), "host_tier is 5.0; allowed: a HostTier"),
        (lambda: serving.HostTier(1.0, layers=0), "layers is 0"),
        (lambda: serving.Scheduler.preset("vllm-0.33", hicache_ratio=2.0),
         "hicache_ratio is of sglang-0.5.23, not of vllm-0.33"),
        (lambda: serving.simulate(
            None, None, None, conversation(1, 1), serving.Scheduler.preset("vllm-0.33", num_blocks=99),
            step_time=serving.StepTime(MS), host_tier=serving.HostTier(bytes_per_s=1.0)),
         "capacity_bytes is None with vllm-0.33"),
        (lambda: serving.simulate(
            None, None, None, conversation(1, 1), serving.Scheduler.preset("vllm-0.33", num_blocks=99),
            step_time=serving.StepTime(MS), host_tier=serving.HostTier(1e9, layers=3)),
         "layers is 3 with vllm-0.33"),
        (lambda: serving.simulate(
            serving.disaggregate("H100-SXM", "H100-SXM"), "Llama-3.1-8B", None, conversation(1, 1),
            serving.Scheduler.preset("sglang-0.5.23", enable_hierarchical_cache=True)),
         "pool is decode with a host tier of sglang-0.5.23; allowed: prefill, or one for both"),
    ],
)  # fmt: skip
def test_what_is_refused(call, says):
    with pytest.raises((ValueError, TypeError), match=says):
        call()
