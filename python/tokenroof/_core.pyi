from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

ISA: str
DEVICE_FIELDS: tuple[str, ...]
MODEL_FIELDS: tuple[str, ...]
PLAN_FIELDS: tuple[str, ...]
CALIBRATION_FIELDS: tuple[str, ...]
CALIBRATION_BLOCKS: dict[str, tuple[str, ...]]
STEP_FIELDS: tuple[str, ...]
OPERATOR_FIELDS: tuple[str, ...]
SERVING_TERMS: tuple[str, ...]
SERVING_FIELDS: tuple[str, ...]
SYSTEM_TERMS: tuple[str, ...]
SYSTEM_FIELDS: tuple[str, ...]
DTYPES: tuple[str, ...]
TOPOLOGIES: tuple[str, ...]
DTYPE_BYTES: dict[str, float]
ACTIVATION_BYTES: dict[str, float]

def ufuncs_by_isa() -> dict[str, dict[str, np.ufunc]]: ...
def flow_ufuncs_by_isa() -> dict[str, dict[str, np.ufunc]]: ...
def build_config() -> dict[str, Any]: ...

HASH_BACKENDS: dict[str, tuple[int, int]]
HASH_BACKENDS_KNOWN: tuple[str, ...]
HASH_OPERATIONS: dict[str, dict[str, int]]

def sha256(message: bytes, isa: str = ...) -> bytes: ...
def scan(
    header: bytes,
    start: int,
    count: int,
    target: bytes,
    step: int,
    versions: int,
    threads: int,
    backend: str,
    progress: Callable[[int, int], Any] | None = None,
    mask: int = ...,
) -> tuple[list[tuple[int, int]], int, float, float]: ...

POOL_FIELDS: tuple[str, ...]

def simulate_pool(
    isa: str,
    model: NDArray[np.float64],
    seed: int,
    first_path: int,
    income: NDArray[np.float64],
    ruin_time: NDArray[np.float64],
    threads: int,
    progress: Callable[[int, int], Any] | None = None,
) -> None: ...

CASH_FIELDS: tuple[str, ...]
CASH_COLUMNS: tuple[str, ...]

def simulate_cash(
    isa: str,
    model: NDArray[np.float64],
    columns: NDArray[np.float64],
    seed: int,
    worth: NDArray[np.float64],
    lowest: NDArray[np.float64],
    rows: NDArray[np.float64] | None,
    threads: int,
    progress: Callable[[int, int], Any] | None = None,
    first: int = 0,
) -> None: ...
def plain_rates(flows: Any) -> tuple[float, ...] | None: ...
def plain_dated_rates(flows: Any, dates: Any) -> tuple[float, ...] | None: ...
def plain_worth(rate: Any, flows: Any) -> float | None: ...
def plain_dated_worth(rate: Any, flows: Any, dates: Any) -> float | None: ...
def rates_of(
    flows: NDArray[np.float64], years: NDArray[np.float64] | None
) -> tuple[tuple[float, ...], int]: ...
def split_power(
    n: int,
    value: NDArray[np.float64],
    slope: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    power: NDArray[np.float64],
    x: NDArray[np.float64],
    price: NDArray[np.float64],
) -> None: ...
def best_modes(
    states: NDArray[np.float64],
    income: NDArray[np.float64],
    costs: NDArray[np.float64],
    flags: NDArray[np.int32],
    choose: NDArray[np.uint8] | None,
    worth: NDArray[np.float64],
    taken: NDArray[np.uint8],
    dates: int,
    dimensions: int,
    degree: int,
    start: int,
    fit: int,
) -> None: ...
def philox_words(
    isa: str, counters: NDArray[np.uint32], key: NDArray[np.uint32], out: NDArray[np.uint32]
) -> None: ...
def variates(
    isa: str,
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    mean: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    poisson: NDArray[np.float64],
) -> None: ...
def best_hits(requests: dict[str, Any], block: int, places: int) -> NDArray[np.int64]: ...
def simulate_requests(
    runs: list[dict[str, Any]],
    threads: int,
    progress: Callable[[int, int], Any] | None = None,
) -> list[dict[str, Any]]: ...
def measured_clock_hz() -> float: ...
def probe_kinds() -> dict[str, dict[str, tuple[float, int, int]]]: ...
def probe_compute(
    isa: str, kind: str, seconds: float, threads: int, repeats: int
) -> tuple[list[float], list[float], bool]: ...
def probe_memory(
    isa: str, bytes: int, seconds: float, threads: int, repeats: int, kinds: list[str]
) -> dict[str, tuple[list[float], list[float], bool]]: ...
def probe_latency(
    bytes: int, seconds: float, repeats: int
) -> tuple[list[float], list[float], bool]: ...
def probe_thread_wake(turns: int) -> float: ...
def probe_thread_start(count: int) -> float: ...
def probe_first_touch(bytes: int, huge: bool) -> float: ...

CLOSED_LOOP_INPUTS: tuple[str, ...]
CLOSED_LOOP_FIELDS: tuple[str, ...]
OPEN_LOOP_INPUTS: tuple[str, ...]
OPEN_LOOP_FIELDS: tuple[str, ...]

PROMPT_POOL_INPUTS: tuple[str, ...]
PROMPT_POOL_FIELDS: tuple[str, ...]

def prompt_pool(
    inputs: NDArray[np.float64],
    sizes: NDArray[np.float64],
    seconds: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None: ...
def closed_loop(inputs: NDArray[np.float64], out: NDArray[np.float64]) -> None: ...
def open_loop(
    isa: str,
    steps: NDArray[np.float64],
    prompts: NDArray[np.float64],
    inputs: NDArray[np.float64],
    rates: NDArray[np.float64],
    out: NDArray[np.float64],
    threads: int,
) -> None: ...
