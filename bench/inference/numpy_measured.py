"""The calibrated decode step of a dense model in vectorised NumPy: an expression per line of the formula.

Products in tiles, splits and waves, attention over a paged cache, lines for the rest; coefficients come from
the reference's step, worked out beforehand.
"""

from __future__ import annotations

import numpy as np

from tokenroof import _core, reference
from tokenroof.reference.inference.gemm import SPLITS, TILES
from tokenroof.reference.inference.prepare import prepare
from tokenroof.reference.inference.transformer import Load, evaluate


def prepared(records):
    fields = (_core.DEVICE_FIELDS, _core.CALIBRATION_FIELDS, _core.MODEL_FIELDS, _core.PLAN_FIELDS)
    step = prepare(*(reference.unpack(f, v) for f, v in zip(fields, records, strict=True)))
    assert step.products
    assert step.decode.measured_decode
    assert not step.exchanges
    assert not step.model["moe_layers"]
    launch = evaluate(step, Load(1.0, 1.0, 0.0, 0.0, 0.0)).launch - step.sequence_s
    return step, launch


def smooth_max(x, y, overlap):
    most, least = np.maximum(x, y), np.minimum(x, y)
    return most + overlap * (least * (least / most) ** 3)


def partial_max(x, y, overlap):
    most, least = np.maximum(x, y), np.minimum(x, y)
    return most + overlap * (least * (least / most))


def tiles_of(c, rows, n):
    """Rows, columns and groups of the tiles to try."""
    if c["tiles"] == 0.0:
        return [(high, wide, 1.0) for high, wide in TILES]
    steps = rows <= 16.0, rows <= 64.0, rows <= 128.0
    high = np.select(steps, (16.0, 16.0 if n <= 1280.0 else 64.0, 64.0), 128.0)
    return [(high, np.where(steps[1], 64.0, 128.0), np.where(steps[1], 1.0, 2.0))]


def product(x, rows):
    """Seconds of one product for arrays of rows."""
    c, stored, narrow = x.constants, x.stored, x.narrow
    bandwidth, units = x.hardware.bandwidth, x.hardware.multiprocessors
    clock, stream = x.cores.clock, c["stream"] * x.cores.clock
    flop = 2.0 * units / (x.hardware.peak * x.reached)
    columns = c["quantise_step"] * np.ceil(x.k / c["quantise_step"]) + c["quantise_row"]
    quantised = columns * (2.0 + narrow) if narrow < 2.0 else 0.0
    row = x.k * narrow + x.n * 2.0
    memory = (x.n * x.k * stored + rows * row) / (bandwidth * c["memory"])
    best = np.inf
    for split in SPLITS if c["tiles"] == 0.0 else (1.0,):
        if split > 1.0 and x.k < 64.0 * split:
            continue
        compute = np.inf
        for high, wide, group in tiles_of(c, rows, x.n):
            tensor = high * wide * flop + np.where(high < 64.0, 0.0, c["issue"] / clock)
            work = np.where(high == 1.0, high * wide * 4.0 * units / x.cores.vectors, tensor)
            unit = np.maximum(np.maximum(work, (high * narrow + wide * stored) / stream),
                              c["latency"] * stored / clock)  # fmt: skip
            waves = group * np.ceil(rows / (group * high)) * (np.ceil(x.n / wide) / units * split)
            paid = np.where(waves <= 1.0, 1.0, waves + c["wave"] * (np.ceil(waves) - waves))
            compute = np.minimum(
                compute, paid * (x.k / split * unit + high * wide * c["fill"] / clock)
            )
        seconds = smooth_max(compute, memory, c["overlap"])
        if split > 1.0:
            seconds = seconds + (c["split"] + rows * (split * x.n * 8.0 / bandwidth))
        best = np.minimum(best, seconds)
    return best + rows * (quantised / (bandwidth * c["quantise"]))


def attention(a, batch, context):
    """Seconds of one layer."""
    keys = np.minimum(context, a.window)
    total = batch * keys
    memory = total * (a.key_s + a.again_s) + batch * a.query_s
    splits = np.maximum(1.0, np.minimum(np.minimum(keys * a.fewest_keys, a.most), a.fill / batch))
    outside = partial_max(memory, total * a.pair_s, a.overlap)
    inside = partial_max(batch * splits * a.block_s, keys / splits * a.path_s, a.overlap)
    return partial_max(outside, inside, a.overlap) + a.split * (1.0 - 1.0 / splits)


def decode_time(made, batch, context):
    step, launch = made
    time = launch + batch * step.sequence_s
    for _, _, line in step.common:
        time = time + np.maximum(batch * line.compute, line.weights_s + batch * line.traffic)
    rows = np.ceil(batch)
    for _, _, x in step.products:
        time = time + x.count * product(x.form, rows)
    for measured in step.decode.measured_decode:
        (form,) = measured.ways
        time = time + measured.layers * attention(form, batch, context)
    return time
