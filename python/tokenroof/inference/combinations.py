"""Combinations of devices, models, plans, batches and contexts: numbers or a reason, block by block."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference import memory
from tokenroof.inference.calibration import resolve
from tokenroof.inference.door import check_plan
from tokenroof.records.model import Model
from tokenroof.scale.grid import Grid, pieces
from tokenroof.scale.work import Variable, mark_of
from tokenroof.support.arguments import shown
from tokenroof.support.formats import si

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.plan import Plan

    Packed = NDArray[np.float64]

__all__ = ["DIMS", "Combinations", "combinations"]

DIMS = ("device", "model", "plan", "batch", "context")
#: Points of one call of the kernels: Ctrl-C counts between two calls, and what is made of it stays in caches.
_PIECE = 2**13
#: Texts that are written at a time.
_TEXTS = 2**16
#: What `state` says of a point.
STATES = ("numbers", "refused", "memory", "infinite")
_NO_TIME = "the step takes no finite time; allowed: devices whose bandwidths and peaks are known"
_UNITS = {
    "time_s": ("s", "time of one decode step"),
    "tokens_per_s": ("token/s", "new tokens of the replica per second"),
    "tokens_per_s_per_device": ("token/s", "the same per device"),
    "interactivity": ("token/s", "tokens per second of one user"),
    "memory_bytes": ("B", "memory that the fullest device needs"),
    "fits": ("1", "whether the engine gives them that much of the device's memory"),
}
_FIELD_UNITS = {"flops": "FLOP", "bytes": "B", "communication_bytes": "B", "watts": "W"}


@dataclass(frozen=True)
class Combinations:
    """Records packed once, and what their products are asked for.

    Parameters
    ----------
    devices, models, plans : tuple
        Complete records; a model without published shapes is its name and what is said of it.
    batch, context : ndarray, 1-d
    packed : dict of ndarray
        Records by kind: ``device[d]``, ``model[m]``, ``plan[d, p]``, and ``calibration``, each once, with
        ``which[d, p]`` among them.
    fidelity : str
        Its name.
    fields : bool
        Whether all of ``kernels.STEP_FIELDS`` are wanted.
    must : bool
        Whether a combination that cannot be is an error.
    grid : Grid
    """

    devices: tuple[Device, ...]
    models: tuple[Model | tuple[str, str], ...]
    plans: tuple[Plan, ...]
    batch: NDArray[np.float64]
    context: NDArray[np.float64]
    packed: dict[str, NDArray[Any]] = field(repr=False)
    fidelity: str
    fields: bool
    must: bool
    grid: Grid

    @property
    def attrs(self) -> Mapping[str, Any]:
        """What holds for all of it."""
        return {"fidelity": self.fidelity}

    @cached_property
    def variables(self) -> dict[str, Variable]:
        """What each point has."""
        found = {}
        for name in _core.STEP_FIELDS if self.fields else ():
            if name != "time":
                found[name] = Variable("float64", {"units": _FIELD_UNITS.get(name, "s")})
        for name, (units, long_name) in _UNITS.items():
            kind = "bool" if name == "fits" else "float64"
            found[name] = Variable(kind, {"units": units, "long_name": long_name})
        flags = {"flag_values": list(range(len(STATES))), "flag_meanings": " ".join(STATES)}
        found["state"] = Variable("uint8", {"units": "1", **flags})
        return found

    @property
    def coords(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        """Values along dimensions, with attributes."""
        return {
            "device": ([d.name for d in self.devices], {}),
            "model": ([m.name if isinstance(m, Model) else m[0] for m in self.models], {}),
            "plan": (_labels(self.plans, self.models), {}),
            "batch": (self.batch, {"units": "1", "long_name": "sequences in flight"}),
            "context": (self.context, {"units": "token", "long_name": "cached tokens"}),
        }

    def mark(self) -> str:
        """What two sweeps share only if they are the same."""
        names = {name: list(self.coords[name][0]) for name in DIMS[:3]}
        said = {"fields": self.fields, "version": _core.build_config()["version"], "names": names}
        arrays = [self.packed[name] for name in sorted(self.packed)]
        return mark_of("decode steps", said, self.batch, self.context, *arrays)

    def compute(self, block: tuple[slice, ...]) -> dict[str, NDArray[Any]]:
        """Each variable of a block; with `must`, an error for the first combination that cannot be."""
        refused = self.refused(block)
        found = self.numbers(block, refused)
        if self.must:
            self.raise_first(block, found["state"], refused)
        return found

    def numbers(
        self, block: tuple[slice, ...], refused: NDArray[np.object_]
    ) -> dict[str, NDArray[Any]]:
        """Each variable of a block, piece by piece."""
        parts = pieces(block, _PIECE)
        shape = tuple(s.stop - s.start for s in block)
        out = {n: np.empty(shape, dtype=v.dtype) for n, v in self.variables.items()}
        allowed = refused == ""
        for part in parts:
            inner = tuple(
                slice(p.start - b.start, p.stop - b.start) for p, b in zip(part, block, strict=True)
            )
            for name, values in self._piece(part, allowed[inner[:3]]).items():
                out[name][inner] = values
        return out

    def _records(self, block: tuple[slice, ...]) -> tuple[Packed, Packed, Packed, Packed]:
        """Device, calibration, model and plan, which broadcast over the five dimensions."""
        d, m, p = block[:3]
        device = self.packed["device"][d][:, None, None, None, None]
        model = self.packed["model"][m][:, None, None, None]
        by_both = np.s_[:, None, :, None, None, :]
        calibration = self.packed["calibration"][self.packed["which"][d, p]]
        return device, calibration[by_both], model, self.packed["plan"][d, p][by_both]

    def _piece(
        self, block: tuple[slice, ...], allowed: NDArray[np.bool_]
    ) -> dict[str, NDArray[Any]]:
        """Arrays by name, with NaN where a combination is not allowed, or does not fit."""
        records = self._records(block)
        batch, context = self.batch[block[3]][:, None], self.context[block[4]]
        count = np.array([p.devices for p in self.plans[block[2]]], dtype=float)[:, None, None]
        valid = allowed[:, :, :, None, None]
        data: dict[str, NDArray[Any]] = {}
        # combinations that cannot be are computed with the others, and masked
        with np.errstate(all="ignore"):
            needed = memory.needed(records, batch, context)
            fits = valid & memory.room_for(records, needed)
            if self.fields:
                steps = kernels.decode_step(*records, batch, context)
                steps = np.where(fits[..., None], steps, np.nan)
                data |= {name: steps[..., i] for i, name in enumerate(_core.STEP_FIELDS)}
                time = data.pop("time")
            else:
                time = np.where(fits, kernels.decode_time(*records, batch, context), np.nan)
            time = np.where(np.isfinite(time), time, np.nan)
            rate = batch / time
            data |= {
                "time_s": time,
                "tokens_per_s": rate,
                "tokens_per_s_per_device": rate / count,
                # a step without users has no speed of one
                "interactivity": np.where(batch > 0, 1.0 / time, np.nan),
            }
        state = np.where(fits, np.where(np.isnan(time), 3, 0), np.where(valid, 2, 1))
        return data | {
            "memory_bytes": np.where(valid, needed, np.nan),
            "fits": fits,
            "state": state.astype(np.uint8),
        }

    def refused(self, block: tuple[slice, ...]) -> NDArray[np.object_]:
        """Why a device, a model and a plan do not go together; empty where they do."""
        devices, models = self.devices[block[0]], self.models[block[1]]
        plans = self.plans[block[2]]
        out = np.full((len(devices), len(models), len(plans)), "", dtype=object)
        for i, device in enumerate(devices):
            for j, model in enumerate(models):
                for k, plan in enumerate(plans):
                    if isinstance(model, tuple):
                        out[i, j, k] = model[1]
                        continue
                    try:
                        check_plan(device, model, plan)
                    except ValueError as error:
                        out[i, j, k] = str(error)
        return out

    def texts(
        self,
        block: tuple[slice, ...],
        state: NDArray[np.uint8],
        refused: NDArray[np.object_] | None = None,
    ) -> NDArray[np.object_]:
        """Why points have no numbers; empty where they have."""
        refused = self.refused(block) if refused is None else refused
        records, nothing = self._records(block), np.zeros((1, 1))
        with np.errstate(all="ignore"):
            weights = kernels.memory_required(records[2], records[3], nothing, nothing)
            loads = memory.fits(records, nothing, nothing)  # whether at least the weights fit
        weights = np.broadcast_to(weights, loads.shape)
        out = np.empty(state.shape, dtype=object)
        for i, j, k in np.ndindex(state.shape[:3]):
            if not state[i, j, k].any():
                _say(out[i, j, k], state[i, j, k], [""])
                continue
            device, plan = self.devices[block[0]][i], self.plans[block[2]][k]
            size = si(weights[i, j, k].item(), "B")
            what = (
                f"weights ({size}) and caches need more"
                if loads[i, j, k].item()
                else f"weights need {size}"
            )
            room = f"what {plan.engine} uses of the {si(device.memory_bytes, 'B')} of {device.name}"
            said = ["", refused[i, j, k], f"{what} per device; allowed: {room}", _NO_TIME]
            _say(out[i, j, k], state[i, j, k], said)
        return out

    def raise_first(
        self, block: tuple[slice, ...], state: NDArray[np.uint8], refused: NDArray[np.object_]
    ) -> None:
        """An error that says why the first point without numbers has none, if there is one."""
        if not state.any():
            return
        first = np.unravel_index(int((state != 0).argmax()), state.shape)
        at = tuple(
            slice(part.start + i, part.start + i + 1) for part, i in zip(block, first, strict=True)
        )
        one = tuple(slice(i, i + 1) for i in first)
        reason = self.texts(at, state[one], refused[one[:3]]).item()
        device, model, plan = (
            self.coords[name][0][part.start] for name, part in zip(DIMS[:3], at, strict=False)
        )
        raise ValueError(f"{model} on {device} with the plan {plan}: {reason}")


def _labels(plans: Sequence[Plan], models: Sequence[Model | tuple[str, str]]) -> list[str]:
    """Short names; of plans that share one also the fields in which they differ, as the engine."""
    laid = [m for m in models if isinstance(m, Model)]
    # experts are spoken of where any model has some
    one = max(laid, key=lambda m: m.experts, default=None)
    labels, rows = [p.label(one) for p in plans], dict[str, list[int]]()
    for i, label in enumerate(labels):
        rows.setdefault(label, []).append(i)
    for alike in (some for some in rows.values() if len(some) > 1):
        for name in (f.name for f in fields(plans[0])):
            values = [getattr(plans[i], name) for i in alike]
            if any(value != values[0] for value in values):
                for i, value in zip(alike, values, strict=True):
                    labels[i] += f" {name} {value}"
    return labels


def _check_names(what: str, records: Iterable[Any]) -> None:
    """Refuse unlike records of one name: their rows could not be told apart."""
    known: dict[str, Any] = {}
    for one in records:
        name = one[0] if isinstance(one, tuple) else one.name
        if known.setdefault(name, one) != one:
            raise ValueError(
                f"{what} has two unlike records called {shown(name)}; allowed: names that differ "
                "(record.replace(name=...))"
            )


def _say(out: NDArray[np.object_], state: NDArray[np.uint8], said: Sequence[Any]) -> None:
    """Texts of states, some at a time, so that Ctrl-C counts between them."""
    texts, rows = np.array(said, dtype=object), max(1, _TEXTS // max(1, state.shape[1]))
    for at in range(0, len(state), rows):
        out[at : at + rows] = texts[state[at : at + rows]]


def combinations(
    records: tuple[list[Device], list[Model | tuple[str, str]], list[Plan]],
    loads: tuple[NDArray[np.float64], NDArray[np.float64]],
    fidelity: str | Calibration,
    fields: bool,
    must: bool,
) -> Combinations:
    """Resolve the constants of devices and plans, and pack all records, once."""
    devices, models, plans = records
    _check_names("devices", devices)
    _check_names("models", models)
    found = [[resolve(fidelity, d, p) for p in plans] for d in devices]
    each = {id(one): one for row in found for one in row}  # the same for plans of the same types
    place = {key: i for i, key in enumerate(each)}
    unknown = np.full(len(_core.MODEL_FIELDS), np.nan)
    packed = {
        "device": _stack(d.pack() for d in devices),
        "calibration": _stack(one.packed for one in each.values()),
        "which": np.array([[place[id(one)] for one in row] for row in found]),
        "model": _stack(m.pack() if isinstance(m, Model) else unknown for m in models),
        "plan": _stack(_stack(p.on(d).pack() for p in plans) for d in devices),
    }
    batch, context = loads
    shape = (len(devices), len(models), len(plans), batch.size, context.size)
    name = fidelity if isinstance(fidelity, str) else fidelity.name
    return Combinations(
        tuple(devices), tuple(models), tuple(plans), batch, context, packed, name, fields, must,
        Grid(DIMS, shape, shape),
    )  # fmt: skip


def _stack(rows: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.stack(list(rows))
