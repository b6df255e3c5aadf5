"""Devices without launches or queues: chips, or regions of a wafer, that hold one model in SRAM.

A model is laid out layer after layer over as many chips as hold it; a compiler schedules every move, so a
token's trip takes the same time each time. A trip is the work of its stages, a time per layer that its
dependent operations take however wide they are laid out, and a hop between stages
(`tokenroof.kernels.dataflow_trip`). Batches fill the pipeline: as many microbatches as stages are under way.

Little of this is published: every unknown is a parameter with a range (`tokenroof.estimates`), and results
carry the range that follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from tokenroof import kernels
from tokenroof.inference.device_power import limit_of
from tokenroof.inference.door import as_device, as_model
from tokenroof.inference.estimates import Banded, Range, over_corners, parameter
from tokenroof.records.calibration import Calibration
from tokenroof.records.plan import Plan
from tokenroof.support.arguments import amounts, check_options, count, shown, together
from tokenroof.support.kinds import takes_records
from tokenroof.support.names import among

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.device import Device
    from tokenroof.records.model import Model

__all__ = ["ChipUnknowns", "Dataflow", "Parameter", "Unknowns", "decode", "one_chip", "prefill"]

#: Kinds of device that are laid out so.
KINDS = ("lpu", "wafer")
Parameter = float | tuple[float, float, float] | Range | None


class ChipUnknowns(TypedDict, total=False):
    """What nobody publishes of a chip: a number, (low, mid, high) or a Range; else the catalogue's range.

    Attributes
    ----------
    efficiency : float, (low, mid, high) or Range
        Share of the datasheet's rates that a schedule reaches, above 0 and up to 1 [1].
    layer_s : float, (low, mid, high) or Range
        Latency of a layer [s].
    sram_share : float, (low, mid, high) or Range
        Share of SRAM that may be filled, above 0 and up to 1 [1].
    limit_w : float, (low, mid, high) or Range
        Power limit of a chip [W].
    idle_share : float, (low, mid, high) or Range
        Share of the limit that a waiting chip draws, up to 1 [1].

    Examples
    --------
    >>> from tokenroof.inference.dataflow import decode
    >>> given: ChipUnknowns = {"efficiency": 0.5, "layer_s": (1e-6, 2e-6, 4e-6)}
    >>> found = decode("GroqChip v1", "Llama-2-70B", **given)
    >>> bool(found.time_s.low < found.time_s.mid < found.time_s.high)
    True
    """

    efficiency: Parameter
    layer_s: Parameter
    sram_share: Parameter
    limit_w: Parameter
    idle_share: Parameter


class Unknowns(ChipUnknowns, total=False):
    """What nobody publishes of chips, and of the way between them.

    Attributes
    ----------
    hop_s : float, (low, mid, high) or Range
        Latency of a hop between chips [s].

    Examples
    --------
    >>> from tokenroof.inference.dataflow import decode
    >>> given: Unknowns = {"hop_s": 1e-6}
    >>> slow: Unknowns = {"hop_s": 1e-4}
    >>> ask = "GroqChip v1", "Llama-2-70B"
    >>> bool(decode(*ask, **given).time_s.mid < decode(*ask, **slow).time_s.mid)
    True
    """

    hop_s: Parameter


@dataclass(frozen=True)
class Dataflow:
    """A model on such devices, over arrays of loads; each quantity with its range.

    Attributes
    ----------
    chips, stages : Banded
        Chips (or wafers) that hold model and caches, stages of the pipeline [1].
    time_s : Banded
        One trip through all layers: the time per token of each sequence, or of the prompt [s].
    tokens_per_s : Banded
        Tokens of all sequences per second [token/s].
    watts : Banded
        Board power of all chips [W].
    ranges : dict of Range
        The parameters that these ranges come from.
    """

    device: Device
    model: Model
    chips: Banded
    stages: Banded
    time_s: Banded
    tokens_per_s: Banded
    watts: Banded
    ranges: dict[str, Range]

    @property
    def interactivity(self) -> Banded:
        """Tokens per second of one user [token/s]."""
        t = self.time_s
        return Banded(1.0 / t.high, 1.0 / t.mid, 1.0 / t.low)

    @property
    def error_band(self) -> NDArray[np.float64]:
        """Half the range of the time, as a share of its middle [1]."""
        t = self.time_s
        return np.asarray(np.maximum(t.high / t.mid, t.mid / t.low) - 1.0)


@takes_records
def one_chip(device: Device, model: Model, weights: str | None, kv_cache: str | None) -> Plan:
    """The plan of one chip that would hold all: its narrowest types, no collectives.

    Examples
    --------
    >>> import tokenroof as tr
    >>> one_chip(tr.device("GroqChip v1"), tr.model("Llama-2-70B"), None, None).weights
    'int8'
    """
    if weights is None:
        weights = next((t for t in ("fp8", "int8") if t in device.peak), "bf16")
    if kv_cache is None or among(kv_cache, ("",)):
        kv_cache = "fp8" if among(weights, ("fp8",)) else "bf16"
    return Plan(weights=weights, kv_cache=kv_cache, engine="ideal")


def gather(device: Device, given: Mapping[str, Any]) -> dict[str, Range]:
    """`Unknowns` of a call: given ones, else the catalogue's."""
    found = {}
    for name in ("efficiency", "layer_s", "hop_s", "sram_share", "idle_share"):
        value = given.get(name)
        found[name] = parameter(name, device) if value is None else Range.of(name, value, name)
    limit_w = given.get("limit_w")
    found["limit_w"] = (
        limit_of(device) if limit_w is None else Range.of("limit_w", limit_w, "tdp_w")
    )
    for name in ("efficiency", "sram_share"):
        if not 0.0 < found[name].low <= found[name].high <= 1.0:
            raise ValueError(f"{name} is {found[name].values}; allowed: above 0, at most 1")
    for name in ("layer_s", "hop_s", "limit_w"):
        if found[name].low < 0.0:
            raise ValueError(f"{name} is {found[name].low:g}; allowed: numbers >= 0")
    if not 0.0 <= found["idle_share"].low <= found["idle_share"].high <= 1.0:
        raise ValueError(
            f"idle_share is {found['idle_share'].values}; allowed: numbers from 0 to 1"
        )
    return found


def check_kind(field: str, device: Device) -> Device:
    """Reject what is no dataflow device, or has no memory to lay a model out in."""
    if device.kind not in KINDS:
        raise ValueError(
            f"{field} is {device.name}, a {device.kind}; allowed: a device of kind {' or '.join(KINDS)}"
        )
    if not device.memory_bytes:
        raise ValueError(
            f"{field} is {device.name}, whose memory_bytes is {shown(device.memory_bytes)}; allowed: a "
            "number > 0"
        )
    return device


def chips_of(
    chips: int | None, held: Any, device: Device, share: Range, what: str
) -> tuple[float | None, float]:
    """Chips that a caller gave, if they hold so many bytes, and the fewest that may be: given, or needed."""
    free = float(device.memory_bytes or np.nan)
    needed = np.asarray(kernels.dataflow_chips(held, free, share.values[:, None]))
    if chips is None:
        return None, float(needed.min(initial=np.inf))
    given = float(count("chips", chips))
    _, middle, least = needed.max(axis=-1, initial=1.0)
    if given < least:
        raise ValueError(
            f"chips is {chips}; allowed: at least {least:.0f}, as many as hold {what} with sram_share "
            f"{share.high:g} ({middle:.0f} with {share.mid:g})"
        )
    return given, given


def check_stages(
    stages: int | None, device: Device, model: Model, given: float | None, fewest: float
) -> None:
    """Reject more stages than chips, or on a wafer, whose regions they are, than layers."""
    if stages is None:
        return
    wafer = device.kind == "wafer"
    most = float(model.layers) if wafer else fewest
    if count("stages", stages) > most:
        of = f"layers of {model.name}" if wafer else "chips"
        if not wafer and given is None:
            of += " that it takes at the fewest, or give chips"
        raise ValueError(f"stages is {stages}; allowed: at most the {most:.0f} {of}")


def chips_watts(chips: Any, busy: Any, v: dict[str, Any]) -> Any:
    """Power of chips that are busy for a share of the time, and wait for the rest [W]."""
    return chips * v["limit_w"] * (v["idle_share"] + (1.0 - v["idle_share"]) * busy)


def pipeline(
    device: Device, model: Model, plan: Plan, batch: Any, context: Any, chips: Any, stages: int | None,
    v: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Chips, stages, time, tokens/s and watts for parameter values `v`, arrays with a leading axis.

    What a caller gave was checked: `chips` hold the model, and there are not more `stages` than chips.
    """
    records = (device.pack(), Calibration.ideal().pack(), model.pack(), plan.pack())
    held = kernels.memory_required(records[2], records[3], batch, context)
    sram = float(device.memory_bytes or np.nan)
    n = chips if chips is not None else kernels.dataflow_chips(held, sram, v["sram_share"])
    deep = float(stages or model.layers)
    # a wafer's regions are its stages; a chip holds one stage, or several layers as one
    depth = np.broadcast_to(deep, np.shape(n)) if device.kind == "wafer" else np.minimum(deep, n)
    micro = kernels.dataflow_microbatch(batch, depth)
    with np.errstate(divide="ignore"):  # by a link that one chip has no use for
        work = kernels.decode_time(*records, micro, context) / v["efficiency"]
    trip = kernels.dataflow_trip(work, n, depth, float(model.layers), v["layer_s"], v["hop_s"])
    occupied = np.minimum(work * depth / n / trip * np.minimum(batch / depth, 1.0), 1.0)
    watts = chips_watts(n, occupied, v)
    return {
        "chips": n,
        "stages": depth,
        "time_s": trip,
        "tokens_per_s": batch / trip,
        "watts": watts,
    }


def decode(
    device: str | Device,
    model: str | Model,
    *,
    batch: ArrayLike = 1.0,
    context: ArrayLike = 1024.0,
    weights: str | None = None,
    kv_cache: str | None = None,
    chips: int | None = None,
    stages: int | None = None,
    **unknown: Unpack[Unknowns],
) -> Dataflow:
    """Decoding on chips that hold the whole model.

    Parameters
    ----------
    device, model : str or record
    batch, context : array_like
        Sequences under way over all chips, cached tokens of each [1].
    weights, kv_cache : str, optional
        Types; by default the narrowest that the device multiplies.
    chips : int, optional
        Chips, at least as many as hold weights and caches, which is the default. Given ones must hold them
        at the upper end of `sram_share`.
    stages : int, optional
        Stages of the pipeline, at most one per chip, or on a wafer, whose regions they are, one per layer;
        by default one per layer, or per chip where there are fewer.
    **unknown : float, (low, mid, high) or Range
        What is not published, by the names of `Unknowns`; by default the catalogue's ranges.

    Returns
    -------
    Dataflow

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a device that is not of `KINDS`, a load that is negative or not finite, fewer
        chips than hold the model, more stages than there may be, or a parameter out of range.

    References
    ----------
    Abts et al., ISCA 2020 and 2022; docs/inference/other-devices.md.

    Examples
    --------
    >>> one = decode("GroqChip v1", "Llama-2-70B", context=4096)
    >>> bool(one.interactivity.low < 300 < one.interactivity.high), one.chips.mid.item()
    (True, 368.0)
    """
    check_options("decode", unknown, Unknowns)
    d, m = check_kind("device", as_device(device)), as_model(model)
    b, x = together(
        batch=amounts("batch", batch, positive=True), context=amounts("context", context)
    )
    plan = one_chip(d, m, weights, kv_cache)
    ranges = gather(d, unknown)
    held = kernels.memory_required(m.pack(), plan.pack(), b, x)
    n, fewest = chips_of(chips, held.ravel(), d, ranges["sram_share"], f"{m.name} and its caches")
    check_stages(stages, d, m, n, fewest)
    found = over_corners(lambda **v: pipeline(d, m, plan, b, x, n, stages, v), ranges, b.ndim)
    return Dataflow(d, m, ranges=ranges, **found)


def prefill(
    device: str | Device,
    model: str | Model,
    *,
    tokens: ArrayLike = 1024.0,
    past: ArrayLike = 0.0,
    weights: str | None = None,
    kv_cache: str | None = None,
    chips: int | None = None,
    **unknown: Unpack[Unknowns],
) -> Dataflow:
    """Prefill of one prompt that streams through all stages: its work over all chips, and one trip.

    Parameters
    ----------
    tokens, past : array_like
        New and cached tokens of the prompt [1].
    device, model, weights, kv_cache, chips, **unknown
        As in `decode`.

    Returns
    -------
    Dataflow

    Raises
    ------
    KeyError, ValueError, TypeError
        As `decode`.

    Examples
    --------
    >>> bool(prefill("LPX", "Llama-3.1-8B", tokens=8192).time_s.mid < 0.1)
    True
    """
    check_options("prefill", unknown, Unknowns)
    d, m = check_kind("device", as_device(device)), as_model(model)
    t, s = together(tokens=amounts("tokens", tokens), past=amounts("past", past))
    plan = one_chip(d, m, weights, kv_cache)
    ranges = gather(d, unknown)
    records = (d.pack(), Calibration.ideal().pack(), m.pack(), plan.pack())
    held = kernels.memory_required(records[2], records[3], 1.0, t + s)
    share = ranges["sram_share"]
    given, _ = chips_of(chips, np.ravel(held), d, share, f"{m.name} and the prompt's cache")

    def evaluate(**v: Any) -> dict[str, Any]:
        sram = float(d.memory_bytes or np.nan)
        n = given if given is not None else kernels.dataflow_chips(held, sram, v["sram_share"])
        depth = np.minimum(float(m.layers), n)
        work = kernels.prefill_time(*records, t, s) / v["efficiency"]
        # chunks follow each other through the stages: all chips work, but for one trip
        seconds = kernels.dataflow_trip(work, n, 1.0, float(m.layers), v["layer_s"], 0.0)
        seconds = seconds + (depth - 1.0) * v["hop_s"]
        busy = np.minimum(work / n / seconds, 1.0)
        watts = chips_watts(n, busy, v)
        with np.errstate(invalid="ignore"):
            rate = t / seconds
        return {
            "chips": n,
            "stages": depth,
            "time_s": seconds,
            "tokens_per_s": rate,
            "watts": watts,
        }

    return Dataflow(d, m, ranges=ranges, **over_corners(evaluate, ranges, t.ndim))
