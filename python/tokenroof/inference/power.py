"""Four powers by name: of the board, of the chassis, as provisioned, and of the facility.

`board_power`
    What an accelerator draws under a load, from constants fitted on measured kernels.
`chassis_power`
    Its share of a server or rack at the wall: board, host processors, network, fans, supplies.
`provisioned_power`
    What a site sets aside for it, all in, whatever the load: the constant kW per device that public
    dashboards divide by.
`facility_power`
    The meter's: chassis power times PUE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tokenroof import kernels
from tokenroof.inference.constants import COLLECTIVES, Fit, power_fit
from tokenroof.inference.device_power import (
    CLASSES,
    board_watts,
    constants_record,
    device_power,
    host_watts,
    limit_of,
    watts_band,
)
from tokenroof.inference.door import as_device
from tokenroof.inference.estimates import parameter
from tokenroof.records.device import unit_peak
from tokenroof.support.arguments import amounts, finite_number, shown
from tokenroof.support.labels import keeps_labels
from tokenroof.support.names import among

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.inference.estimates import Range
    from tokenroof.records.device import Device

__all__ = [
    "CLASSES", "band", "board_power", "chassis_power", "constants", "constants_record", "dashboard_power",
    "facility_power", "idle_power", "limit", "operator_power", "provisioned_power",
]  # fmt: skip


def constants(device: str | Device) -> Fit:
    """Constants of a board's power, of it or of its generation, as shares of its limit.

    Boards of other makers get those of all measured ones, with the widest band.

    Examples
    --------
    >>> constants("H200-SXM").near, constants("H100-SXM").near
    ('device', 'generation')
    """
    return power_fit(as_device(device))


def band(device: str | Device, kind: str | None = None) -> float:
    """Relative band around the watts of a class of kernels; by default of the class that is least sure.

    Parameters
    ----------
    device : str or Device
    kind : str, optional
        One of `CLASSES`.

    Raises
    ------
    KeyError, ValueError
        For an unknown device or class.

    Examples
    --------
    >>> band("H200-SXM", "gemm") < band("H200-SXM") < band("MI300X")
    True
    """
    if kind is not None and not among(kind, CLASSES):
        raise ValueError(f"kind is {shown(kind)}; allowed: {', '.join(CLASSES)}")
    return watts_band(as_device(device), kind)


def limit(device: str | Device) -> Range:
    """Limit of the board [W]: the catalogue's, or a stated range where none is published.

    Examples
    --------
    >>> limit("H200-SXM").mid, limit("Groq 3 LPU (LPX rack)").kind
    (700.0, 'range')
    """
    return limit_of(as_device(device))


@keeps_labels
def board_power(
    device: str | Device,
    compute_use: ArrayLike = 0.0,
    memory_use: ArrayLike = 0.0,
    *,
    gemm: ArrayLike = 0.0,
    attention_decode: ArrayLike = 0.0,
    attention_prefill: ArrayLike = 0.0,
    experts: ArrayLike = 0.0,
    limit_w: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Power of one board under load [W].

    Parameters
    ----------
    device : str or Device
    compute_use, memory_use : array_like
        FLOP/s over the type's dense peak, bytes/s over the datasheet's bandwidth [1].
    gemm, attention_decode, attention_prefill, experts : array_like
        Share of the time that a class of kernels runs, times the share of multiprocessors it keeps
        busy (`tokenroof.kernels.wave_fill`) [1].
    limit_w : array_like, optional
        Power limit, where it is not the board's own [W].

    Returns
    -------
    ndarray

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown device, or a use that is negative or not finite.

    References
    ----------
    docs/inference/power.md

    Examples
    --------
    >>> idle, busy = board_power("H200-SXM", [0.0, 0.7], [0.0, 0.1], gemm=[0.0, 1.0])
    >>> bool(idle < 150 and 650 < busy < 700)
    True
    """
    d = as_device(device)
    uses = [
        amounts(name, value)
        for name, value in (
            ("compute_use", compute_use), ("memory_use", memory_use), ("gemm", gemm),
            ("attention_decode", attention_decode), ("attention_prefill", attention_prefill),
            ("experts", experts),
        )
    ]  # fmt: skip
    at = limit_of(d).mid if limit_w is None else amounts("limit_w", limit_w, positive=True)
    return np.asarray(board_watts(d, *uses) * at)


def activity(operator: str, a: tuple[Any, ...]) -> tuple[str, Any] | None:
    """Class of an operator's kernels, and their tiles; None for one that keeps no multiprocessor busy."""
    if operator == "gemm":
        return "gemm", np.ceil(a[0] / 128) * np.ceil(a[1] / 128)
    if operator in ("attention_decode", "mla_decode", "sparse_decode"):
        window = {"attention_decode": 6, "sparse_decode": 5}.get(operator)
        limit = np.zeros(()) if window is None else a[window]
        seen = np.where(limit > 0, np.minimum(a[1], limit), a[1])
        heads = a[3] if operator == "attention_decode" else np.ceil(a[2] / 64)
        return "attention_decode", a[0] * heads * np.ceil(seen / 256)
    if operator in ("attention_prefill", "mla_prefill", "sparse_prefill"):
        return "attention_prefill", a[0] * np.ceil(a[1] / 128) * a[3]
    if operator == "experts":
        tokens, _, intermediate, experts, topk, _, moe_tp, moe_ep = a[:8]
        return "experts", expert_tiles(tokens, intermediate, experts, topk, moe_tp, moe_ep)
    if operator == "grouped_gemm":
        tokens, n, _, experts, topk, moe_ep = a[:6]
        return "experts", expert_tiles(tokens, n / 2, experts, topk, 1.0, moe_ep)
    # what moves data alone runs as decode attention does, a block per head's state or per row
    if operator in ("gated_delta_decode", "mamba2_decode"):
        return "attention_decode", a[0] * a[3 if operator == "gated_delta_decode" else 1]
    if operator in ("gated_delta_prefill", "mamba2_prefill"):
        heads, chunk = (a[4], a[7]) if operator == "gated_delta_prefill" else (a[2], a[7])
        return "attention_prefill", a[0] * heads * np.ceil(a[1] / chunk)
    if operator in ("norm", "rotary", "activation", "quantise", "sampling"):
        return "attention_decode", a[0]
    return None


def expert_tiles(
    tokens: Any, intermediate: Any, experts: Any, topk: Any, moe_tp: Any, moe_ep: Any
) -> NDArray[np.float64]:
    """Tiles of the experts' first product on one device: one row of them per touched expert at least."""
    touched = kernels.experts_touched(tokens, experts, topk) / moe_ep
    pairs = tokens * topk / moe_ep
    return np.asarray(np.maximum(touched, pairs / 128) * np.ceil(2 * intermediate / moe_tp / 128))


class Running(Protocol):
    """What `operator_power` reads of an operator; `tokenroof.operators` returns such."""

    device: Any
    operator: Any
    dtype: Any
    arguments: Any
    time_s: Any
    flops: Any
    bytes: Any


def operator_power(operator: Any) -> NDArray[np.float64]:
    """Board power while an operator runs again and again [W]: `Operator.watts`.

    Examples
    --------
    >>> import tokenroof as tr
    >>> bool(600 < operator_power(tr.operators.gemm("H200-SXM", 8192, 8192, 8192)) < 700)
    True
    """
    if not hasattr(operator, "arguments"):
        raise TypeError(
            f"operator is {shown(operator)}; allowed: an Operator, as operators.gemm gives"
        )
    d, seconds = operator.device, operator.time_s
    kind = operator.dtype if operator.operator in ("gemm", "experts") else "bf16"
    active = activity(operator.operator, operator.arguments)
    moves = operator.operator not in COLLECTIVES  # whose bytes cross a link
    with np.errstate(invalid="ignore", divide="ignore"):
        compute = np.nan_to_num(operator.flops / seconds / unit_peak(d, kind))
        memory = np.nan_to_num(operator.bytes / seconds / d.memory_bandwidth) if moves else 0.0
        uses: dict[str, Any] = {}
        if active is not None:
            fill = kernels.wave_fill(active[1], float(d.sm_count or 1))
            busy = np.maximum(1.0 - 3e-6 / seconds, 0.0)
            uses[active[0]] = np.nan_to_num(fill * busy)
    if not d.tdp_w:
        return np.full(seconds.shape, np.nan)
    shares = board_watts(d, compute, memory, *(uses.get(kind, 0.0) for kind in CLASSES))
    return np.asarray(np.where(np.isfinite(seconds), shares * limit_of(d).mid, np.nan))


def idle_power(device: str | Device) -> float:
    """Power of a board that does nothing: the catalogue's, or a tenth of its limit [W].

    A board between two kernels draws more: `board_power` without any use.

    Examples
    --------
    >>> idle_power("H200-SXM")
    80.0
    """
    d = as_device(device)
    return float(d.idle_w) if d.idle_w is not None else 0.1 * limit_of(d).mid


@keeps_labels
def chassis_power(
    device: str | Device, board_w: ArrayLike, host_share: float | None = None
) -> NDArray[np.float64]:
    """A device's share of its server or rack at the wall [W].

    Parameters
    ----------
    device : str or Device
    board_w : array_like
        Power of its board [W].
    host_share : float, optional
        How much of the nameplate power beyond the boards (``system_power_w - tdp_w``) hosts, network,
        fans and supplies draw [1]; by default the middle of the parameter ``host_share``'s range.

    Returns
    -------
    ndarray

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown device, or a power that is negative or not finite.

    Notes
    -----
    Without a nameplate of its system a device gets that of the median server: 1.8 times its limit.

    Examples
    --------
    >>> bool(1000 < chassis_power("B200-SXM", 950.0) < 1500)
    True
    """
    d = as_device(device)
    share = parameter("host_share").mid if host_share is None else host_share
    host = host_watts(d, finite_number("host_share", share))
    return np.asarray(amounts("board_w", board_w) + host)


def provisioned_power(device: str | Device) -> tuple[float, str]:
    """Power that a site sets aside per device, all in [W], and what kind of figure it is.

    Examples
    --------
    >>> provisioned_power("H100-SXM")
    (1730.0, 'catalogue')
    """
    found = device_power(as_device(device))
    return found.provisioned_w, found.provisioned_kind


@keeps_labels
def dashboard_power(device: str | Device, devices: ArrayLike = 1.0) -> NDArray[np.float64]:
    """Power that public dashboards divide throughput by: a constant kW per device, at any load [W].

    Examples
    --------
    >>> float(dashboard_power("B200-SXM", 8))
    17360.0
    """
    return np.asarray(amounts("devices", devices) * provisioned_power(device)[0])


@keeps_labels
def facility_power(chassis_w: ArrayLike, pue: float = 1.25) -> NDArray[np.float64]:
    """Power at the meter: chassis power times power usage effectiveness [W].

    Parameters
    ----------
    chassis_w : array_like
        Power at the servers' plugs [W]. Provisioned power is all in already: it takes no PUE.
    pue : float
        Facility over IT power, at least 1.

    Raises
    ------
    ValueError, TypeError
        For a PUE below 1, or a power that is negative or not finite.

    Examples
    --------
    >>> float(facility_power(1000.0, 1.2))
    1200.0
    """
    return np.asarray(amounts("chassis_w", chassis_w) * finite_number("pue", pue, 1.0))
