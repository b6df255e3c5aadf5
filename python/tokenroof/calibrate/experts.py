"""What is fitted of experts and collectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core
from tokenroof.calibrate.specs import Range, Spec, codes
from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

Columns = Mapping[str, "NDArray[Any]"]


# at 2**-10 of the tokens of each expert the next one's, nothing is left to route
_STEEPEST = 10.0


def skews(names: NDArray[Any]) -> NDArray[np.float64]:
    """Exponents of the routing as tables name it: power_law_1.2; balanced: below zero; random: 0."""
    out = []
    for name in names:
        text = str(name)
        if text in ("balanced", "uniform"):  # as many tokens for each expert
            out.append(-1.0)
        elif text == "random":
            out.append(0.0)
        else:
            out.append(_exponent(text))
    return np.array(out)


def _exponent(text: str) -> float:
    try:
        found = float(text.removeprefix("power_law_")) if text.startswith("power_law_") else -1.0
    except ValueError:
        found = -1.0
    if not 0.0 <= found <= _STEEPEST:
        raise ValueError(
            f"distribution is {shown(text)}; allowed: balanced, random, power_law_<exponent>, an exponent "
            f"from 0 to {_STEEPEST:g}"
        )
    return found


def _experts_arguments(t: Columns) -> tuple[Any, ...]:
    from tokenroof.inference.operators import layer_matrices

    matrices = layer_matrices(t["hidden"], t["intermediate"], t["experts"], t["topk"])
    return (t["tokens"], t["hidden"], t["intermediate"], t["experts"], t["topk"], matrices, t["moe_tp"],
            t["moe_ep"], skews(t["distribution"]), codes(t["dtype"]), True)  # fmt: skip


def _own_kernels(frame: Any) -> NDArray[Any]:
    """Rows but those in which a kernel of 16-bit activations stands in for one of four bits.

    vLLM has Marlin run layers whose activations are MXFP4 too (vLLM's issue 35528:
    `CompressedTensorsW4A4Mxfp4MoEMethod` has no other). Such a kernel's name says ``w4a4``; the row's type,
    how it ran.
    """
    name = "moe_dtype" if "moe_dtype" in frame.columns else "dtype"
    if "kernel_source" not in frame.columns or name not in frame.columns:
        return np.ones(len(frame), dtype=bool)
    ran_wide = frame[name].astype(str).str.contains("w4a16").to_numpy()
    own: NDArray[Any] = ~(
        ran_wide & frame["kernel_source"].astype(str).str.contains("w4a4").to_numpy()
    )
    return own


EXPERTS = Spec(
    operator="experts",
    kernel="experts_operator",
    columns={
        "dtype": ("moe_dtype",), "distribution": (), "tokens": ("num_tokens",),
        "hidden": ("hidden_size",), "intermediate": ("inter_size",), "experts": ("num_experts",),
        "topk": (), "moe_tp": ("moe_tp_size",), "moe_ep": ("moe_ep_size",),
    },
    types=("dtype", "distribution"),
    tables=("moe_perf",),
    constants={
        "t0": Range(1.5e-5, 5e-7, 3e-4), "compute": Range(0.6, 0.05, 1.0),
        "memory": Range(0.8, 0.05, 1.0), "overlap": Range(0.2, 0.01, 1 / 3),
        "stream": Range(2.0, 0.1, 30.0), "tile": Range(128.0, 64.0, 256.0),
        "tile_loss": Range(30.0, 1.0, 500.0), "touched": Range(5e-8, 1e-10, 5e-6),
        "held": Range(1e-8, 1e-10, 5e-6), "local": Range(0.5, 0.02, 30.0),
        "routed": Range(1.0, 0.02, 30.0), "token": Range(1.0, 0.02, 30.0),
        "misaligned": Range(1.05, 1.0, 6.0), "reread": Range(1.0, 0.05, 30.0),
        "parted": Range(5e-6, 1e-10, 1e-4), "cached": Range(3.0, 1.0, 10.0),
        "resident": Range(0.8, 0.3, 1.5),
    },
    kind=lambda t: t["dtype"],
    arguments=_experts_arguments,
    held_out=("hidden", "intermediate", "experts", "topk", "moe_tp", "moe_ep"),
    own=_own_kernels,
    # what a multiprocessor draws beside all others, it draws alone: few rows of these kernels tell them apart
    narrower=lambda kind: {"stream": Range(2.0, 1.0, 30.0)} if kind == "mxfp4" else {},
    # four-bit kernels have tiles of up to 256 tokens
    fixed=lambda kind: {"tile": 256.0 if kind in ("fp4", "nvfp4", "mxfp4_mxfp8") else 128.0},
    defaults={"distribution": "balanced", "moe_tp": 1.0, "moe_ep": 1.0},
)  # fmt: skip

# Nothing measured says what the network between nodes takes: a message's latency as NCCL's own tuning model
# has it (5 us), and four fifths of the line rate.
NETWORK = {"node_t0": 5e-6, "node_share": 0.8}
_NAMES = {"alltoall": "all_to_all", "allreduce": "all_reduce", "allgather": "all_gather",
          "reducescatter": "reduce_scatter"}  # fmt: skip


def _operation(t: Columns) -> NDArray[Any]:
    return np.array([_NAMES.get(str(name), str(name)) for name in t["operation"]], dtype=object)


def _collective_arguments(t: Columns) -> tuple[Any, ...]:
    size = np.array([_core.DTYPE_BYTES[str(name)] for name in t["dtype"]])
    return t["ranks"], t["elements"] * size


def _collective(operator: str, tables: tuple[str, ...], constants: dict[str, Range]) -> Spec:
    return Spec(
        operator=operator,
        kernel=f"{operator}_operator",
        # without a column of types an element is a byte
        columns={"operation": ("op_name",), "dtype": ("allreduce_dtype", "nccl_dtype"),
                 "ranks": ("num_gpus",), "elements": ("message_size", "nbytes")},
        types=("operation", "dtype"),
        tables=tables,
        constants=constants,
        kind=_operation,
        arguments=_collective_arguments,
        held_out=("ranks", "elements"),
        fixed=lambda kind: NETWORK,
        defaults={"operation": operator, "dtype": "int8"},
        skip=lambda engine, kind: kind != operator,
        fewest=40,
        starts=8,
        prior=0.002,
    )  # fmt: skip


_NETWORK_RANGES = {"node_t0": Range(5e-6, 1e-6, 1e-4), "node_share": Range(0.8, 0.1, 1.0)}
ALL_REDUCE = _collective("all_reduce", ("custom_allreduce_perf", "nccl_perf"), {
    "one_t0": Range(5e-6, 1e-6, 2e-5), "one_rank": Range(2e-7, 1e-9, 5e-6),
    "one_share": Range(0.5, 0.05, 1.0), "two_t0": Range(9e-6, 2e-6, 4e-5),
    "two_rank": Range(1e-6, 1e-9, 1e-5), "two_share": Range(0.5, 0.05, 1.0),
    "bulk_t0": Range(2.5e-5, 5e-6, 1e-4), "bulk_rank": Range(2e-6, 1e-9, 3e-5),
    "bulk_share": Range(0.7, 0.1, 1.0), "switch_share": Range(0.55, 0.1, 1.0),
    "contention": Range(0.7, 0.01, 3.0), **_NETWORK_RANGES,
})  # fmt: skip
EXCHANGES = tuple(
    _collective(operator, ("nccl_perf",), {
        "low_t0": Range(7e-6, 1e-6, 3e-5), "low_rank": Range(1e-6, 1e-9, 1e-5),
        "low_share": Range(0.3, 0.02, 1.0), "bulk_t0": Range(1.5e-5, 3e-6, 1e-4),
        "bulk_rank": Range(2e-6, 1e-9, 3e-5), "bulk_share": Range(0.7, 0.1, 1.0),
        "contention": Range(0.7, 0.01, 3.0), **_NETWORK_RANGES,
    })
    for operator in ("all_gather", "reduce_scatter", "all_to_all")
)  # fmt: skip
