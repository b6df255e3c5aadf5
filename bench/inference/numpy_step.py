"""The ideal decode step of a GQA mixture model in vectorised NumPy: what one would write without kernels.

The same terms as the kernel, those whose two sides have the same shape merged, coefficients worked out
beforehand, arrays reused in place.
"""

from __future__ import annotations

import numpy as np

from tokenroof import _core, reference
from tokenroof.reference.inference.prepare import prepare


def coefficients(records):
    fields = (_core.DEVICE_FIELDS, _core.CALIBRATION_FIELDS, _core.MODEL_FIELDS, _core.PLAN_FIELDS)
    step = prepare(*(reference.unpack(f, v) for f, v in zip(fields, records, strict=True)))
    lines = [
        (line.compute, line.weights_s, line.traffic)
        for _, _, line in step.common
        if line.compute or line.weights_s or line.traffic
    ]
    experts, model = step.experts, step.model
    log_missed = np.log1p(-model["topk"] / model["experts"])
    return lines, experts, (model["experts"], step.layout.moe_ep, log_missed), step.decode.attention


def decode_time(prepared, batch, context):
    lines, experts, (count, ranks, log_missed), attentions = prepared
    time = np.zeros(np.broadcast(batch, context).shape)
    work, other = np.empty_like(time), np.empty_like(time)
    for compute, fixed, traffic in lines:
        np.multiply(batch, traffic, out=work)
        if fixed:
            work += fixed
        if compute:
            np.multiply(batch, compute, out=other)
            np.maximum(work, other, out=work)
        time += work
    np.multiply(batch, log_missed, out=work)
    np.expm1(work, out=work)
    work *= -count / ranks * experts.weights_s
    np.multiply(batch, experts.traffic, out=other)
    work += other
    np.multiply(batch, experts.compute, out=other)
    np.maximum(work, other, out=work)
    time += work
    for (a,) in attentions:
        np.minimum(context, a.window, out=other)
        other *= batch
        np.multiply(other, a.key_s, out=work)
        work += batch * a.query_s
        other *= a.pair_s
        np.maximum(work, other, out=work)
        time += work
    return time


def plain_decode_time(prepared, bandwidth, batch, context):
    """The same by plain expressions, an operator a line: FLOPs over rate, bytes over bandwidth."""
    terms, experts, (count, ranks, topk), attentions = prepared
    time = 0.0
    for line, rate in terms:
        flops = batch * line.flops
        nbytes = line.weights + batch * line.bytes
        time = time + np.maximum(flops / rate, nbytes / bandwidth)
    touched = count * (1.0 - (1.0 - topk / count) ** batch) / ranks
    flops, nbytes = batch * experts.flops, touched * experts.weights + batch * experts.bytes
    time = time + np.maximum(flops * experts.compute / experts.flops, nbytes / bandwidth)
    for (a,) in attentions:
        keys = batch * np.minimum(context, a.window)
        nbytes = keys * a.key_bytes + batch * a.query_bytes
        time = time + np.maximum(
            keys * a.pair_flops * (a.pair_s / a.pair_flops), nbytes / bandwidth
        )
    return time


def plain_terms(records):
    fields = (_core.DEVICE_FIELDS, _core.CALIBRATION_FIELDS, _core.MODEL_FIELDS, _core.PLAN_FIELDS)
    step = prepare(*(reference.unpack(f, v) for f, v in zip(fields, records, strict=True)))
    terms = [
        (line, line.flops / line.compute if line.compute else 1.0)
        for _, _, line in step.common
        if line.flops or line.bytes
    ]
    routing = (step.model["experts"], step.layout.moe_ep, step.model["topk"])
    return terms, step.experts, routing, step.decode.attention
