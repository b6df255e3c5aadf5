"""What of engines is fitted: constants, what is known of them beforehand, and the loss on serving points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.calibrate.points import Points
from tokenroof.inference.calibration import GAP_CONSTANTS, HOST_CONSTANTS, host_speed, is_recent
from tokenroof.inference.engine_kernels import engine_kernels
from tokenroof.records.calibration import Calibration
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIELDS = {name: i for i, name in enumerate(_core.CALIBRATION_FIELDS)}
_SERVED = {name: i for i, name in enumerate(_core.SERVING_FIELDS)}


@dataclass(frozen=True)
class Prior:
    """What is known of a constant before any serving point: its value, and two spreads of its logarithm.

    Attributes
    ----------
    value : float
        In SI units.
    spread : float
        Of what the engines share.
    between : float
        From engine to engine; 0: one value for all.
    """

    value: float
    spread: float
    between: float


#: Constants of ``_core.CALIBRATION_BLOCKS["engine"]`` that are fitted.
ENGINE_PRIORS = {
    "kernel_gap": Prior(6e-6, 0.2, 0.05),
    "collective_gap": Prior(3.5e-6, 0.4, 0.0),
    "sequence": Prior(5e-6, 0.5, 0.1),
    "prefill_kernel": Prior(45e-6, 0.4, 0.3),
    "prompt_kernel": Prior(60e-6, 0.5, 0.4),
    "prompt": Prior(1.15, 0.2, 0.15),
    "beside": Prior(1.1, 0.2, 0.15),
    "request": Prior(10e-3, 1.0, 0.5),
    "burst": Prior(0.03, 0.5, 0.0),
}
#: Shares of the bandwidth that operators without a measured form reach inside a step.
LINE_PRIORS = {
    "gemm_memory": Prior(0.8, 0.1, 0.0),
    "attention_decode_memory": Prior(0.8, 0.15, 0.05),
    "experts_memory": Prior(0.75, 0.1, 0.0),
    "collective_memory": Prior(0.6, 0.2, 0.0),
}
#: What Blackwell's gaps between the kernels of a replayed graph take, over Hopper's.
GAP_PRIORS = {"blackwell": Prior(0.9, 0.2, 0.0)}
# Memory that engines leave to the cache, of what the label says (its gigabytes are 2^30 bytes, 1.068 times
# as many): vLLM 0.9 of it less weights and 2 GB, the others 0.9 of what weights and 4 GB leave. TensorRT-LLM
# keeps everything of windowed layers unless it is told their windows (resource_manager.py:
# max_attention_window is [max_seq_len] by default).
_OTHERS = {"memory_share": 0.961, "memory_weights": 0.9, "memory_reserved": 3.6e9, "skew": 1.01}
MEMORY = {
    "vllm": {"memory_share": 0.961, "memory_weights": 1.0, "memory_reserved": 2e9, "skew": 1.01,
             "memory_windows": 1.0},
    "trtllm": {**_OTHERS, "memory_windows": 0.0},
    "sglang": {**_OTHERS, "memory_windows": 1.0},
}  # fmt: skip
# While `request` is fitted it counts in full at every point; what fewer requests wait is bounded after.
WHOLE_REQUEST = {"request_alone": 0.0, "request_users": 1.0}
#: A run as benchmarks make it: ten requests for each one in flight, of which the first start together.
BENCHMARK = {"together": 0.1, "max_batch": 0.0, "wait_steps": 0.0, "locked": 0.0, "room": 0.0}
# Errors beyond these (as logarithms) count linearly; times to the first token weigh half.
_SOFT = (0.1, 0.2)
_WEIGHT = (1.0, 0.5)
# Shares of the datasheet stay below this; what company makes of a prompt's kernels above that, as it saves
# nothing.
_MOST = 0.97
_LEAST = 1.0


class Objective:
    """Logarithms of predicted over measured times, against logarithms of constants."""

    def __init__(self, points: Points, base: Callable[[Points], list[Calibration]]) -> None:
        self.points = points
        calibrations = base(points)
        self.devices, self.records, self.models, self.plans = points.packed(calibrations)
        for row, engine, device in zip(self.records, points.engine, points.devices, strict=True):
            known = {**MEMORY[engine], **WHOLE_REQUEST, **engine_kernels(engine, device)}
            for name, value in known.items():
                row[_FIELDS[f"engine.{name}"]] = value
        for name, values in points.settings.items():
            self.records[:, _FIELDS[f"engine.{name}"]] = values
        self.priors = {**LINE_PRIORS, **ENGINE_PRIORS, **GAP_PRIORS}
        self.engines = sorted(set(points.engine))
        self.own = np.searchsorted(self.engines, points.engine)
        self.host = np.array([host_speed(d) for d in points.devices])
        # whose gaps the fitted factor is about
        self.scaled = np.array([is_recent(d) for d in points.devices])
        start: list[float] = []
        spread: list[float] = []
        self.place: dict[str, int] = {}
        for name, prior in self.priors.items():
            self.place[name] = len(start)
            start += [float(np.log(prior.value))]
            spread += [prior.spread]
            if prior.between:
                start += [0.0] * len(self.engines)
                spread += [prior.between] * len(self.engines)
        self.start, self.spread = np.array(start), np.array(spread)
        _, group, size = np.unique(points.combination, return_inverse=True, return_counts=True)
        # a combination of many rows says less per row
        self.weight = np.sqrt((size[group] / size.mean()) ** -0.5)
        self._terms: dict[bytes, NDArray[np.float64]] = {}

    def values(self, name: str, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        """A constant by engine, in the order of `engines`."""
        i, n = self.place[name], len(self.engines)
        own = logs[i + 1 : i + 1 + n] if self.priors[name].between else np.zeros(n)
        out: NDArray[np.float64] = np.exp(logs[i] + own)
        # shares bend below what is possible, smoothly, so that the fit does not stall at a corner
        if name in LINE_PRIORS:
            out = out * (1.0 + (out / _MOST) ** 12) ** (-1.0 / 12)
        if name == "beside":
            out = out * (1.0 + (_LEAST / out) ** 24) ** (1.0 / 24)
        return out

    def predict(self, logs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """TPOT and TTFT [s] of every point."""
        p = self.points
        records = self.records.copy()
        gaps = np.where(self.scaled, self.values("blackwell", logs)[self.own], 1.0)
        scale = dict.fromkeys(HOST_CONSTANTS, self.host) | dict.fromkeys(GAP_CONSTANTS, gaps)
        for name in (*LINE_PRIORS, *ENGINE_PRIORS):
            value = self.values(name, logs)[self.own]
            field = name if name in LINE_PRIORS else f"engine.{name}"
            records[:, _FIELDS[field]] = value * scale.get(name, 1.0)
        lines = [_FIELDS[name] for name in self.priors if name in LINE_PRIORS]
        key = records[:, lines].tobytes()
        if key not in self._terms:
            if len(self._terms) > 16:
                self._terms.clear()
            self._terms[key] = kernels.serving_terms(
                self.devices, records, self.models, self.plans, p.concurrency, p.input_tokens,
                p.output_tokens,
            )  # fmt: skip
        out = kernels.serving_of_terms(records, self._terms[key], p.concurrency, p.output_tokens)
        return out[..., _SERVED["tpot"]], out[..., _SERVED["ttft"]]

    def fit(
        self, chosen: NDArray[np.bool_], start: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Least squares with a soft L1 loss, and the priors."""
        optimize = require("scipy.optimize", extra="analysis")
        measured = self.points.tpot_s[chosen], self.points.ttft_s[chosen]
        weight = self.weight[chosen]

        def residual(logs: NDArray[np.float64]) -> NDArray[np.float64]:
            parts = [(logs - self.start) / self.spread]
            for soft, w, predicted, m in zip(
                _SOFT, _WEIGHT, self.predict(logs), measured, strict=True
            ):
                r = np.log(predicted[chosen] / m) / soft
                parts.append(w * weight * np.sign(r) * np.sqrt(2.0 * (np.sqrt(1.0 + r * r) - 1.0)))
            return np.concatenate(parts)

        found = optimize.least_squares(
            residual, self.start if start is None else start, max_nfev=100, ftol=1e-7, xtol=1e-7
        )
        logs: NDArray[np.float64] = found.x
        return logs

    def left_out(
        self,
        groups: NDArray[Any],
        start: NDArray[np.float64],
        progress: Callable[[str], Any] | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predictions of each group of rows by a fit without it."""
        tpot, ttft = np.empty(len(self.points)), np.empty(len(self.points))
        names = np.unique(groups)
        for i, name in enumerate(names):
            out = groups == name
            predicted = self.predict(self.fit(~out, start))
            tpot[out], ttft[out] = predicted[0][out], predicted[1][out]
            if progress:
                error = np.abs(tpot[out] / self.points.tpot_s[out] - 1.0).mean()
                progress(f"left out {i + 1} of {len(names)}, {name}: mean TPOT error {error:.1%}")
        return tpot, ttft
