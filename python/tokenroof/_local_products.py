"""The calibration of a measured device: its products between the shapes that were probed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.calibration import Calibration
    from tokenroof.device import Device
    from tokenroof.model import Model

__all__ = ["calibration", "reached", "shapes"]

_COMPUTE = _core.CALIBRATION_FIELDS.index("gemm_compute")
_MEMORY = _core.CALIBRATION_FIELDS.index("gemm_memory")


def calibration(device: Device, engine: str) -> Calibration:
    """What NumPy and its BLAS reached on this device in single precision (`tokenroof.measure`)."""
    from tokenroof.calibration import Calibration

    m = device.measured
    bandwidth, peak = device.memory_bandwidth, device.peak["fp32"]
    products = []
    for name, rate in m.items():
        if name.startswith("product.fp32."):
            n, columns, inner = (float(x) for x in name.split(".")[2].split("x"))
            products.append((n, columns, inner, rate / peak))
    best = {rows: max(p[3] for p in products if p[0] == rows) for rows, *_ in products}
    # one row: two FLOPs for each four bytes of weights; attention and the rest as probed
    vector, most = best[min(best)] * peak * 2.0 / bandwidth, best[max(best)]
    return Calibration(
        name=f"measured on {device.name}",
        compute={"gemm": most, "experts": most, "attention_decode": most,
                 "attention_prefill": 0.5 * most},
        memory={
            "gemm": vector, "experts": vector, "attention_prefill": vector,
            "attention_decode": m["attention.fp32"] / bandwidth,
            "elementwise": 6.0 / (m["gated.fp32"] * bandwidth),
        },
        products=tuple(sorted(products)),
        launch_s=0.0 if engine == "ideal" else m["cost.product"],
        calibrated_on=f"products, attention and calls of NumPy in fp32 on this machine, {device.release}",
        error_band=0.15,
    )  # fmt: skip


def shapes(model: Model) -> list[tuple[float, float, float]]:
    """Weights, columns and inner size of the products of a step: projections, feed-forward, head."""
    h, layers = float(model.hidden), float(model.layers)
    wide = float(model.heads * model.head_dim)
    keys = float(model.kv_heads * model.head_dim)
    ffn = float(model.ffn or model.moe_ffn or 4 * h)
    gated = float(model.mlp_matrices - 1)
    each = [
        (layers, wide + 2 * keys, h), (layers, h, wide), (layers, gated * ffn, h), (layers, h, ffn),
        (1.0, float(model.vocab), h),
    ]  # fmt: skip
    return [(count * n * k, n, k) for count, n, k in each if n > 0 and k > 0]


def _share(
    products: Sequence[tuple[float, float, float, float]],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    inner: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Share of the peak at a shape.

    The time per weight is a straight line between probed counts of rows; beyond the last, the share
    stays. Between two probed shapes it goes with the logarithm of what the libraries' loops depend on:
    one row is a product with a vector, row by row of the inner size; more are packed by columns.
    """
    shape_list = sorted({(n, k) for _, n, k, _ in products})
    times = []
    for n, k in shape_list:
        m, share = np.array([(p[0], p[3]) for p in products if p[1:3] == (n, k)]).T
        time = np.interp(rows, m, m / share)
        times.append(np.where(rows > m[-1], rows / share[-1], time))
    if len(times) == 1:
        return np.asarray(rows / times[0])
    (n0, k0), (n1, k1) = shape_list[0], shape_list[-1]
    by_inner = np.log(np.maximum(inner, 1.0) / k0) / np.log(k1 / k0)
    by_columns = np.log(np.maximum(columns, 1.0) / n0) / np.log(n1 / n0)
    lean = np.clip(np.where(rows < 2.0, by_inner, by_columns), -0.5, 1.5)
    return np.asarray(rows / (times[0] * (1.0 - lean) + times[-1] * lean))


def reached(
    calibration: Calibration,
    packed: NDArray[np.float64],
    rows: NDArray[np.float64],
    shapes: Sequence[tuple[Any, Any, Any]],
) -> NDArray[np.float64]:
    """A packed record for each count of rows, with the share of the peak that these products reach."""
    every = calibration.products
    least, shape_list = min(p[0] for p in every), list(shapes) or [(1.0, *p[1:3]) for p in every]
    m = np.maximum(rows, least)
    weights: Any = 0.0
    time: Any = 0.0
    for amount, n, k in shape_list:
        weights = weights + amount
        time = time + amount / _share(every, m, np.asarray(n, float), np.asarray(k, float))
    share = weights / time
    out = np.broadcast_to(packed, (*np.shape(share), packed.size)).copy()
    # a vector is bound by the weights that it reads, four bytes for two FLOPs
    vector = m < 2.0
    best = max(p[3] for p in every if p[0] == least)
    out[..., _COMPUTE] = np.where(vector, 1.0, share)
    out[..., _MEMORY] = np.where(vector, packed[_MEMORY] * (share / (m * best)), packed[_MEMORY])
    return out
