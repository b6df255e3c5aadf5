"""Devices x models x plans x batches x contexts, as a labelled dataset."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from tokenroof.inference.combinations import Combinations, combinations
from tokenroof.inference.door import as_device, as_model
from tokenroof.inference.released import plan_as_released
from tokenroof.records.device import Device
from tokenroof.records.model import Model
from tokenroof.records.plan import Plan
from tokenroof.scale.clusters import check_client
from tokenroof.scale.datasets import blocks, computed, dataset, stored
from tokenroof.scale.grid import chunked
from tokenroof.scale.reductions.best import Best
from tokenroof.scale.reductions.frontier import Frontier
from tokenroof.scale.reductions.quantiles import Quantiles
from tokenroof.scale.run import keep, reduced
from tokenroof.scale.work import Variable
from tokenroof.support.arguments import check_options, flag, loads, not_empty, shown
from tokenroof.support.aside import aside
from tokenroof.support.lazy import require
from tokenroof.support.names import among, listed
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import xarray as xr
    from distributed import Client
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.scale.reductions.tables import Reduction

    Chunks = int | str | Mapping[str, int | None] | Sequence[int | None]

__all__ = ["sweep"]

_REASON = Variable(
    "O", {"units": "1", "long_name": "why there is no number: empty where there is one"}
)
_INVALID = ("nan", "raise")
#: What a reduction that is named means here.
REDUCTIONS: dict[str, Reduction] = {
    "best_plan": Best("tokens_per_s_per_device", over=("plan", "batch")),
    "frontier": Frontier("interactivity", "tokens_per_s_per_device", over=("plan", "batch")),
    "quantiles": Quantiles(
        ("tokens_per_s_per_device", "interactivity"), over=("plan", "batch", "context")
    ),
}


class SweepOptions(TypedDict, total=False):
    """What `sweep` takes beside its named arguments; documented there."""

    reduce: str | Reduction | None
    progress: Callable[[int, int], Any] | None


def sweep(
    devices: str | Device | Sequence[str | Device],
    models: str | Model | Sequence[str | Model],
    plans: Plan | Sequence[Plan] | None = None,
    batch: ArrayLike = (1, 8, 64, 256),
    context: ArrayLike = 4096,
    fidelity: str | Calibration = "calibrated",
    fields: bool = False,
    invalid: str = "nan",
    *,
    chunks: Chunks | None = None,
    client: Client | str | int | None = None,
    store: str | os.PathLike[str] | None = None,
    **options: Unpack[SweepOptions],
) -> xr.Dataset:
    """Decode steps over the whole product of what is given.

    In memory; or, with any of `chunks`, `client`, `store` and `reduce`, chunk by chunk: computed when they
    are asked for, or on the workers of a Dask cluster and written by them as they come. Memory does not grow
    with the grid, and a run that was killed goes on from the chunks that are whole when it is called again
    (docs/scale.md).

    Parameters
    ----------
    devices, models : sequence of str or record
        Names, files as `tokenroof.device` and `tokenroof.model` take them, or your own records; one
        alone is a sequence of one.
    plans : sequence of Plan, optional
        By default one device in the types that the models were released in: one plan, or one for each kind
        of types where models differ.
    batch, context : array_like, 1-d
        Sequences in flight, cached tokens of each [1]; each once, as devices, models and plans.
    fidelity : {"calibrated", "datasheet"} or Calibration
        Constants of each device's generation, or upper bounds on speed at the
        printed clocks, or your own.
    fields : bool
        Whether to add all of ``kernels.STEP_FIELDS``.
    invalid : {"nan", "raise"}
        What becomes of combinations that cannot be: a plan that does not divide the model or that the
        device cannot run, a model whose shapes are unpublished, weights and caches that do not fit.
        "nan": times and rates are NaN, and ``reason`` says why; "raise": the first is an error.
    chunks : int, mapping or tuple, optional
        Points of a chunk, which keeps the last dimensions whole; or points along dimensions, by name or in
        order. By default 2^20 points; for a reduction 2^18, of as many plans and batches as it searches [1].
    client : int, str or distributed.Client, optional
        So many worker processes of this machine, the address of a Dask scheduler, or a client of one; this
        process by default. Without `store` and `reduce` nothing is computed yet, and Dask decides: there a
        number or an address is refused.
    store : path, optional
        A folder that all workers see: ``.zarr`` for an array a variable, ``.parquet`` for a file a chunk
        with a row a point.
    reduce : {"best_plan", "frontier", "quantiles"} or a reduction of `tokenroof.scale`, optional
        What is wanted in place of all points, worked out where the chunks are: the plan and batch of most
        tokens per device, or the frontier over plans and batches, both for each device, model and context;
        quantiles for each device and model. A `store` of Parquet keeps what each chunk gave.
    progress : callable, optional
        Called with points done and points in all, every 100 ms and at the end, while chunks are computed.

    Returns
    -------
    xarray.Dataset
        Over ``device, model, plan, batch, context``, with units in ``attrs``. ``reason`` is text: empty
        where there are numbers. Where it is not, times and rates are NaN and ``fits`` is false;
        ``memory_bytes`` stays wherever the plan divides the model. In chunks, of Dask arrays that compute or
        read when they are asked to; of a reduction, what it hands out.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a load out of range; with ``invalid="raise"`` for a combination that cannot
        be; for a store that holds something else.
    OSError
        For a store that cannot be written; what is kept stays.
    KeyboardInterrupt
        At Ctrl-C, after the call of a kernel that runs in this thread, if any; what is kept stays.
    ImportError
        Without xarray: the extra ``analysis``; without Dask, Zarr or PyArrow: ``cluster``.

    Examples
    --------
    >>> table = sweep(["H100-SXM", "H200-SXM"], "Llama-3.1-8B", batch=[1, 64])
    >>> dict(table.time_s.sizes)
    {'device': 2, 'model': 1, 'plan': 1, 'batch': 2, 'context': 1}
    >>> sweep("T4", "Llama-3.1-70B", batch=1).reason.item()
    'weights need 141 GB per device; allowed: what vllm uses of the 16.0 GB of T4'
    """
    check_options("sweep", options, SweepOptions)
    require("xarray", extra="analysis")
    if not among(invalid, _INVALID):
        raise ValueError(f"invalid is {shown(invalid)}; allowed: {', '.join(map(repr, _INVALID))}")
    ds = [as_device(d) for d in not_empty("devices", listed("devices", devices, Device))]
    ms = [_as_model(m) for m in not_empty("models", listed("models", models, Model))]
    if plans is None:
        known = [m for m in ms if isinstance(m, Model)]
        ps = list(dict.fromkeys(plan_as_released(m) for m in known)) or [Plan()]
    else:
        ps = _plans(not_empty("plans", listed("plans", plans, Plan)))
    _once("devices", ds, lambda device: device.name)
    _once("models", ms, lambda model: model.name if isinstance(model, Model) else model[0])
    _once("plans", ps, lambda plan: plan.label())
    b, x = _axis("batch", batch), _axis("context", context)
    flag("fields", fields)
    work = combinations((ds, ms, ps), (b, x), fidelity, fields, invalid == "raise")
    reduction, progress = _reduction(options.get("reduce")), options.get("progress")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {shown(progress)}; allowed: a function or None")
    check_client(client)
    if isinstance(client, (str, int)) and store is None and reduction is None:
        raise ValueError(
            f"client is {shown(client)} without a store or reduce, where nothing is computed yet; allowed: "
            "with one of them, or a distributed.Client, which Dask computes by where it is the default"
        )
    if all(given is None for given in (chunks, client, store, reduction)):
        return _whole(work)
    over = None if reduction is None else getattr(reduction, "over", ())
    work = replace(work, grid=chunked(work.grid.dims, work.grid.shape, chunks, over))
    if reduction is not None:
        table = reduced(work, reduction, store=store, client=client, progress=progress)
        return aside(reduction.finish, work, table)  # type: ignore[no-any-return]
    if store is None:
        return _labelled(work, computed(work))
    return _labelled(work, stored(keep(work, store=store, client=client, progress=progress)))


def _reduction(given: object) -> Reduction | None:
    """The reduction that a name stands for, or one of the caller's own."""
    if given is None or (hasattr(given, "merge") and hasattr(given, "finish")):
        return given  # type: ignore[return-value]
    if isinstance(given, str) and given in REDUCTIONS:
        return REDUCTIONS[given]
    names = ", ".join(map(repr, REDUCTIONS))
    raise ValueError(f"reduce is {shown(given)}; allowed: {names}, or one of tokenroof.scale")


def _whole(work: Combinations) -> xr.Dataset:
    """All of it in memory."""
    block = tuple(slice(0, n) for n in work.grid.shape)
    try:
        refused = work.refused(block)
        data = work.numbers(block, refused)
    except MemoryError as error:
        many = math.prod(work.grid.shape)
        raise MemoryError(
            f"{many:,} points do not fit the memory ({error}); allowed: chunks=, store= or reduce=, which go "
            "chunk by chunk"
        ) from None
    state = data.pop("state")
    if work.must:
        work.raise_first(block, state, refused)
    data["reason"] = work.texts(block, state, refused)
    return dataset(work, data, {"reason": _REASON})


def _labelled(work: Combinations, arrays: dict[str, Any]) -> xr.Dataset:
    """All of it in chunks that are not there yet."""
    state = arrays.pop("state")
    name = f"reason-{state.name}"
    arrays["reason"] = blocks(work.grid, np.dtype(object), name, work.texts, state)
    return dataset(work, arrays, {"reason": _REASON})


def _as_model(value: object) -> Model | tuple[str, str]:
    """A model, or the name of one without published shapes and what is said of it."""
    try:
        return as_model(value)  # type: ignore[arg-type]
    except ValueError as error:
        if isinstance(value, str) and "no published shapes" in str(error):
            return value, str(error)
        raise


def _plans(given: Iterable[object]) -> list[Plan]:
    plans = list(given)
    for plan in plans:
        if not isinstance(plan, Plan):
            raise TypeError(f"plan is {shown(plan)}; allowed: a Plan")
    return plans  # type: ignore[return-value]


def _axis(name: str, values: ArrayLike) -> NDArray[np.float64]:
    (given,) = loads(**{name: values})
    array = np.atleast_1d(given)
    if array.ndim > 1:
        raise ValueError(f"{name} has {counted(array.ndim, 'dimension')}; allowed: one")
    if len(np.unique(not_empty(name, array))) < len(array):
        _once(name, array.tolist(), "{:g}".format)
    return np.asarray(array)


def _once(name: str, values: Sequence[Any], label: Callable[[Any], str]) -> None:
    """Refuse a coordinate that stands twice: by it neither of two could be asked for."""
    for i, value in enumerate(values):
        if (first := values.index(value)) < i:
            raise ValueError(
                f"{name}[{i}] is {label(value)}, as {name}[{first}]; allowed: each once"
            )
