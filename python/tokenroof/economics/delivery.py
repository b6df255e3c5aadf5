"""What a generation delivers at each tier: where its frontier meets the tier's speed, model and context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from tokenroof.economics.offers import cheapest_point
from tokenroof.economics.tiers import Tier, check_tiers
from tokenroof.inference.door import as_device
from tokenroof.inference.power import chassis_power, idle_power
from tokenroof.serving.frontier import frontier
from tokenroof.serving.loads import LONGEST_WAIT
from tokenroof.support.arguments import check_options, shown
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from typing import Unpack

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device

__all__ = [
    "CASES",
    "Delivery",
    "DeliveryOptions",
    "Fronts",
    "Offer",
    "deliver",
    "delivered",
    "named_devices",
]

Fronts = dict[tuple[str, str, float], "xr.Dataset"]

#: Ends and middle of what nobody states.
CASES = ("easy", "middle", "hard")


class DeliveryOptions(TypedDict, total=False):
    """Options of `deliver`, as its docstring has them."""

    output_tokens: float
    ttft_max: float | None
    fidelity: str | Calibration
    engine: str
    power: str
    pue: float
    systems: bool


@by_value
@dataclass(frozen=True)
class Offer:
    """One tier from one device.

    Attributes
    ----------
    tier : Tier
    device, model : str
        Who serves it, and what.
    case : str
        Of what nobody states: ``easy`` (slow and short), ``middle``, ``hard`` (fast and long).
    interactivity, context : float
        Asked for [token/s], [1].
    tokens_per_s_per_mw : float
        Output; 0 where nothing reaches the tier [token/(s MW)].
    reached : float
        Speed of that point; NaN where there is none [token/s].
    fastest : float
        Speed of the frontier's fastest point; 0 where the model does not fit [token/s].
    plan : str
    concurrency : float
        Requests in flight of a replica [1].
    devices_per_mw : float
        [1/MW].
    memory_per_mw : float
        Memory of those devices [B/MW].
    watts, idle_watts : float
        Of one device with its share of the server: by the load of that point, and without any [W].
    reason : str
        Why there is no frontier; empty otherwise.

    Examples
    --------
    >>> from tokenroof.economics import Tier, deliver
    >>> chat = Tier("chat", 0.6, interactivity=50.0, model="gpt-oss-20b", context=2048)
    >>> offer = deliver(["H200-SXM"], [chat]).offers[0]
    >>> offer.device, offer.reached >= 50.0, offer.tokens_per_s_per_mw > 1e5
    ('H200-SXM', True, True)
    """

    tier: Tier
    device: str
    model: str
    case: str
    interactivity: float
    context: float
    tokens_per_s_per_mw: float
    reached: float
    fastest: float
    plan: str
    concurrency: float
    devices_per_mw: float
    memory_per_mw: float
    watts: float
    idle_watts: float
    reason: str

    @property
    def is_reached(self) -> bool:
        """Whether a point is fast enough."""
        return bool(np.isfinite(self.reached))

    @property
    def assumed(self) -> tuple[str, ...]:
        """Fields of the tier that stand on a range or a stand-in."""
        return self.tier.assumed

    def gap(self) -> str:
        """What is missing, in words; empty where the tier is reached."""
        if self.is_reached:
            return ""
        asked = f"{self.interactivity:.4g} token/s with {counted(self.context, 'token', '.0f')} of context"
        best = f"best {self.fastest:.4g} token/s" if self.fastest else self.reason
        by = f"{self.model} on {self.device}"
        return f"{self.tier.name} ({asked}, {self.case}): not reached by {by}; {best}"


@by_value
@dataclass(frozen=True)
class Delivery:
    """Every tier from every device, in each case of what nobody states.

    Attributes
    ----------
    offers : tuple of Offer
    """

    offers: tuple[Offer, ...]

    @property
    def devices(self) -> tuple[str, ...]:
        """Names, in the order asked for."""
        return tuple(dict.fromkeys(offer.device for offer in self.offers))

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """In the order asked for."""
        return tuple({offer.tier.name: offer.tier for offer in self.offers}.values())

    def of(self, device: str, case: str = "middle") -> tuple[Offer, ...]:
        """Offers of one device in one case, a tier each.

        Parameters
        ----------
        device : str
            One of `devices`.
        case : {"easy", "middle", "hard"}

        Returns
        -------
        tuple of Offer

        Raises
        ------
        ValueError
            For a device or case that is not there.
        """
        for name, value, known in (("device", device, self.devices), ("case", case, CASES)):
            if value not in known:
                raise ValueError(f"{name} is {shown(value)}; allowed: {', '.join(known)}")
        return tuple(o for o in self.offers if o.device == device and o.case == case)

    def supply(self, device: str, case: str = "middle") -> NDArray[np.float64]:
        """What a MW of one device yields at each tier, as `allocate` takes it.

        Returns
        -------
        ndarray
            Output; 0 where nothing reaches the tier [token/(s MW)].
        """
        return np.array([offer.tokens_per_s_per_mw for offer in self.of(device, case)])

    def gaps(self, case: str = "middle") -> tuple[str, ...]:
        """Tiers that no device reaches: who comes closest, and at which speed.

        Returns
        -------
        tuple of str
            A line for each.
        """
        found = []
        for tier in self.tiers:
            rows = [o for o in self.offers if o.tier.name == tier.name and o.case == case]
            if not any(offer.is_reached for offer in rows):
                found.append(max(rows, key=lambda offer: offer.fastest).gap())
        return tuple(found)

    def to_frame(self) -> pd.DataFrame:
        """One row an offer; `assumed` names what stands on a range or a stand-in."""
        names = ("model", "case", "interactivity", "context", "tokens_per_s_per_mw", "reached", "fastest",
                 "plan", "concurrency", "devices_per_mw", "memory_per_mw", "watts",
                 "idle_watts", "reason")  # fmt: skip
        rows = [
            {"tier": o.tier.name, "device": o.device, "price_per_mtok": o.tier.price_per_mtok}
            | {name: getattr(o, name) for name in names}
            | {"assumed": ", ".join(o.assumed)}
            for o in self.offers
        ]
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(rows)
        return frame


def deliver(
    devices: Sequence[str | Device] | Mapping[str, Any],
    tiers: Sequence[Tier],
    **options: Unpack[DeliveryOptions],
) -> Delivery:
    """What each device delivers at each tier, from its frontier: most tokens per MW that are fast enough.

    Parameters
    ----------
    devices : sequence of str or Device, or mapping
        Whatever `tokenroof.serving.frontier` takes as its device; a mapping gives them names.
    tiers : sequence of Tier
        With a model, and a speed and a context or their ranges: `gtc2026_tiers`, `read_tiers`.
    output_tokens : float, optional
        Mean tokens of an answer [1]; 1,024 by default.
    ttft_max : float, optional
        Longest mean time to the first token of a point that is sold [s]; 10 s by default, None for any.
    fidelity, engine, power, pue : optional
        As in `tokenroof.serving.frontier`: by default a MW is provisioned power, all in, so that a `Site` of
        PUE 1 takes it; with ``power="chassis"`` it is IT power, and the site's PUE counts.
    systems : bool, optional
        Over systems, as `tokenroof.serving.frontier` has them: pools of their own for prompts and answers,
        plans as wide as a domain, drafts; single replicas by default.

    Returns
    -------
    Delivery
        Where nothing is fast enough the offer is 0 and `Delivery.gaps` says what the best speed is. A tier
        whose speed or context is a range is given at both ends and in the middle.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown device or model, a tier without model, speed or context, or a number out of range,
        by name.

    Examples
    --------
    >>> chat = Tier("chat", 0.6, interactivity=50.0, model="gpt-oss-20b", context=2048)
    >>> live = Tier("live", 9.0, interactivity=5e4, model="gpt-oss-20b", context=2048)
    >>> made = deliver(["H200-SXM"], [chat, live])
    >>> bool(made.supply("H200-SXM")[0] > 1e5), made.gaps()[0][:30]
    (True, 'live (5e+04 token/s with 2048 ')
    """
    check_options("deliver", options, DeliveryOptions)
    return delivered({}, devices, tiers, options)


def delivered(
    fronts: Fronts,
    devices: Sequence[str | Device] | Mapping[str, Any],
    tiers: Sequence[Tier],
    options: DeliveryOptions,
) -> Delivery:
    """As `deliver`, with frontiers of these options that are known already; others are put beside them."""
    asked = check_tiers(tiers)
    for tier in asked:
        if tier.served is None:
            raise ValueError(f"model of tier {tier.name} is None; allowed: a model or a stand-in")
    given = {"ttft_max": LONGEST_WAIT, **options}
    offers = []
    for label, device in named_devices(devices).items():
        for tier in asked:
            for case, (speed, context) in tier.cases().items():
                key = label, str(tier.served), context
                if key not in fronts:
                    fronts[key] = frontier(device, str(tier.served), input_tokens=context, **given)  # type: ignore[arg-type]
                offers.append(_offer(tier, label, device, case, (speed, context), fronts[key]))
    return Delivery(tuple(offers))


def named_devices(devices: object) -> dict[str, Any]:
    """Devices by name, as they were given, or an error that names what is wrong."""
    if isinstance(devices, Mapping):
        for name in devices:
            if not isinstance(name, str) or not name:
                raise TypeError(f"devices has the name {shown(name)}; allowed: text")
        found: dict[str, Any] = dict(devices)
    elif isinstance(devices, Sequence) and not isinstance(devices, str):
        found = {}
        for each in devices:
            record = as_device(each)
            found[record.name] = record
    else:
        raise TypeError(
            f"devices is {shown(devices)}; allowed: a sequence of devices, or a mapping"
        )
    if not found:
        raise ValueError(f"devices is {shown(devices)}; allowed: at least one device")
    return found


def _offer(
    tier: Tier, label: str, device: Any, case: str, wanted: tuple[float, float], front: xr.Dataset
) -> Offer:
    speed, context = wanted
    at = cheapest_point(front, speed)
    fastest = float(front.interactivity.values[-1]) if front.sizes["point"] else 0.0
    model, why = str(front.attrs["model"]), str(front.attrs["reason"])
    about = (tier, label, model, case, speed, context)
    if at is None:
        gone = np.nan
        return Offer(*about, 0.0, gone, fastest, "", gone, gone, gone, gone, gone, why)
    point = {name: front[name].values[at] for name in (
        "output_tokens_per_s_per_mw", "interactivity", "concurrency", "per_device", "chassis_watts",
        "devices",
    )}  # fmt: skip
    rate = float(point["output_tokens_per_s_per_mw"])
    per_mw = rate / float(point["per_device"])
    memory = float(getattr(device, "memory_bytes", np.nan)) * per_mw
    return Offer(
        *about, rate, float(point["interactivity"]), fastest, str(front.plan.values[at]),
        float(point["concurrency"]), per_mw, memory,
        float(point["chassis_watts"]) / float(point["devices"]), _idle(device), why,
    )  # fmt: skip


def _idle(device: Any) -> float:
    """What one device draws without load, its share of the server included [W]; NaN where nothing says it."""
    try:
        record = as_device(device)
    except (TypeError, ValueError, KeyError):  # a system of several
        return float("nan")
    return float(chassis_power(record, idle_power(record)))
