"""How a model is laid out over devices, and in which number types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from tokenroof import _core
from tokenroof.records import dtypes
from tokenroof.records.derived import again
from tokenroof.records.device import block_type
from tokenroof.records.shapes import Shapes
from tokenroof.records.weights import plan_types
from tokenroof.support.arguments import finite_number, is_integer, real_numbers, shown
from tokenroof.support.names import among
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from tokenroof.records.device import Device

ENGINES = ("vllm", "sglang", "trtllm", "ideal")
# kinds of modules that may have a type of their own, and those that may stay wide in part
_MODULES = ("attention", "shared_experts", "head")
_WIDE = ("attention", "mlp", "shared_experts")
_DEGREES = ("tp", "pp", "dp", "cp", "moe_tp", "moe_ep")


def _degree(field: str, value: object) -> int:
    if not is_integer(value) or value < 1:
        raise ValueError(f"{field} is {shown(value)}; allowed: a positive integer")
    return int(value)


def _shares(value: Any) -> tuple[tuple[str, float], ...]:
    """Shares by module, in one order, those above zero."""
    try:
        given = dict(value)
    except (TypeError, ValueError):
        raise TypeError(f"wide is {shown(value)}; allowed: shares by module") from None
    found = {}
    for name, share in given.items():
        if name not in _WIDE:
            raise ValueError(f"wide has {shown(name)}; allowed: {', '.join(_WIDE)}")
        number = real_numbers(share)
        if number is None or number.ndim or not 0.0 <= float(number) <= 1.0:
            raise ValueError(
                f"wide[{shown(name)}] is {shown(share)}; allowed: a number from 0 to 1"
            )
        found[name] = float(number)
    return tuple((name, found[name]) for name in _WIDE if found.get(name))


@dataclass(frozen=True)
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
    attention, shared_experts, head : str, optional
        Types of the projections of attention and of recurrent mixers, of shared experts, of the output
        matrix. By default mixers and shared experts are as `weights`, but mixers of mixtures in fewer than
        eight bits in bf16, and the head in 16 bits, as such checkpoints are released.
    wide : mapping of str to float
        Share of the layers in which a module stays in 16 bits, 0 to 1, by module: attention, mlp,
        shared_experts.
    engine : {"vllm", "sglang", "trtllm", "ideal"}
        Whose overhead per step counts, and whose kernels where they were measured apart; ``"ideal"`` has
        no overhead.
    power_cap_w : float, optional
        Power that each board is held to, from the least that its firmware takes up to its limit [W]; by
        default the limit. Steps that would draw more run at a lower clock (docs/inference/power.md).

    Raises
    ------
    ValueError
        Naming the field, its value and what is allowed.

    Examples
    --------
    >>> Plan(tp=8, weights="fp8", kv_cache="fp8").devices
    8
    """

    # fields that were left out and follow others
    _derived: ClassVar[frozenset[str]] = frozenset()

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
    attention: str | None = None
    shared_experts: str | None = None
    head: str | None = None
    wide: Mapping[str, float] | tuple[tuple[str, float], ...] = ()
    power_cap_w: float | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        for field in ("tp", "pp", "dp", "cp"):
            put(self, field, _degree(field, getattr(self, field)))
        group = self.tp * self.dp
        follow = ("moe_tp", "moe_ep", "experts", "activations")
        put(self, "_derived", frozenset(name for name in follow if getattr(self, name) is None))
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
        for field in _MODULES:
            if getattr(self, field) is not None:
                dtypes.code(getattr(self, field), field)
        put(self, "wide", _shares(self.wide))
        if not among(self.engine, ENGINES):
            raise ValueError(f"engine is {shown(self.engine)}; allowed: {', '.join(ENGINES)}")
        if self.power_cap_w is not None:
            put(self, "power_cap_w", finite_number("power_cap_w", self.power_cap_w, above=True))

    @property
    def _shares(self) -> tuple[tuple[str, float], ...]:
        return cast("tuple[tuple[str, float], ...]", self.wide)

    @property
    def devices(self) -> int:
        """Devices of one replica."""
        return self.tp * self.pp * self.dp * self.cp

    def label(self, model: Shapes | None = None) -> str:
        """Short name: the degrees above one, then the types.

        Parameters
        ----------
        model : Shapes, optional
            What is laid out: where it has no experts, nothing is said of theirs.

        Returns
        -------
        str

        Examples
        --------
        >>> Plan(tp=4, dp=2, weights="fp8").label()
        'tp4 dp2 ep2 fp8 kv bf16'
        """
        routed = model is None or model.experts > 0
        degrees = [
            f"{short}{value}"
            for short, value in (
                ("tp", self.tp), ("pp", self.pp), ("dp", self.dp), ("cp", self.cp),
                ("ep", self.moe_ep if routed else 1),
            )
            if value and value > 1
        ]  # fmt: skip
        types = (
            self.weights
            if self.experts == self.weights or not routed
            else f"{self.weights}/{self.experts}"
        )
        short = {"shared_experts": "shared"}
        own = [
            f"{short.get(name, name)} {getattr(self, name)}"
            for name in _MODULES
            if getattr(self, name) is not None
        ]
        own += [f"{short.get(name, name)} {share:.0%} wide" for name, share in self._shares]
        cap = [] if self.power_cap_w is None else [f"at {self.power_cap_w:g} W"]
        return " ".join([*(degrees or ["tp1"]), types, *own, f"kv {self.kv_cache}", *cap])

    def replace(self, **changes: Any) -> Plan:
        """A copy with some fields changed; those that were left out follow them, as in a new plan.

        Examples
        --------
        >>> half = Plan(tp=8, weights="fp8").replace(tp=4, weights="bf16")
        >>> half.moe_tp, half.experts
        (4, 'bf16')
        """
        return replace(self, **again(self, self._derived, changes))

    def on(self, device: Device) -> Plan:
        """The types as engines run them on a device.

        MXFP4 experts meet MXFP8 activations where it has a 4-bit unit, and 16-bit ones elsewhere; where that
        unit is of MXFP4, as makers other than NVIDIA build it, checkpoints that are in it throughout (Quark)
        meet activations in MXFP4. Weights in NVFP4 without such a unit, or in FP8 without an 8-bit one, are
        unpacked to 16 bits on the way to the unit (Marlin), so that only their bytes are fewer.

        Examples
        --------
        >>> import tokenroof as tr
        >>> Plan(experts="mxfp4").on(tr.device("B200-SXM")).experts
        'mxfp4_mxfp8'
        >>> Plan(weights="nvfp4").on(tr.device("H100-SXM")).weights
        'nvfp4_bf16'
        >>> Plan(weights="mxfp4").on(tr.device("Instinct MI355X")).weights
        'mxfp4_mxfp4'
        """
        changes: dict[str, Any] = {}
        own = block_type(device)
        units = [name for name in device.peak if name != "fp4" or own == "nvfp4"]
        for field in ("weights", "experts", "activations", *_MODULES):
            named = getattr(self, field)
            runs = dtypes.weight_only(named, units) if named is not None else None
            if runs == own == "mxfp4" and (field != "experts" or self.weights == own):
                runs = "mxfp4_mxfp4"
            if runs != named:
                changes[field] = runs
        if changes.get("experts", self.experts) == "mxfp4" and device.peak.get(
            "fp4", 0.0
        ) > device.peak.get("fp8", 0.0):
            changes["experts"] = "mxfp4_mxfp8"
        return replace(self, **changes) if changes else self

    def narrow_type(self) -> str:
        """The type of most products: that of the weights, or where these are wide a narrower module's."""
        named = (self.weights, self.attention, self.shared_experts, self.head)
        narrow = (t for t in named if t is not None and dtypes.BYTES[t] < dtypes.BYTES["bf16"])
        return next(narrow, self.weights)

    def attention_type(self, model: Shapes) -> str:
        """The type of this model's attention projections: as named, or as such checkpoints are released.

        Examples
        --------
        >>> import tokenroof as tr
        >>> Plan(weights="nvfp4").attention_type(tr.model("DeepSeek-R1"))
        'bf16'
        """
        if self.attention is not None:
            return self.attention
        narrow = bool(model.experts) and dtypes.BYTES[self.weights] < 1.0
        return "bf16" if narrow else self.weights

    @classmethod
    def from_config(
        cls, config: str | os.PathLike[str] | Mapping[str, Any] | Shapes, **layout: Any
    ) -> Plan:
        """A plan in the types that a checkpoint was released in, by its ``quantization_config``.

        Parameters
        ----------
        config : path, dict or Model
            A ``config.json``; a folder that holds one, and perhaps an ``hf_quant_config.json``; or a
            model that was read from one.
        **layout
            Other fields of the plan, such as ``tp=8``. A type that is named here replaces the file's.

        Raises
        ------
        ValueError, TypeError
            For a method or a scheme that cannot be read, a group that does not divide a matrix, keys that
            contradict each other: names the key, its value and what is allowed.

        Examples
        --------
        >>> import tokenroof as tr
        >>> Plan.from_config(tr.model("DeepSeek-R1"), tp=8).label()
        'tp8 fp8_block kv bf16'
        """
        if isinstance(config, Shapes):
            shapes = config
        else:
            from tokenroof.records.huggingface.config import read_config  # where it is asked for

            values = read_config(config)
            known = {f.name for f in fields(Shapes)}
            shapes = Shapes(**{k: v for k, v in values.items() if k in known})
        types = plan_types(shapes)
        if "weights" in layout:  # the file's modules are no longer beside what they were beside
            types = {k: v for k, v in types.items() if k in ("experts", "kv_cache")}
        plan = cls(**{**types, **layout})
        # what a plan has by itself is not said twice
        usual = plan.replace(attention=None).attention_type(shapes)
        if plan.attention == usual and "attention" not in layout:
            plan = plan.replace(attention=None)
        return plan

    def pack(self) -> NDArray[np.float64]:
        """The record that kernels take, in the order of ``_core.PLAN_FIELDS``.

        A type that is not named is -1, no cap 0.
        """
        shares = {f"{name.removesuffix('_experts')}_wide": share for name, share in self._shares}
        values: dict[str, Any] = {}
        for name in _core.PLAN_FIELDS:
            if name.endswith("_wide"):
                values[name] = shares.get(name, 0.0)
            elif name == "power_cap_w":
                values[name] = self.power_cap_w or 0.0
            elif name in ("weights", "experts", "activations", "kv_cache", *_MODULES):
                named = getattr(self, name)
                values[name] = -1.0 if named is None else dtypes.code(named, name)
            else:
                values[name] = getattr(self, name)
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
                    f"{counted(model.experts, 'expert')}"
                )
            if model.moe_ffn % self.moe_tp:
                raise ValueError(
                    f"moe_tp is {self.moe_tp} {where}; allowed: a divisor of its moe_ffn "
                    f"{model.moe_ffn}"
                )
        if self.pp > model.layers:
            raise ValueError(
                f"pp is {self.pp} {where}; allowed: at most its {counted(model.layers, 'layer')}"
            )
