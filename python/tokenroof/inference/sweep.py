"""Devices x models x plans x batches x contexts, as a labelled dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference import memory
from tokenroof.inference.calibration import resolve
from tokenroof.inference.door import as_device, as_model, as_plan, check_plan
from tokenroof.records.device import Device
from tokenroof.records.model import Model
from tokenroof.records.plan import Plan
from tokenroof.support.arguments import amounts
from tokenroof.support.formats import si
from tokenroof.support.lazy import require
from tokenroof.support.names import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.calibration import Calibration

_UNITS = {
    "time_s": ("s", "time of one decode step"),
    "tokens_per_s": ("token/s", "new tokens of the replica per second"),
    "tokens_per_s_per_device": ("token/s", "the same per device"),
    "interactivity": ("token/s", "tokens per second of one user"),
    "memory_bytes": ("B", "memory that the fullest device needs"),
    "fits": ("1", "whether the engine gives them that much of the device's memory"),
    "reason": ("1", "why there is no number: empty where there is one"),
}
_INVALID = ("nan", "raise")


def sweep(
    devices: str | Device | Sequence[str | Device],
    models: str | Model | Sequence[str | Model],
    plans: Plan | Sequence[Plan] | None = None,
    batch: ArrayLike = (1, 8, 64, 256),
    context: ArrayLike = 4096,
    fidelity: str | Calibration = "calibrated",
    fields: bool = False,
    invalid: str = "nan",
) -> xr.Dataset:
    """Decode steps over the whole product of what is given, in one call of the kernel.

    Parameters
    ----------
    devices, models : sequence of str or record
        Names, files as `tokenroof.device` and `tokenroof.model` take them, or your own records; one
        alone is a sequence of one.
    plans : sequence of Plan, optional
        One device in bf16 by default.
    batch, context : array_like, 1-d
        Sequences in flight, cached tokens of each [1].
    fidelity : {"calibrated", "datasheet"} or Calibration
        Constants of each device's generation, or upper bounds on speed, or your own.
    fields : bool
        Whether to add all of ``kernels.STEP_FIELDS``.
    invalid : {"nan", "raise"}
        What becomes of combinations that cannot be: a plan that does not divide the model or that the
        device cannot run, a model whose shapes are unpublished, weights and caches that do not fit.
        "nan": times and rates are NaN, and ``reason`` says why; "raise": the first is an error.

    Returns
    -------
    xarray.Dataset
        Over ``device, model, plan, batch, context``, with units in ``attrs``. ``reason`` is text: empty
        where there are numbers. Where it is not, times and rates are NaN and ``fits`` is false;
        ``memory_bytes`` stays wherever the plan divides the model.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a load out of range; with ``invalid="raise"`` for a combination that cannot
        be.
    ImportError
        Without xarray: the extra ``analysis``.

    Examples
    --------
    >>> table = sweep(["H100-SXM", "H200-SXM"], "Llama-3.1-8B", batch=[1, 64])
    >>> dict(table.time_s.sizes)
    {'device': 2, 'model': 1, 'plan': 1, 'batch': 2, 'context': 1}
    >>> sweep("T4", "Llama-3.1-70B", batch=1).reason.item()
    'weights need 141 GB per device; allowed: what vllm uses of the 16.0 GB of T4'
    """
    xarray = require("xarray", extra="analysis")
    if invalid not in _INVALID:
        raise ValueError(f"invalid is {invalid!r}; allowed: {', '.join(map(repr, _INVALID))}")
    ds = [as_device(d) for d in listed("devices", devices, Device)]
    ms = [_as_model(m) for m in listed("models", models, Model)]
    ps = [as_plan(p) for p in listed("plans", [None] if plans is None else plans, Plan)]
    for name, values in (("devices", ds), ("models", ms), ("plans", ps)):
        if not values:
            raise ValueError(f"{name} is empty; allowed: at least one")
    b, x = _axis("batch", batch), _axis("context", context)
    coords = {
        "device": [d.name for d in ds],
        "model": [m.name if isinstance(m, Model) else m[0] for m in ms],
        "plan": [p.label() for p in ps],
        "batch": ("batch", b, {"units": "1", "long_name": "sequences in flight"}),
        "context": ("context", x, {"units": "token", "long_name": "cached tokens"}),
    }
    count = np.array([p.devices for p in ps], dtype=float)[:, None, None]
    refused = _refused(ds, ms, ps)
    records = _records(ds, ms, ps, fidelity)
    data = _steps(records, b[:, None], x[None, :], count, refused == "", fields)
    data["reason"] = _reasons(ds, ps, refused, records, data)
    if invalid == "raise":
        _raise_first(coords, data["reason"])
    name = fidelity if isinstance(fidelity, str) else fidelity.name
    out: xr.Dataset = xarray.Dataset(
        {field: (tuple(coords), values) for field, values in data.items()},
        coords=coords,
        attrs={"fidelity": name},
    )
    _label(out, fields)
    return out


def _as_model(value: object) -> Model | tuple[str, str]:
    """A model, or the name of one without published shapes and what is said of it."""
    try:
        return as_model(value)  # type: ignore[arg-type]
    except ValueError as error:
        if isinstance(value, str) and "no published shapes" in str(error):
            return value, str(error)
        raise


def _refused(
    devices: list[Device], models: list[Model | tuple[str, str]], plans: list[Plan]
) -> NDArray[np.object_]:
    """Why a device, a model and a plan do not go together; empty where they do."""
    out = np.full((len(devices), len(models), len(plans)), "", dtype=object)
    for i, device in enumerate(devices):
        for j, model in enumerate(models):
            for k, plan in enumerate(plans):
                if isinstance(model, tuple):
                    out[i, j, k] = model[1]
                    continue
                try:
                    check_plan(device, model, plan)
                except ValueError as error:
                    out[i, j, k] = str(error)
    return out


def _reasons(
    devices: list[Device],
    plans: list[Plan],
    refused: NDArray[np.object_],
    records: tuple[NDArray[np.float64], ...],
    data: dict[str, NDArray[Any]],
) -> NDArray[np.object_]:
    """Why a combination has no numbers; empty where it has."""
    out = np.empty(data["time_s"].shape, dtype=object)
    out[...] = refused[:, :, :, None, None]
    valid = (refused == "")[:, :, :, None, None]
    full = valid & ~data["fits"]
    nothing = np.zeros((1, 1))
    with np.errstate(all="ignore"):
        weights = kernels.memory_required(records[2], records[3], nothing, nothing)
        loads = memory.fits(records, nothing, nothing)  # whether at least the weights fit
    weights = np.broadcast_to(weights, loads.shape)
    for i, j, k in np.argwhere(full.any(axis=(3, 4))):
        size = si(weights[i, j, k].item(), "B")
        what = (
            f"weights ({size}) and caches need more"
            if loads[i, j, k].item()
            else f"weights need {size}"
        )
        room = f"what {plans[k].engine} uses of the {si(devices[i].memory_bytes, 'B')} of {devices[i].name}"
        out[i, j, k][full[i, j, k]] = f"{what} per device; allowed: {room}"
    lost = valid & ~full & ~np.isfinite(data["time_s"])
    out[lost] = (
        "the step takes no finite time; allowed: devices whose bandwidths and peaks are known"
    )
    return out


def _raise_first(coords: dict[str, Any], reasons: NDArray[np.object_]) -> None:
    where = np.argwhere(reasons != "")
    if len(where):
        first = tuple(where[0])
        device, model, plan = (coords[n][i] for n, i in zip(coords, first[:3], strict=False))
        raise ValueError(f"{model} on {device} with the plan {plan}: {reasons[first]}")


def _axis(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.atleast_1d(amounts(name, values))
    if array.ndim > 1:
        raise ValueError(f"{name} has {array.ndim} dimensions; allowed: one")
    return array


def _records(
    devices: list[Device],
    models: list[Model | tuple[str, str]],
    plans: list[Plan],
    fidelity: str | Calibration,
) -> tuple[NDArray[np.float64], ...]:
    """Device, calibration, model and plan, which broadcast over devices, models, plans, batches, contexts."""
    device = np.stack([d.pack() for d in devices])[:, None, None, None, None]
    unknown = np.full(len(_core.MODEL_FIELDS), np.nan)
    packed = [m.pack() if isinstance(m, Model) else unknown for m in models]
    model = np.stack(packed)[:, None, None, None]
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
    valid: NDArray[np.bool_],
    fields: bool,
) -> dict[str, NDArray[Any]]:
    """Arrays by name, with NaN where a combination is not `valid`, or does not fit."""
    data: dict[str, NDArray[Any]] = {}
    valid = valid[:, :, :, None, None]
    d, c, m, p = records
    # combinations that cannot be are computed with the others, and masked
    with np.errstate(all="ignore"):
        needed = memory.needed(records, batch, context)
        needed = np.where(valid, needed, np.nan)
        fits = valid & memory.fits(records, batch, context)
        if fields:
            steps = kernels.decode_step(d, c, m, p, batch, context)
            steps = np.where(fits[..., None], steps, np.nan)
            data |= {name: steps[..., i] for i, name in enumerate(_core.STEP_FIELDS)}
            time = data.pop("time")
        else:
            time = np.where(fits, kernels.decode_time(d, c, m, p, batch, context), np.nan)
        time = np.where(np.isfinite(time), time, np.nan)
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
