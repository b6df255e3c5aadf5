"""Marks beside the curves of a chart: what was measured, filled; what is printed, hollow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenroof.catalogue.hours import printed_hours
from tokenroof.catalogue.measured import Run
from tokenroof.catalogue.printed import Published
from tokenroof.plot.style import plain
from tokenroof.support.arguments import number, shown
from tokenroof.support.names import normalise
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from tokenroof.plot.conventions import Convention

__all__ = ["Mark", "measured_marks", "printed_marks"]

_FIELDS = ("device", "speed", "per_device", "per_mw", "date", "engine", "text")


@dataclass(frozen=True, slots=True)
class Mark:
    """A point beside the curves.

    Attributes
    ----------
    device : str
    speed : float
        Output tokens per second of one user [token/s].
    per_device, per_mw : float
        Output tokens per second of a device, or of a MW by the source's own power; NaN for neither [token/s].
    text : str
    hollow : bool
    """

    device: str
    speed: float
    per_device: float
    per_mw: float
    text: str
    hollow: bool

    def at(self, choice: Convention, watts: float) -> float:
        """Its place on an axis; `watts` is what the device's curve is divided by, NaN by load."""
        rate = self.per_device
        if choice.kind == "dollars":
            for hour in printed_hours():
                if hour.date == choice.of and normalise(hour.device) == normalise(self.device):
                    return float(getattr(hour, choice.field) / (rate * 3600.0) * 1e6)
            return math.nan
        if not math.isnan(rate) and not math.isnan(watts):
            return rate / watts * 1e6
        return self.per_mw


def measured_marks(given: Iterable[Run | Mapping[str, Any]]) -> list[Mark]:
    """Marks of the catalogue's runs, or of your own mappings with device, speed, per_device or per_mw."""
    return [_of_run(one) if isinstance(one, Run) else _of_mapping(one) for one in given]


def _of_run(run: Run) -> Mark:
    latency = run.ttft_s + (run.output_tokens - 1.0) * run.tpot_s
    rate = run.concurrency * run.output_tokens / latency / run.plan.devices
    text = (
        f"<b>{plain(run.device)}</b> measured {run.date}<br>{plain(run.plan.engine)} {plain(run.version)}, "
        f"{plain(run.plan.label())}, {plain(run.load)}<br>batch {run.concurrency}"
        f", {1 / run.tpot_s:.3g} tok/s/user"
    )
    return Mark(run.device, 1.0 / run.tpot_s, rate, math.nan, text, hollow=False)


def _of_mapping(one: Mapping[str, Any]) -> Mark:
    if not isinstance(one, Mapping):
        raise TypeError(f"measured has {shown(one)}; allowed: a Run of the catalogue, or a mapping")
    wrong = sorted(set(one) - set(_FIELDS))
    if wrong:
        raise ValueError(f"measured has {shown(wrong[0])}; allowed: {', '.join(_FIELDS)}")
    if not isinstance(one.get("device"), str):
        raise TypeError(f"device of measured is {shown(one.get('device'))}; allowed: a name")
    values = {}
    for name in ("speed", "per_device", "per_mw"):
        value = one.get(name)
        if value is not None and not 0.0 < number(value) < math.inf:
            raise ValueError(f"{name} of measured is {shown(value)}; allowed: a positive number")
        values[name] = math.nan if value is None else float(value)
    if math.isnan(values["speed"]) or all(math.isnan(values[n]) for n in ("per_device", "per_mw")):
        raise ValueError(
            f"measured has {shown(dict(one))}; allowed: speed, and per_device or per_mw [token/s]"
        )
    said = " ".join(str(one[k]) for k in ("engine", "date") if one.get(k))
    text = (
        f"<b>{plain(one['device'])}</b> measured {plain(said)}<br>{values['speed']:.3g} tok/s/user"
        f"<br>{plain(one.get('text', ''))}"
    )
    return Mark(one["device"], **values, text=text, hollow=False)


def printed_marks(given: Sequence[Published]) -> list[Mark]:
    """Hollow marks of printed points; those without a yield stand on the axis."""
    found = []
    for point in given:
        of = point.provenance
        what = ", ".join(
            x for x in (point.model or "model not said", point.engine, point.speculation) if x
        )
        text = (
            f"<b>{plain(point.device)}{' with LPX' if point.with_lpx else ''}</b> printed "
            f"{of.date} ({of.kind})<br>{plain(what)}{_load(point)}<br>"
            f"{point.speed:g} tok/s/user<br>{_broken(plain(of.source))}"
        )
        share, kilowatts = point.output_share, point.power_kw
        rate = point.per_device * share
        if math.isnan(rate) and not math.isnan(kilowatts):
            rate = point.per_mw * kilowatts / 1e3 * share
        found.append(
            Mark(point.device, point.speed, rate, point.output_per_mw(), text, hollow=True)
        )
    return found


def _load(point: Published) -> str:
    """Tokens of a request, where they are said."""
    if math.isnan(point.input_tokens):
        return ""
    return f", {counted(point.input_tokens, 'token', ',.0f')} in, {point.output_tokens:,.0f} out"


def _broken(text: str, width: int = 70) -> str:
    """A long text on lines of a tooltip."""
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return "<br>".join([*lines, line])
