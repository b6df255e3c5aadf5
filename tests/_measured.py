"""Tables as a device's owner would measure them, made from the catalogue's constants."""

import numpy as np
import pandas as pd

import tokenroof as tr
from tokenroof.calibrate import SPECS, Objective
from tokenroof.inference import constants as _constants

N, DEVICE = 240, "H100-SXM"
_PICK = {
    "dtype": ("bf16", "fp8"), "kv_dtype": ("bf16", "fp8"), "distribution": ("balanced", "power_law_1.2"),
    "m": (1, 8, 64, 512, 8192), "n": (1024, 4096, 14336), "k": (1024, 8192),
    "batch": (1, 8, 64), "past": (0, 100, 5000), "tokens": (16, 256, 4096), "heads": (32, 64),
    "kv_heads": (0, 8), "head_dim": (64, 128), "window": (0, 128), "hidden": (2048, 7168),
    "intermediate": (768, 2048), "experts": (64, 256), "topk": (4, 8), "moe_tp": (1,), "moe_ep": (1, 8),
    "ranks": (2, 4, 8), "elements": tuple(4.0**i for i in range(2, 14)),
}  # fmt: skip


def measured(operator, seed=0, factor=1.0, noise=0.05, engine="trtllm"):
    """Shapes drawn at random, with the times that the catalogue's constants give, times a factor [s]."""
    spec, rng = SPECS[operator], np.random.default_rng(seed)
    frame = pd.DataFrame(
        {name: rng.choice(_PICK[name], N) for name in spec.columns if name in _PICK}
    )
    if operator == "attention_prefill":
        frame["dtype"] = "bf16"
    if "operation" in spec.columns:
        frame = frame.assign(operation=operator, dtype=rng.choice(["bf16", "int8"], N))
    # one row per shape, so that each spoilt row counts
    frame = frame.drop_duplicates(ignore_index=True)
    columns = {name: frame[name].to_numpy() for name in frame}
    time = np.empty(len(frame))
    kinds = np.asarray(spec.kind(columns)).astype(str)
    for kind in np.unique(kinds):
        constants = _constants.find(operator, tr.device(DEVICE), engine, kind).constants
        rows = kinds == kind
        objective = Objective(spec, tr.device(DEVICE), kind, constants)
        time[rows] = objective._times(
            np.empty(0), spec.arguments({k: v[rows] for k, v in columns.items()})
        )
    return frame.assign(time_s=time * np.exp(rng.normal(0, noise, len(time))) * factor)
