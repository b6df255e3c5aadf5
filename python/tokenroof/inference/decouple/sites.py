"""The sites of layouts over two of them: what a caller gave, records, memory and how sure the times are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference import memory
from tokenroof.inference.estimates import Range
from tokenroof.records.plan import Plan
from tokenroof.support.arguments import count, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment

_SERVING = {name: i for i, name in enumerate(_core.SERVING_FIELDS)}
Site = tuple[Any, ...]


class Gpu:
    """A device, a plan and its records, the idle power of its replica, and how sure its times are."""

    def __init__(self, field: str, on: Deployment) -> None:
        self.field, self.model, self.device, self.plan = field, on.model, on.device, on.plan
        self.records = on.records
        self.idle_w = on.power.idle_w * on.plan.devices
        c = on.calibration
        band = c.error_band if np.isfinite(c.error_band) else 0.0
        end, source = 1.0 + band, f"error band {band:g} of {c.calibrated_on or c.name}"
        self.error = {f"{field}_error": Range(1.0 / end, 1.0, end, "1", source, f"{field}_error")}

    def slots(self, input_tokens: float, output_tokens: float) -> float:
        """Sequences that a replica holds, as `tokenroof.serving.curve` counts them; at least one."""
        served = kernels.serving(*self.records, 1.0, input_tokens, output_tokens)
        found = float(served[..., _SERVING["slots"]])
        if not found >= 1.0:
            weights, one = self.bytes(0.0, 0.0), self.bytes(1.0, input_tokens + output_tokens)
            raise ValueError(
                f"{self.field} is {self.device.name} with the plan {self.plan.label(self.model)}, where "
                f"{self.model.name} has {weights / 1e9:.4g} GB of weights and {(one - weights) / 1e9:.3g} GB "
                f"of cache per request on a device; allowed: what fits its {self.memory / 1e9:.4g} GB beside "
                "the engine's reserve"
            )
        return found

    @property
    def memory(self) -> float:
        return float(self.device.memory_bytes or np.inf)

    def bytes(self, batch: Any, context: Any, without: dict[str, float] | None = None) -> Any:
        """On the fullest device; `without` so many parameters, by field of the model's record."""
        records = (*self.records[:2], self._model(without), self.records[3])
        return memory.needed(records, batch, context)

    def _model(self, without: dict[str, float] | None) -> NDArray[np.float64]:
        model = self.records[2].copy()
        for name, parameters in (without or {}).items():
            model[_core.MODEL_FIELDS.index(name)] -= parameters
        return model

    def check_memory(
        self, batch: Any, context: Any, without: dict[str, float] | None = None
    ) -> None:
        """Reject loads that do not fit the memory, as `tokenroof.decode` counts `fits`."""
        held = self.bytes(batch, context, without)
        records = (*self.records[:2], self._model(without), self.records[3])
        bad = ~memory.fits(records, batch, context)
        if bad.any():
            loads = (batch, context, held)
            b, x, needed = (np.broadcast_to(v, bad.shape)[bad].flat[0] for v in loads)
            weights = self.bytes(0.0, 0.0, without)
            most = float(memory.cache_room(records) + weights)
            raise ValueError(
                f"{self.field} is {self.device.name} with the plan {self.plan.label(self.model)}, which "
                f"needs {needed / 1e9:.4g} GB a device ({weights / 1e9:.4g} GB of it weights) at batch {b:g} "
                f"and context {x:g} of {self.model.name}; allowed: the {most / 1e9:.4g} GB that "
                f"{self.plan.engine} gives weights and caches of its {self.memory / 1e9:.4g} GB"
            )

    def step(self, batch: Any, context: Any) -> NDArray[np.float64]:
        return np.asarray(kernels.decode_step(*self.records, batch, context))

    def watts(self, busy: Any, full: Any) -> Any:
        """Power of the replica that draws `full` for a share of the time, and waits for the rest [W]."""
        return self.idle_w + busy * (full - self.idle_w)


def site_of(field: str, value: Any) -> tuple[Any, Plan | None, int]:
    """(device, plan, replicas) of what a caller gave: a device, or a tuple of the three or fewer."""
    parts = value if isinstance(value, tuple) else (value,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(
            f"{field} is {shown(value)}; allowed: device, (device, plan) or (device, plan, n)"
        )
    device, plan, n = (*parts, None, None)[:3] if len(parts) < 3 else parts
    n = 1 if n is None else count(f"n of {field}", n)
    if plan is not None and not isinstance(plan, Plan):
        raise TypeError(f"{field} has the plan {shown(plan)}; allowed: a Plan or None")
    return device, plan, n


def one_replica(field: str, value: Any) -> tuple[Any, Plan | None]:
    """(device, plan) of what a caller gave, where a site is one replica."""
    device, plan, n = site_of(field, value)
    if n != 1:
        raise ValueError(f"{field} has n = {n}; allowed: 1, one replica")
    return device, plan
