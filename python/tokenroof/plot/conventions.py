"""What a point of a frontier yields per MW or costs per token: by which watts, and by whose dollars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.catalogue.hours import printed_hours
from tokenroof.support.names import normalise

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.catalogue.hours import GpuHour

    Array = NDArray[np.float64]

__all__ = ["Convention", "conventions", "hour_of", "yields"]


@dataclass(frozen=True, slots=True)
class Convention:
    """One choice of the axis.

    Attributes
    ----------
    name : str
    kind : {"watts", "dollars"}
        Tokens per second and MW, or $ per million tokens.
    of : str
        Variable of a front with the watts; or a date of the table of device hours.
    field : str
        Of a device hour: "watts", "owning" or "rent"; "" for a variable.
    """

    name: str
    kind: str
    of: str
    field: str = ""

    @property
    def short(self) -> str:
        """In a menu."""
        return f"{'per MW' if self.kind == 'watts' else '$/Mtok'}, {self.name}"

    @property
    def title(self) -> str:
        """Of the axis."""
        if self.kind == "watts":
            return f"output tokens/s per MW ({self.name})"
        return f"$ per million output tokens ({self.name})"


def conventions() -> tuple[Convention, ...]:
    """Choices of the axis: power as provisioned, all-in of each date, by load; then dollars of an hour.

    Examples
    --------
    >>> [choice.name for choice in conventions()][:3]
    ['provisioned', 'all-in kW of 2026-04-03', 'all-in kW of 2026-07']
    """
    dates = sorted({hour.date for hour in printed_hours()})
    return (
        Convention("provisioned", "watts", "provisioned_watts"),
        *(Convention(f"all-in kW of {date}", "watts", date, "watts") for date in dates),
        Convention("boards, by load", "watts", "watts"),
        Convention("servers, by load", "watts", "chassis_watts"),
        Convention("facility, by load", "watts", "facility_watts"),
        *(Convention(f"{word}, {dates[-1]}", "dollars", dates[-1], field)
          for word, field in (("owned", "owning"), ("rented", "rent"))),
    )  # fmt: skip


def hour_of(device: str, date: str) -> GpuHour | None:
    """A device's hour in the table of a date, or None."""
    for hour in printed_hours():
        if hour.date == date and normalise(hour.device) == normalise(device):
            return hour
    return None


def _end(table: xr.Dataset, name: str, end: str) -> Any:
    """A variable, or its end of a range where the table has one."""
    ranged = f"{name}_{end}"
    return table[ranged if end and ranged in table else name].values


def yields(table: xr.Dataset, choice: Convention, end: str = "") -> Array:
    """The axis of each point of a front, by a convention; NaN where nothing says it.

    `end` is "" for the middle, "low" or "high" for the ends of what the table has ranges for.
    """
    other = {"low": "high", "high": "low", "": ""}[end]
    rate = np.asarray(_end(table, "output_throughput", end), np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        if not choice.field:
            if choice.of not in table:
                return np.full(rate.shape, np.nan)
            return np.asarray(rate / _end(table, choice.of, other) * 1e6)
        hour = None if table.attrs.get("beside") else hour_of(str(table.attrs["device"]), choice.of)
        if hour is None:
            return np.full(rate.shape, np.nan)
        each = rate / table["devices"].values
        if choice.kind == "watts":
            return np.asarray(each / hour.watts * 1e6)
        return np.asarray(getattr(hour, choice.field) / (each * 3600.0) * 1e6)
