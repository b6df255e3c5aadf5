"""One engine step, labelled: how long, bound by what, at which power."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference import memory
from tokenroof.inference.door import deployment
from tokenroof.inference.local_products import shapes
from tokenroof.inference.tile_edges import edges_said
from tokenroof.support.arguments import loads
from tokenroof.support.equality import by_value
from tokenroof.support.kinds import takes_records
from tokenroof.support.labels import unlabelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan

_INDEX = {name: i for i, name in enumerate(_core.STEP_FIELDS)}
CAUSES = ("memory", "compute", "launch", "communication")
GROUPS = (
    "projection", "attention", "linear_attention", "mlp", "experts", "elementwise", "head",
    "collective", "overhead",
)  # fmt: skip


@by_value(
    "device", "model", "plan", "calibration", "kind", "_loads", "_tokens", "_resident", "time_s"
)
class Step:
    """One step over arrays of loads; each quantity is computed when it is first asked for.

    Loads of pandas, xarray or NumPy's masked arrays give quantities in the same form, by label or dimension;
    `fields` alone is a plain array.

    Attributes
    ----------
    time_s : ndarray
        Time of the step [s].
    tokens_per_s : ndarray
        Tokens of the whole replica per second: new tokens out for a decode step, prompt tokens in
        for a prefill step [token/s].
    flops, bytes : ndarray
        Work and memory traffic of the whole replica [FLOP], [B].
    watts : ndarray
        Board power of all its devices [W].
    watts_band : float
        Relative band around it, of the class of kernels that is least sure.
    bound : ndarray of str
        The cause of the most seconds: one of `CAUSES`.
    fits : ndarray of bool
        Whether weights and caches fit the memory that the plan's engine gives them, as in
        `tokenroof.serving.curve`. The text of a step says how many do not, and how many are of more tokens
        than the model's ``context_max``, which steps are given for all the same.
    error_band : float
        Relative band around the time; NaN where unknown.
    calibrated_on : str
        Where the constants come from.
    edges : str
        Of decode steps: batches just beyond a tile of the matrix products that yield fewer tokens a second
        than the full tile before, and how much longer they take; empty where there are none.
    """

    @takes_records
    def __init__(
        self,
        on: Deployment,
        kind: str,
        loads: tuple[NDArray[np.float64], ...],
        tokens: NDArray[np.float64],
        resident: tuple[NDArray[np.float64], NDArray[np.float64]],
        put: Callable[[Any], Any] = np.asarray,
    ) -> None:
        self.device, self.model, self.plan, self.calibration = (
            on.device,
            on.model,
            on.plan,
            on.calibration,
        )
        self.kind = kind
        self._on, self._loads, self._tokens, self._resident = on, loads, tokens, resident
        self._put = put  # into the form of the loads: a Series, a DataArray, a masked array
        device, record, model, plan = on.records
        if on.calibration.products:
            rows = tokens / (on.plan.pp * on.plan.dp)
            record = on.calibration.pack(rows, shapes(on.model))
        self._records = (device, record, model, plan)

    def _kernel(self, suffix: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(kernels, f"{self.kind}_{suffix}")
        return function

    @cached_property
    def _seconds(self) -> NDArray[np.float64]:
        return np.asarray(self._kernel("time")(*self._records, *self._loads))

    @cached_property
    def time_s(self) -> NDArray[np.float64]:
        labelled: NDArray[np.float64] = self._put(self._seconds)
        return labelled

    @cached_property
    def fields(self) -> NDArray[np.float64]:
        """All of ``kernels.STEP_FIELDS`` along the last axis."""
        return np.asarray(self._kernel("step")(*self._records, *self._loads))

    def _field(self, name: str) -> NDArray[np.float64]:
        values: NDArray[np.float64] = self._put(self.fields[..., _INDEX[name]])
        return values

    @property
    def tokens_per_s(self) -> NDArray[np.float64]:
        rate: NDArray[np.float64] = self._put(np.asarray(self._tokens / self._seconds))
        return rate

    @property
    def flops(self) -> NDArray[np.float64]:
        return self._field("flops")

    @property
    def bytes(self) -> NDArray[np.float64]:
        return self._field("bytes")

    @property
    def watts(self) -> NDArray[np.float64]:
        return self._field("watts")

    @property
    def watts_band(self) -> float:
        return self._on.power.band

    @property
    def bound(self) -> NDArray[np.str_]:
        seconds = self.fields[..., [_INDEX[f"{cause}_s"] for cause in CAUSES]]
        names: NDArray[np.str_] = self._put(np.take(np.asarray(CAUSES), seconds.argmax(axis=-1)))
        return names

    @cached_property
    def fits(self) -> NDArray[np.bool_]:
        enough = memory.fits(self._on.records, *self._resident)
        labelled: NDArray[np.bool_] = self._put(np.broadcast_to(enough, self._seconds.shape))
        return labelled

    @property
    def error_band(self) -> float:
        return self.calibration.error_band

    @property
    def calibrated_on(self) -> str:
        return self.calibration.calibrated_on

    @cached_property
    def edges(self) -> str:
        if self.kind != "decode":
            return ""
        return edges_said(self._on, *self._loads)

    def breakdown(self) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Seconds by operator and by cause; each of the two sums to `time_s`."""
        return {
            "operator": {name: self._field(f"{name}_s") for name in GROUPS},
            "cause": {name: self._field(f"{name}_s") for name in CAUSES},
        }

    def __repr__(self) -> str:
        shape = self._seconds.shape
        said = self._short_of_memory(), self._beyond_context()
        return (
            f"<tokenroof.Step {self.kind}: {self.model.name} on {self.device.name}, "
            f"{self.plan.label(self.model)}, shape {shape}{''.join(f', {one}' for one in said if one)}>"
        )

    def _short_of_memory(self) -> str:
        """How much of it cannot run, as its weights and caches do not fit; empty where all can."""
        fit = memory.fits(self._on.records, *self._resident)
        fit = np.broadcast_to(fit, self._seconds.shape)
        if fit.all():
            return ""
        if not fit.any():
            return "does not fit the memory"
        return f"{fit.size - int(fit.sum()):,} of {fit.size:,} do not fit the memory"

    def _beyond_context(self) -> str:
        """How much of it is of more tokens than the model takes; empty where none is known to be."""
        most = self.model.context_max
        beyond = np.broadcast_to(self._resident[1] > (most or np.inf), self._seconds.shape)
        if not beyond.any():
            return ""
        which = "" if beyond.all() else f"{int(beyond.sum()):,} of {beyond.size:,} "
        return f"{which}beyond its context_max of {most:,}"


def decode(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    *,
    batch: ArrayLike = 1.0,
    context: ArrayLike = 1024.0,
    fidelity: str | Calibration = "calibrated",
) -> Step:
    """One decode step: each sequence of the batch gets its next token.

    Parameters
    ----------
    device, model : str or record
        Catalogue name, or your own `Device` and `Model`.
    plan : Plan, optional
        Layout and types; by default one device in the types that the model was released in.
    batch : array_like
        Sequences in flight over the whole replica [1].
    context : array_like
        Cached tokens per sequence, the new one included [1]. Broadcasts against `batch`.
    fidelity : {"calibrated", "datasheet"} or Calibration
        Constants of the device's generation, or an upper bound on speed at the
        printed clocks, or your own.

    Returns
    -------
    Step

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError, TypeError
        For a load that is negative, not finite or beyond 2**53, loads whose shapes do not broadcast, or a
        plan that does not divide the model.

    References
    ----------
    docs/inference/step-model.md

    Examples
    --------
    >>> step = decode("H200-SXM", "Llama-3.1-8B", batch=[1, 64], context=4096)
    >>> step.time_s.shape, step.bound[0].item()
    ((2,), 'memory')
    """
    on = deployment(device, model, plan, fidelity)
    given, put = unlabelled(batch=batch, context=context)
    b, x = loads(**given)
    return Step(on, "decode", (b, x), b, (b, x), put)


def prefill(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    *,
    tokens: ArrayLike = 1024.0,
    past: ArrayLike = 0.0,
    batch: ArrayLike = 1.0,
    fidelity: str | Calibration = "calibrated",
) -> Step:
    """Prefill of `batch` equal prompts in one step.

    Parameters
    ----------
    device, model, plan, fidelity
        As in `decode`.
    tokens : array_like
        New tokens of each prompt [1].
    past : array_like
        Tokens of each prompt that are cached already [1].
    batch : array_like
        Prompts [1].

    Returns
    -------
    Step

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `decode`.

    References
    ----------
    docs/inference/step-model.md

    Examples
    --------
    >>> prefill("H200-SXM", "Llama-3.1-8B", tokens=8192).bound.item()
    'compute'
    """
    on = deployment(device, model, plan, fidelity)
    given, put = unlabelled(batch=batch, tokens=tokens, past=past)
    n, t, s = loads(**given)
    return Step(on, "prompts", (n, t, s), n * t, (n, t + s), put)


def mixed(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    *,
    batch: ArrayLike = 1.0,
    context: ArrayLike = 1024.0,
    tokens: ArrayLike = 0.0,
    past: ArrayLike = 0.0,
    fidelity: str | Calibration = "calibrated",
) -> Step:
    """One engine step that carries a decode batch and a chunk of one prompt.

    Parameters
    ----------
    device, model, plan, batch, context, fidelity
        As in `decode`.
    tokens, past : array_like
        New and cached tokens of the prompt [1].

    Returns
    -------
    Step

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `decode`.

    Examples
    --------
    >>> both = mixed("H200-SXM", "Llama-3.1-8B", batch=8, context=1024, tokens=512)
    >>> bool(both.time_s > decode("H200-SXM", "Llama-3.1-8B", batch=8, context=1024).time_s)
    True
    """
    on = deployment(device, model, plan, fidelity)
    given, put = unlabelled(batch=batch, context=context, tokens=tokens, past=past)
    b, x, t, s = loads(**given)
    return Step(on, "mixed", (b, x, t, s), b + t, (b + (t > 0), np.maximum(x, t + s)), put)
