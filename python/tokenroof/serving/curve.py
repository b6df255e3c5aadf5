"""Latency and throughput of one replica against concurrency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof.inference.door import deployment
from tokenroof.serving.closed_loop import attributes, describe, evaluate
from tokenroof.serving.loads import as_concurrency, as_load, as_power
from tokenroof.serving.room import why_not
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.loads import Load

__all__ = ["curve", "table_of"]


def curve(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    input_tokens: float = 1024,
    output_tokens: float = 1024,
    concurrency: ArrayLike = (1, 2, 4, 8, 16, 32, 64, 128, 256),
    fidelity: str | Calibration = "calibrated",
    power: str = "provisioned",
    pue: float = 1.2,
) -> xr.Dataset:
    """Latency and throughput of one replica against concurrency, in closed loop.

    Parameters
    ----------
    device, model : str or record
        Catalogue name, or your own `Device` and `Model`.
    plan : Plan, optional
        Layout and types; one device in bf16 by default.
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    concurrency : array_like, 1-d
        Requests in flight over the replica [1].
    fidelity : {"calibrated", "datasheet"} or Calibration
        Constants of the device's generation, or an upper bound on speed, or your own.
    power : {"provisioned", "board", "chassis", "facility", "dashboard"}
        Which power ``output_tokens_per_s_per_mw`` counts: what the site sets aside per device, all in;
        the boards' by load; their servers' at the wall; that times `pue`; or the InferenceX dashboard's
        constant per device, whatever the load.
    pue : float
        Facility power over IT power [1].

    Returns
    -------
    xarray.Dataset
        Over ``concurrency``, with units in ``attrs``. Requests beyond the cache's memory queue, and
        their wait is part of ``ttft_s``. Where weights and one request's cache do not fit, ``fits`` is
        false, times and rates are NaN, and ``attrs["reason"]``, which is empty otherwise, says what is
        needed (`plan_that_fits` names a plan).

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `tokenroof.decode`.
    ImportError
        Without xarray: the extra ``analysis``.

    Notes
    -----
    ``beyond`` is true where load, model or replica lie outside what the engine's constants were fitted on;
    ``attrs["beyond"]`` says in what, and the band of TTFT is wider there.

    ``watts`` is board power by load. The bands of TPOT and TTFT hold four in five of the serving points
    of combinations of model, device and engine that their constants had not seen.

    References
    ----------
    docs/inference/step-model.md, section 8.

    Examples
    --------
    >>> table = curve("H200-SXM", "Llama-3.1-8B", concurrency=[1, 64])
    >>> bool(table.output_throughput[1] > 10 * table.output_throughput[0])
    True
    """
    on = deployment(device, model, plan, fidelity)
    load, users = as_load(input_tokens, output_tokens), as_concurrency(concurrency)
    return table_of(on, load, users, fidelity, *as_power(power, pue))


def table_of(
    on: Deployment,
    load: Load,
    users: NDArray[np.float64],
    fidelity: str | Calibration,
    power: str,
    pue: float,
) -> xr.Dataset:
    """The table of `curve` for a deployment."""
    xarray = require("xarray", extra="analysis")
    values = evaluate([on], load, users, power, pue)
    table = xarray.Dataset(
        {name: ("concurrency", array[0]) for name, array in values.items()},
        coords={"concurrency": ("concurrency", users, {"units": "1"})},
        attrs={
            **attributes([on], load, users, fidelity, on.calibration.calibrated_on, power),
            "plan": on.plan.label(),
            "reason": "" if values["fits"].any() else why_not([on], load),
        },
    )
    return describe(table)
