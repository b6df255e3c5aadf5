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

    from tokenroof.records.device import Device

__all__ = ["SGLANG_CLASSES", "cache_room", "engine_memory", "fits", "needed", "room_for"]

_MIB, _GIB = 2.0**20, 2.0**30
#: Bytes to one of a label's.
_LABEL = 1.068
#: SGLang's classes of devices: up to so many bytes, tokens of a chunk of a prompt, sequences of the largest
#: graph of decode steps, the same with four ranks and more [sglang/srt/arg_groups/memory_hook.py].
SGLANG_CLASSES = (
    (20 * _GIB, 2048, 8, 8), (35 * _GIB, 4096, 48, 160), (60 * _GIB, 4096, 32, 160),
    (160 * _GIB, 8192, 256, 512), (float("inf"), 16384, 512, 512),
)  # fmt: skip
_NAMES = ("memory_share", "memory_weights", "memory_reserved", "memory_windows")
_SHARE, _WEIGHTS, _RESERVED, _WINDOWS = (
    _core.CALIBRATION_FIELDS.index(f"engine.{n}") for n in _NAMES
)
_MEMORY = _core.DEVICE_FIELDS.index("memory_bytes")
_WINDOW = _core.MODEL_FIELDS.index("window")


def engine_memory(engine: str, device: Device | None = None) -> dict[str, float]:
    """Share of the memory that an engine takes, and what it reserves: its constants by name; none: all of it.

    SGLang takes weights and caches from a share that leaves steps of its own size on a `device` their
    buffers: what a chunk of a prompt and graphs of the largest batch take, and a gigabyte (server_args.py,
    mem_fraction_static).

    Examples
    --------
    >>> engine_memory("vllm")["memory_reserved"], engine_memory("ideal")
    (2000000000.0, {})
    """
    row: dict[str, Any] = next((r for r in fits_of("engine") if r["engine"] == engine), {})
    found = {name: row["constants"][name] for name in _NAMES if row and name in row["constants"]}
    if found and engine == "sglang" and device is not None and device.memory_bytes:
        chunk, _, graphs = next(
            c[1:] for c in SGLANG_CLASSES if device.memory_bytes * _LABEL < c[0]
        )
        kept = (512.0 + 512.0 + 1.5 * chunk + 2.0 * graphs) * _MIB
        # the share is of the gigabytes of 2^30 bytes that a label counts, less a context's hundredth
        kept -= (0.99 * _LABEL - 1.0) * device.memory_bytes
        found |= {"memory_share": 1.0, "memory_weights": 1.0, "memory_reserved": kept}
    return found


def cache_room(records: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Bytes that weights and engine leave to caches on the fullest device; infinite of unknown memory.

    Parameters
    ----------
    records : four of ndarray
        Device, calibration, model and plan, packed.
    """
    device, calibration, model, plan = records
    weights = kernels.memory_required(model, plan, 0.0, 0.0)
    memory = device[..., _MEMORY]
    room = memory * calibration[..., _SHARE] - weights * calibration[..., _WEIGHTS]
    room = room - calibration[..., _RESERVED]
    return np.asarray(np.where(np.isnan(memory + 0.0 * room), np.inf, room))


def needed(records: Sequence[NDArray[np.float64]], batch: Any, context: Any) -> NDArray[np.float64]:
    """Bytes of the fullest device for `batch` sequences of `context` tokens, as the engine keeps them.

    Parameters
    ----------
    records : four of ndarray
        Device, calibration, model and plan, packed.
    batch, context : array_like
        Sequences over the replica, tokens of each [1].
    """
    # an engine that keeps everything of windowed layers: as if these had no window
    window = np.where(records[1][..., _WINDOWS] == 0.0, 0.0, records[2][..., _WINDOW])
    model = np.array(np.broadcast_to(records[2], (*window.shape, records[2].shape[-1])))
    model[..., _WINDOW] = window
    return np.asarray(kernels.memory_required(model, records[3], batch, context))


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
    return room_for(records, needed(records, batch, context), beside)


def room_for(
    records: Sequence[NDArray[np.float64]], wanted: NDArray[np.float64], beside: Any = 0.0
) -> NDArray[np.bool_]:
    """The same of what is `needed`."""
    weights = kernels.memory_required(records[2], records[3], 0.0, 0.0)
    return np.asarray(wanted - weights + beside <= cache_room(records))
