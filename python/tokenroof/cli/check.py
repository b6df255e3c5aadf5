"""The self-check: every kernel, on every instruction set of this machine, against the reference."""

from __future__ import annotations

import inspect
import math
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.cli.check_money import cash_paths, power_splits, rates_of_return

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.model import Model

__all__ = ["run", "ulps_between"]

_RECORDS = ("device", "calibration", "model", "plan")
_FIELDS = (
    _core.DEVICE_FIELDS, _core.CALIBRATION_FIELDS, _core.MODEL_FIELDS, _core.PLAN_FIELDS,
)  # fmt: skip
_CODES = ("weights", "activations")
#: Whole numbers from one to another, and what arguments of a name always are.
_WHOLE: dict[str, tuple[int, int]] = {
    "experts": (2, 512), "ranks": (2, 72), "batch": (1, 512), "prompts": (1, 16),
    "context": (1, 131072), "past": (0, 65536), "window": (0, 8192), "matrices": (2, 3),
    "moe_tp": (1, 8), "moe_ep": (1, 8), "kernels": (1, 8), "heads": (1, 128), "m": (1, 8192),
    "n": (16, 16384), "k": (16, 16384), "hidden": (64, 16384), "intermediate": (64, 32768),
    "tokens": (1, 16384), "confirmations": (0, 100), "key_heads": (1, 64), "key_dim": (1, 256),
    "value_heads": (1, 64), "value_dim": (1, 256), "taps": (1, 8), "chunk": (16, 256),
    "groups": (1, 8), "state": (16, 256), "index_heads": (1, 64), "index_head_dim": (1, 128),
    "vocab": (1, 262144), "sequences": (1, 512), "width": (1, 32768), "residual": (0, 1),
    "greedy": (0, 1), "needed": (1, 256), "spare": (0, 32),
}  # fmt: skip
_FIXED = {"kv_lora_rank": 512.0, "rope_head_dim": 64.0, "nope_head_dim": 128.0,
         "head_dim": 128.0, "v_head_dim": 128.0}  # fmt: skip
#: Kernels that are no ufuncs.
_BESIDE = {"power_split": power_splits, "irr_each": rates_of_return, "cash_path": cash_paths}


def ulps_between(a: float, b: float) -> float:
    """Numbers of float64 between two of them; 0 for two NaNs, infinity for one.

    Examples
    --------
    >>> ulps_between(1.0, 1.0 + 2**-52), ulps_between(0.0, -0.0)
    (1.0, 0.0)
    """
    if math.isnan(a) or math.isnan(b):
        return 0.0 if math.isnan(a) and math.isnan(b) else math.inf
    return float(abs(_ordered(a) - _ordered(b)))


def _ordered(x: float) -> int:
    bits = int(struct.unpack("<q", struct.pack("<d", x))[0])
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def _scalar(name: str, rng: np.random.Generator, got: dict[str, Any]) -> Any:
    """A value that makes sense for an argument of this name, given those before it."""
    if name == "skew":
        return float(rng.choice([0.0, rng.uniform(0.0, 1.5)]))
    if name == "topk":
        return float(rng.integers(1, int(got.get("experts", 4096)) + 1))
    if name == "kv_heads":
        divisors = [n for n in range(1, int(got["heads"]) + 1) if got["heads"] % n == 0]
        return float(rng.choice(divisors))
    if name in _CODES or name.endswith("dtype"):
        return float(rng.integers(0, len(_core.DTYPES)))
    if name in _FIXED:
        return _FIXED[name]
    if name == "terms":
        return [float(x) for x in rng.uniform(0.1, 10.0, len(_core.SERVING_TERMS))]
    if name == "system":
        return [float(x) for x in rng.uniform(0.1, 10.0, len(_core.SYSTEM_TERMS))]
    if name in ("input_tokens", "output_tokens", "concurrency"):
        return float(rng.integers(1, 4096))
    if name == "acceptances":
        return [float(a) for a in rng.random(5)]
    if name in ("acceptance", "share", "cost_ratio") or name.endswith("_use"):
        return float(rng.random())
    if name in ("length", "most"):
        return float(rng.integers(0, 33))
    if name in ("flop_share", "fee", "gamma", "availability"):
        return float(rng.random())
    if name == "attacker_share":
        return float(rng.uniform(0.02, 0.5))
    if name in _WHOLE:
        low, high = _WHOLE[name]
        return float(np.floor(np.exp(rng.uniform(np.log(max(low, 0.5)), np.log(high + 1)))))
    return float(10.0 ** rng.uniform(-3.0, 15.0))


def _records(rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """A device, calibration, model and plan of the catalogue that go together, by field."""
    from tokenroof import catalogue
    from tokenroof.inference.calibration import estimate

    devices = catalogue.all_devices()
    device = devices[int(rng.integers(len(devices)))]
    known = _known_models()
    chosen = known[int(rng.integers(len(known)))]
    plan = _plan(chosen, rng)
    calibration = _ideal() if rng.random() < 0.5 else estimate(device)
    packed = (device.pack(), calibration.pack(), chosen.pack(), plan.pack())
    return {
        name: dict(zip(fields, vector.tolist(), strict=True))
        for name, fields, vector in zip(_RECORDS, _FIELDS, packed, strict=True)
    }


@cache
def _ideal() -> Calibration:
    from tokenroof.records.calibration import Calibration

    return Calibration.ideal()


@cache
def _known_models() -> tuple[Model, ...]:
    """Models of every kind of attention and of experts, as far as the catalogue has them."""
    from tokenroof.catalogue.architectures import model

    found = []
    for name in ("Llama-3.1-8B", "Qwen3-30B-A3B", "DeepSeek-V3", "gpt-oss-120b", "Qwen3-Next-80B-A3B",
                 "Gemma-2-27B", "GPT-2", "DeepSeek-V3.2", "Nemotron-3-Nano"):  # fmt: skip
        with suppress(KeyError, ValueError):
            found.append(model(name))
    return tuple(found)


def _plan(model: Any, rng: np.random.Generator) -> Any:
    from tokenroof.records.plan import Plan

    for _ in range(100):
        try:
            plan = Plan(
                tp=int(2 ** rng.integers(0, 4)), dp=int(2 ** rng.integers(0, 3)),
                pp=int(2 ** rng.integers(0, 2)),
                weights=str(rng.choice(["bf16", "fp8", "nvfp4", "int4"])),
                kv_cache=str(rng.choice(["bf16", "fp8"])),
                power_cap_w=(None, 300.0, 500.0)[rng.integers(3)],
            )  # fmt: skip
            plan.check(model)
        except ValueError:
            continue
        return plan
    return Plan()


def _inputs(names: list[str], samples: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for _ in range(samples):
        row: dict[str, Any] = _records(rng) if set(names) & set(_RECORDS) else {}
        for name in names:
            if name not in _RECORDS:
                row[name] = _scalar(name, rng, row)
        rows.append({name: row[name] for name in names})
    return rows


def _packed(value: Any) -> list[float] | float:
    if isinstance(value, list):
        return value
    return list(value.values()) if isinstance(value, dict) else float(value)


def _vector(name: str, value: Any) -> list[float]:
    """An answer of the reference in the order of the kernel's last axis."""
    if not isinstance(value, dict):
        return [value]
    by_name = {"serving": _core.SERVING_FIELDS, "serving_of_terms": _core.SERVING_FIELDS,
               "serving_terms": _core.SERVING_TERMS, "serving_system": _core.SYSTEM_FIELDS}  # fmt: skip
    other = _core.STEP_FIELDS if name.endswith("_step") else _core.OPERATOR_FIELDS
    fields = by_name.get(name, other)
    return [value[field] for field in fields]


def _worst(found: Iterable[float], expected: Iterable[float]) -> tuple[float, float]:
    """Difference and what its roundings allow [ulp], of the answer furthest off; one beyond goes first.

    A `Counted` answer says how far a kernel may be from it (tokenroof.reference.core.roundings); any other
    is to be met bit for bit.
    """
    from tokenroof.reference.core.roundings import error_of

    rows = []
    for a, b in zip(found, expected, strict=True):
        error = error_of(b)
        rows.append((ulps_between(a, float(b)), error // math.ulp(b) if error else 0.0))
    return max(rows, key=lambda row: (row[0] > row[1], row[0]))


def run(samples: int = 64, seed: int = 0) -> list[dict[str, Any]]:
    """Compare every kernel with its reference on random inputs.

    Parameters
    ----------
    samples : int
        Inputs per kernel.
    seed : int
        Of the random inputs: the same seed, the same inputs.

    Returns
    -------
    list of dict
        kernel, isa, ulps and allowed (of the answer that is furthest off, one beyond what its roundings allow
        first), ok, note.

    Examples
    --------
    >>> all(row["ok"] for row in run(samples=2) if row["kernel"] == "attainable")
    True
    """
    from tokenroof import reference
    from tokenroof.reference.core.roundings import counting

    rows = []
    by_isa = kernels.by_isa()
    for name in by_isa[_core.ISA]:
        rng = np.random.default_rng([seed, *name.encode()])
        twin = getattr(reference, name, None)
        if twin is None:
            rows += [_row(name, isa, math.inf, 0.0, "it has no reference") for isa in by_isa]
            continue
        if name == "sha256d":
            rows += _digests(twin, by_isa, samples, rng)
            continue
        names = [
            p.name
            for p in inspect.signature(getattr(kernels, name)).parameters.values()
            if p.kind is inspect.Parameter.POSITIONAL_ONLY
        ]
        inputs = _inputs(names, samples, rng)
        with counting():
            expected = [_vector(name, twin(*row.values())) for row in inputs]
        columns = [np.array([_packed(row[n]) for row in inputs]) for n in names]
        for isa, table in by_isa.items():
            with np.errstate(all="ignore"):
                found = np.asarray(table[name](*columns), dtype=np.float64).reshape(samples, -1)
            ulps, allowed = _worst(found.ravel().tolist(), chain.from_iterable(expected))
            rows.append(_row(name, isa, ulps, allowed, "differs from the reference"))
    for name, compare in _BESIDE.items():
        rng = np.random.default_rng([seed, *name.encode()])
        for isa, ulps, allowed in compare(samples, rng):
            rows.append(_row(name, isa, ulps, allowed, "differs from the reference"))
    return rows


def _row(name: str, isa: str, ulps: float, allowed: float, note: str) -> dict[str, Any]:
    ok = ulps <= allowed
    return {
        "kernel": name, "isa": isa, "ulps": ulps, "allowed": allowed, "ok": ok,
        "note": "" if ok else note,
    }  # fmt: skip


def _digests(
    twin: Callable[[bytes], bytes],
    by_isa: dict[str, dict[str, np.ufunc]],
    samples: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    headers = rng.integers(0, 256, size=(samples, 80), dtype=np.uint8)
    expected = [twin(header.tobytes()) for header in headers]
    rows = []
    for isa, table in by_isa.items():
        found = table["sha256d"](headers)
        same = all(a.tobytes() == bytes(b) for a, b in zip(found, expected, strict=True))
        rows.append(_row("sha256d", isa, 0.0 if same else math.inf, 0.0, "another digest"))
    return rows
