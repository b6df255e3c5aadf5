"""What operators have in common: arrays of fields, constants by fidelity, checked sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference.calibration import estimate, resolve_operator
from tokenroof.inference.constants import FAR_BAND
from tokenroof.inference.device_power import watts_band
from tokenroof.inference.likeness import OPERATORS
from tokenroof.inference.power import activity, operator_power
from tokenroof.records.calibration import CLASSES, Calibration
from tokenroof.records.device import link_domain, unit_peak
from tokenroof.records.plan import ENGINES
from tokenroof.support.arguments import amounts, check_shapes, shown
from tokenroof.support.equality import by_value
from tokenroof.support.names import among

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.device import Device

_INDEX = {name: i for i, name in enumerate(_core.OPERATOR_FIELDS)}
_COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")
# What multiplies no matrices.
_MOVES = (
    "send", "norm", "rotary", "activation", "quantise", "sampling", "elementwise", "compressor",
    "attention_residual",
)  # fmt: skip
_CAUSES = ("memory", "compute", "launch", "communication")
# Where a kernel's argument has another name than the function's.
_CALLED = {
    "activation_operator": {"width": "intermediate"}, "quantise_operator": {"width": "hidden"},
    **{
        f"{mixer}_{phase}_operator": {"taps": "conv"}
        for mixer in ("gated_delta", "mamba2") for phase in ("decode", "prefill")
    },
}  # fmt: skip


@by_value
@dataclass(frozen=True)
class Operator:
    """Seconds, work and traffic of an operator on one device, over arrays of shapes."""

    fields: NDArray[np.float64]
    device: Device
    calibration: Calibration
    operator: str = ""
    dtype: str = "bf16"
    arguments: tuple[Any, ...] = ()

    def _field(self, name: str) -> NDArray[np.float64]:
        return np.asarray(self.fields[..., _INDEX[name]])

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Time [s]."""
        return self._field("time")

    @property
    def flops(self) -> NDArray[np.float64]:
        """Work [FLOP]."""
        return self._field("flops")

    @property
    def bytes(self) -> NDArray[np.float64]:
        """Memory traffic, or traffic over the link for a collective [B]."""
        return self._field("bytes")

    @property
    def bound(self) -> NDArray[np.str_]:
        """The cause of the most seconds: memory, compute, launch or communication."""
        seconds = np.stack([self._field(f"{cause}_s") for cause in _CAUSES], axis=-1)
        names: NDArray[np.str_] = np.take(np.asarray(_CAUSES), seconds.argmax(axis=-1))
        return names

    @property
    def watts(self) -> NDArray[np.float64]:
        """Board power while it runs [W]."""
        return operator_power(self)

    @property
    def watts_band(self) -> float:
        """Relative band around the watts."""
        active = activity(self.operator, self.arguments)
        return watts_band(self.device, active[0] if active else None)

    @property
    def error_band(self) -> NDArray[np.float64]:
        """Relative band around the time; NaN where unknown. Between nodes nothing was measured."""
        band = np.full(self.time_s.shape, self.calibration.error_band)
        if self.operator not in _COLLECTIVES:
            return band
        spans = np.broadcast_to(self.arguments[0] > link_domain(self.device), band.shape)
        return np.where(spans, np.maximum(band, FAR_BAND), band)

    @property
    def calibrated_on(self) -> str:
        """Where the constants come from."""
        return self.calibration.calibrated_on


def run(
    kernel: str,
    device: Device,
    *arguments: Any,
    operator: str,
    dtype: str,
    engine: str,
    fidelity: str | Calibration,
    also: tuple[str, str] | None = None,
    like: str | None = None,
) -> Operator:
    """Run a kernel. `like`: the measured operator whose constants an unmeasured one borrows."""
    if not among(engine, (*ENGINES, "nccl")):
        raise ValueError(f"engine is {shown(engine)}; allowed: {', '.join((*ENGINES, 'nccl'))}")
    _check_shapes(kernel, arguments)
    if operator not in _COLLECTIVES and operator not in _MOVES:
        for kind in dtype.split("/"):  # of attention: maths, then cache
            unit_peak(device, kind)
    c = resolve_operator(fidelity, device, engine, like or operator, dtype, also)
    own = fidelity if isinstance(fidelity, Calibration) else None
    on_the_device = fidelity == "calibrated" if own is None else not own.stands_alone
    if on_the_device and operator not in OPERATORS:
        # what is not measured waits for its launch as an engine's kernels do
        engines = estimate(device, engine).constants.get("engine", {})
        c = c.replace(
            t0={
                **dict.fromkeys(CLASSES, engines.get("kernel_gap", 0.0)),
                **(own.t0 if own else {}),
            },
            error_band=float(np.fmax(c.error_band, FAR_BAND)),
            calibrated_on=f"{c.calibrated_on}; nothing of {operator} itself was measured",
        )
    record = c.pack()
    if kernel == "gemm_operator":  # rows, columns, inner size: a measured device tells shapes apart
        record = c.pack(arguments[0], [(1.0, *arguments[1:3])])
    fields = getattr(kernels, kernel)(device.pack(), record, *arguments)
    return Operator(np.asarray(fields), device, c, operator, dtype, arguments)


def _check_shapes(kernel: str, arguments: tuple[Any, ...]) -> None:
    """Reject arrays that do not broadcast, by the names that the function has for them."""
    arrays = [np.asarray(x) for x in arguments]
    if sum(x.ndim > 0 for x in arrays) < 2:
        return
    from inspect import signature

    called = _CALLED.get(kernel, {})
    names = list(signature(getattr(kernels, kernel)).parameters)[2 : 2 + len(arrays)]
    check_shapes(**{called.get(n, n): x for n, x in zip(names, arrays, strict=True)})


def sizes(**values: ArrayLike) -> list[NDArray[np.float64]]:
    """Numbers of zero and more."""
    return [amounts(name, value) for name, value in values.items()]


def counts(**values: ArrayLike) -> list[NDArray[np.float64]]:
    """Numbers above zero."""
    return [amounts(name, value, positive=True) for name, value in values.items()]
