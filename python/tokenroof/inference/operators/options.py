"""What operators take besides their shapes: whose kernels they are, and with which constants."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, ParamSpec, TypedDict, TypeVar, cast

from tokenroof.support.arguments import check_options, shown

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration

P = ParamSpec("P")
R = TypeVar("R")


class Options(TypedDict, total=False):
    """Whose kernels an operator is, and with which constants.

    Attributes
    ----------
    engine : {"vllm", "sglang", "trtllm", "ideal", "nccl"}
        Whose overhead counts: an engine's, by default vLLM's; "ideal": none; "nccl": the plain library.
    fidelity : {"calibrated", "datasheet"} or Calibration
        Measured constants, the default, which fall back by generation; an upper bound on speed at the
        printed clocks; your own.

    Examples
    --------
    >>> import tokenroof as tr
    >>> asked: Options = {"engine": "ideal", "fidelity": "datasheet"}
    >>> step = tr.operators.gemm("H100-SXM", 64, 4096, 4096, **asked)
    >>> bool(step.time_s < tr.operators.gemm("H100-SXM", 64, 4096, 4096).time_s)
    True
    """

    engine: str
    fidelity: str | Calibration


class _Types(TypedDict, total=False):
    dtype: str
    kv_dtype: str


class TypedOptions(_Types, Options, total=False):
    """`Options`, and types.

    Attributes
    ----------
    dtype, kv_dtype : str
        Types of the maths and of the cache, by default 16 bits.
    """


class LatentOptions(Options, total=False):
    """`Options`, and what experts behind a projection have.

    Attributes
    ----------
    zero_experts : float
        Further experts that give a token back as it is [1].
    matrices : float
        Matrices of an expert: 3 with a gate, 2 without [1].
    projections : str
        Type of the projections to fewer values and back.
    """

    zero_experts: float
    matrices: float
    projections: str


_DEFAULTS = {
    "engine": "vllm", "fidelity": "calibrated", "dtype": "bf16", "kv_dtype": "bf16",
    "zero_experts": 0.0, "matrices": 3.0, "projections": "bf16",
}  # fmt: skip


def takes(options: type) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take such a record by its names: unknown ones are refused, missing ones filled in.

    What stands behind the function's positional arguments may come by position too: the record's
    fields, in its order, then the keyword-only arguments.

    Examples
    --------
    >>> @takes(Options)
    ... def named(rows, *, warm=False, **how):
    ...     return rows, how["engine"], warm
    >>> named(1, "trtllm"), named(1, warm=True)
    ((1, 'trtllm', False), (1, 'vllm', True))
    """
    defaults = {name: _DEFAULTS[name] for name in options.__annotations__}

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name, parameters = function.__name__, signature(function).parameters.values()
        own = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        last = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        known = {p.name for p in (*own, *last)}
        behind = (*defaults, *(p.name for p in last))

        @wraps(function)
        def taking(*given: Any, **named: Any) -> Any:
            for field, value in zip(behind, given[len(own) :], strict=False):
                if field in named:
                    raise TypeError(f"{name}() got multiple values for argument {shown(field)}")
                named[field] = value
            if len(given) > len(own) + len(behind):
                most = len(own) + len(behind)
                raise TypeError(
                    f"{name}() takes at most {most} arguments, and {len(given)} were given"
                )
            check_options(name, {k: v for k, v in named.items() if k not in known}, options)
            return cast(Any, function)(*given[: len(own)], **(defaults | named))

        optional = [
            Parameter(
                field,
                Parameter.POSITIONAL_OR_KEYWORD,
                default=value,
                annotation=options.__annotations__[field].__forward_arg__,
            )
            for field, value in defaults.items()
        ]
        last = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in last]
        whole = signature(function).replace(parameters=[*own, *optional, *last])
        cast(Any, taking).__signature__ = whole  # for help: what callers may give
        return cast(Callable[P, R], taking)

    return decorate
