"""How much more a generation yields than another: no number, a curve over the speed of a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.economics.delivery import named_devices
from tokenroof.economics.offers import cheapest_point
from tokenroof.serving.frontier import frontier
from tokenroof.serving.loads import LONGEST_WAIT
from tokenroof.support.arguments import reals
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from tokenroof.records.device import Device
    from tokenroof.records.model import Model

    Array = NDArray[np.float64]

__all__ = ["Ratios", "generation_ratios"]


@by_value
@dataclass(frozen=True)
class Ratios:
    """Yields of generations over the speed of a user.

    Attributes
    ----------
    generations : tuple of str
        The first is what the others are compared with.
    interactivity : ndarray
        Speeds asked for [token/s].
    tokens_per_s_per_mw : ndarray
        By generation and speed; 0 where nothing is that fast [token/(s MW)].
    fastest : ndarray
        Best speed of each [token/s].
    """

    generations: tuple[str, ...]
    interactivity: Array
    tokens_per_s_per_mw: Array
    fastest: Array

    @property
    def ratio(self) -> Array:
        """Over the first generation: inf where that one is too slow, NaN where both are [1]."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Array = self.tokens_per_s_per_mw / self.tokens_per_s_per_mw[0]
        return found

    def reaches(self, factor: float) -> tuple[float | None, ...]:
        """The least speed asked for at which each generation yields so many times as much; None where none.

        Parameters
        ----------
        factor : float
            [1].

        Returns
        -------
        tuple of float or None
            [token/s]: where the first one is too slow, any factor is reached.
        """
        found = []
        for row in self.ratio:
            at = np.flatnonzero(row >= factor)
            found.append(float(self.interactivity[at[0]]) if at.size else None)
        return tuple(found)

    def to_frame(self) -> pd.DataFrame:
        """A row a speed: yield and ratio of each generation."""
        columns: dict[str, Any] = {"interactivity": self.interactivity}
        for name, rate, ratio in zip(
            self.generations, self.tokens_per_s_per_mw, self.ratio, strict=True
        ):
            columns |= {f"{name} token/(s MW)": rate, f"{name} ratio": ratio}
        frame: pd.DataFrame = require("pandas", extra="analysis").DataFrame(columns)
        return frame


def generation_ratios(
    generations: Sequence[str | Device] | Mapping[str, Any],
    model: str | Model,
    interactivity: Sequence[float] | None = None,
    *,
    input_tokens: float = 1024,
    output_tokens: float = 1024,
    ttft_max: float | None = LONGEST_WAIT,
    fidelity: str = "calibrated",
    power: str = "provisioned",
) -> Ratios:
    """Tokens per MW of each generation over the first one's, at every speed of a user.

    A factor such as "35 times" holds at one speed: slower users see less of it, and faster ones are
    not served by the first generation at all.

    Parameters
    ----------
    generations : sequence of str or Device, or mapping
        As in `deliver`; the first is what the others are compared with.
    model : str or Model
    interactivity : sequence of float, optional
        Speeds [token/s]; by default 32 steps from 5 to the fastest of all.
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    ttft_max : float, optional
        Longest mean time to the first token of a point that counts [s]; None for any.
    fidelity, power : str
        As in `tokenroof.serving.frontier`.

    Returns
    -------
    Ratios
        [token/(s MW)] and [1].

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, or a number out of range.

    Examples
    --------
    >>> found = generation_ratios(["H200-SXM", "GB200-NVL72"], "Kimi-K2.5", [20, 60, 130], input_tokens=4096)
    >>> bool(found.ratio[1, 0] > 1.0), bool(found.ratio[1, 2] == np.inf)
    (True, True)
    """
    named = named_devices(generations)
    fronts = [
        frontier(device, model, None, input_tokens, output_tokens, ttft_max=ttft_max,
                 fidelity=fidelity, power=power)
        for device in named.values()
    ]  # fmt: skip
    best = np.array(
        [float(f.interactivity.values[-1]) if f.sizes["point"] else 0.0 for f in fronts]
    )
    if interactivity is None:
        speeds = np.geomspace(5.0, max(float(best.max()), 10.0), 32)
    else:
        speeds = reals("interactivity", interactivity, above=True)
        if speeds.ndim != 1 or not speeds.size:
            raise ValueError(
                f"interactivity has shape {speeds.shape}; allowed: speeds in one dimension"
            )
    rates = np.zeros((len(fronts), speeds.size))
    for row, front in zip(rates, fronts, strict=True):
        for j, speed in enumerate(speeds):
            at = cheapest_point(front, float(speed))
            row[j] = 0.0 if at is None else float(front.output_tokens_per_s_per_mw.values[at])
    return Ratios(tuple(named), speeds, rates, best)
