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
    from numpy.typing import ArrayLike, NDArray

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
    _check(ds, ms, ps)
    b, x = _axis("batch", batch), _axis("context", context)
    coords = {
        "device": [d.name for d in ds],
        "model": [m.name for m in ms],
        "plan": [p.label() for p in ps],
        "batch": ("batch", b, {"units": "1", "long_name": "sequences in flight"}),
        "context": ("context", x, {"units": "token", "long_name": "cached tokens"}),
    }
    count = np.array([p.devices for p in ps], dtype=float)[:, None, None]
    room = np.array([0.9 * (d.memory_bytes or np.inf) for d in ds])[:, None, None, None, None]
    data = _steps(_records(ds, ms, ps, fidelity), b[:, None], x[None, :], count, room, fields)
    name = fidelity if isinstance(fidelity, str) else fidelity.name
    out: xr.Dataset = xarray.Dataset(
        {field: (tuple(coords), values) for field, values in data.items()},
        coords=coords,
        attrs={"fidelity": name},
    )
    _label(out, fields)
    return out


def _check(devices: list[Device], models: list[Model], plans: list[Plan]) -> None:
    """Reject an axis without entries, and plans that a model or a device does not allow."""
    for name, values in (("devices", devices), ("models", models), ("plans", plans)):
        if not values:
            raise ValueError(f"{name} is empty; allowed: at least one")
    for plan in plans:
        for model in models:
            plan.check(model)
        for device in devices:
            check_links(device, plan)


def _axis(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.atleast_1d(amounts(name, values))
    if array.ndim > 1:
        raise ValueError(f"{name} has {array.ndim} dimensions; allowed: one")
    return array


def _records(
    devices: list[Device], models: list[Model], plans: list[Plan], fidelity: str | Calibration
) -> tuple[NDArray[np.float64], ...]:
    """Device, calibration, model and plan, which broadcast over devices, models, plans, batches, contexts."""
    device = np.stack([d.pack() for d in devices])[:, None, None, None, None]
    model = np.stack([m.pack() for m in models])[:, None, None, None]
    plan = np.stack([np.stack([p.on(d).pack() for p in plans]) for d in devices])
    # the calibration depends on the device, and on the plan for its engine
    calibration = np.stack(
        [np.stack([resolve(fidelity, d, p).packed for p in plans]) for d in devices]
    )
    by_both = np.s_[:, None, :, None, None, :]
    return device, calibration[by_both], model, plan[by_both]


def _steps(
    records: tuple[NDArray[np.float64], ...],
    batch: NDArray[np.float64],
    context: NDArray[np.float64],
    count: NDArray[np.float64],
    room: NDArray[np.float64],
    fields: bool,
) -> dict[str, NDArray[Any]]:
    """Arrays by name, with NaN where the memory of a plan's devices has no `room`."""
    device, calibration, model, plan = records
    needed = kernels.memory_required(model, plan, batch, context)
    fits = needed <= room
    data: dict[str, NDArray[Any]] = {}
    if fields:
        steps = kernels.decode_step(device, calibration, model, plan, batch, context)
        steps = np.where(fits[..., None], steps, np.nan)
        data |= {name: steps[..., i] for i, name in enumerate(_core.STEP_FIELDS)}
        time = data.pop("time")
    else:
        time = np.where(
            fits, kernels.decode_time(device, calibration, model, plan, batch, context), np.nan
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = batch / time
        data |= {
            "time_s": time,
            "tokens_per_s": rate,
            "tokens_per_s_per_device": rate / count,
            "interactivity": 1.0 / time,
        }
    return data | {"memory_bytes": np.broadcast_to(needed, time.shape).copy(), "fits": fits}


def _label(out: xr.Dataset, fields: bool) -> None:
    """Units of every variable."""
    for name, (units, long_name) in _UNITS.items():
        out[name].attrs.update(units=units, long_name=long_name)
    for name in _core.STEP_FIELDS if fields else ():
        if name in out and name not in _UNITS:
            unit = {"flops": "FLOP", "bytes": "B", "communication_bytes": "B", "watts": "W"}
            out[name].attrs["units"] = unit.get(name, "s")
