"""Constants that turn datasheet rooflines into predictions.

A calibration record says, per class of operator, which share of the datasheet's peak and bandwidth is
reached and what a launch costs. The all-ideal record (`Calibration.ideal`) gives upper bounds on speed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _constants, _core, dtypes
from tokenroof._inputs import link_domain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tokenroof.device import Device
    from tokenroof.plan import Plan

_NOTHING = "nothing: datasheet values"
CLASSES = ("gemm", "attention_prefill", "attention_decode", "experts", "elementwise", "collective")
FIDELITIES = ("datasheet", "calibrated")
#: Constants of an engine that adds nothing (cpp/include/tokenroof/serving.hpp): no gaps, no host, all memory.
NO_ENGINE = {
    "kernel_gap": 0.0, "collective_gap": 0.0, "sequence": 0.0, "elementwise": 1.0,
    "prefill_kernel": 0.0, "prompt": 1.0, "request": 0.0, "burst": 0.0,
    "memory_share": 1.0, "memory_weights": 1.0, "memory_reserved": 0.0, "skew": 0.0,
}  # fmt: skip


#: Of these, those that the host takes (`host_speed`).
HOST_CONSTANTS = ("kernel_gap", "collective_gap", "sequence", "prefill_kernel")


def host_speed(device: Device) -> float:
    """Time that the host of a device takes for its share of a step, over that of Hopper's hosts.

    Examples
    --------
    >>> import tokenroof as tr
    >>> host_speed(tr.device("H100-SXM")), host_speed(tr.device("B200-SXM"))
    (1.0, 0.8)
    """
    family = device.family.lower()
    return 0.8 if "blackwell" in family or "rubin" in family else 1.0


# Devices that are no GPUs: shares of peak and bandwidth in products, of peak in prefill attention, of
# bandwidth in decode attention, of both in experts; seconds per kernel; band. None of it was measured.
_OTHER_KINDS: dict[str, tuple[float, ...]] = {
    "cpu": (0.5, 0.7, 0.3, 0.5, 0.35, 5e-6, 0.8),
    "tpu": (0.6, 0.75, 0.4, 0.6, 0.45, 1.5e-6, 0.8),
    "npu": (0.5, 0.7, 0.3, 0.5, 0.4, 3e-6, 0.8),
    "rdu": (0.5, 0.7, 0.3, 0.5, 0.4, 1.5e-6, 0.8),
    "lpu": (), "wafer": (),
}  # fmt: skip


@dataclass(frozen=True)
class Calibration:
    """Reached shares of datasheet values, and overheads.

    Parameters
    ----------
    name : str
        What the constants are of.
    t0 : dict
        Constant per launch by operator class (`CLASSES`) [s]; 0 where absent.
    compute, memory : dict
        Reached share of peak and of bandwidth by operator class; 1 where absent.
    launch_s, step_s, sequence_s : float
        Cost per kernel, per step and per sequence [s].
    idle_fraction : float
        Idle power over the limit, where a device has no idle power of its own.
    compute_watts, memory_watts : float
        Share of the power between idle and limit at full use of tensor units and of memory.
    calibrated_on : str
        Where the constants come from.
    error_band : float
        Relative band around a time that four in five measurements fall in; NaN where unknown.
    ttft_band : float
        The same around times to the first token under load.
    constants : dict of dict
        Constants of the measured operator forms by block (``_core.CALIBRATION_BLOCKS``). With any, the
        operators of these blocks use their measured forms instead of the shares above.
    products : tuple of (float, float, float, float)
        Rows, columns and inner size of matrix products, and the share of the peak that each reached.
        Where given, shares between them stand in for ``compute["gemm"]`` at each load.

    Examples
    --------
    >>> Calibration.ideal().pack().shape == (len(_core.CALIBRATION_FIELDS),)
    True
    """

    name: str = "custom"
    t0: dict[str, float] = field(default_factory=dict)
    compute: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    launch_s: float = 0.0
    step_s: float = 0.0
    sequence_s: float = 0.0
    idle_fraction: float = 0.1
    compute_watts: float = 1.0
    memory_watts: float = 1.0
    calibrated_on: str = _NOTHING
    error_band: float = float("nan")
    ttft_band: float = float("nan")
    constants: dict[str, dict[str, float]] = field(default_factory=dict)
    products: tuple[tuple[float, float, float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.constants and self.calibrated_on == _NOTHING:
            object.__setattr__(self, "calibrated_on", "constants of the caller's own")
        if not all(len(p) == 4 and np.isfinite(p).all() and min(p) > 0.0 for p in self.products):
            raise ValueError(
                f"products is {self.products!r}; allowed: four numbers > 0 each, rows, columns, inner, share"
            )
        for block, values in self.constants.items():
            allowed = _core.CALIBRATION_BLOCKS.get(block)
            if allowed is None:
                known = ", ".join(_core.CALIBRATION_BLOCKS)
                raise ValueError(f"constants has the key {block!r}; allowed: {known}")
            for key, value in values.items():
                if key not in allowed:
                    raise ValueError(
                        f"constants[{block!r}] has the key {key!r}; allowed: {', '.join(allowed)}"
                    )
                if not (np.isfinite(value) and value >= 0.0):
                    raise ValueError(
                        f"constants[{block!r}][{key!r}] is {value!r}; allowed: a number >= 0"
                    )
        for group, low in (("t0", 0.0), ("compute", None), ("memory", None)):
            for key, value in getattr(self, group).items():
                if key not in CLASSES:
                    raise ValueError(f"{group} has the key {key!r}; allowed: {', '.join(CLASSES)}")
                good = np.isfinite(value) and (value >= 0.0 if low == 0.0 else value > 0.0)
                if not good:
                    range_ = ">= 0" if low == 0.0 else "> 0"
                    raise ValueError(f"{group}[{key!r}] is {value!r}; allowed: a number {range_}")
        for name in ("launch_s", "step_s", "sequence_s", "idle_fraction", "compute_watts",
                     "memory_watts"):  # fmt: skip
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0.0):
                raise ValueError(f"{name} is {value!r}; allowed: a number >= 0")

    def pack(
        self,
        rows: NDArray[np.float64] | None = None,
        shapes: Sequence[tuple[Any, Any, Any]] = (),
    ) -> NDArray[np.float64]:
        """The record that kernels take, in the order of ``_core.CALIBRATION_FIELDS``, on the last axis.

        With measured `products`, `rows` of products, and `shapes` (how much of the weights are in
        products of how many columns and what inner size): a record for each count of rows.
        """
        values: dict[str, float] = {}
        for kind in CLASSES:
            values[f"{kind}_t0"] = self.t0.get(kind, 0.0)
            values[f"{kind}_compute"] = self.compute.get(kind, 1.0)
            values[f"{kind}_memory"] = self.memory.get(kind, 1.0)
        measured = set(self.constants) - {"engine", "power"}
        values["form"] = 1.0 if measured else 0.0
        for block, names in _core.CALIBRATION_BLOCKS.items():
            own = self.constants.get(block, {})
            if block == "engine":
                own = {**NO_ENGINE, **own}
            values.update((f"{block}.{name}", own.get(name, np.nan)) for name in names)
        packed = np.array(
            [values[n] if n in values else getattr(self, n) for n in _core.CALIBRATION_FIELDS]
        )
        if rows is None or not self.products:
            return packed
        from tokenroof._local_products import reached

        return reached(self, packed, rows, shapes)

    def replace(self, **changes: Any) -> Calibration:
        """A copy with some fields changed."""
        return replace(self, **changes)

    @classmethod
    def ideal(cls) -> Calibration:
        """Datasheet values, no overhead: an upper bound on speed."""
        return cls(name="datasheet")

    @classmethod
    def estimate(cls, device: Device, engine: str = "vllm") -> Calibration:
        """Shares of a roofline for a device's generation, and what the engine adds to a step.

        Prefill attention reaches 0.45 of the peak on Hopper and 0.34 on Blackwell, GEMM 0.7, experts
        0.5, elementwise kernels 0.6 of the bandwidth. The engine's gaps and overheads, and the shares
        of the bandwidth inside a step, were fitted on serving points (``catalogue/constants/engine.toml``
        says on which, and how far off they were on combinations left out); the host of a Blackwell
        takes 0.8 times as long. Devices that were not fitted borrow these constants: hence a wider band.

        Parameters
        ----------
        device : Device
        engine : {"vllm", "sglang", "trtllm", "ideal"}
            Whose overheads; ``"ideal"`` has none.
        """
        if "cost.product" in device.measured:
            from tokenroof._local_products import calibration

            return calibration(device, engine)
        if device.kind in _OTHER_KINDS:
            return cls._of_kind(device, engine)
        family = device.family.lower()
        blackwell = "blackwell" in family or "rubin" in family
        row: dict[str, Any] = next(
            (r for r in _constants.fits("engine") if r["engine"] == engine), {}
        )
        near = _constants.generation(device) in _constants.generations(row.get("devices", ""))
        memory = {"gemm": 0.8, "attention_decode": 0.8, "experts": 0.7, "collective": 0.6}
        memory |= {
            key.removesuffix("_memory"): value for key, value in row.get("lines", {}).items()
        }
        constants, bands = {}, (float("nan"), float("nan"))
        where = "no serving point: rooflines with shares"
        if row:
            host = host_speed(device)
            constants["engine"] = {
                name: value * host if name in HOST_CONSTANTS else value
                for name, value in row["constants"].items()
            }
            own = device.name in row["devices"].split(", ")
            end = "" if own else "_device"
            bands = math.expm1(row[f"band_tpot{end}"]), math.expm1(row[f"band_ttft{end}"])
            if not near:
                far = _constants.FAR_BAND
                bands = max(bands[0], far), max(bands[1], far)
            where = f"{row['rows']} serving points of {row['devices']} ({engine})"
            if not near:
                where += ", borrowed: no serving point is of this device's generation"
            elif not own:
                where += ", borrowed from its generation"
        return cls(
            name=f"estimate for {device.name}",
            compute={
                "gemm": 0.7,
                "attention_prefill": 0.34 if blackwell else 0.45,
                "attention_decode": 0.5,
                "experts": 0.5,
            },
            memory={"attention_prefill": 0.8, "elementwise": 0.6, **memory},
            compute_watts=1.2,
            memory_watts=0.45,
            constants=constants,
            calibrated_on=where,
            error_band=bands[0] if row else 0.6,
            ttft_band=bands[1],
        )

    @classmethod
    def _of_kind(cls, device: Device, engine: str) -> Calibration:
        """Estimates for a device that is no GPU: nothing of its kind was measured."""
        from tokenroof.estimates import parameter

        if device.kind in ("lpu", "wafer"):
            # nothing is launched; a layer's dependent operations, ten of them, take their time
            share = parameter("efficiency", device).mid
            launch = parameter("layer_s", device).mid / 10.0
            compute = memory = prefill = attention = experts = share
            band, sequence = 1.5, 0.0
        else:
            compute, memory, prefill, attention, experts, launch, band = _OTHER_KINDS[device.kind]
            sequence = 0.0 if engine == "ideal" else 3e-6
        return cls(
            name=f"estimate for {device.name}",
            compute={"gemm": compute, "attention_prefill": prefill, "attention_decode": compute,
                     "experts": experts},
            memory={"gemm": memory, "attention_prefill": memory, "attention_decode": attention,
                    "experts": experts, "elementwise": attention, "collective": 0.6},
            launch_s=0.0 if engine == "ideal" else launch,
            sequence_s=sequence,
            compute_watts=1.2,
            memory_watts=0.45,
            calibrated_on=f"nothing: estimates for a device of kind {device.kind!r}",
            error_band=band,
            ttft_band=band,
        )  # fmt: skip


def resolve(fidelity: str | Calibration, device: Device, plan: Plan | str) -> Calibration:
    """The calibration that a `fidelity` argument names, for the types of a plan (or an engine alone).

    Raises
    ------
    ValueError
        If it is neither a `Calibration` nor one of `FIDELITIES`.
    """
    if isinstance(fidelity, Calibration):
        return fidelity
    if fidelity == "datasheet":
        return _datasheet(plan if isinstance(plan, str) else plan.engine)
    if fidelity == "calibrated":
        if isinstance(plan, str):
            return Calibration.estimate(device, plan)
        return _of_step(device, plan)
    raise ValueError(
        f"fidelity is {fidelity!r}; allowed: {', '.join(map(repr, FIDELITIES))} or a Calibration"
    )


@lru_cache(maxsize=16)
def _datasheet(engine: str) -> Calibration:
    """Datasheet values, and the routing that serving has: it touches fewer experts than even routing."""
    rows = (row for row in _constants.fits("engine") if row["engine"] == engine)
    skew = next((row["constants"].get("skew", 0.0) for row in rows), 0.0)
    return Calibration.ideal().replace(
        constants={"engine": {"skew": skew}},
        calibrated_on=f"{_NOTHING}, experts routed as in serving",
    )


@lru_cache(maxsize=1024)
def _of_step(device: Device, plan: Plan) -> Calibration:
    """Constants of every operator of a step, where there are any; shares of a roofline elsewhere."""
    from tokenroof import power

    base, plan = Calibration.estimate(device, plan.engine), plan.on(device)
    kinds = {
        "gemm": ("gemm", plan.weights), "gemm16": ("gemm", "bf16"),
        "attention_decode": ("attention_decode", plan.kv_cache),
        "attention_prefill": ("attention_prefill", dtypes.attention("bf16", plan.kv_cache)),
        "mla_decode": ("mla_decode", plan.kv_cache), "mla_prefill": ("mla_prefill", plan.kv_cache),
        "experts": ("experts", str(plan.experts)), "all_reduce": ("all_reduce", "all_reduce"),
        "all_gather": ("all_gather", "all_gather"), "all_to_all": ("all_to_all", "all_to_all"),
    }  # fmt: skip
    constants = dict(base.constants)
    for block, (operator, dtype) in kinds.items():
        found = _constants.find(operator, device, plan.engine, dtype)
        if found is not None:
            constants[block] = found.constants
    constants["power"] = power.constants(device).constants
    if plan.devices > link_domain(device):
        wide = _constants.NODE_BAND
        base = base.replace(
            error_band=max(base.error_band, wide), ttft_band=max(base.ttft_band, wide),
            calibrated_on=f"{base.calibrated_on}; between nodes nothing was measured",
        )  # fmt: skip
    return _banded(base.replace(constants=constants), device, plan.weights)


def _banded(found: Calibration, device: Device, dtype: str) -> Calibration:
    """Types that a measured device was not measured in borrow from the one that it was: a wide band."""
    if "cost.product" not in device.measured or dtype == "fp32":
        return found
    return found.replace(
        error_band=_OTHER_KINDS["cpu"][-1],
        calibrated_on=f"{found.calibrated_on}, borrowed for {dtype}",
    )


def resolve_operator(
    fidelity: str | Calibration,
    device: Device,
    engine: str,
    operator: str,
    dtype: str,
    also: tuple[str, str] | None = None,
) -> Calibration:
    """The calibration of one operator alone, with its own band; `also`: another one that it may call.

    Raises
    ------
    ValueError
        As `resolve`.
    """
    base = resolve(fidelity, device, engine)
    if fidelity != "calibrated":
        return base
    found = _constants.find(operator, device, engine, dtype)
    if found is None:  # shares of a roofline: bands of serving say nothing of an operator
        far = base.replace(error_band=float(np.fmax(base.error_band, _constants.FAR_BAND)))
        return _banded(base if "cost.product" in device.measured else far, device, dtype)
    constants = {operator: found.constants}
    other = _constants.find(also[0], device, engine, also[1]) if also else None
    if also and other is not None:
        constants[also[0]] = other.constants
    return base.replace(
        name=f"{operator} on {device.name}", constants=constants,
        error_band=found.band, calibrated_on=found.origin,
    )  # fmt: skip
