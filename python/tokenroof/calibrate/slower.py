"""Fits of narrow types held against those of wider ones: a source that timed a fallback kernel is named.

A type that moves fewer bytes, and whose unit multiplies no slower, is not slower on the same device in the
same engine. Where it is, by more than both fits' bands, the table timed another kernel than the type's own.

Matrix products come from libraries that all engines call (cuBLASLt, CUTLASS), and engines tune for the
fastest (TensorRT-LLM: ``nvfp4_gemm_allowed_backends`` of cutlass, cublaslt and cuda_core). A table whose
products take longer than another engine's, of device and type and by more than both bands, timed one library.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.catalogue.lookup import device as device_of
from tokenroof.records import dtypes
from tokenroof.records.calibration import Calibration
from tokenroof.records.device import Device, unit_peak

__all__ = ["mark_slower"]

_M = np.array([1.0, 8.0, 32.0, 128.0, 512.0, 2048.0, 8192.0])[:, None]
_B = np.array([1.0, 4.0, 16.0, 64.0])[:, None, None]
_S = np.array([1024.0, 8192.0, 32768.0])[:, None]
_PRODUCTS = np.array(
    [(4096, 4096), (6144, 4096), (28672, 4096), (4096, 14336), (8192, 8192)], float
)
_LAYERS = np.array(
    [(4096, 1536, 128, 8), (5120, 8192, 16, 1), (7168, 2048, 256, 8), (2048, 768, 128, 8)], float
)
_HEADS = np.array([(32, 8), (64, 8), (8, 1)], float)
_LATENT_HEADS = np.array([128.0, 16.0])


_HELD = ("gemm", "experts", "attention_decode", "attention_prefill", "mla_decode", "mla_prefill")


def _arguments(operator: str, dtype: str) -> tuple[Any, ...] | None:
    """Loads and shapes of common models, of an operator whose weights or cache have this type."""
    maths, _, cache = dtype.partition("/")
    code = float(dtypes.code(cache or maths))
    if operator == "gemm":
        return (_M, *_PRODUCTS.T, code, code, 0.0)
    if operator == "experts":
        return (_M, *_LAYERS.T, 3.0, 4.0, 1.0, 1.01, code, 0.0)
    if operator == "attention_decode":
        return (_B, _S, *_HEADS.T, 128.0, 128.0, 0.0, code, 0.0)
    if operator == "mla_decode":
        return (_B, _S, _LATENT_HEADS, 512.0, 64.0, code, 0.0)
    if operator == "attention_prefill":
        return (_B, _S, 0.0, *_HEADS.T, 128.0, 128.0, 0.0, code, float(dtypes.code(maths)))
    if operator == "mla_prefill":
        return (
            _B,
            _S,
            0.0,
            _LATENT_HEADS,
            128.0,
            64.0,
            128.0,
            512.0,
            0.0,
            float(dtypes.code("bf16")),
            code,
        )
    return None


def _seconds(operator: str, device: Device, row: dict[str, Any]) -> Any:
    arguments = _arguments(operator, row["dtype"])
    if arguments is None:
        return None
    record = Calibration(constants={operator: row["constants"]}).packed
    return getattr(kernels, f"{operator}_operator")(device.pack(), record, *arguments)[..., 0]


def _narrower(device: Device, one: str, other: str) -> bool:
    """Whether a type moves fewer bytes than another and its unit multiplies as fast."""
    one, other = (x.rpartition("/")[2] for x in (one, other))
    fewer = _core.DTYPE_BYTES[one] < 0.9 * _core.DTYPE_BYTES[other]
    return fewer and unit_peak(device, one) >= unit_peak(device, other)


def _mark_beaten(row: dict[str, Any], rows: list[dict[str, Any]]) -> str | None:
    """Put ``beaten_by`` and ``beaten_times`` on products that another engine's beat, launches aside."""
    row.pop("beaten_by", None), row.pop("beaten_times", None)
    device = device_of(row["device"])
    mine = _seconds("gemm", device, row) - row["constants"]["t0"]
    for other in rows:
        same = (other.get("device"), other.get("dtype")) == (row["device"], row["dtype"])
        if not same or other["engine"] == row["engine"]:
            continue
        theirs = _seconds("gemm", device, other) - other["constants"]["t0"]
        ratio = float(np.exp(np.median(np.log(mine / theirs))))
        if ratio > (1.0 + row["band"]) * (1.0 + other["band"]):
            row["beaten_by"], row["beaten_times"] = other["engine"], round(ratio, 2)
            return (
                f"gemm of {row['device']} ({row['engine']} {row.get('version', '')}): {row['dtype']} takes "
                f"{row['beaten_times']} times as long as with {other['engine']}; one library alone?"
            )
    return None


def mark_slower(operator: str, rows: list[dict[str, Any]]) -> list[str]:
    """Put ``slower_than`` and ``slower_by`` on fits of narrow types that a wider one beats beyond noise.

    And ``beaten_by`` and ``beaten_times`` on products that another engine's of the same type beat.

    Parameters
    ----------
    operator : str
    rows : list of dict
        Fits, as the catalogue's file holds them. Changed in place.

    Returns
    -------
    list of str
        A line per mark.
    """
    said = []
    for row in rows:
        row.pop("slower_than", None), row.pop("slower_by", None)
        if "dtype" not in row or operator not in _HELD:
            continue
        device = device_of(row["device"])
        if operator == "gemm" and (line := _mark_beaten(row, rows)):
            said.append(line)
        mine = _seconds(operator, device, row)
        for other in rows:
            same = other.get("device") == row["device"] and other.get("engine") == row["engine"]
            if (
                not same
                or "dtype" not in other
                or not _narrower(device, row["dtype"], other["dtype"])
            ):
                continue
            ratio = float(np.exp(np.median(np.log(mine / _seconds(operator, device, other)))))
            if ratio > (1.0 + row["band"]) * (1.0 + other["band"]) and ratio > row.get(
                "slower_by", 0.0
            ):
                row["slower_than"], row["slower_by"] = other["dtype"], round(ratio, 2)
        if "slower_than" in row:
            said.append(
                f"{operator} of {row['device']} ({row['engine']} {row.get('version', '')}): {row['dtype']} "
                f"takes {row['slower_by']} times as long as {row['slower_than']}; not that type's own kernel?"
            )
    return said
