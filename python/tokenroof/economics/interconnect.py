"""What each generation of NVLink does to a device's frontier, all else equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from tokenroof.catalogue.tables import links
from tokenroof.economics.offers import cheapest_point
from tokenroof.inference.door import as_device
from tokenroof.serving.frontier import frontier
from tokenroof.serving.loads import LONGEST_WAIT
from tokenroof.support.arguments import check_options, finite_number, flag, is_integer, shown
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from typing import Unpack

    import pandas as pd
    import xarray as xr

    from tokenroof.records.device import Device
    from tokenroof.records.model import Model

__all__ = ["Interconnect", "InterconnectOptions", "interconnect"]


class InterconnectOptions(TypedDict, total=False):
    """Options of `interconnect`, as its docstring has them."""

    input_tokens: float
    output_tokens: float
    devices_max: int | None
    ttft_max: float | None
    fidelity: str
    power: str


@by_value
@dataclass(frozen=True)
class Interconnect:
    """One device with the link of each generation.

    Attributes
    ----------
    device, model : str
    generations : tuple of int
    bandwidth : tuple of float
        One way, per device [B/s].
    domain : tuple of int
        Devices that the link joins.
    fronts : tuple of xarray.Dataset
        The frontier of each, as `tokenroof.serving.frontier` gives it.
    """

    device: str
    model: str
    generations: tuple[int, ...]
    bandwidth: tuple[float, ...]
    domain: tuple[int, ...]
    fronts: tuple[xr.Dataset, ...]

    def at(self, interactivity: float) -> tuple[float, ...]:
        """Yield of each generation where every user gets this speed at least; 0 where nothing is that fast.

        Parameters
        ----------
        interactivity : float
            [token/s].

        Returns
        -------
        tuple of float
            [token/(s MW)].
        """
        speed = finite_number("interactivity", interactivity, above=True)
        points = [(front, cheapest_point(front, speed)) for front in self.fronts]
        return tuple(
            0.0 if i is None else float(front.output_tokens_per_s_per_mw.values[i])
            for front, i in points
        )

    @property
    def fastest(self) -> tuple[float, ...]:
        """Best speed of one user with each generation; 0 where the model does not fit [token/s]."""
        return tuple(
            float(f.interactivity.values[-1]) if f.sizes["point"] else 0.0 for f in self.fronts
        )

    def to_frame(self, interactivity: Sequence[float] = (10.0, 30.0, 60.0, 100.0)) -> pd.DataFrame:
        """A row a generation: bandwidth, domain, best speed, yield at each of some speeds."""
        columns = {
            "generation": self.generations, "bandwidth": self.bandwidth, "domain": self.domain,
            "fastest": self.fastest,
            **{f"token/(s MW) at {speed:g}": self.at(speed) for speed in interactivity},
        }  # fmt: skip
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(columns)
        return frame


def interconnect(
    device: str | Device,
    model: str | Model,
    generations: Sequence[int] = (1, 2, 3, 4, 5, 6),
    own_domain: bool = False,
    **options: Unpack[InterconnectOptions],
) -> Interconnect:
    """A device's frontier with the NVLink of each generation in place of its own.

    Bandwidth and topology are the link's: meshes before NVLink 3, switches that add from NVLink 4 on.
    Everything else is the device's: compute, memory, watts, and the domain that the link joins.

    Parameters
    ----------
    device : str or Device
        One with a scale-up link.
    model : str or Model
        One that needs several devices, or the link does little.
    generations : sequence of int
        Of NVLink, from 1 to 6: those whose bandwidth is published (`catalogue.links`).
    own_domain : bool
        Whether the domain is the most that the generation joins, or the device's where that is less.
    input_tokens, output_tokens, devices_max, ttft_max, fidelity, power : optional
        As in `tokenroof.serving.frontier`; a first token within 10 s by default.

    Returns
    -------
    Interconnect
        Frontiers, and the yield of each generation at any speed [token/(s MW)].

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a device without a scale-up link, or a generation that is not there.

    Examples
    --------
    >>> found = interconnect("GB200-NVL72", "Kimi-K2.5", [3, 5], input_tokens=4096)
    >>> old, new = found.at(60.0)
    >>> bool(new > old > 0.0)
    True
    """
    check_options("interconnect", options, InterconnectOptions)
    own = as_device(device)
    if own.link_bandwidth is None:
        raise ValueError(
            f"device {own.name} has no scale-up link; allowed: one with link_bandwidth"
        )
    known = {
        int(row["generation"]): row
        for row in links()
        if row["name"].startswith("NVLink ") and "device_bandwidth" in row
    }
    if isinstance(generations, str) or not isinstance(generations, Sequence) or not generations:
        raise TypeError(f"generations is {shown(generations)}; allowed: a sequence of integers")
    for generation in generations:
        if not is_integer(generation) or generation not in known:
            said = ", ".join(map(str, sorted(known)))
            raise ValueError(f"generations has {shown(generation)}; allowed: {said}")
    by_link = bool(flag("own_domain", own_domain))
    given = {"ttft_max": LONGEST_WAIT, **options}
    size = own.link_domain_size or 1
    domains, fronts = [], []
    for generation in generations:
        row = known[generation]
        domains.append(min(size, int(row["max_domain"])) if by_link else size)
        one = own.replace(
            link_name="NVLink", link_generation=int(generation),
            link_bandwidth=float(row["device_bandwidth"]), link_domain_size=domains[-1],
        )  # fmt: skip
        fronts.append(frontier(one, model, **given))  # type: ignore[arg-type]
    return Interconnect(
        own.name, str(fronts[0].attrs["model"]), tuple(int(g) for g in generations),
        tuple(float(np.float64(known[g]["device_bandwidth"])) for g in generations), tuple(domains),
        tuple(fronts),
    )  # fmt: skip
