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

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _constants, kernels
from tokenroof._inputs import amounts, as_device, finite_number
from tokenroof.calibration import Calibration

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.device import Device
    from tokenroof.estimates import Range
    from tokenroof.operators import Operator

__all__ = [
    "CLASSES", "band", "board_power", "chassis_power", "constants", "constants_record", "dashboard_power",
    "facility_power", "idle_power", "limit", "operator_power", "provisioned_power",
]  # fmt: skip

#: Classes of kernels whose activity counts.
CLASSES = ("gemm", "attention_decode", "attention_prefill", "experts")

# Provisioned power over chassis or rack power, and over board power, for devices without a figure of
# their own: the public all-in constants are 1.36 times the system's power for H100, the keynote's 300 K
# Rubin in a GW 1.26; over the board's limit they are 2.1 (GB200) to 2.5 (H100).
_PROVISIONED_OVER_SYSTEM = 1.3
_PROVISIONED_OVER_TDP = 2.2


def constants(device: str | Device) -> _constants.Fit:
    """Constants of a board's power, of it or of its generation, as shares of its limit.

    Boards of other makers get those of all measured ones, with the widest band.

    Examples
    --------
    >>> constants("H200-SXM").near, constants("H100-SXM").near
    ('device', 'generation')
    """
    d = as_device(device)
    found = _constants.find("power", d, "vllm", "bf16") if d.kind == "gpu" else None
    if found is not None and found.near != "other":
        return found
    rows = _constants.fits("power")
    names = ", ".join(row["device"] for row in rows)
    return _constants.Fit(
        _constants.geometric_mean([row["constants"] for row in rows]), _constants.FAR_BAND,
        f"{sum(row['rows'] for row in rows)} measured rows of {names}", "other",
    )  # fmt: skip


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
    if kind is not None and kind not in CLASSES:
        raise ValueError(f"kind is {kind!r}; allowed: {', '.join(CLASSES)}")
    found, name = constants(device), as_device(device).name
    rows = _constants.fits("power")
    own = [row for row in rows if row["device"] == name] if found.near == "device" else []
    bands = [found.band]
    for key in (f"band_{k}" for k in (CLASSES if kind is None else (kind,))):
        bands += [row[key] for row in own if key in row] or [r[key] for r in rows if key in r]
    return float(max(bands))


def constants_record(values: dict[str, float]) -> Calibration:
    """A calibration record that holds nothing but constants of power."""
    return Calibration(name="power", constants={"power": values})


def limit(device: str | Device) -> Range:
    """Limit of the board [W]: the catalogue's, or a stated range where none is published.

    Examples
    --------
    >>> limit("H200-SXM").mid, limit("Groq 3 LPU (LPX rack)").kind
    (700.0, 'range')
    """
    from tokenroof.estimates import RANGE, Range, parameter

    d = as_device(device)
    known = d.provenance.get("tdp_w")
    if d.tdp_w and not (known and known.source.startswith(RANGE)):
        return Range.exactly(float(d.tdp_w), "W", "catalogue")
    return parameter("tdp_w", d)


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
    docs/power.md

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
    at = limit(d).mid if limit_w is None else amounts("limit_w", limit_w, positive=True)
    record = constants_record(constants(d).constants).pack()
    # constants are shares of the limit: one watt of it, then scaled
    unit = d.replace(tdp_w=1.0).pack()
    out: Any = kernels.board_power(unit, record, *uses)  # type: ignore[attr-defined]
    return np.asarray(out * at)


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
    touched = kernels.experts_touched(tokens, experts, topk) / moe_ep  # type: ignore[attr-defined]
    pairs = tokens * topk / moe_ep
    return np.asarray(np.maximum(touched, pairs / 128) * np.ceil(2 * intermediate / moe_tp / 128))


def operator_power(operator: Operator) -> NDArray[np.float64]:
    """Board power while an operator runs again and again [W]: `Operator.watts`.

    Examples
    --------
    >>> import tokenroof as tr
    >>> bool(600 < operator_power(tr.operators.gemm("H200-SXM", 8192, 8192, 8192)) < 700)
    True
    """
    from tokenroof.roofline import peak

    d, seconds = operator.device, operator.time_s
    kind = operator.dtype if operator.operator in ("gemm", "experts") else "bf16"
    active = activity(operator.operator, operator.arguments)
    moves = operator.operator not in _constants.COLLECTIVES  # whose bytes cross a link
    with np.errstate(invalid="ignore", divide="ignore"):
        compute = np.nan_to_num(operator.flops / seconds / peak(d, kind))
        memory = np.nan_to_num(operator.bytes / seconds / d.memory_bandwidth) if moves else 0.0
        uses: dict[str, Any] = {}
        if active is not None:
            fill = kernels.wave_fill(active[1], float(d.sm_count or 1))  # type: ignore[attr-defined]
            busy = np.maximum(1.0 - 3e-6 / seconds, 0.0)
            uses[active[0]] = np.nan_to_num(fill * busy)
    watts = board_power(d, compute, memory, **uses) if d.tdp_w else np.full(seconds.shape, np.nan)
    return np.asarray(np.where(np.isfinite(seconds), watts, np.nan))


def idle_power(device: str | Device) -> float:
    """Power of a board that does nothing: the catalogue's, or a tenth of its limit [W].

    A board between two kernels draws more: `board_power` without any use.

    Examples
    --------
    >>> idle_power("H200-SXM")
    80.0
    """
    d = as_device(device)
    return float(d.idle_w) if d.idle_w is not None else 0.1 * limit(d).mid


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
    return np.asarray(amounts("board_w", board_w) + host_power(d, host_share))


def host_power(device: Device, host_share: float | None = None) -> float:
    """What hosts, network, fans and supplies draw per device, as `chassis_power` says [W]."""
    from tokenroof.estimates import parameter

    share = parameter("host_share").mid if host_share is None else host_share
    share = finite_number("host_share", share)
    own = limit(device).mid
    system = float(device.system_power_w) if device.system_power_w else 1.8 * own
    if device.kind in ("cpu", "apu", "wafer"):  # the board is the system, or names its power
        system = max(own, float(device.system_power_w or 0.0))
    return float(share * max(system - own, 0.0))


def provisioned_power(device: str | Device) -> tuple[float, str]:
    """Power that a site sets aside per device, all in [W], and what kind of figure it is.

    Examples
    --------
    >>> provisioned_power("H100-SXM")
    (1730.0, 'catalogue')
    """
    d = as_device(device)
    if d.provisioned_power_w:
        return float(d.provisioned_power_w), "catalogue"
    if d.system_power_w:
        factor = _PROVISIONED_OVER_SYSTEM
        return factor * float(d.system_power_w), f"estimate: {factor} x system power"
    own = limit(d)
    kind = "estimate" if own.kind == "catalogue" else "estimate with a range"
    return _PROVISIONED_OVER_TDP * own.mid, f"{kind}: {_PROVISIONED_OVER_TDP} x limit"


def dashboard_power(device: str | Device, devices: ArrayLike = 1.0) -> NDArray[np.float64]:
    """Power that public dashboards divide throughput by: a constant kW per device, at any load [W].

    Examples
    --------
    >>> float(dashboard_power("B200-SXM", 8))
    17360.0
    """
    return np.asarray(amounts("devices", devices) * provisioned_power(device)[0])


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
