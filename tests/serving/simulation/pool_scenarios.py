"""Scenarios of prompts apart from answers, drawn at random: small pools, a slow link, what they share."""

import random

import numpy as np
import scenarios
import sglang_scenarios

import tokenroof as tr
from tokenroof import serving

DEVICE, MODEL = "H100-SXM", "Llama-3.1-8B"
BYTES = 131072.0  # of a token's cache, bf16: 32 layers x 2 x 8 heads x 128
MIXTURE, MIXTURE_BYTES = "Qwen3-30B-A3B", 98304.0  # 48 layers x 2 x 4 heads x 128


def draw(seed, scaled=False, content=True, hurried=False, ranked=False):
    trace = scenarios.draw(seed, content)
    rng = random.Random(seed)
    size = trace["config"]["block_size"]
    most = max(-(-(r["prompt_tokens"] + r["max_tokens"]) // size) for r in trace["requests"]) + 2
    trace["config"]["policy"] = "fcfs" if rng.random() < 0.8 else "priority"
    pools = []
    for _ in range(2):
        own = {
            **trace["config"],
            "num_blocks": rng.randint(most, 3 * most),
            "max_num_seqs": rng.randint(1, 16),
        }
        step = {
            "a": 10 ** rng.randint(5, 7),
            "b": rng.choice([0, 10**4]),
            "c": rng.choice([0, 100]),
        }
        pool = {"engine": trace["engine"], "config": own, "step_time": step}
        pool |= {"replicas": rng.randint(1, 3), "rate": 1.0}
        if ranked:
            pool |= {"ranks": rng.choice([1, 2, 2, 4]), "report_ms": rng.choice([0, 1, 20, 100])}
        if scaled and rng.random() < 0.8:
            pool["scaling"] = scaling_for(rng, pool["replicas"])
        pools.append(pool)
    if content and rng.random() < 0.3:
        drafts_for(rng, pools[1])
    bandwidth = 10.0 ** rng.uniform(8.0, 12.0)
    for pool in pools:
        pool["rate"] = pool.get("ranks", 1) * bandwidth * 1e-9
    hurry = _hurry(rng, trace) if hurried else {}
    return {
        **hurry, "requests": trace["requests"], "pools": pools, "bandwidth": bandwidth, "fair": rng.random() < 0.6,
        "hop": rng.choice([0, 0, 10**4, 10**7]), "age": rng.choice([0, 0, 10**6, 10**8]),
        "router": rng.choice(["round_robin", "least_loaded"]),
        "bytes": [(MIXTURE_BYTES if ranked else BYTES) * r["prompt_tokens"] for r in trace["requests"]],
        "model": MIXTURE if ranked else MODEL,
    }  # fmt: skip


def draw_staged(seed, scaled=False, hurried=False):
    """As `draw`, one pool or both in a pipeline."""
    scene, rng = draw(seed, scaled, hurried=hurried), random.Random(seed + 17)
    for pool, stages in zip(
        scene["pools"], rng.choice([(1, 2), (2, 1), (2, 3), (4, 2)]), strict=True
    ):
        pool["stages"] = stages
        pool["engine"] = {**pool["engine"], "loop": "sync"}
        pool["rate"] *= stages
        pool.pop("drafting", None)
    return scene


def draw_hosted(seed, scaled=False, hurried=False, ranked=False):
    """As `draw`, with memory of the host where prompts are computed."""
    scene = draw(seed, scaled, hurried=hurried, ranked=ranked)
    rng, first = random.Random(seed + 11), scene["pools"][0]
    for pool in scene["pools"]:
        pool["config"]["policy"] = "fcfs"
    config = first["config"]
    config["enable_prefix_caching"], size = True, config["block_size"]
    config["num_blocks"] = max(config["num_blocks"] // rng.choice([1, 2]), most_of(scene, size))
    first["host"] = {
        "blocks": rng.choice([1, 5, 30, 10_000]), "block_bytes": size * rng.choice([1, 1000]),
        "bytes_per_s": rng.choice([0, 10**6, 10**9] + [10**3] * (not ranked)), "replicas": rng.choice([1, 2]),
    }  # fmt: skip
    return scene


def most_of(scene, size):
    """Blocks that hold any of the requests."""
    return max(-(-(r["prompt_tokens"] + r["max_tokens"]) // size) for r in scene["requests"]) + 2


def draw_trtllm(seed, scaled=False, content=True, drafts=False, hurried=False):
    """As `draw`, of TensorRT-LLM's servers of contexts and of generations."""
    scene = draw(seed, scaled, content)
    rng = random.Random(seed + 5)
    scene |= _patience(random.Random(seed + 13)) if hurried else {}
    rows = scene["requests"]
    size = rng.choice([1, 2, 4, 16])
    longest = max(-(-(r["prompt_tokens"] + r["max_tokens"]) // size) for r in rows)
    reuse, cut = rng.random() < 0.7, rng.random() < 0.6
    for k, pool in enumerate(scene["pools"]):
        pool.pop("drafting", None)
        pool["engine"] = {"trtllm": "1.4"}
        pool["config"] = {
            "max_num_tokens": rng.choice([16, 64, 200, 2048]), "max_batch_size": rng.choice([2, 5, 16, 64]),
            "max_seq_len": rng.choice([120, 100000]),
            "capacity_scheduler_policy": rng.choice(["GUARANTEED_NO_EVICT", "MAX_UTILIZATION", "STATIC_BATCH"]),
            "enable_prefix_aware_scheduling": rng.random() < 0.7, "enable_chunked_prefill": cut,
            "context_chunking_policy": rng.choice(["FIRST_COME_FIRST_SERVED", "EQUAL_PROGRESS"]),
            "batch_wait_timeout_iters": rng.choice([0, 0, 3, 20]),
            "batch_wait_max_tokens_ratio": rng.choice([0.0, 0.0, 0.3, 1.0]), "tokens_per_block": size,
            "max_tokens": size * rng.randint(longest + 1, 3 * longest + 2),
            "enable_block_reuse": reuse if rng.random() < 0.8 else not reuse,
            "enable_partial_reuse": rng.random() < 0.7, "copy_on_partial_reuse": rng.random() < 0.7,
            "disable_overlap_scheduler": rng.random() < 0.5,
        }  # fmt: skip
        if drafts and k:
            _drafts_for_trtllm(rng, pool)
    if rng.random() < 0.3:
        for row in rows:
            row["declared"] = row["max_tokens"] + rng.choice([0, 0, 1, 2, 9])
    return scene


def draw_sglang(seed, scaled=False, content=True, drafts=False, hurried=False):
    """As `draw`, of SGLang's servers of prompts and of answers."""
    scene = draw(seed, scaled, content)
    rng = random.Random(seed + 7)
    scene |= _patience(random.Random(seed + 13)) if hurried else {}
    rows = sglang_scenarios.draw(seed, content, undeclared=rng.random() < 0.3)
    scene["requests"] = rows["requests"]
    scene["bytes"] = [BYTES * r["prompt_tokens"] for r in rows["requests"]]
    page = rows["config"]["page_size"]
    for k, pool in enumerate(scene["pools"]):
        pool.pop("drafting", None)
        own = sglang_scenarios.draw(seed + 1000 * k, content, page_size=page)["config"]
        own["chunked_prefill_size"] = rng.choice([-1, 4 * page, 16 * page, 2048])
        own["max_total_tokens"] = max(own["max_total_tokens"], rows["config"]["max_total_tokens"])
        if rng.random() < 0.6:  # hardly enough for the longest
            most = max(r["prompt_tokens"] + r["max_tokens"] for r in rows["requests"])
            own["max_total_tokens"] = max(16, most + 3 * page + rng.choice([0, 5, 40]))
        own["prefill_decode_interval"] = 0
        if k:
            own |= {"enable_priority_scheduling": False, "disable_radix_cache": True}
            own["num_reserved_decode_tokens"] = rng.choice([0, 1, 5, 20])
            own["disaggregation_decode_extra_slots"] = rng.choice([None, 0, 3])
            if drafts:
                own["enable_mixed_chunk"], pool["drafting"] = False, _drafting(rng)
                own["max_total_tokens"] += rng.choice([0, 40])
                pool["step_time"]["d"] = rng.choice([0, 1234])
        pool["config"], pool["engine"] = own, {"sglang": "0.5.23"}
    return scene


def _hurry(rng, trace):
    """Clients that give up, and a queue that is full."""
    found = _patience(rng)
    caps = {"requests": rng.randint(1, 8), "tokens": rng.randint(1, 400)}
    if trace["engine"]["vllm"].startswith("0.33") and trace["config"]["policy"] == "fcfs":
        found["caps"] = {name: most for name, most in caps.items() if rng.random() < 0.4}
    return found


def _patience(rng):
    found, step = {}, 10 ** rng.randint(6, 8)
    for name in ("timeout", "queue_timeout"):
        if rng.random() < 0.7:
            found[name] = rng.randint(1, 40 * step)
    return found


def drafts_for(rng, pool):
    """Answers that are drafted ahead."""
    own = pool["drafting"] = _drafting(rng)
    pool["config"]["num_blocks"] += 3 * len(own["acceptance"])
    pool["step_time"]["d"] = rng.choice([0, 1234])


def _drafting(rng):
    k, method = rng.randint(1, 4), rng.choice(["eagle", "ngram"])
    chances = sorted((rng.choice([0.0, 1.0, rng.random()]) for _ in range(k)), reverse=True)
    return {
        "acceptance": chances, "lookahead": 0 if method == "ngram" else k, "method": method,
        "states": method == "eagle", "seed": rng.randrange(2**64),
    }  # fmt: skip


def _drafts_for_trtllm(rng, pool):
    config = pool["config"]
    own = pool["drafting"] = _drafting(rng)
    if own["states"]:
        own["lookahead"] -= 1
    else:
        config["disable_overlap_scheduler"] = True
    config["max_tokens"] += 15 + rng.choice([0, 15])


def scaling_for(rng, replicas):
    return {
        "least": rng.randint(1, replicas), "most": rng.randint(replicas, 5),
        "signal": rng.choice(["queue", "utilisation"]), "target": rng.choice([0.3, 0.5, 1.0, 2.0]),
        "tolerance": rng.choice([0.0, 0.1]), "start": rng.choice([0, 10**6, 10**8]),
        "interval": rng.choice([10**7, 10**8]), "cooldown": rng.choice([0, 10**8, 10**9]),
    }  # fmt: skip


def system_of(scene):
    engine = next(iter(scene["pools"][0]["engine"]))
    first, second = (
        serving.Pool("H200-SXM", tr.Plan(dp=p["ranks"], weights="fp8"), p["replicas"])
        if "ranks" in p
        else serving.Pool(DEVICE, tr.Plan(engine=engine, pp=p.get("stages", 1)), p["replicas"])
        for p in scene["pools"]
    )
    drafts = scene["pools"][1].get("drafting")
    if drafts:
        drafts = serving.Speculation(drafts["method"], None, drafts["acceptance"])
    return serving.System(
        prefill=first, decode=second, link_bandwidth=scene["bandwidth"], hop_s=scene["hop"] * 1e-9,
        speculation=drafts,
    )  # fmt: skip


def _given(config):
    left = (
        {"prefill_decode_interval", "prefill_decode_interval_min_bs"}
        if "page_size" in config
        else set()
    )
    return {k: v for k, v in config.items() if k not in left and (v is not None or not left)}


def _preset(engine):
    name, version = next(iter(engine.items()))
    return f"{name}-{version if name != 'vllm' else '.'.join(version.split('.')[:2])}"


def arguments_of(scene):
    """Scheduler, step time and scaling of each pool."""
    roles = ("prefill", "decode")
    both = dict(zip(roles, scene["pools"], strict=True))
    autoscale = {
        role: serving.Autoscale(
            rule["least"], rule["most"], rule["start"] * 1e-9, rule["signal"], rule["target"],
            rule["interval"] * 1e-9, rule["cooldown"] * 1e-9, rule["tolerance"],
        )
        for role, pool in both.items()
        if (rule := pool.get("scaling"))
    }  # fmt: skip
    names = {"requests": "max_num_queued_reqs", "tokens": "max_num_queued_tokens"}
    given = {}
    caps = {names[name]: most for name, most in scene.get("caps", {}).items()}
    host = scene["pools"][0].get("host")
    if host and "pages" in host:
        given["host_tier"] = serving.HostTier(
            host["pages"] * host["page_bytes"], host["bytes_per_s"] or np.inf, host["replicas"],
            host["page_bytes"] / scene["pools"][0]["config"]["page_size"], host["layers"],
        )  # fmt: skip
    elif host:
        many = scene["pools"][0].get("ranks", 1)
        given["host_tier"] = serving.HostTier(
            many * host["blocks"] * host["block_bytes"], host["bytes_per_s"] or np.inf, host["replicas"],
            bytes_per_token=host["block_bytes"] / scene["pools"][0]["config"]["block_size"],
        )  # fmt: skip
    hurry = {f"{n}_s": scene[n] * 1e-9 for n in ("timeout", "queue_timeout") if n in scene}
    return {
        **hurry, **given,
        "scheduler": {
            role: serving.Scheduler.preset(
                _preset(pool["engine"]), **({"loop": pool["engine"]["loop"]} if "loop" in pool["engine"] else {}),
                **_given(pool["config"]), **(caps if role == "prefill" else {}),
                **({"min_stats_update_interval_ms": pool["report_ms"]} if pool.get("ranks", 1) > 1 else {}),
            )
            for role, pool in both.items()
        },
        "step_time": {
            role: serving.StepTime(
                *(pool["step_time"][name] for name in "abc"),
                per_draft_ns=pool["step_time"].get("d", 0),
            )
            for role, pool in both.items()
        },
        "seed": both["decode"].get("drafting", {"seed": 0})["seed"], "autoscale": autoscale or None, "router": scene["router"], "signal_age_s": scene["age"] * 1e-9,
        "link_sharing": "fair" if scene["fair"] else "fifo",
    }  # fmt: skip
