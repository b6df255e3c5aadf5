"""What makers and benchmarks print of speed per user and of tokens per second and MW, with sources."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

from tokenroof.catalogue.files import table
from tokenroof.records.provenance import Provenance
from tokenroof.support.names import normalise

__all__ = ["Published", "fastest_published", "published"]


@dataclass(frozen=True, slots=True)
class Published:
    """One printed point.

    Attributes
    ----------
    device : str
        Name in the catalogue where it is there.
    model : str
        The same; "" where the source names none.
    speed : float
        Output tokens per second of one user [token/s].
    per_mw, per_device : float
        Tokens per second and MW, and per second and device, as printed; NaN where not [token/s].
    counts : {"output", "total", ""}
        Which tokens these count: "total" has the prompts' too.
    input_tokens, output_tokens : float
        Of a request; NaN where the source does not say them [1].
    power_kw : float
        All-in power of a device that the source divides by; NaN where it says none [kW].
    devices : int or None
    engine, speculation : str
        As the source has it; "" for none said.
    with_lpx, keynote, fastest : bool
        With Groq 3 LPX beside; of the keynote's chart; the largest speed found for the device.
    provenance : Provenance
    """

    device: str
    model: str
    speed: float
    per_mw: float
    per_device: float
    counts: str
    input_tokens: float
    output_tokens: float
    power_kw: float
    devices: int | None
    engine: str
    speculation: str
    with_lpx: bool
    keynote: bool
    fastest: bool
    provenance: Provenance

    @property
    def output_share(self) -> float:
        """Output tokens of the tokens that are counted; NaN where the load is not said [1]."""
        if self.counts == "output":
            return 1.0
        return self.output_tokens / (self.input_tokens + self.output_tokens)

    def output_per_mw(self, watts: float = math.nan) -> float:
        """Output tokens per second and MW, by the source's own power, or by so many watts a device.

        Examples
        --------
        >>> point = published("gpt-oss-120b", "B200-SXM")[-1]
        >>> round(point.output_per_mw())
        2488889
        """
        own = self.per_mw
        if math.isnan(own):
            kilowatts = watts / 1e3 if math.isnan(self.power_kw) else self.power_kw
            own = self.per_device / kilowatts * 1e3
        return own * self.output_share


@cache
def _points() -> tuple[Published, ...]:
    file, found = table("published"), []
    for row in file["point"]:
        said = Provenance(row["kind"], file["sources"][row["source"]], row["when"], "tok/s/user")
        pairs = row.get("curve") or [[row["speed"], row.get("per_mw", math.nan)]]
        found += [_point(row, speed, per_mw, said, pair == len(pairs) - 1)
                  for pair, (speed, per_mw) in enumerate(pairs)]  # fmt: skip
    return tuple(found)


def _point(
    row: dict[str, Any], speed: float, per_mw: float, said: Provenance, last: bool
) -> Published:
    given, answer = row.get("load", (math.nan, math.nan))
    return Published(
        row["device"], row.get("model", ""), float(speed), float(per_mw),
        float(row.get("per_device", math.nan)), row.get("counts", ""), float(given), float(answer),
        float(row.get("power_kw", math.nan)), row.get("devices"), row.get("engine", ""),
        row.get("speculation", ""), row.get("with_lpx", False), row.get("keynote", False),
        row.get("fastest", False) and last, said,
    )  # fmt: skip


def published(model: str | None = None, device: str | None = None) -> tuple[Published, ...]:
    """Printed points, in the order of the file.

    Parameters
    ----------
    model, device : str, optional
        Without regard to case and separators; any if None.

    Returns
    -------
    tuple of Published
        Empty where nothing was found.

    Examples
    --------
    >>> [point.speed for point in published("DeepSeek-R1", "H100-SXM")]
    [42.0, 71.0, 100.0]
    """
    return tuple(
        point
        for point in _points()
        if (model is None or normalise(model) == normalise(point.model))
        and (device is None or normalise(device) == normalise(point.device))
    )


def fastest_published() -> dict[str, Published]:
    """The largest speed per user that was found for each device, whatever the model.

    Returns
    -------
    dict of Published
        By device.

    Examples
    --------
    >>> fastest_published()["B200-SXM"].speed
    1038.0
    """
    return {point.device: point for point in _points() if point.fastest}
