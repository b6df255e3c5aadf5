from collections.abc import Callable
from typing import Any

import numpy as np

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
DTYPES: tuple[str, ...]
TOPOLOGIES: tuple[str, ...]
DTYPE_BYTES: dict[str, float]
ACTIVATION_BYTES: dict[str, float]

def ufuncs_by_isa() -> dict[str, dict[str, np.ufunc]]: ...
def build_config() -> dict[str, Any]: ...

HASH_BACKENDS: dict[str, int]

def scan(
    header: bytes,
    start: int,
    count: int,
    target: bytes,
    versions: int,
    threads: int,
    backend: str,
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[list[tuple[int, int]], int, float, float]: ...
def measured_clock_hz() -> float: ...
def probe_flops(isa: str, seconds: float, threads: int, dtype: str) -> float: ...
def probe_bandwidth(isa: str, bytes: int, seconds: float, threads: int) -> dict[str, float]: ...
