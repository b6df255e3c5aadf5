"""llm-analysis: a decode step by FLOPs and bytes, a call a point; it has no arrays of points."""

import itertools
import logging

import timing
from llm_analysis.analysis import LLMAnalysis
from llm_analysis.config import DtypeConfig, GPUConfig, ModelConfig, ParallelismConfig

logging.disable(logging.CRITICAL)
SHAPES = {"8B": (32, 32, 4096), "70B": (80, 64, 8192)}
SYSTEMS = {"h100_sxm": (80, 3350), "h200_sxm": (141, 4800)}


def analysis(model, system, weights, tp):
    layers, heads, hidden = SHAPES["70B" if "70B" in model else "8B"]
    shape = ModelConfig(name=model, num_layers=layers, n_head=heads, hidden_dim=hidden, vocab_size=128256,
                        max_seq_len=131072, num_key_value_heads=8, expansion_ratio=3.5,
                        model_type="llama")  # fmt: skip
    memory, bandwidth = SYSTEMS[system]
    device = GPUConfig(name=system, mem_per_GPU_in_GB=memory, hbm_bandwidth_in_GB_per_sec=bandwidth,
                       intra_node_bandwidth_in_GB_per_sec=450, intra_node_min_message_latency=8e-6,
                       peak_fp16_TFLOPS=989)  # fmt: skip
    bits = 8 if weights == "fp8" else 16
    types = DtypeConfig(
        name=f"w{bits}a{bits}e16", weight_bits=bits, activation_bits=bits, embedding_bits=16
    )
    return LLMAnalysis(shape, device, types, ParallelismConfig(tp_size=tp), flops_efficiency=1.0,
                       hbm_memory_efficiency=1.0)  # fmt: skip


def step(made, batch, given, answer):
    found = made.inference(
        batch_size_per_gpu=batch, seq_len=int(given), num_tokens_to_generate=int(answer)
    )
    return float(found["decode_latency"])


def answered(p):
    try:
        return step(
            analysis(p["model"], p["system"], p["weights"], p["tp"]),
            p["users"],
            p["input"],
            p["output"],
        )
    except Exception:
        return None


asked = timing.work()
grid = [g for g in itertools.product(asked["batches"], asked["contexts"]) if g[0] * g[1] < 300_000]
made = analysis("8B", "h100_sxm", "bf16", 1)
seconds = timing.least(lambda: [step(made, b, c, 1) for b, c in grid])
predicted = [answered(p) for p in asked["points"]]
timing.say({"evaluation_s": seconds / len(grid), "how": "a call a point", "predicted": predicted})
