"""Operators and board power against measured tables, a part per table and type, and their totals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.calibrate import SPECS, Errors, Objective, measured_tables, read_operator
from tokenroof.calibrate.fitting import device_bound
from tokenroof.calibrate.power import power_tables, predict
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.inference import constants as _constants
from tokenroof.inference import power

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEYS = ("operator", "device", "engine", "type")


@dataclass
class Part:
    """Predictions and measurements of one table and type; no predictions where there are no constants."""

    operator: str
    device: str
    engine: str
    type: str
    measured: NDArray[np.float64]
    model: NDArray[np.float64] | None = None
    band: float = np.nan
    near: str = ""

    def row(self) -> dict[str, Any]:
        """As one is printed."""
        keys = {key: getattr(self, key) for key in KEYS}
        band = None if np.isnan(self.band) else self.band
        return keys | {"band": band, "near": self.near} | score([self])


def score(parts: list[Part]) -> dict[str, Any]:
    """Errors over the rows of some parts, the share that is answered, and that within its own band."""
    rows = sum(len(p.measured) for p in parts)
    answered = [p for p in parts if p.model is not None]
    if not answered:
        return {"shapes": rows, "answered": 0.0}
    model = np.concatenate([p.model for p in answered])
    measured = np.concatenate([p.measured for p in answered])
    inside = np.concatenate([np.abs(np.log(p.model / p.measured)) <= p.band for p in answered])
    errors = asdict(Errors.of(model, measured)) | {"covered": float(np.mean(inside))}
    errors.pop("band")
    return {"shapes": rows, "answered": len(measured) / rows, **errors}


def operators(folder: str, operator: str, tell: Callable[[str], Any]) -> Iterator[Part]:
    """Parts of one operator: those rows of its tables that it is about, as in its fits."""
    spec = SPECS[operator]
    for system, engine, version, path in measured_tables(folder, operator):
        device = find_device(system)
        try:
            table = read_operator(operator, path, device)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        left = {why: n for why, n in table.counts.items() if n and why not in ("rows", "shapes")}
        if spec.rows is not None:
            own = spec.rows(engine, table.columns)
            left[f"no rows of {operator}"] = int((~own).sum())
            table = table.where(own)
        kinds = np.asarray(spec.kind(table.columns)).astype(str)
        for kind in np.unique(kinds):
            part = device_bound(spec, engine, str(kind), table.where(kinds == kind))
            if spec.skip(engine, kind):
                # the same tables hold several collectives: those of others are no loss
                if kind not in SPECS:
                    left[f"{kind}, which is not fitted"] = len(part)
                continue
            if not len(part):
                left[f"{kind} on the host's time"] = int(np.sum(kinds == kind))
                continue
            found = _constants.find(operator, device, engine, str(kind))
            named = (operator, device.name, f"{engine} {version}", str(kind), part.time)
            if found is None:
                yield Part(*named)
                continue
            model = Objective(spec, device, str(kind), found.constants).predict(np.empty(0), part)
            yield Part(*named, model, found.band, found.near)
        if any(left.values()):
            tell(f"{path}: left out: {', '.join(f'{n} {why}' for why, n in left.items() if n)}")


def powers(folder: str, tell: Callable[[str], Any]) -> Iterator[Part]:
    """Board power of the kernels of 100 us and more, where tables carry it; the class stands as type."""
    for device, kind, path, table in power_tables(folder, tell):
        found = power.constants(device)
        model = predict(device, found.constants, kind, table)
        engine, _, version = path.parent.name.partition("-")
        named = ("power", device.name, f"{engine} {version}", kind, table["power"])
        yield Part(*named, model, power.band(device, kind), found.near)


def totals(parts: list[Part]) -> list[dict[str, Any]]:
    """Per operator: all of its rows, then by device, engine (all versions) and type."""
    rows = []
    for operator in dict.fromkeys(p.operator for p in parts):
        own = [p for p in parts if p.operator == operator]
        rows.append({"operator": operator, "by": "all", "name": "all", **score(own)})
        for by in KEYS[1:]:

            def key(p: Part, by: str = by) -> str:
                return (
                    str(getattr(p, by)).partition(" ")[0] if by == "engine" else str(getattr(p, by))
                )

            for name in sorted({key(p) for p in own}):
                group = [p for p in own if key(p) == name]
                rows.append({"operator": operator, "by": by, "name": name, **score(group)})
    return rows


def _figures(r: dict[str, Any]) -> str:
    if "mape" not in r:
        return f"{r['shapes']:9d}{r['answered']:10.1%}   no constants"
    return (f"{r['shapes']:9d}{r['answered']:10.1%}{r['mape']:8.1%}{r['median']:8.1%}{r['bias']:+8.1%}"
            f"{r['covered']:9.1%}")  # fmt: skip


_HEAD = f"{'shapes':>9}{'answered':>10}{'mean':>8}{'median':>8}{'bias':>8}{'covered':>9}"


def show(parts: list[Part]) -> None:
    """As tables of text: each part, then the totals."""
    print(f"{'operator':18}{'device':24}{'engine':20}{'type':20}{_HEAD}{'band':>7}  constants of")
    for part in parts:
        head = f"{part.operator:18}{part.device:24}{part.engine:20}{part.type:20}"
        print(f"{head}{_figures(part.row())}{part.band:7.2f}  {part.near}")
    print(f"\n{'operator':18}{'by':8}{'':24}{_HEAD}")
    for r in totals(parts):
        print(
            f"{r['operator']:18}{r['by']:8}{r['name'] if r['by'] != 'all' else '':24}{_figures(r)}"
        )
