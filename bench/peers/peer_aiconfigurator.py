"""aiconfigurator: its compiled step engine over measured tables, database and session held."""

import itertools
import logging

import timing
from aiconfigurator.cli.api import cli_estimate
from aiconfigurator.sdk.config import RuntimeConfig
from aiconfigurator.sdk.inference_session import InferenceSession

logging.disable(logging.WARNING)
HELD = {}
TYPES = {"bf16": "bfloat16", "fp8": "fp8"}


def session(model, system, engine, weights, kv_cache, tp):
    """The session that its own estimate makes, caught on the way and held."""
    key = (model, system, engine, weights, kv_cache, tp)
    if key not in HELD:
        caught, run = [], InferenceSession.run_agg

        def catch(self, *given, **named):
            caught.append(self)
            return run(self, *given, **named)

        InferenceSession.run_agg = catch
        try:
            cli_estimate(
                f"meta-llama/Meta-Llama-3.1-{'70B' if '70B' in model else '8B'}", system, mode="agg",
                backend_name=engine, isl=1000, osl=100, batch_size=4, tp_size=tp,
                gemm_quant_mode=TYPES[weights],
                kvcache_quant_mode=TYPES[kv_cache],
            )  # fmt: skip
        finally:
            InferenceSession.run_agg = run
        HELD[key] = caught[0]
    return HELD[key]


def answered(p):
    try:
        held = session(p["model"], p["system"], p["engine"], p["weights"], p["kv_cache"], p["tp"])
        load = RuntimeConfig(isl=int(p["input"]), osl=int(p["output"]), batch_size=p["users"])
        return float(held.run_agg(load, ctx_tokens=int(p["input"])).get_result_dict()["tpot"]) / 1e3
    except Exception:
        return None


asked = timing.work()
grid = [g for g in itertools.product(asked["batches"], asked["contexts"]) if g[0] * g[1] < 300_000]
held = session("8B", "h100_sxm", "trtllm", "bf16", "bf16", 1)


def step(batch, context):
    load = RuntimeConfig(isl=context, osl=2, batch_size=batch)
    return held.run_static_latency_only(load, "static_gen")


seconds = timing.least(lambda: [step(b, c) for b, c in grid])
predicted = [answered(p) for p in asked["points"]]
timing.say({"evaluation_s": seconds / len(grid), "how": "a call a point, session and tables held",
            "predicted": predicted})  # fmt: skip
