"""Every public function that takes arrays, found by introspection, and three good numbers for each of them."""

import inspect

import numpy as np

import tokenroof as tr
from tokenroof.mining.market import MonthlyMarket
from tokenroof.mining.pools import PoolTerms

MODULES = (tr.mining, tr.economics, tr.serving, tr.operators, tr.power, tr.roofline, tr.speculative, tr.dataflow,
           tr.decouple, tr.plot)  # fmt: skip
GPU, CHIP, MODEL = "H200-SXM", "Groq 3 LPU (LPX rack)", "Llama-3.1-8B"
FLEET = (tr.mining.Tranche("Antminer S21", 1e6, 0.05), tr.mining.Tranche("Antminer S19", 1e6, 0.05))
TIERS = tuple(tr.economics.Tier(name, 3.0) for name in "abc")
# three good numbers of every array that a function takes, by name
VALUES = {
    "batch": [1, 8, 64], "context": [512, 1024, 2048], "tokens": [16, 64, 128], "past": [0, 64, 128],
    "hashrate": [1e17, 2e17, 3e17], "difficulty": [1e14, 2e14, 3e14], "seconds": [600.0, 1e3, 1e4],
    "power_price_per_kwh": [0.05, 0.06, 0.07], "price": [6e4, 5e4, 4e4], "subsidy_btc": [3.125, 6.25, 12.5],
    "fees_btc": [0.1, 0.2, 0.0], "fee": [0.0, 0.01, 0.02], "pue": [1.0, 1.1, 1.2], "hashprice": [50.0, 60.0, 70.0],
    "q": [0.1, 0.2, 0.3], "risk": [1e-3, 1e-2, 1e-1], "spot_prices_per_kwh": [0.05, 0.2, 0.1],
    "confirmations": [6, 1, 2], "block_seconds": [600.0, 500.0, 700.0], "alpha": [0.1, 0.2, 0.3],
    "gamma": [0.0, 0.5, 1.0], "probability": [0.1, 0.5, 0.9], "supply": [1e6, 2e6, 3e6], "demand": [1e9, 2e9, 3e9],
    "floors": [0.0, 1.0, 2.0], "split": [0.2, 0.3, 0.4], "tokens_per_s": [1e3, 2e3, 3e3], "watts": [700.0, 1e3, 300.0],
    "price_per_kwh": [0.05, 0.06, 0.07], "cost_per_hour": [1.0, 2.0, 3.0], "flows": [-3.0, 1.0, 4.0],
    "costs": [1.0, 2.0, 3.0], "output": [0.0, 1.0, 2.0], "tokens_per_s_per_mw": [1e6, 2e6, 3e6],
    "price_per_mtok": [1.0, 2.0, 3.0], "concurrency": [1, 8, 64], "intermediate": [1024, 2048, 4096],
    "matrices": [2, 3, 3], "ranks": [2, 4, 8], "nbytes": [1e6, 2e6, 3e6], "heads": [32, 64, 128],
    "kv_heads": [8, 8, 16], "head_dim": [128, 128, 64], "window": [0, 128, 256], "v_head_dim": [128, 128, 64],
    "hidden": [1024, 2048, 4096], "experts": [32, 64, 128], "topk": [2, 4, 8], "moe_tp": [1, 2, 4],
    "moe_ep": [1, 2, 4], "key_heads": [16, 16, 32], "key_dim": [128, 64, 128], "value_heads": [32, 32, 64],
    "value_dim": [128, 64, 128], "conv": [4, 4, 2], "chunk": [64, 128, 64], "m": [1, 16, 64], "n": [1024, 2048, 4096],
    "k": [1024, 2048, 4096], "sequences": [1, 8, 64], "vocab": [1e4, 2e4, 3e4], "devices": [1, 2, 4],
    "groups": [8, 8, 4], "state": [128, 64, 128], "kv_lora_rank": [512, 256, 512], "rope_head_dim": [64, 64, 32],
    "nope_head_dim": [128, 64, 128], "index_heads": [64, 32, 64], "index_head_dim": [128, 64, 128],
    "compute_use": [0.1, 0.2, 0.3], "memory_use": [0.1, 0.2, 0.3], "limit_w": [500.0, 600.0, 700.0],
    "board_w": [500.0, 600.0, 700.0], "chassis_w": [500.0, 600.0, 700.0], "intensity": [1.0, 10.0, 1e4],
    "length": [1, 2, 3], "acceptance": [0.5, 0.6, 0.7], "pool_hashrate": [1e18, 2e18, 3e18],
    "width": [512, 256, 512], "slots": [8, 4, 8], "ratio": [4, 8, 4], "streams": [4, 2, 4], "latent": [512, 256, 512],
    "output_tokens_per_s": [1e3, 2e3, 3e3], "shares": [0.5, 0.3, 0.2], "dates": [0.0, 365.0, 730.0],
    "counts": [5, 3, 2], "rates": [1.0, 4.0, 2.0], "stays": [10.0, 5.0, 20.0], "gaps_s": [0.1, 0.2, 0.3], "rate": [1.0, 2.0, 4.0],
    "joules": [1.0, 2.0, 3.0], "captured": [8, 16, 32],
}  # fmt: skip
USES = ("gemm", "attention_decode", "attention_prefill", "experts")  # shares of a board's power
FIXED = {
    "device": GPU, "devices": GPU, "model": MODEL, "models": MODEL, "miner": "Antminer S21", "fleet": FLEET,
    "site": tr.economics.Site(power_w=1e9), "tiers": TIERS, "rate": 0.1, "scheme": "PPLNS", "plan": None,
    "months": ["2021-10", "2021-11", "2021-12"], "attention": GPU, "verify": GPU, "draft": MODEL, "drafter": CHIP,
    "prefill": GPU, "decode": CHIP, "miners": ["Antminer S9", "Antminer S19"],
}  # fmt: skip
LOAD = {"arrival": [0.0, 0.1, 0.2], "input_tokens": [10, 10, 10], "output_tokens": [4, 4, 4]}
RUN = tr.serving.simulate(
    GPU, MODEL, tr.Plan(), LOAD, step_time=tr.serving.StepTime(10**7, 0, 0), record_steps=True
)
# a function's own: what it takes elsewhere by the same name, or what excludes another of its arrays
OWN = {
    "mining.confirmations_needed": {"model": "nakamoto"}, "mining.double_spend_probability": {"model": "nakamoto"},
    "decouple.attention_experts": {"experts": CHIP, "model": "Qwen3-30B-A3B"},
    "dataflow.decode": {"device": CHIP}, "dataflow.prefill": {"device": CHIP},
    "mining.pool_income": {"pool_hashrate": 1e20}, "decouple.prefill_decode": {"model": MODEL},
    "power.dashboard_power": {"device": "B200-SXM"}, "operators.kv_transfer": {"across": "nodes"}, "economics.concentration": {"counts": None},
    "serving.curve": {"rate": None}, "serving.summary": {"requests": RUN.requests},
    "serving.series": {"requests": RUN.requests, "steps": RUN.steps[:3]},
}  # fmt: skip
OPTIONS = {"mining.network_power": MonthlyMarket, "mining.pool_income": PoolTerms}
APART = {"mining.generations_race": {"hashprice"}, "mining.network_power": {"hashprice"},
         "economics.allocate": {"floors"},
         # of three dimensions: its own test refuses labels
         "economics.best_switching": {"states", "income", "costs", "choose"}}  # fmt: skip


def arrays_of(name, function):
    annotated = {n: str(p.annotation) for n, p in inspect.signature(function).parameters.items()}
    if name in OPTIONS:
        annotated |= {n: str(a) for n, a in OPTIONS[name].__annotations__.items()}
    found = [n for n, kind in annotated.items() if "ArrayLike" in kind]
    return [n for n in found if n not in APART.get(name, ())]


def _functions():
    found = {f"tr.{n}": getattr(tr, n) for n in ("decode", "prefill", "mixed", "sweep")}
    for module in MODULES:
        short = module.__name__.rpartition(".")[2]
        names = getattr(module, "__all__", None) or [
            n for n in vars(module) if not n.startswith("_")
        ]
        for name in names:
            member = getattr(module, name)
            if inspect.isfunction(member) and member.__module__.startswith(module.__name__):
                found[f"{short}.{name}"] = member
    return {name: f for name, f in found.items() if arrays_of(name, f)}


FUNCTIONS = _functions()


def given_to(name):
    """Plain arrays of a function, and what it takes beside them."""
    function = FUNCTIONS[name]
    parameters = inspect.signature(function).parameters
    own = OWN.get(name, {})
    arrays = {}
    for array in arrays_of(name, function):
        if array not in own:
            values = (
                [0.05, 0.1, 0.15]
                if name == "power.board_power" and array in USES
                else VALUES[array]
            )
            arrays[array] = np.array(values, dtype=float)
    rest = {n: FIXED[n] for n in parameters if n in FIXED and n not in arrays} | own
    return function, arrays, rest
