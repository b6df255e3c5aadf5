"""genz-llm: a decode step by its roofline of each operator, a call a point; it has no arrays of points."""

import contextlib
import io
import itertools

import timing
from GenZ import decode_moddeling

SYSTEMS = {"h100_sxm": (989, 3350, 80), "h200_sxm": (989, 4800, 141)}
MODELS = {"8B": "meta-llama/meta-llama-3.1-8b", "70B": "meta-llama/Llama-3.1-70B"}


def step(model, system, weights, tp, batch, given, answer):
    flops, bandwidth, memory = SYSTEMS[system]
    named = {
        "Flops": flops,
        "Memory_BW": bandwidth,
        "Memory_size": memory,
        "ICN": 450,
        "ICN_LL": 1,
        "real_values": True,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        found = decode_moddeling(
            model=MODELS["70B" if "70B" in model else "8B"], batch_size=batch, input_tokens=int(given),
            output_tokens=int(answer), Bb=1, system_name=named, bits=weights, tensor_parallel=tp,
        )  # fmt: skip
    return float(found["Latency"]) / 1e3


def answered(p):
    try:
        return step(
            p["model"], p["system"], p["weights"], p["tp"], p["users"], p["input"], p["output"] / 2
        )
    except Exception:
        return None


asked = timing.work()
grid = list(itertools.product(asked["batches"], asked["contexts"]))
seconds = timing.least(
    lambda: [step("8B", "h100_sxm", "bf16", 1, b, c, 0) for b, c in grid if b * c < 300_000], 1
)
few = sum(b * c < 300_000 for b, c in grid)
predicted = [answered(p) for p in asked["points"]]
timing.say({"evaluation_s": seconds / few, "how": "a call a point", "predicted": predicted})
