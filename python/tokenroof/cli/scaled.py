"""How many replicas a simulation had: as given, or as an autoscaler made and took them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from tokenroof.serving.simulation.result import Simulation

__all__ = ["replicas_of", "said_of_replicas"]

_SHOWN = 8  # changes that a line names


def replicas_of(run: Simulation, options: dict[str, Any]) -> dict[str, Any]:
    """Of a run how many there were: under an autoscaler their mean over the time, least, most and changes."""
    found = {"replicas": options["replicas"]} if "replicas" in options else {}
    if not len(run.scaling):
        return found
    times, up = run.scaling["time_s"], run.scaling["up"]
    lasted = np.diff(times, append=max(run.totals["end_ns"] * 1e-9, float(times[-1])))
    whole = float(lasted.sum())
    mean = float(lasted @ up) / whole if whole > 0.0 else float(up[-1])
    names = run.scaling.dtype.names or ()
    return found | {
        "replicas_mean": mean, "replicas_least": int(up.min()), "replicas_most": int(up.max()),
        "scaling": [dict(zip(names, row, strict=True)) for row in run.scaling.tolist()],
    }  # fmt: skip


def said_of_replicas(found: dict[str, Any], several: bool) -> str:
    """The same in a line, of the first seed; empty of one replica.

    Examples
    --------
    >>> said_of_replicas({"replicas": 3}, several=False), said_of_replicas({"replicas": 1}, several=False)
    ('3 replicas', '')
    """
    if "replicas_mean" not in found:
        return counted(found["replicas"], "replica") if found.get("replicas", 1) > 1 else ""
    last, changes = None, []
    for row in found["scaling"]:
        if row["up"] != last:
            changes.append(f"{row['up']} from {row['time_s']:.3g} s")
        last = row["up"]
    more = ", ..." if len(changes) > _SHOWN else ""
    return (
        f"replicas{' of the first seed' if several else ''}: {found['replicas_mean']:.3g} in the mean, "
        f"{found['replicas_least']} to {found['replicas_most']}: {', '.join(changes[:_SHOWN])}{more}"
    )
