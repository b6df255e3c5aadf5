"""What is fitted: per operator its table's columns, its kernel's arguments, its constants' ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.records import dtypes

if TYPE_CHECKING:
    from numpy.typing import NDArray

Columns = Mapping[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Range:
    """Start, and bounds, of a positive constant; fitted as a logarithm."""

    start: float
    low: float
    high: float


@dataclass(frozen=True)
class Spec:
    """How one operator is fitted.

    Attributes
    ----------
    operator : str
        Name of the operator, of its file of constants, and of its block in a calibration record.
    kernel : str
        The `tokenroof.kernels` function.
    columns : mapping
        Our names to those that tables use.
    types : tuple of str
        Which of them are number types.
    tables : tuple of str
        File names (without ending) of such tables.
    constants : mapping
        Range by constant.
    kind : callable
        Columns to the type of each row: rows of one type are fitted together.
    arguments : callable
        Columns to the kernel's arguments behind device and calibration.
    held_out : tuple of str
        Columns whose combinations are left out whole when the fit is judged.
    fixed : callable, optional
        Type to constants that it does not use, with their values.
    moves_memory : bool
        Whether every byte comes from memory, so that the datasheet's bandwidth bounds the times too.
    defaults : mapping
        Values of columns that a table may lack.
    zeros : tuple of str
        Columns in which zero is a value; all other sizes are positive.
    skip : callable, optional
        (engine, type) to whether such rows are left alone, for a stated reason.
    choices : callable
        Type to sets of constants that are no magnitudes but say how a kernel is built: the set with the least
        loss is taken, and not fitted.
    prior : float
        Weight of the distance from the ranges' starts, as a share of the rows: what the rows say nothing
        about stays there.
    engine_fixed : callable
        Engine to constants that follow from it.
    rows : callable, optional
        (engine, columns) to a mask of the rows that this operator is about.
    outlasting : callable
        (engine, type) of tables whose short rows are on the time of the host that launches them, to the
        constants that longer rows say: those are fitted on these, and the rest is another engine's.
    own : callable, optional
        A table as it was given to a mask of its rows that timed the type's own kernel.
    narrower : callable, optional
        Type to ranges of constants that are narrower for it.
    fewest : int
        Shapes below which nothing is fitted: they say too little about so many constants.
    starts : int
        Starts of the search, further ones drawn around the first: a fastest of several protocols has
        several minima.
    """

    operator: str
    kernel: str
    columns: Mapping[str, tuple[str, ...]]
    types: tuple[str, ...]
    tables: tuple[str, ...]
    constants: Mapping[str, Range]
    kind: Callable[[Columns], NDArray[Any]]
    arguments: Callable[[Columns], tuple[Any, ...]]
    held_out: tuple[str, ...]
    fixed: Callable[[str], dict[str, float]] = lambda kind: {}
    moves_memory: bool = True
    defaults: Mapping[str, Any] = field(default_factory=dict)
    zeros: tuple[str, ...] = ()
    skip: Callable[[str, str], bool] = lambda engine, kind: False
    choices: Callable[[str], tuple[Mapping[str, float], ...]] = lambda kind: ({},)
    prior: float = 0.0
    engine_fixed: Callable[[str], dict[str, float]] = lambda engine: {}
    rows: Callable[[str, Columns], NDArray[Any]] | None = None
    outlasting: Callable[[str, str], tuple[str, ...]] = lambda engine, kind: ()
    own: Callable[[Any], Any] | None = None
    narrower: Callable[[str], Mapping[str, Range]] = lambda kind: {}
    fewest: int = 60
    starts: int = 1


def codes(names: NDArray[Any]) -> NDArray[np.float64]:
    """Codes of types in packed records."""
    return np.array([dtypes.code(str(name)) for name in names], dtype=float)


def _gemm_arguments(t: Columns) -> tuple[Any, ...]:
    kind = codes(t["dtype"])
    return t["m"], t["n"], t["k"], kind, kind, np.ones(len(kind))


_WIDE = ("bf16", "fp16", "fp32", "tf32")


def _gemm_kernels(kind: str) -> tuple[dict[str, float], ...]:
    """Libraries' fastest tile, or tiles by rows; activations narrowed as they come, or rows in steps."""
    free = {"tiles": 0.0, "quantise_step": 1.0}
    if kind != "fp8":
        return (free,)
    return (
        free,
        free | {"quantise_step": 2048.0},
        {"tiles": 1.0, "quantise_step": 2048.0, "split": 1e-3},
    )


def _whole_blocks(engine: str, t: Columns) -> NDArray[Any]:
    """Engines load weights of whole blocks; others were timed on kernels that stand in."""
    parts = (t["n"] % 128 != 0) | (t["k"] % 128 != 0)
    return np.asarray(~((t["dtype"].astype(str) == "fp8_block") & parts))


GEMM = Spec(
    operator="gemm",
    kernel="gemm_operator",
    columns={"dtype": ("gemm_dtype",), "m": (), "n": (), "k": ()},
    types=("dtype",),
    tables=("gemm_perf",),
    constants={
        "t0": Range(3e-6, 3e-7, 1e-4), "compute": Range(1.0, 0.5, 1.0),
        "joule": Range(4e-13, 1e-15, 2e-11), "memory": Range(0.8, 0.1, 1.0),
        "overlap": Range(0.2, 0.01, 1 / 3), "wave": Range(0.1, 0.01, 1.0),
        "fill": Range(0.1, 1e-3, 3.0), "issue": Range(0.3, 1e-3, 10.0),
        "stream": Range(70.0, 4.0, 256.0), "latency": Range(4.0, 0.01, 20.0),
        "split": Range(2e-6, 1e-7, 1e-3), "quantise": Range(0.6, 0.05, 1.0),
        "quantise_row": Range(300.0, 1.0, 2e4), "quantise_step": Range(1.0, 1.0, 2048.0),
        "cached": Range(1.5, 1.0, 8.0), "resident": Range(0.3, 0.02, 2.0),
        "tiles": Range(0.0, 0.0, 1.0),
    },
    kind=lambda t: t["dtype"],
    arguments=_gemm_arguments,
    held_out=("n", "k"),
    # what keeps tensor cores from their peak shows as watts: of one device alone both are not told apart
    fixed=lambda kind: (
        {"compute": 1.0} | ({"quantise": 1.0, "quantise_row": 1.0} if kind in _WIDE else {})
    ),
    choices=_gemm_kernels,
    starts=4,
    # vLLM's block FP8: short rows take the host's 60 to 200 us; others say what keeps tensor cores busy
    outlasting=lambda engine, kind: (
        ("joule", "issue", "fill", "quantise") if engine == "vllm" and kind == "fp8_block" else ()
    ),
    rows=_whole_blocks,
)  # fmt: skip
