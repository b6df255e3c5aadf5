"""What several tests share: instruction sets, distances in ulps, random records."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import cache, lru_cache, wraps
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tokenroof import _core, kernels
from tokenroof.calibrate import SPECS
from tokenroof.records import dtypes
from tokenroof.records.calibration import CLASSES, NO_ENGINE, Calibration
from tokenroof.records.device import Device
from tokenroof.records.model import Model
from tokenroof.records.plan import Plan
from tokenroof.reference.core.roundings import error_of

BY_ISA = kernels.by_isa()
each_isa = pytest.mark.parametrize("isa", list(BY_ISA))


class _Again:
    """What a test drew for the first instruction set, for the next; no test writes to it."""

    def __init__(self, data: st.DataObject) -> None:
        self.data, self.drawn, self.at = data, [], 0

    def draw(self, strategy: st.SearchStrategy) -> object:
        if self.at == len(self.drawn):
            self.drawn.append(self.data.draw(strategy))
        self.at += 1
        return self.drawn[self.at - 1]


def every_isa(test):
    """On each instruction set in turn with the same drawn numbers: to draw them takes longer than what is tested."""

    whole = inspect.signature(test)

    @wraps(test)
    def on_each(*args, **named):
        drawn = whole.bind_partial(None, *args, **named).arguments
        again = _Again(drawn["data"]) if "data" in drawn else None
        for isa in BY_ISA:
            if again is not None:
                again.at, drawn["data"] = 0, again
            try:
                test(**drawn | {"isa": isa})
            except AssertionError as error:
                error.add_note(f"on {isa}")
                raise

    on_each.__signature__ = whole.replace(
        parameters=[each for name, each in whole.parameters.items() if name != "isa"]
    )
    return on_each


ELEMENTWISE = sorted(
    name
    for name, function in BY_ISA["generic"].items()
    if function.signature is None and function.types
)
STEPS = sorted(name for name in BY_ISA["generic"] if name.endswith(("_step", "_time")))
OPERATORS = sorted(name for name in BY_ISA["generic"] if name.endswith("_operator"))

# What the arguments of a kernel may be, where not all numbers make sense: (least, most, whole).
DOMAINS = {
    "double_spend_nakamoto": ((0.2, 0.499, False), (0, 60, True)),  # above float32's underflow
    "double_spend_rosenfeld": ((0.2, 0.499, False), (0, 60, True)),
    "fleet_availability": ((0.3, 0.999, False), (1, 60, True), (0, 20, True)),
    "selfish_mining_revenue": ((0.0, 0.499, False), (0.0, 1.0, False)),
    "selfish_mining_threshold": ((0.0, 1.0, False),),
}


def in_domain(name: str, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The same arrays for a kernel without a domain; for others numbers of it, of the same shape and type."""
    if name not in DOMAINS:
        return arrays
    out = []
    for i, (array, (low, high, whole)) in enumerate(zip(arrays, DOMAINS[name], strict=True)):
        x = np.random.default_rng(i).uniform(low, high, array.shape)
        out.append((np.floor(x) if whole else x).astype(array.dtype))
    return out


def ulps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Numbers between two arrays of floats; 0 where both are NaN."""
    a, b = np.asarray(a), np.asarray(b)
    ordered = []
    for x in (a, b):
        raw = np.ascontiguousarray(x).view(np.int64 if x.dtype == np.float64 else np.int32)
        raw = raw.astype(object)
        low = -(2 ** (8 * x.dtype.itemsize - 1))
        ordered.append(np.where(np.signbit(x), low - raw, raw))
    distance = np.abs(ordered[0] - ordered[1])
    both = np.isnan(a) & np.isnan(b)
    one = np.isnan(a) ^ np.isnan(b)
    return np.where(both, 0, np.where(one, 2**62, distance)).astype(np.float64)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal bit for bit, NaN as NaN, zero as zero."""
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)


def within(got: np.ndarray, want: Iterable[float]) -> np.ndarray:
    """Where each answer is as near to the reference's as the roundings that `counting` counted allow."""
    want = list(want)
    told, allowed = np.array([(float(x), error_of(x)) for x in want]).reshape(-1, 2).T
    with np.errstate(all="ignore"):
        found = np.ravel(got).astype(np.float64)
        assert found.shape == told.shape
        near = np.abs(found - told) <= allowed
    return near | (found == told) | (np.isnan(found) & np.isnan(told))


def records(device: Device, calibration: Calibration, model: Model, plan: Plan) -> list[np.ndarray]:
    return [device.pack(), calibration.pack(), model.pack(), plan.pack()]


def named(vectors: list[np.ndarray]) -> list[dict[str, float]]:
    fields = (
        _core.DEVICE_FIELDS, _core.CALIBRATION_FIELDS, _core.MODEL_FIELDS, _core.PLAN_FIELDS,
    )  # fmt: skip
    return [dict(zip(f, map(float, v), strict=True)) for f, v in zip(fields, vectors, strict=True)]


_powers = st.sampled_from([1, 2, 4, 8])


# Ranges of the constants of the measured forms, by block.
MEASURED = {
    block: SPECS[name].constants
    for block, name in {"gemm16": "gemm", **{name: name for name in SPECS}}.items()
}


def constants_of(block: str, seed: int) -> dict[str, float]:
    """Constants anywhere in the ranges in which they are fitted: one draw for all, which is quick."""
    random = np.random.default_rng(seed)
    return {
        name: float(np.exp(random.uniform(np.log(max(r.low, 1e-9)), np.log(max(r.high, 1e-9)))))
        for name, r in MEASURED[block].items()
    }


# What is drawn from, made once: to make a strategy takes longer than to draw from it.
_OTHER_PEAKS = st.sets(st.sampled_from(["fp8", "fp4", "int8", "tf32"]))
_IDLE_W = st.none() | st.floats(1, 40)
_MEASURED = st.sets(st.sampled_from(sorted(MEASURED)))
_KIND = st.sampled_from(dtypes.NAMES)
_KIND_OR_NONE = st.none() | _KIND
_WIDE = st.dictionaries(
    st.sampled_from(["attention", "mlp", "shared_experts"]), st.sampled_from([0.25, 0.75, 1.0])
)
_CAP_W = st.none() | st.floats(20.0, 2000.0)
_COUNT = st.floats(0, 1e5) | st.integers(0, 4096).map(float)


@lru_cache(None, typed=True)
def among(*values: object) -> st.SearchStrategy[Any]:
    """One of these."""
    return st.sampled_from(values)


@cache
def arrays_of(
    dtype: type[np.floating[Any]], shape: int | tuple[int, ...], elements: st.SearchStrategy[float]
) -> st.SearchStrategy[np.ndarray]:
    """Arrays of a shape, of one kind of elements."""
    return hnp.arrays(dtype, shape, elements=elements)


@cache
def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of what a function takes, looked up once."""
    return tuple(inspect.signature(function).parameters)


@st.composite
def devices(draw: st.DrawFn) -> Device:
    rate = st.floats(1e12, 1e16)
    peak = {"bf16": draw(rate), "fp32": draw(rate)}
    for name in draw(_OTHER_PEAKS):
        peak[name] = draw(rate)
    return Device(
        name="random",
        memory_bandwidth=draw(st.floats(1e10, 3e13)),
        peak=peak,
        memory_bytes=draw(st.floats(1e9, 1e12)),
        link_bandwidth=draw(st.floats(1e9, 2e12)),
        link_domain_size=draw(among(2, 8, 72)),
        sm_count=draw(st.integers(1, 300)),
        node_link_bandwidth=draw(st.floats(1e9, 1e11)),
        tdp_w=draw(st.floats(50, 2000)),
        idle_w=draw(_IDLE_W),
    )


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    if draw(st.booleans()):
        return Calibration.ideal()
    part = st.floats(0.05, 1.0)
    short = st.floats(0, 1e-4)
    measured = draw(_MEASURED)
    seed = draw(st.integers(0, 2**31))
    return Calibration(
        constants={
            **{block: constants_of(block, seed + i) for i, block in enumerate(sorted(measured))},
            "engine": NO_ENGINE | {"skew": draw(among(0.0, 1.01, 1.2))},
        },
        t0={name: draw(short) for name in CLASSES},
        compute={name: draw(part) for name in CLASSES},
        memory={name: draw(part) for name in CLASSES},
        launch_s=draw(short),
        step_s=draw(short),
        sequence_s=draw(short),
        compute_watts=draw(part),
        memory_watts=draw(part),
    )


@st.composite
def _windows(draw: st.DrawFn, layers: int, some: int) -> dict[str, object]:
    """Windows with heads of their own, layers that read another's cache, values that are keys."""
    own = draw(st.booleans())
    heads = {"window_heads": 32, "window_kv_heads": 4, "window_head_dim": 96} if own else {}
    return {
        **heads, "tied_values": draw(st.booleans()), "head_gate": draw(st.booleans()),
        "shared_full_layers": draw(st.integers(0, layers - some)),
        "shared_window_layers": draw(st.integers(0, some)),
    }  # fmt: skip


@st.composite
def _compressed(draw: st.DrawFn, layers: int) -> dict[str, object]:
    """Layers whose heads read one key: of a window, of all compressed ones, of those chosen."""
    first, second = sorted(draw(st.tuples(st.integers(0, layers), st.integers(0, layers))))
    light = layers - second
    index = {"index_heads": 32, "index_head_dim": 128, "index_topk": 512} if light else {}
    return {
        **index, "kv_heads": 1, "single_key": True, "window": 128, "window_layers": first,
        "compressed_layers": second - first, "compress_ratio": 128, "selected_layers": light,
        "select_ratio": 4, "rope_head_dim": 64, "q_lora_rank": draw(among(0, 1024)),
        "o_groups": 8, "o_lora_rank": draw(among(0, 512)),
    }  # fmt: skip


@st.composite
def _around(draw: st.DrawFn, layers: int) -> dict[str, object]:
    """What stands around the halves of layers, and MLPs of another width."""
    return draw(
        st.sampled_from([
            {}, {}, {},
            {"streams": 4, "stream_mixes": 2 * layers},
            {"residual_slots": 8},
            {"layer_embedding": 256, "layer_vocab": 1000, "laurel_rank": 64},
            {"wide_layers": layers, "wide_ffn": 4096},
        ])
    )  # fmt: skip


@st.composite
def models(draw: st.DrawFn) -> Model:
    size = st.integers(1, 64)
    heads = draw(among(8, 16, 64))
    layers = draw(st.integers(1, 80))
    values: dict[str, object] = {
        "name": "random",
        "hidden": 64 * draw(size),
        "vocab": 1000 * draw(size),
        "layers": layers,
        "heads": heads,
        "kv_heads": draw(among(1, 2, 8)),
        "head_dim": 16 * draw(st.integers(1, 16)),
        "mlp_matrices": draw(among(2, 3)),
        "q_multiplier": draw(among(1, 2)),
        "norms_per_layer": draw(among(1, 2, 4)),
        "tied": draw(st.booleans()),
    }
    kinds = ["full", "window", "mla", "dsa", "blocks", "compressed", "linear", "mamba"]
    kind = draw(st.sampled_from(kinds))
    some = draw(st.integers(0, layers))
    if kind == "window" and some:
        values |= {"full_layers": layers - some, "window_layers": some, "window": 128 * draw(size)}
        values |= draw(_windows(layers, some))
    if kind == "blocks":
        values |= {"index_heads": 4, "index_head_dim": 128, "index_topk": 2048,
                   "sparse_layers": max(some, 1), "index_layers": draw(st.integers(1, layers))}  # fmt: skip
    if kind == "compressed":
        values |= draw(_compressed(layers))
    if kind in ("mla", "dsa"):
        values |= {
            "kv_lora_rank": 64 * draw(size), "rope_head_dim": 64, "nope_head_dim": 128,
            "v_head_dim": 128, "q_lora_rank": draw(among(0, 1536)),
        }  # fmt: skip
    if kind == "dsa":
        values |= {"index_heads": 32, "index_head_dim": 128, "index_topk": 2048}
    if kind == "linear":
        values |= {
            "linear_layers": some, "full_layers": layers - some, "linear_key_heads": 16,
            "linear_key_dim": 128, "linear_value_heads": 32, "linear_value_dim": 128,
            "linear_conv": 4, "linear_gate_rank": draw(among(0, 128)),
            "linear_full_gate": draw(st.booleans()),
        }  # fmt: skip
        if some == layers:
            values |= {"linear_layers": layers - 1, "full_layers": 1}
    if kind == "mamba" and some < layers:
        values |= {
            "mamba_layers": some, "full_layers": layers - some, "mamba_heads": 64,
            "mamba_head_dim": 64, "mamba_groups": 8, "mamba_state": 128, "mamba_conv": 4,
        }  # fmt: skip
    dense = draw(st.integers(0, layers))
    values |= {"dense_layers": dense, "ffn": 256 * draw(size)}
    if dense < layers:
        experts = draw(among(8, 64, 256))
        values |= {
            "moe_layers": layers - dense, "experts": experts, "topk": draw(st.integers(1, 8)),
            "moe_ffn": 128 * draw(size), "shared_ffn": draw(among(0, 2048)),
            "moe_latent": draw(among(0, 1024)),
            "zero_experts": draw(among(0, 32)),
        }  # fmt: skip
    values |= draw(_around(layers))
    return Model(**values)  # type: ignore[arg-type]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    tp, dp = draw(_powers), draw(_powers)
    ep = draw(among(*(n for n in (1, 2, 4, 8, 16, 32, 64) if n <= tp * dp)))
    return Plan(
        tp=tp, dp=dp, pp=draw(_powers), cp=draw(among(1, 2)), moe_ep=ep,
        weights=draw(_KIND), experts=draw(_KIND), activations=draw(_KIND), kv_cache=draw(_KIND),
        attention=draw(_KIND_OR_NONE), shared_experts=draw(_KIND_OR_NONE), head=draw(_KIND_OR_NONE),
        wide=draw(_WIDE), power_cap_w=draw(_CAP_W),
    )  # fmt: skip


def loads(name: str) -> list[st.SearchStrategy[float]]:
    """Strategies of the loads of a step kernel, in its order."""
    count, tokens = _COUNT, st.floats(0, 1e6)
    kind = name.removesuffix("_step").removesuffix("_time")
    return {
        "decode": [count, tokens],
        "prefill": [tokens, tokens],
        "mixed": [count, tokens, tokens, tokens],
        "prompts": [count, tokens, tokens],
        "mixed_prompts": [count, tokens, count, tokens, tokens],
    }[kind]
