"""What fits a device's memory: one rule per engine, its share of the memory and what it keeps for itself.

Steps, sweeps, loads over time and layouts over two sites ask here; ``serving_slots``
(cpp/include/tokenroof/serving/serving.hpp) is the same rule, as a number of sequences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.catalogue.fits import fits as fits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["cache_room", "engine_memory", "fits"]

_NAMES = ("memory_share", "memory_weights", "memory_reserved")
_SHARE, _WEIGHTS, _RESERVED = (_core.CALIBRATION_FIELDS.index(f"engine.{n}") for n in _NAMES)
_MEMORY = _core.DEVICE_FIELDS.index("memory_bytes")


def engine_memory(engine: str) -> dict[str, float]:
    """Share of the memory that an engine takes, and what it reserves: its constants by name; none: all of it.

    Examples
    --------
    >>> engine_memory("vllm")["memory_reserved"], engine_memory("ideal")
    (2000000000.0, {})
    """
    row: dict[str, Any] = next((r for r in fits_of("engine") if r["engine"] == engine), {})
    return {name: row["constants"][name] for name in _NAMES if row and name in row["constants"]}


def cache_room(records: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Bytes that weights and engine leave to caches on the fullest device; infinite of unknown memory.

    Parameters
    ----------
    records : four of ndarray
        Device, calibration, model and plan, packed.
    """
    device, calibration, model, plan = records
    weights = kernels.memory_required(model, plan, 0.0, 0.0)  # type: ignore[attr-defined]
    memory = device[..., _MEMORY]
    room = memory * calibration[..., _SHARE] - weights * calibration[..., _WEIGHTS]
    room = room - calibration[..., _RESERVED]
    return np.asarray(np.where(np.isnan(memory + 0.0 * room), np.inf, room))


def fits(
    records: Sequence[NDArray[np.float64]], batch: Any, context: Any, beside: Any = 0.0
) -> NDArray[np.bool_]:
    """Whether weights and the caches of `batch` sequences of `context` tokens fit, as the engine counts.

    Parameters
    ----------
    records : four of ndarray
        Device, calibration, model and plan, packed.
    batch, context : array_like
        Sequences over the replica, tokens of each [1].
    beside : array_like
        Bytes that the fullest device holds beside them, such as a draft model's [B].
    """
    held = kernels.memory_required(records[2], records[3], batch, context)  # type: ignore[attr-defined]
    weights = kernels.memory_required(records[2], records[3], 0.0, 0.0)  # type: ignore[attr-defined]
    return np.asarray(held - weights + beside <= cache_room(records))
