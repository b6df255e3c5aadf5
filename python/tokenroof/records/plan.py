"""How a model is laid out over devices, and in which number types."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core
from tokenroof.records import dtypes
from tokenroof.support.arguments import is_integer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.records.device import Device
    from tokenroof.records.shapes import Shapes

ENGINES = ("vllm", "sglang", "trtllm", "ideal")
_DEGREES = ("tp", "pp", "dp", "cp", "moe_tp", "moe_ep")


def _degree(field: str, value: object) -> int:
    if not is_integer(value) or value < 1:
        raise ValueError(f"{field} is {value!r}; allowed: a positive integer")
    return int(value)


@dataclass(frozen=True, slots=True)
class Plan:
    """Parallel layout and number types of one replica.

    Parameters
    ----------
    tp, pp, dp, cp : int
        Degrees of tensor, pipeline, attention-data and context parallelism. A replica has
        ``tp * pp * dp * cp`` devices.
    moe_tp, moe_ep : int, optional
        Tensor and expert parallelism of the experts, ``moe_tp * moe_ep == tp * dp``. With neither
        given, the experts are laid out as ``moe_ep = dp``, ``moe_tp = tp``.
    weights, experts, activations, kv_cache : str
        Types (``tokenroof.dtypes.NAMES``). `experts` and `activations` default to `weights`.
    engine : {"vllm", "sglang", "trtllm", "ideal"}
        Whose overhead per step counts, and whose kernels where they were measured apart; ``"ideal"`` has
        no overhead.

    Raises
    ------
    ValueError
        Naming the field, its value and what is allowed.

    Examples
    --------
    >>> Plan(tp=8, weights="fp8", kv_cache="fp8").devices
    8
    """

    tp: int = 1
    pp: int = 1
    dp: int = 1
    moe_tp: int | None = None
    moe_ep: int | None = None
    cp: int = 1
    weights: str = "bf16"
    experts: str | None = None
    activations: str | None = None
    kv_cache: str = "bf16"
    engine: str = "vllm"

    def __post_init__(self) -> None:
        put = object.__setattr__
        for field in ("tp", "pp", "dp", "cp"):
            put(self, field, _degree(field, getattr(self, field)))
        group = self.tp * self.dp
        if self.moe_tp is None and self.moe_ep is None:
            put(self, "moe_tp", self.tp)
            put(self, "moe_ep", self.dp)
        for field, other in (("moe_tp", "moe_ep"), ("moe_ep", "moe_tp")):
            if getattr(self, field) is None:
                given = _degree(other, getattr(self, other))
                if group % given:
                    raise ValueError(f"{other} is {given}; allowed: a divisor of tp * dp = {group}")
                put(self, field, group // given)
        put(self, "moe_tp", _degree("moe_tp", self.moe_tp))
        put(self, "moe_ep", _degree("moe_ep", self.moe_ep))
        if self.moe_tp * self.moe_ep != group:  # type: ignore[operator]
            raise ValueError(
                f"moe_tp * moe_ep is {self.moe_tp} * {self.moe_ep}; "
                f"allowed: a product equal to tp * dp = {group}"
            )
        dtypes.code(self.weights, "weights")
        put(self, "experts", self.weights if self.experts is None else self.experts)
        put(self, "activations", self.weights if self.activations is None else self.activations)
        for field in ("experts", "activations", "kv_cache"):
            dtypes.code(getattr(self, field), field)
        if self.engine not in ENGINES:
            raise ValueError(f"engine is {self.engine!r}; allowed: {', '.join(ENGINES)}")

    @property
    def devices(self) -> int:
        """Devices of one replica."""
        return self.tp * self.pp * self.dp * self.cp

    def label(self) -> str:
        """Short name: the degrees above one, then the types.

        Examples
        --------
        >>> Plan(tp=4, dp=2, weights="fp8").label()
        'tp4 dp2 ep2 fp8 kv bf16'
        """
        degrees = [
            f"{short}{value}"
            for short, value in (
                ("tp", self.tp), ("pp", self.pp), ("dp", self.dp), ("cp", self.cp),
                ("ep", self.moe_ep),
            )
            if value and value > 1
        ]  # fmt: skip
        types = self.weights if self.experts == self.weights else f"{self.weights}/{self.experts}"
        return " ".join([*(degrees or ["tp1"]), types, f"kv {self.kv_cache}"])

    def replace(self, **changes: Any) -> Plan:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def on(self, device: Device) -> Plan:
        """The types as engines run them on a device: MXFP4 experts meet MXFP8 activations where it has a
        4-bit unit, and 16-bit ones elsewhere.

        Examples
        --------
        >>> import tokenroof as tr
        >>> Plan(experts="mxfp4").on(tr.device("B200-SXM")).experts
        'mxfp4_mxfp8'
        """
        if self.experts == "mxfp4" and device.peak.get("fp4", 0.0) > device.peak.get("fp8", 0.0):
            return self.replace(experts="mxfp4_mxfp8")
        return self

    def pack(self) -> NDArray[np.float64]:
        """The record that kernels take, in the order of ``_core.PLAN_FIELDS``."""
        values = {
            name: dtypes.code(getattr(self, name), name)
            if name in ("weights", "experts", "activations", "kv_cache")
            else getattr(self, name)
            for name in _core.PLAN_FIELDS
        }
        return np.array([values[name] for name in _core.PLAN_FIELDS], dtype=np.float64)

    def check(self, model: Shapes) -> None:
        """Reject a plan that does not divide this model.

        Raises
        ------
        ValueError
            If ``tp`` does not divide the heads (or neither divides, nor is a multiple of, the KV
            heads), ``moe_ep`` does not divide the experts, or ``pp`` exceeds the layers.
        """
        where = f"for {model.name}"
        for field, count in (
            ("heads", model.heads),
            ("linear_value_heads", model.linear_value_heads),
            ("mamba_heads", model.mamba_heads),
        ):
            if count and count % self.tp:
                raise ValueError(
                    f"tp is {self.tp} {where}; allowed: a divisor of its {count} {field}"
                )
        kv = model.kv_heads
        if kv and not model.kv_lora_rank and kv % self.tp and self.tp % kv:
            raise ValueError(
                f"tp is {self.tp} {where}; allowed: a divisor or a multiple of its {kv} kv_heads"
            )
        assert self.moe_ep is not None
        assert self.moe_tp is not None
        if model.experts:
            if model.experts % self.moe_ep:
                raise ValueError(
                    f"moe_ep is {self.moe_ep} {where}; allowed: a divisor of its "
                    f"{model.experts} experts"
                )
            if model.moe_ffn % self.moe_tp:
                raise ValueError(
                    f"moe_tp is {self.moe_tp} {where}; allowed: a divisor of its moe_ffn "
                    f"{model.moe_ffn}"
                )
        if self.pp > model.layers:
            raise ValueError(f"pp is {self.pp} {where}; allowed: at most its {model.layers} layers")
