"""The calibration of a measured device: its products between the shapes that were probed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof.records.calibration import Calibration

if TYPE_CHECKING:
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model

__all__ = ["calibration", "shapes"]


def calibration(device: Device, engine: str) -> Calibration:
    """What NumPy and its BLAS reached on this device in single precision (`tokenroof.measure`)."""
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
