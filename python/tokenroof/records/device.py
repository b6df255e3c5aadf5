"""Devices that run models: what the makers print, as frozen records of SI floats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tokenroof.records.fields import dated, names, number, powers_agree, whole
from tokenroof.records.provenance import Provenance
from tokenroof.support.arguments import shown
from tokenroof.support.kinds import takes_records
from tokenroof.support.names import among, near_matches, normalise

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "DEVICE_KINDS", "PEAK_TYPES", "Device", "Link", "Provenance", "block_type", "link_domain",
    "pcie_bandwidth", "unit_peak",
]  # fmt: skip

PEAK_TYPES = ("fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8", "fp4")

# Types of weights, and whose unit multiplies them.
_UNITS = {
    "int4": "bf16", "mxfp4": "bf16", "fp8_block": "fp8", "mxfp4_mxfp8": "fp8", "nvfp4": "fp4",
    "int4_32": "bf16", "int4_64": "bf16", "fp8_bf16": "bf16", "int8_bf16": "bf16",
    "nvfp4_bf16": "bf16", "mxfp8": "fp8", "mxfp4_mxfp4": "fp4",
}  # fmt: skip
# A type without a unit of its own runs on the fastest of the next wider ones. Of a processor these end with
# fp32: it computes in that what it has no instructions for. Other devices have units for 16 bits that are
# faster by far, and where nobody prints their rate, fp32's would be no bound.
_WIDER: dict[str, tuple[tuple[str, ...], ...]] = {
    "fp32": (),
    "tf32": (("fp32",),),
    "bf16": (("fp16",), ("tf32",)),
    "fp16": (("bf16",), ("tf32",)),
    "fp8": (("bf16", "fp16"), ("tf32",)),
    "int8": (("bf16", "fp16"), ("tf32",)),
    "fp4": (("fp8",), ("bf16", "fp16"), ("tf32",)),
}

_POSITIVE = (
    "memory_bytes", "memory_bandwidth", "sram_bytes", "l2_bytes", "boost_clock_hz",
    "int32_ops_per_clock_per_sm", "link_bandwidth", "node_link_bandwidth", "tdp_w", "system_power_w",
    "provisioned_power_w",
)  # fmt: skip
#: What it may be; `cpu` and `apu` are hosts themselves, `wafer` and `lpu` hold their weights on the chip.
DEVICE_KINDS = ("gpu", "tpu", "npu", "lpu", "apu", "wafer", "rdu", "cpu")
_POWERS = (
    "idle_w",
    "tdp_w",
    "system_power_w",
    "provisioned_power_w",
)  # each has those ahead of it in it
_NOT_NEGATIVE = ("idle_w", "price_usd")
_WHOLE = ("sm_count", "link_domain_size", "link_generation", "pcie_generation")
_HOST_DOMAIN = 8  # cards of one server that share its PCIe, where nothing says otherwise
# One way over an x16 slot by generation [B/s], as the catalogue's links.toml has them with their sources.
_PCIE_X16 = {3: 1.5754e10, 4: 3.1508e10, 5: 6.3015e10, 6: 1.21e11}


def pcie_bandwidth(generation: int | None) -> float | None:
    """One way over an x16 slot of a generation [B/s]; None where it is not known.

    Examples
    --------
    >>> pcie_bandwidth(5)
    63015000000.0
    """
    return None if generation is None else _PCIE_X16.get(generation)


@dataclass(frozen=True, slots=True)
class Link:
    """The link over which devices of one domain exchange data.

    Attributes
    ----------
    name : str
        "NVLink 5", "PCIe 4 x16" ...
    bandwidth : float
        One way, per device [B/s].
    domain_size : int
        Devices that reach each other over it.
    scale_up : bool
        True for a link made for it, False for the host's PCIe slots.
    """

    name: str
    bandwidth: float
    domain_size: int
    scale_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One accelerator or processor; SI units, dense peaks, links one way.

    Only `name`, `memory_bandwidth` and `peak` are required; None means unknown.

    Attributes
    ----------
    name : str
        Name, as in the catalogue or as you like it.
    memory_bandwidth : float
        Bandwidth of the memory that holds the weights [B/s].
    peak : dict of str to float
        Dense peak by type: fp64, fp32, tf32, bf16, fp16, fp8, int8, fp4 [FLOP/s].
    aliases : tuple of str
        Further names.
    vendor, family, kind, release, process, memory_type, link_name, notes : str
        Facts in words. `kind`: gpu, tpu, npu, lpu, apu, wafer, rdu, cpu. `release`: a date such as 2026,
        2026-03, 2026-03-16, 2026-Q3 or 2026-H2. With a `memory_type`
        such as "GDDR6, inline ECC" the memory holds the codes of its errors: they take a tenth of the
        bandwidth that a board without reaches (`catalogue/decodes.toml`).
    memory_bytes, sram_bytes, l2_bytes : float or None
        Capacities [B].
    sm_count : int or None
        Multiprocessors, compute units or cores.
    boost_clock_hz : float or None
        Clock [Hz].
    int32_ops_per_clock_per_sm : float or None
        Integer lanes per multiprocessor.
    link_generation : int or None
        Generation of the scale-up link.
    link_bandwidth, node_link_bandwidth : float or None
        Scale-up and scale-out bandwidth per device, one way [B/s].
    link_domain_size : int or None
        Devices in one scale-up domain.
    pcie_generation : int or None
        Generation of the x16 slot.
    tdp_w, idle_w : float or None
        Board power: limit and idle [W]; idle at most the limit, and each of the powers below at least that.
    system_power_w : float or None
        Chassis or rack power per device, at the wall [W].
    provisioned_power_w : float or None
        Power a site provisions per device, all in [W].
    price_usd : float or None
        Price [USD]; `price_kind` says whose: list, press, estimate.
    measured : dict of str to float
        What was measured beside the fields above, by name, as `tokenroof.measure` names it: products by
        rows [FLOP/s], costs of calls [s] ... The step and operator models read it. Empty for catalogue
        devices.
    provenance : dict of str to Provenance
        Kind, source, date and unit by field ("peak_bf16" for ``peak["bf16"]``).

    Raises
    ------
    TypeError, ValueError
        With the field, its value and what is allowed; so for a value in another unit, such as a
        bandwidth of 6 where 6e12 B/s are meant.

    Examples
    --------
    >>> card = Device(name="mine", memory_bandwidth=1e12, peak={"bf16": 200e12})
    >>> card.peak_of("fp8")
    200000000000000.0
    """

    name: str
    memory_bandwidth: float
    peak: dict[str, float]
    aliases: tuple[str, ...] = ()
    vendor: str = ""
    family: str = ""
    kind: str = "gpu"
    release: str = ""
    process: str = ""
    memory_bytes: float | None = None
    memory_type: str = ""
    sram_bytes: float | None = None
    l2_bytes: float | None = None
    sm_count: int | None = None
    boost_clock_hz: float | None = None
    int32_ops_per_clock_per_sm: float | None = None
    link_name: str = ""
    link_generation: int | None = None
    link_bandwidth: float | None = None
    link_domain_size: int | None = None
    node_link_bandwidth: float | None = None
    pcie_generation: int | None = None
    tdp_w: float | None = None
    idle_w: float | None = None
    system_power_w: float | None = None
    provisioned_power_w: float | None = None
    price_usd: float | None = None
    price_kind: str = ""
    notes: str = ""
    measured: dict[str, float] = field(default_factory=dict, repr=False)
    provenance: dict[str, Provenance] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"device: name must be a string, not {shown(self.name)}")
        if not normalise(self.name):
            raise ValueError(
                f"device: name is {shown(self.name)}; allowed: text with a letter or digit"
            )
        owner = f"device {shown(self.name)}"
        put = object.__setattr__  # the record is frozen; this only turns numbers into floats
        if not among(self.kind, DEVICE_KINDS):
            near = near_matches(self.kind, DEVICE_KINDS) if isinstance(self.kind, str) else []
            hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
            kind, allowed = shown(self.kind), ", ".join(DEVICE_KINDS)
            raise ValueError(f"{owner}: kind must be one of {allowed}, not {kind}{hint}")
        if self.memory_bandwidth is None:
            raise TypeError(f"{owner}: memory_bandwidth must be a finite number > 0, not None")
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None:
                put(self, name, number(owner, name, value, kind=self.kind))
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            if value is not None:
                put(self, name, number(owner, name, value, zero=True))
        for name in _WHOLE:
            value = getattr(self, name)
            if value is not None:
                put(self, name, whole(owner, name, value))
        if not isinstance(self.peak, Mapping):
            raise TypeError(
                f"{owner}: peak must be a dict of type to FLOP/s, not {shown(self.peak)}"
            )
        for key in self.peak:
            if key not in PEAK_TYPES:
                allowed = ", ".join(PEAK_TYPES)
                raise ValueError(f"{owner}: peak has type {shown(key)}; allowed are {allowed}")
        peak = {k: number(owner, f"peak[{shown(k)}]", v) for k, v in self.peak.items()}
        put(self, "peak", peak)
        put(self, "aliases", names(f"{owner}: aliases", self.aliases))
        dated(owner, "release", self.release)
        if not isinstance(self.measured, Mapping):
            raise TypeError(
                f"{owner}: measured must be a dict of name to number, not {shown(self.measured)}"
            )
        own = {k: number(owner, f"measured[{shown(k)}]", v) for k, v in self.measured.items()}
        put(self, "measured", own)
        powers_agree(owner, {name: getattr(self, name) for name in _POWERS})

    def __hash__(self) -> int:  # the dicts have none; equal records share these
        return hash((self.name, self.memory_bandwidth, self.tdp_w, len(self.measured)))

    def peak_of(self, dtype: str) -> float:
        """Return the peak that maths in `dtype` reaches [FLOP/s]; NaN if no unit can do it.

        A type without a unit of its own takes the next wider one: fp4, fp8, then the faster of bf16
        and fp16, which stand in for each other, then tf32; int8 takes 16 bits. Processors (``kind="cpu"``)
        go on to fp32; of other devices that is no bound on what their 16-bit units do.

        Raises
        ------
        ValueError
            If `dtype` is no peak's name.

        Examples
        --------
        >>> import tokenroof as tr
        >>> tr.device("H100-SXM").peak_of("fp4") == tr.device("H100-SXM").peak["fp8"]
        True
        """
        if not among(dtype, PEAK_TYPES):
            raise ValueError(f"dtype must be one of {', '.join(PEAK_TYPES)}, not {shown(dtype)}")
        wider = _WIDER.get(dtype, ())
        if self.kind == "cpu" and wider:
            wider = (*wider, ("fp32",))
        for keys in ((dtype,), *wider):
            known = [self.peak[key] for key in keys if key in self.peak]
            if known:
                return max(known)
        return math.nan

    @property
    def link(self) -> Link | None:
        """The link that collectives within one domain use; PCIe without a scale-up link."""
        if self.link_bandwidth is not None:
            generation = "" if self.link_generation is None else f" {self.link_generation}"
            return Link(
                name=f"{self.link_name or 'scale-up'}{generation}",
                bandwidth=self.link_bandwidth,
                domain_size=self.link_domain_size or 1,
                scale_up=True,
            )
        if self.pcie_generation is None:
            return None
        rate = pcie_bandwidth(self.pcie_generation)
        if rate is None:
            return None
        size = self.link_domain_size or (1 if self.kind in ("cpu", "apu") else _HOST_DOMAIN)
        return Link(f"PCIe {self.pcie_generation} x16", rate, size, scale_up=False)

    @property
    def link_topology(self) -> str:
        """How `link` joins a domain: host, switched, reducing (a switch that adds), mesh, torus2, torus3."""
        name, size = self.link_name.lower(), self.link_domain_size or 1
        if self.link_bandwidth is None:
            return "host"
        if name == "nvlink":
            generation = self.link_generation or 0
            # cube meshes before switches; switches add from NVLink 4 on (NVLink SHARP)
            return "reducing" if generation >= 4 else "mesh" if generation < 3 else "switched"
        if name == "ici":
            return "torus2" if size <= 1024 else "torus3"
        if name == "neuronlink":
            generation = self.link_generation or 0
            return "torus2" if generation < 3 else "torus3" if generation == 3 else "switched"
        if name.startswith(("infinity fabric", "xe link", "hccs", "roce", "groq")):
            return "mesh"
        if name.startswith("ethernet"):
            return "torus2"
        return "switched"

    def pack(self) -> np.ndarray:
        """Return the record as the kernels read it: float64 in the order of ``DEVICE_FIELDS``.

        Peaks are resolved as by `peak_of`; unknown numbers are NaN; the link is that of `link`,
        and a device without any has bandwidth 0 and a domain of 1.
        """
        import numpy as np

        from tokenroof._core import DEVICE_FIELDS, TOPOLOGIES

        link = self.link
        special = {
            "link_bandwidth": 0.0 if link is None else link.bandwidth,
            "link_domain_size": 1 if link is None else link.domain_size,
            "link_topology": TOPOLOGIES.index(self.link_topology),
        }
        vector = np.empty(len(DEVICE_FIELDS), dtype=np.float64)
        for i, name in enumerate(DEVICE_FIELDS):
            if name in special:
                value: float | None = special[name]
            elif name.startswith("peak_"):
                value = self.peak_of(name.removeprefix("peak_"))
            else:
                value = getattr(self, name)
            vector[i] = math.nan if value is None else value
        return vector

    def replace(self, **changes: Any) -> Device:
        """Return a copy with `changes`; what is changed loses its provenance.

        Examples
        --------
        >>> import tokenroof as tr
        >>> tr.device("H200-SXM").replace(name="capped", tdp_w=500).tdp_w
        500.0
        """
        gone = set(changes) | {f"peak_{k}" for k in PEAK_TYPES if "peak" in changes}
        kept = {k: v for k, v in self.provenance.items() if k not in gone}
        return replace(self, **{"provenance": kept, **changes})


def link_domain(device: Device) -> int:
    """Devices that one domain of links joins; over PCIe alone, the eight of a host."""
    size = device.link_domain_size or 1
    return int(size) if size > 1 else _HOST_DOMAIN


def block_type(device: Device) -> str | None:
    """The 4-bit floats that a device's unit takes: NVIDIA's, or the Open Compute Project's; None without.

    MXFP4 (Microscaling Formats 1.0, OCP, 2023-09; a scale of 8 bits per 32) is what makers other than NVIDIA
    build units for; NVFP4 has a scale in FP8 per 16. Of a device whose maker is not said, NVFP4.

    Examples
    --------
    >>> import tokenroof as tr
    >>> [block_type(tr.device(name)) for name in ("B200-SXM", "Instinct MI355X", "H100-SXM")]
    ['nvfp4', 'mxfp4', None]
    """
    if "fp4" not in device.peak:
        return None
    return "nvfp4" if device.vendor.casefold() in ("nvidia", "") else "mxfp4"


def _unit_of(dtype: str) -> str:
    """The peak that a type of weights computes by."""
    return _UNITS.get(dtype, dtype) if isinstance(dtype, str) else dtype


@takes_records
def unit_peak(device: Device, dtype: str) -> float:
    """Dense peak of the unit that multiplies this type of weights [FLOP/s].

    Raises
    ------
    ValueError
        For a device without a unit for it or a wider one.
    """
    value = device.peak_of(_unit_of(dtype))
    if not math.isfinite(value):
        field = f"peak_{_unit_of(dtype)}"
        raise ValueError(
            f"dtype is {shown(dtype)} on {device.name}, whose {field} is unknown; allowed: that field, "
            f"or types of its peaks ({', '.join(device.peak) or 'none'})"
        )
    return value
