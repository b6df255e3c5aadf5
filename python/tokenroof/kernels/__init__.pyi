"""Types of the kernels, by the number of their inputs; the module makes them from the compiled list.

Element-wise: numbers give a number, arrays and sequences an array; what has a way of its own with ufuncs
(pandas, polars, xarray, Dask, masked arrays) gives what it makes of it. Over records: an array of float64.
"""

from collections.abc import Sequence
from inspect import Signature
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

_Number: TypeAlias = float | np.floating[Any] | np.integer[Any]
_Numbers: TypeAlias = _Number | NDArray[Any] | Sequence[Any]
_Out: TypeAlias = NDArray[Any] | tuple[NDArray[Any]] | None
_Float: TypeAlias = np.float64
_Floats: TypeAlias = NDArray[np.float64]

STEP_FIELDS: tuple[str, ...]
SERVING_FIELDS: tuple[str, ...]
SERVING_TERMS: tuple[str, ...]
SYSTEM_FIELDS: tuple[str, ...]
SYSTEM_TERMS: tuple[str, ...]
OPERATOR_FIELDS: tuple[str, ...]
__test__: dict[str, str]

# A kernel without a line below.
def __getattr__(name: str) -> Any: ...

class _Kernel:
    """What a kernel has of `numpy.ufunc`, which is final to type checkers."""

    __name__: str
    __signature__: Signature
    nin: int
    nout: int
    nargs: int
    signature: str | None
    types: list[str]
    def __getattr__(self, name: str) -> Any: ...

def by_isa() -> dict[str, dict[str, np.ufunc]]: ...
def by_keyword(name: str, *, out: Any = None, **inputs: Any) -> Any: ...

class _Elementwise1(_Kernel):
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, a: _Number, /
    ) -> _Float: ...
    @overload
    def __call__(
        self,
        a: _Numbers,
        /,
        out: _Out = None,
        *,
        where: ArrayLike = True,
        dtype: DTypeLike | None = None,
    ) -> _Floats: ...
    @overload
    def __call__(self, a: Any, /, *out: Any, **options: Any) -> Any: ...

class _Elementwise2(_Kernel):
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, a: _Number, b: _Number, /
    ) -> _Float: ...
    @overload
    def __call__(
        self,
        a: _Numbers,
        b: _Numbers,
        /,
        out: _Out = None,
        *,
        where: ArrayLike = True,
        dtype: DTypeLike | None = None,
    ) -> _Floats: ...
    @overload
    def __call__(self, a: Any, b: Any, /, *out: Any, **options: Any) -> Any: ...

class _Elementwise3(_Kernel):
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, a: _Number, b: _Number, c: _Number, /
    ) -> _Float: ...
    @overload
    def __call__(
        self,
        a: _Numbers,
        b: _Numbers,
        c: _Numbers,
        /,
        out: _Out = None,
        *,
        where: ArrayLike = True,
        dtype: DTypeLike | None = None,
    ) -> _Floats: ...
    @overload
    def __call__(self, a: Any, b: Any, c: Any, /, *out: Any, **options: Any) -> Any: ...

class _Elementwise4(_Kernel):
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, a: _Number, b: _Number, c: _Number, d: _Number, /
    ) -> _Float: ...
    @overload
    def __call__(
        self,
        a: _Numbers,
        b: _Numbers,
        c: _Numbers,
        d: _Numbers,
        /,
        out: _Out = None,
        *,
        where: ArrayLike = True,
        dtype: DTypeLike | None = None,
    ) -> _Floats: ...
    @overload
    def __call__(self, a: Any, b: Any, c: Any, d: Any, /, *out: Any, **options: Any) -> Any: ...

class _Elementwise5(_Kernel):
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, a: _Number, b: _Number, c: _Number, d: _Number, e: _Number, /
    ) -> _Float: ...
    @overload
    def __call__(
        self,
        a: _Numbers,
        b: _Numbers,
        c: _Numbers,
        d: _Numbers,
        e: _Numbers,
        /,
        out: _Out = None,
        *,
        where: ArrayLike = True,
        dtype: DTypeLike | None = None,
    ) -> _Floats: ...
    @overload
    def __call__(
        self, a: Any, b: Any, c: Any, d: Any, e: Any, /, *out: Any, **options: Any
    ) -> Any: ...

class _Elementwise6(_Kernel):
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, a: _Number, b: _Number, c: _Number, d: _Number, e: _Number, f: _Number, /
    ) -> _Float: ...
    @overload
    def __call__(
        self,
        a: _Numbers,
        b: _Numbers,
        c: _Numbers,
        d: _Numbers,
        e: _Numbers,
        f: _Numbers,
        /,
        out: _Out = None,
        *,
        where: ArrayLike = True,
        dtype: DTypeLike | None = None,
    ) -> _Floats: ...
    @overload
    def __call__(
        self, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, /, *out: Any, **options: Any
    ) -> Any: ...

class _OverRecords1(_Kernel):
    def __call__(self, a: ArrayLike, /, *, out: _Out = None, **options: Any) -> _Floats: ...

class _OverRecords2(_Kernel):
    def __call__(
        self, a: ArrayLike, b: ArrayLike, /, *, out: _Out = None, **options: Any
    ) -> _Floats: ...

class _OverRecords4(_Kernel):
    def __call__(
        self,
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike,
        d: ArrayLike,
        /,
        *,
        out: _Out = None,
        **options: Any,
    ) -> _Floats: ...

class _OverRecords5(_Kernel):
    def __call__(
        self,
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike,
        d: ArrayLike,
        e: ArrayLike,
        /,
        *,
        out: _Out = None,
        **options: Any,
    ) -> _Floats: ...

class _OverRecords6(_Kernel):
    def __call__(
        self,
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike,
        d: ArrayLike,
        e: ArrayLike,
        f: ArrayLike,
        /,
        *,
        out: _Out = None,
        **options: Any,
    ) -> _Floats: ...

class _OverRecords7(_Kernel):
    def __call__(
        self,
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike,
        d: ArrayLike,
        e: ArrayLike,
        f: ArrayLike,
        g: ArrayLike,
        /,
        *,
        out: _Out = None,
        **options: Any,
    ) -> _Floats: ...

class _OverRecords8(_Kernel):
    def __call__(
        self,
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike,
        d: ArrayLike,
        e: ArrayLike,
        f: ArrayLike,
        g: ArrayLike,
        h: ArrayLike,
        /,
        *,
        out: _Out = None,
        **options: Any,
    ) -> _Floats: ...

class _OverRecords9(_Kernel):
    def __call__(
        self,
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike,
        d: ArrayLike,
        e: ArrayLike,
        f: ArrayLike,
        g: ArrayLike,
        h: ArrayLike,
        i: ArrayLike,
        /,
        *,
        out: _Out = None,
        **options: Any,
    ) -> _Floats: ...

class _OverRecords10(_Kernel):
    def __call__(
        self,
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike,
        d: ArrayLike,
        e: ArrayLike,
        f: ArrayLike,
        g: ArrayLike,
        h: ArrayLike,
        i: ArrayLike,
        j: ArrayLike,
        /,
        *,
        out: _Out = None,
        **options: Any,
    ) -> _Floats: ...

class _OverRecords11(_Kernel):
    def __call__(
        self,
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike,
        d: ArrayLike,
        e: ArrayLike,
        f: ArrayLike,
        g: ArrayLike,
        h: ArrayLike,
        i: ArrayLike,
        j: ArrayLike,
        k: ArrayLike,
        /,
        *,
        out: _Out = None,
        **options: Any,
    ) -> _Floats: ...

class _OverRecords12(_Kernel):
    def __call__(
        self,
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike,
        d: ArrayLike,
        e: ArrayLike,
        f: ArrayLike,
        g: ArrayLike,
        h: ArrayLike,
        i: ArrayLike,
        j: ArrayLike,
        k: ArrayLike,
        l: ArrayLike,
        /,
        *,
        out: _Out = None,
        **options: Any,
    ) -> _Floats: ...

class _OverRecords13(_Kernel):
    def __call__(
        self,
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike,
        d: ArrayLike,
        e: ArrayLike,
        f: ArrayLike,
        g: ArrayLike,
        h: ArrayLike,
        i: ArrayLike,
        j: ArrayLike,
        k: ArrayLike,
        l: ArrayLike,
        m: ArrayLike,
        /,
        *,
        out: _Out = None,
        **options: Any,
    ) -> _Floats: ...

class _OverRecords14(_Kernel):
    def __call__(
        self,
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike,
        d: ArrayLike,
        e: ArrayLike,
        f: ArrayLike,
        g: ArrayLike,
        h: ArrayLike,
        i: ArrayLike,
        j: ArrayLike,
        k: ArrayLike,
        l: ArrayLike,
        m: ArrayLike,
        n: ArrayLike,
        /,
        *,
        out: _Out = None,
        **options: Any,
    ) -> _Floats: ...

class _OverRecords15(_Kernel):
    def __call__(
        self,
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike,
        d: ArrayLike,
        e: ArrayLike,
        f: ArrayLike,
        g: ArrayLike,
        h: ArrayLike,
        i: ArrayLike,
        j: ArrayLike,
        k: ArrayLike,
        l: ArrayLike,
        m: ArrayLike,
        n: ArrayLike,
        o: ArrayLike,
        /,
        *,
        out: _Out = None,
        **options: Any,
    ) -> _Floats: ...

class _Digest(_Kernel):
    def __call__(
        self, headers: ArrayLike, /, *, out: _Out = None, **options: Any
    ) -> NDArray[np.uint8]: ...

attainable: _Elementwise3
ridge_point: _Elementwise2
time_bound: _Elementwise4
time_bound_link: _Elementwise6
time_bound_capped: _Elementwise3
energy: _Elementwise6
energy_balance: _Elementwise2
effective_energy_balance: _Elementwise4
flops_per_joule: _Elementwise6
roofline_power: _Elementwise6
experts_touched: _Elementwise3
send: _Elementwise3
all_gather: _Elementwise4
reduce_scatter: _Elementwise4
all_to_all: _Elementwise4
all_reduce: _Elementwise4
all_reduce_ring: _Elementwise4
all_reduce_one_shot: _Elementwise4
all_reduce_two_shot: _Elementwise4
capped_power: _Elementwise2
wave_fill: _Elementwise2
clock_volts: _Elementwise1
clock_seconds: _Elementwise2
clock_watts: _Elementwise6
capped_clock: _Elementwise6
expected_tokens: _Elementwise2
speculative_speedup: _Elementwise3
speculative_operations: _Elementwise3
best_draft_length: _Elementwise3
dataflow_chips: _Elementwise3
dataflow_trip: _Elementwise6
dataflow_microbatch: _Elementwise2
token_revenue_per_mwh: _Elementwise2
mining_revenue_per_mwh: _Elementwise3
cost_per_mtok: _Elementwise2
energy_cost_per_mtok: _Elementwise3
hashprice_usd: _Elementwise3
time_to_block: _Elementwise2
block_probability: _Elementwise3
next_difficulty: _Elementwise3
price_at_hashprice: _Elementwise3
difficulty_at_hashprice: _Elementwise3
miner_margin: _Elementwise6
break_even_power_price: _Elementwise5
shutdown_hashprice: _Elementwise5
double_spend_nakamoto: _Elementwise2
double_spend_rosenfeld: _Elementwise2
selfish_mining_revenue: _Elementwise2
selfish_mining_threshold: _Elementwise1
stable_request_rate: _Elementwise4
cache_reached: _Elementwise2
cache_held: _Elementwise5
fleet_availability: _Elementwise3
decode_time: _OverRecords6
decode_step: _OverRecords6
prefill_time: _OverRecords6
prefill_step: _OverRecords6
mixed_time: _OverRecords8
mixed_step: _OverRecords8
prompts_time: _OverRecords7
prompts_step: _OverRecords7
mixed_prompts_time: _OverRecords9
mixed_prompts_step: _OverRecords9
memory_required: _OverRecords4
board_power: _OverRecords8
expected_tokens_by_position: _OverRecords1
serving: _OverRecords7
serving_terms: _OverRecords7
serving_of_terms: _OverRecords4
serving_system: _OverRecords2
gemm_operator: _OverRecords8
experts_operator: _OverRecords13
attention_decode_operator: _OverRecords11
attention_prefill_operator: _OverRecords12
mla_decode_operator: _OverRecords9
mla_prefill_operator: _OverRecords13
sparse_decode_operator: _OverRecords11
sparse_prefill_operator: _OverRecords15
gated_delta_decode_operator: _OverRecords8
gated_delta_prefill_operator: _OverRecords10
mamba2_decode_operator: _OverRecords8
mamba2_prefill_operator: _OverRecords10
grouped_gemm_operator: _OverRecords10
norm_operator: _OverRecords5
rotary_operator: _OverRecords8
activation_operator: _OverRecords5
quantise_operator: _OverRecords5
sampling_operator: _OverRecords5
elementwise_operator: _OverRecords4
all_reduce_operator: _OverRecords4
all_gather_operator: _OverRecords4
reduce_scatter_operator: _OverRecords4
all_to_all_operator: _OverRecords4
send_operator: _OverRecords4
sha256d: _Digest
