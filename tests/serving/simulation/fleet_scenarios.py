"""Scenes of one pool, drawn at random: memory of the host, ranks, drafts, clients that give up, replicas that come
and go, any of them together; and how they are played by `simulate`."""

import random

import numpy as np
import pool_scenarios
import recorded
import scenarios

import tokenroof as tr
from tokenroof import serving

MODEL = "Qwen3-30B-A3B"
KINDS = ("host", "ranks", "drafts", "hurry", "scaling")


def draw(seed, *kinds):
    fixed = {"policy": "fcfs", "enable_prefix_caching": True} if "host" in kinds else {}
    trace = scenarios.draw(seed, **fixed)
    rng = random.Random(seed + 3)
    size, config = trace["config"]["block_size"], trace["config"]
    scene = {
        **trace, "replicas": rng.choice([1, 1, 2, 3]), "router": rng.choice(["round_robin", "least_loaded"]),
        "age": rng.choice([0, 0, 10**6, 10**8]),
    }  # fmt: skip
    most = max(-(-(r["prompt_tokens"] + r["max_tokens"]) // size) for r in trace["requests"]) + 2
    config["num_blocks"] = most + (
        rng.randint(0, most) if len(kinds) < 2 or rng.random() < 0.5 else 0
    )
    closer = rng.choice([1, 1, 10])  # many at once
    for request in trace["requests"]:
        if "arrival" in request:
            request["arrival"] //= closer
    if "host" in kinds:
        scene["host"] = {
            "blocks": rng.choice([1, 5, 30, 10_000]), "block_bytes": size * rng.choice([1, 1000]),
            "bytes_per_s": rng.choice([0, 10**6, 10**9] + [10**3] * ("ranks" not in kinds)),
            "replicas": rng.choice([1, 2]),
        }  # fmt: skip
    if "ranks" in kinds:
        scene["ranks"], scene["report_ms"] = rng.choice([2, 2, 4]), rng.choice([0, 1, 20, 100])
    if "drafts" in kinds:
        pool_scenarios.drafts_for(rng, scene)
    if "hurry" in kinds:
        scene |= _hurry(rng, scene)
    if "scaling" in kinds:
        scene["scaling"] = pool_scenarios.scaling_for(rng, scene["replicas"])
    return scene


def _hurry(rng, scene):
    """Clients that give up, and a queue that is full, of about what it takes to matter."""
    found, step = {}, scene["step_time"]["a"]
    for name in ("timeout", "queue_timeout"):
        if rng.random() < 0.7:
            found[name] = rng.randint(1, 40 * step)
    if scene["engine"]["vllm"].startswith("0.33"):
        caps = {"requests": rng.randint(1, 8), "tokens": rng.randint(1, 400)}
        found["caps"] = {name: most for name, most in caps.items() if rng.random() < 0.4}
    return found


def play(scene, **options):
    version = ".".join(scene["engine"]["vllm"].split(".")[:2])
    names = {"requests": "max_num_queued_reqs", "tokens": "max_num_queued_tokens"}
    knobs = {names[name]: most for name, most in scene.get("caps", {}).items()}
    ranks = scene.get("ranks", 1)
    if ranks > 1:
        knobs["min_stats_update_interval_ms"] = scene["report_ms"]
    scheduler = serving.Scheduler.preset(
        f"vllm-{version}", loop=scene["engine"]["loop"], **scene["config"], **knobs
    )
    step = scene["step_time"]
    given = {f"{n}_s": scene[n] * 1e-9 for n in ("timeout", "queue_timeout") if n in scene}
    if host := scene.get("host"):
        given["host_tier"] = serving.HostTier(
            ranks * host["blocks"] * host["block_bytes"], host["bytes_per_s"] or np.inf, host["replicas"],
            bytes_per_token=host["block_bytes"] / scene["config"]["block_size"],
        )  # fmt: skip
    if drafts := scene.get("drafting"):
        given["speculation"] = {"method": drafts["method"], "acceptance": drafts["acceptance"]}
        given["seed"] = drafts["seed"]
    if rule := scene.get("scaling"):
        given["autoscale"] = serving.Autoscale(
            rule["least"], rule["most"], rule["start"] * 1e-9, rule["signal"], rule["target"],
            rule["interval"] * 1e-9, rule["cooldown"] * 1e-9, rule["tolerance"],
        )  # fmt: skip
    where = (
        ("H200-SXM", MODEL, tr.Plan(dp=ranks, weights="fp8")) if ranks > 1 else (None, None, None)
    )
    return serving.simulate(
        *where, recorded.requests_of(scene), scheduler, replicas=scene["replicas"], router=scene["router"],
        signal_age_s=scene["age"] * 1e-9,
        step_time=serving.StepTime(*(step[n] for n in "abc"), per_draft_ns=step.get("d", 0)),
        **given, **options,
    )  # fmt: skip
