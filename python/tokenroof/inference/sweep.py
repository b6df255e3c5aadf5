"""Devices x models x plans x batches x contexts, as a labelled dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference.calibration import resolve
from tokenroof.inference.door import as_device, as_model, as_plan, check_links
from tokenroof.support.arguments import amounts
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import ArrayLike

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan

_UNITS = {
    "time_s": ("s", "time of one decode step"),
    "tokens_per_s": ("token/s", "new tokens of the replica per second"),
    "tokens_per_s_per_device": ("token/s", "the same per device"),
    "interactivity": ("token/s", "tokens per second of one user"),
    "memory_bytes": ("B", "memory that the fullest device needs"),
    "fits": ("1", "whether that is at most nine tenths of the device's memory"),
}


def sweep(
    devices: Sequence[str | Device],
    models: Sequence[str | Model],
    plans: Sequence[Plan] | None = None,
    batch: ArrayLike = (1, 8, 64, 256),
    context: ArrayLike = 4096,
    fidelity: str | Calibration = "calibrated",
    fields: bool = False,
) -> xr.Dataset:
    """Decode steps over the whole product of what is given, in one call of the kernel.

    Parameters
    ----------
    devices, models : sequence of str or record
        Catalogue names, or your own records.
    plans : sequence of Plan, optional
        One device in bf16 by default.
    batch, context : array_like, 1-d
        Sequences in flight, cached tokens of each [1].
    fidelity : {"calibrated", "datasheet"} or Calibration
        Constants of each device's generation, or upper bounds on speed, or your own.
    fields : bool
        Whether to add all of ``kernels.STEP_FIELDS``.

    Returns
    -------
    xarray.Dataset
        Over ``device, model, plan, batch, context``, with units in ``attrs``. Where the model does
        not fit the memory, ``fits`` is false and times and rates are NaN.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a load out of range, or a plan that does not divide a model.
    ImportError
        Without xarray: the extra ``analysis``.

    Examples
    --------
    >>> table = sweep(["H100-SXM", "H200-SXM"], ["Llama-3.1-8B"], batch=[1, 64])
    >>> dict(table.time_s.sizes)
    {'device': 2, 'model': 1, 'plan': 1, 'batch': 2, 'context': 1}
    """
    xarray = require("xarray", extra="analysis")
    ds = [as_device(d) for d in devices]
    ms = [as_model(m) for m in models]
    ps = [as_plan(p) for p in (plans if plans is not None else [None])]
    for name, values in (("devices", ds), ("models", ms), ("plans", ps)):
        if not values:
            raise ValueError(f"{name} is empty; allowed: at least one")
    for p in ps:
        for m in ms:
            p.check(m)
        for d in ds:
            check_links(d, p)
    b = np.atleast_1d(amounts("batch", batch))
    x = np.atleast_1d(amounts("context", context))
    for name, array in (("batch", b), ("context", x)):
        if array.ndim > 1:
            raise ValueError(f"{name} has {array.ndim} dimensions; allowed: one")

    def expand(packed: Any, axis: int) -> Any:
        return packed.reshape(packed.shape[0], *[1] * (4 - axis), packed.shape[-1])

    device = expand(np.stack([d.pack() for d in ds]), 0)
    model = expand(np.stack([m.pack() for m in ms]), 1)
    plan = np.stack([np.stack([p.on(d).pack() for p in ps]) for d in ds])[:, None, :, None, None]
    # the calibration depends on the device, and on the plan for its engine
    calibration = np.stack([np.stack([resolve(fidelity, d, p).packed for p in ps]) for d in ds])[
        :, None, :, None, None, :
    ]
    loads = b[:, None], x[None, :]

    needed = kernels.memory_required(model, plan, *loads)  # type: ignore[attr-defined]
    room = np.array([0.9 * (d.memory_bytes or np.inf) for d in ds])[:, None, None, None, None]
    fits = needed <= room
    count = np.array([p.devices for p in ps], dtype=float)[:, None, None]
    dims = ("device", "model", "plan", "batch", "context")
    data: dict[str, Any] = {}
    if fields:
        steps = kernels.decode_step(device, calibration, model, plan, *loads)  # type: ignore[attr-defined]
        steps = np.where(fits[..., None], steps, np.nan)
        time = steps[..., _core.STEP_FIELDS.index("time")]
        for i, name in enumerate(_core.STEP_FIELDS):
            if name != "time":
                data[name] = (dims, steps[..., i])
    else:
        time = kernels.decode_time(device, calibration, model, plan, *loads)  # type: ignore[attr-defined]
        time = np.where(fits, time, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = b[:, None] / time
        data["time_s"] = (dims, time)
        data["tokens_per_s"] = (dims, rate)
        data["tokens_per_s_per_device"] = (dims, rate / count)
        data["interactivity"] = (dims, 1.0 / time)
    data["memory_bytes"] = (dims, np.broadcast_to(needed, time.shape).copy())
    data["fits"] = (dims, fits)
    out: xr.Dataset = xarray.Dataset(
        data,
        coords={
            "device": [d.name for d in ds],
            "model": [m.name for m in ms],
            "plan": [p.label() for p in ps],
            "batch": ("batch", b, {"units": "1", "long_name": "sequences in flight"}),
            "context": ("context", x, {"units": "token", "long_name": "cached tokens"}),
        },
        attrs={"fidelity": fidelity if isinstance(fidelity, str) else fidelity.name},
    )
    for name, (units, long_name) in _UNITS.items():
        out[name].attrs.update(units=units, long_name=long_name)
    for name in _core.STEP_FIELDS if fields else ():
        if name in out and name not in _UNITS:
            unit = {"flops": "FLOP", "bytes": "B", "communication_bytes": "B", "watts": "W"}
            out[name].attrs["units"] = unit.get(name, "s")
    return out
