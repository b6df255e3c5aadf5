"""What a recorded run gave, and both ways of playing on: raw and calibrated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenroof.serving.curve import curve
from tokenroof.serving.outcome.summary import summary
from tokenroof.serving.recorded.dilated import dilated, with_host
from tokenroof.serving.requests.given import as_requests
from tokenroof.support.arguments import amounts
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.requests.record import Requests
    from tokenroof.serving.simulation.result import Simulation
    from tokenroof.serving.simulation.scheduler import Scheduler

__all__ = ["RunFit", "Sides"]

_COMPARED = ("ttft_s", "tpot_s", "e2e_s")
#: A factor beyond this, or below one over it, is another device's or model's: bands of steps are within it.
_ODD = 3.0
_RATES = ("output_throughput", "request_throughput")


class Sides(NamedTuple):
    """A load played with the step kernels as they are, and with what was fitted."""

    raw: Simulation
    calibrated: Simulation


@by_value
@dataclass(frozen=True)
class RunFit:
    """A factor of the step, and the host's time of each, of one recorded run.

    Attributes
    ----------
    factor : float
        Recorded steps over those of the step kernels, the host's time apart [1].
    factor_interval : tuple of float
        Where nine in ten such runs would have it [1].
    host_s : float
        Of each step [s].
    host_interval : tuple of float
        Where nine in ten such runs would have it [s].
    raw_host_s : float
        Which the scheduler had before [s].
    device, model, plan, scheduler : records
        What it was fitted for.
    options : dict
        Which `simulate` had: fidelity, replicas, router, age of signals.
    recorded, raw, calibrated : structured ndarray
        The run, and what the simulation makes of its requests without and with the fit.
    """

    factor: float
    factor_interval: tuple[float, float]
    host_s: float
    host_interval: tuple[float, float]
    raw_host_s: float
    device: Device
    model: Model
    plan: Plan
    scheduler: Scheduler
    options: dict[str, Any]
    recorded: NDArray[Any]
    raw: NDArray[Any]
    calibrated: NDArray[Any]

    def __repr__(self) -> str:
        low, high = self.factor_interval
        least, most = self.host_interval
        odd = ""
        if not 1.0 / _ODD <= self.factor <= _ODD:
            odd = (
                f"; ODD: with {self.factor:.3g} times the steps device, model, plan or the unit of the times "
                "are likely others"
            )
        return (
            f"<RunFit: steps {self.factor:.3f} ({low:.3f} to {high:.3f}) times as long, "
            f"host {1e3 * self.host_s:.3f} ms ({1e3 * least:.3f} to {1e3 * most:.3f}){odd}>"
        )

    def compare(self) -> list[dict[str, Any]]:
        """Rows of a table: what was recorded, and how far both simulations are off.

        Returns
        -------
        list of dict
            ``what`` (as "ttft_s p99"), ``recorded``, ``raw``, ``calibrated``, and ``raw_off`` and
            ``calibrated_off``, their ratios to what was recorded less one.
        """
        sides = [summary(records) for records in (self.recorded, self.raw, self.calibrated)]
        rows = []
        names = [(name, p) for name in _COMPARED for p in ("mean", "p50", "p90", "p99")]
        for name, p in [*names, *((rate, "") for rate in _RATES)]:
            true, raw, fitted = (float(s[name][p] if p else s[name]) for s in sides)
            rows.append({
                "what": f"{name} {p}".strip(), "recorded": true, "raw": raw, "calibrated": fitted,
                "raw_off": raw / true - 1.0, "calibrated_off": fitted / true - 1.0,
            })  # fmt: skip
        return rows

    def simulate(self, requests: Mapping[str, Any] | Requests, **options: Any) -> Sides:
        """Play a load raw and calibrated.

        Parameters
        ----------
        requests : mapping or Requests
            As in `simulate`.
        **options
            Of `simulate`, in place of the run's.

        Returns
        -------
        Sides
            Two `Simulation`; energies are those of raw steps in both.

        Raises
        ------
        KeyError, ValueError, TypeError
            As `simulate`.
        """
        load, given = as_requests(requests), {**self.options, **options}
        where = self.device, self.model, self.plan, load, self.scheduler, given
        return Sides(
            dilated(1.0, self.raw_host_s, *where), dilated(self.factor, self.host_s, *where)
        )

    def curve(
        self, rate: ArrayLike, input_tokens: float = 1024, output_tokens: float = 1024
    ) -> xr.Dataset:
        """Latency over rates of arrivals, raw and calibrated, along ``side``.

        Parameters
        ----------
        rate : array_like, 1-d
            Requests that arrive at random, per second and replica [1/s].
        input_tokens, output_tokens : float
            Mean tokens of prompt and answer [1].

        Returns
        -------
        xarray.Dataset
            `curve` over (side, rate).

        Raises
        ------
        ValueError, TypeError
            As `curve`.
        """
        xarray = require("xarray", extra="analysis")
        rates = amounts("rate", rate, positive=True)
        sides = []
        for factor, host in ((1.0, self.raw_host_s), (self.factor, self.host_s)):
            found = curve(
                self.device, self.model, self.plan, input_tokens, output_tokens, rate=rates * factor,
                scheduler=with_host(self.scheduler, host / factor),
                fidelity=self.options.get("fidelity", "calibrated"),
            )  # fmt: skip
            sides.append(_slower(found, factor).assign_coords(rate=("rate", rates.reshape(-1))))
        table: xr.Dataset = xarray.concat(sides, xarray.Variable("side", ["raw", "calibrated"]))
        table.attrs.update(factor=self.factor, host_s=self.host_s)
        del table.attrs["saturation_per_s"]
        return table


def _slower(table: xr.Dataset, factor: float) -> xr.Dataset:
    """A table on a clock that goes slower by a factor."""
    out = table.copy()
    for name, values in table.data_vars.items():
        units = str(values.attrs.get("units", ""))
        power = {"s": 1.0, "1/s": -1.0, "token/s": -1.0}.get(units, 0.0)
        if power:
            out[name] = (values * factor**power).assign_attrs(values.attrs)
    return out
