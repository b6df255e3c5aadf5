"""Constants that turn datasheet rooflines into predictions.

A calibration record says, per class of operator, which share of the datasheet's peak and bandwidth is
reached and what a launch costs. The all-ideal record (`Calibration.ideal`) gives upper bounds on speed.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core
from tokenroof.records.products import reached
from tokenroof.support.arguments import number, shown
from tokenroof.support.equality import by_value
from tokenroof.support.kinds import as_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["CLASSES", "FIDELITIES", "NOTHING", "NO_ENGINE", "Calibration"]

NOTHING = "nothing: datasheet values"

CLASSES = ("gemm", "attention_prefill", "attention_decode", "experts", "elementwise", "collective")

FIDELITIES = ("datasheet", "calibrated")

#: Constants of an engine that adds nothing (tokenroof/serving/serving.hpp): all memory, no gaps, no host.
NO_ENGINE = {
    "kernel_gap": 0.0, "collective_gap": 0.0, "sequence": 0.0, "elementwise": 1.0,
    "prefill_kernel": 0.0, "prompt": 1.0, "request": 0.0, "burst": 0.0,
    "request_alone": 0.0, "request_users": 1.0,
    "memory_share": 1.0, "memory_weights": 1.0, "memory_reserved": 0.0, "memory_windows": 1.0,
    "skew": 0.0, "together": 0.0, "max_batch": 0.0, "wait_steps": 0.0,
    "prompt_kernel": 0.0, "beside": 1.0, "locked": 0.0, "room": 0.0,
    "fused_norms": 0.0, "folds_narrowed": 0.0, "whole": 0.0,
}  # fmt: skip


_MAPPINGS = ("t0", "compute", "memory", "constants", "fitted", "operator_bands", "operator_notes")


def _is(value: object, *, above: bool = False) -> bool:
    """Whether it is a finite number from 0 on, or above 0."""
    x = value if type(value) is float else number(value)
    return isfinite(x) and (x > 0.0 if above else x >= 0.0)


@by_value
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
        operators of these blocks use their measured forms instead of the shares above. As a `fidelity`, such
        a calibration stands on top of the device's own (`over`), which gives whatever it leaves out.
    products : tuple of (float, float, float, float)
        Rows, columns and inner size of matrix products, and the share of the peak that each reached.
        Where given, shares between them stand in for ``compute["gemm"]`` at each load.
    whole : bool
        Whether it is all there is although it has `constants`: what it leaves out has the defaults above.
    fitted : dict of (least, most)
        Ranges that an engine's constants were fitted on: concurrency, input_tokens, output_tokens, parameters
        of the model, devices of the replica. Results of serving say what lies beyond. Empty: unknown.
    operator_bands, operator_notes : dict
        Bands of the operators' fits by block, which count as `error_band` does for one operator and for a
        step at least; and what `calibrated_on` is to say of them.

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
    calibrated_on: str = NOTHING
    error_band: float = float("nan")
    ttft_band: float = float("nan")
    constants: dict[str, dict[str, float]] = field(default_factory=dict)
    products: tuple[tuple[float, float, float, float], ...] = ()
    whole: bool = False
    fitted: dict[str, tuple[float, float]] = field(default_factory=dict)
    operator_bands: dict[str, float] = field(default_factory=dict)
    operator_notes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _MAPPINGS:
            as_mapping(name, getattr(self, name))
        if self.constants and self.calibrated_on == NOTHING:
            object.__setattr__(self, "calibrated_on", "constants of the caller's own")
        rows = self.products
        listed = isinstance(rows, (tuple, list)) and all(isinstance(p, (tuple, list)) for p in rows)
        if not (listed and all(len(p) == 4 and all(_is(x, above=True) for x in p) for p in rows)):
            raise ValueError(
                f"products is {shown(rows)}; allowed: four numbers > 0 each, rows, columns, inner, share"
            )
        for block, values in self.constants.items():
            allowed = _core.CALIBRATION_BLOCKS.get(block)
            if allowed is None:
                known = ", ".join(_core.CALIBRATION_BLOCKS)
                raise ValueError(f"constants has the key {shown(block)}; allowed: {known}")
            for key, value in values.items():
                if key not in allowed:
                    raise ValueError(
                        f"constants[{shown(block)}] has the key {shown(key)}; allowed: {', '.join(allowed)}"
                    )
                if not _is(value):
                    raise ValueError(
                        f"constants[{shown(block)}][{shown(key)}] is {shown(value)}; allowed: a number >= 0"
                    )
        for group, low in (("t0", 0.0), ("compute", None), ("memory", None)):
            for key, value in getattr(self, group).items():
                if key not in CLASSES:
                    raise ValueError(
                        f"{group} has the key {shown(key)}; allowed: {', '.join(CLASSES)}"
                    )
                if not _is(value, above=low is None):
                    range_ = ">= 0" if low == 0.0 else "> 0"
                    raise ValueError(
                        f"{group}[{shown(key)}] is {shown(value)}; allowed: a number {range_}"
                    )
        for block, band in self.operator_bands.items():
            if block not in _core.CALIBRATION_BLOCKS or not _is(band):
                raise ValueError(
                    f"operator_bands[{shown(block)}] is {shown(band)}; allowed: a number >= 0 of "
                    f"{', '.join(_core.CALIBRATION_BLOCKS)}"
                )
        for name in ("launch_s", "step_s", "sequence_s", "idle_fraction", "compute_watts",
                     "memory_watts"):  # fmt: skip
            value = getattr(self, name)
            if not _is(value):
                raise ValueError(f"{name} is {shown(value)}; allowed: a number >= 0")
        for name in ("error_band", "ttft_band"):
            value = getattr(self, name)
            if not (_is(value) or (isinstance(value, float) and np.isnan(value))):
                raise ValueError(f"{name} is {shown(value)}; allowed: a number >= 0, or NaN")
        if not isinstance(self.whole, bool):
            raise TypeError(f"whole is {shown(self.whole)}; allowed: True or False")

    @cached_property
    def packed(self) -> NDArray[np.float64]:
        """The record that kernels take, in the order of ``_core.CALIBRATION_FIELDS``; read-only."""
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
            elif block == "experts" and own:
                own = {"parted": 0.0, "cached": 1.0, "resident": 1.0, **own}
            values.update((f"{block}.{name}", own.get(name, np.nan)) for name in names)
        record = np.array(
            [values[n] if n in values else getattr(self, n) for n in _core.CALIBRATION_FIELDS]
        )
        record.flags.writeable = False
        return record

    def pack(
        self,
        rows: NDArray[np.float64] | None = None,
        shapes: Sequence[tuple[Any, Any, Any]] = (),
    ) -> NDArray[np.float64]:
        """A copy of `packed`, on the last axis.

        With measured `products`, `rows` of products, and `shapes` (how much of the weights are in
        products of how many columns and what inner size): a record for each count of rows.
        """
        if rows is None or not self.products:
            return self.packed.copy()
        return reached(self.products, self.packed, rows, shapes)

    def replace(self, **changes: Any) -> Calibration:
        """A copy with some fields changed."""
        return replace(self, **changes)

    @property
    def stands_alone(self) -> bool:
        """Whether it leaves nothing to the device's own calibration: `whole`, or shares alone."""
        return self.whole or not self.constants

    def over(self, base: Calibration) -> Calibration:
        """This calibration on top of another: what it gives counts, all else is the other's.

        A band of its own is one of its operators: that of a step is the wider of the two, unless the
        engine's constants are its own as well. Without one, the band is the other's.

        Examples
        --------
        >>> own = Calibration(constants={"engine": {"kernel_gap": 1e-6}}, error_band=0.1)
        >>> both = own.over(Calibration(memory={"gemm": 0.8}, launch_s=2e-6, error_band=0.3))
        >>> both.memory, both.launch_s, both.error_band
        ({'gemm': 0.8}, 2e-06, 0.1)
        """
        plain = {f.name: f.default for f in fields(self) if f.default is not MISSING}
        taken: dict[str, Any] = {
            name: getattr(self, name)
            for name, default in plain.items()
            if name not in ("error_band", "ttft_band") and getattr(self, name) != default
        }
        for name in ("t0", "compute", "memory", "fitted", "operator_bands", "operator_notes"):
            taken[name] = {**getattr(base, name), **getattr(self, name)}
        blocks = {b: {**base.constants.get(b, {}), **own} for b, own in self.constants.items()}
        for name in ("error_band", "ttft_band"):
            own, other = self._widest(name, blocks), getattr(base, name)
            taken[name] = own if "engine" in blocks and own == own else float(np.fmax(own, other))
        said = ", ".join(map(self.said_of, blocks))
        where = f"{said}: {self.calibrated_on}; the rest: {base.calibrated_on}"
        return replace(
            base,
            **{
                **taken,
                "constants": base.constants | blocks,
                "calibrated_on": where,
                "whole": True,
            },
        )

    def _widest(self, name: str, blocks: Iterable[str]) -> float:
        """The wider of a band and those of its operators; NaN where there are none."""
        bands = [self.operator_bands[block] for block in blocks if block in self.operator_bands]
        return float(np.fmax.reduce([getattr(self, name), *bands]))

    def said_of(self, block: str) -> str:
        """An operator's name with what is to be said of it.

        Examples
        --------
        >>> Calibration(operator_notes={"gemm": "by hand"}).said_of("gemm")
        'gemm (by hand)'
        """
        note = self.operator_notes.get(block)
        return f"{block} ({note})" if note else block

    @classmethod
    def ideal(cls) -> Calibration:
        """Datasheet values, no overhead: an upper bound on speed at the printed clocks."""
        return cls(name="datasheet")
