"""Constants of board power, fitted on tables whose rows carry the mean power of the board.

Kernels of 100 us and more count: readings of shorter ones carry those of the kernel before. So do longer
ones that follow short ones; ``settled`` errors are of rows whose neighbour in the table is long too.
"""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.calibrate.carrying import carry_over
from tokenroof.calibrate.fitting import Errors
from tokenroof.calibrate.operators import read_operator
from tokenroof.calibrate.tables import (
    COUNTS,
    TIMES_S,
    TYPES,
    WATTS,
    NoTablesError,
    opened,
    refuse_beyond,
)
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.inference.power import CLASSES, constants_record, expert_tiles
from tokenroof.inference.roofline import peak as unit_peak
from tokenroof.records import dtypes
from tokenroof.records.calibration import Calibration
from tokenroof.records.device import Device
from tokenroof.support.lazy import require
from tokenroof.support.quoting import brief, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Table -> the class of its kernels.
TABLES = {
    "gemm_perf": "gemm", "generation_attention_perf": "attention_decode",
    "context_attention_perf": "attention_prefill", "moe_perf": "experts",
}  # fmt: skip
SHORTEST = 100e-6
# Of products, which the target is about, a row counts so much more than of the other classes together.
_GEMM_WEIGHT = 16.0
# sizes of a table that may be zero; all others are positive
_MAY_BE_ZERO = ("isl", "step", "num_key_value_heads", "window_size")
# Errors beyond this over the weight's root (products: 0.5 %), as shares of what was measured, count linearly:
# readings that carry the kernel before lie far off, mostly on one side, and must not pull the constants.
_SOFT = 0.02
_FOLDS = 4
_FREE = ("compute", "memory", *CLASSES, "ceiling")
_START = {"compute": 0.5, "memory": 0.2, "ceiling": 0.985}
_BOUNDS = {"ceiling": (0.9, 1.02), "compute": (1e-3, 3.0)}
_NEEDED = {
    "gemm": ("gemm_dtype", "m", "n", "k"),
    "attention_decode": ("batch_size", "isl", "step", "num_heads", "num_key_value_heads", "head_dim",
                         "window_size", "kv_cache_dtype"),
    "attention_prefill": ("batch_size", "isl", "step", "num_heads", "num_key_value_heads", "head_dim",
                          "window_size", "kv_cache_dtype"),
    "experts": ("moe_dtype", "num_tokens", "hidden_size", "inter_size", "topk", "num_experts",
                "moe_tp_size", "moe_ep_size"),
}  # fmt: skip


def _types(column: Any) -> NDArray[Any]:
    return np.asarray([TYPES.get(str(x), str(x)) for x in column])


def _work(kind: str, rows: Any, device: Device) -> tuple[Array, Array, Array, Array]:
    """FLOPs, bytes, datasheet peak and multiprocessor share of the rows."""
    ideal = (device.pack(), Calibration.ideal().pack())
    x = {name: np.asarray(rows[name], dtype=float) for name in _NEEDED[kind] if "dtype" not in name}
    sm = float(device.sm_count or 1)
    if kind == "gemm":
        types = _types(rows.gemm_dtype)
        code = np.array([float(dtypes.code(t)) for t in types])
        fields = kernels.gemm_operator(*ideal, x["m"], x["n"], x["k"], code, code, 0.0)
        tiles = np.ceil(x["m"] / 128) * np.ceil(x["n"] / 128)
    elif kind == "experts":
        types = _types(rows.moe_dtype)
        code = np.array([float(dtypes.code(t)) for t in types])
        fields = kernels.experts_operator(
            *ideal, x["num_tokens"], x["hidden_size"], x["inter_size"], x["num_experts"], x["topk"],
            3.0, x["moe_tp_size"], x["moe_ep_size"], 0.0, code, 0.0,
        )  # fmt: skip
        tiles = expert_tiles(
            x["num_tokens"], x["inter_size"], x["num_experts"], x["topk"], x["moe_tp_size"],
            x["moe_ep_size"],
        )  # fmt: skip
    else:
        types = np.full(len(rows), "bf16")
        code = np.array([float(dtypes.code(t)) for t in _types(rows.kv_cache_dtype)])
        kv = np.where(x["num_key_value_heads"] == 0, x["num_heads"], x["num_key_value_heads"])
        shape = (x["num_heads"], kv, x["head_dim"], x["head_dim"], x["window_size"], code)
        if kind == "attention_decode":
            context = x["isl"] + x["step"]
            fields = kernels.attention_decode_operator(
                *ideal, x["batch_size"], context, *shape, 0.0
            )
            seen = np.where(x["window_size"] > 0, np.minimum(context, x["window_size"]), context)
            tiles = x["batch_size"] * kv * np.ceil(seen / 256)
        else:
            fields = kernels.attention_prefill_operator(
                *ideal, x["batch_size"], x["isl"], x["step"], *shape, float(dtypes.code("bf16"))
            )
            tiles = np.ceil(x["isl"] / 128) * x["num_heads"] * x["batch_size"]
    place = {name: i for i, name in enumerate(_core.OPERATOR_FIELDS)}
    units = {t: unit_peak(device, t) for t in np.unique(types)}
    peak = np.array([units[t] for t in types])
    fill = np.asarray(kernels.wave_fill(tiles, sm))
    return fields[..., place["flops"]], fields[..., place["bytes"]], peak, fill


def read_power(
    path: str | os.PathLike[str] | Any, device: str | Device, kind: str
) -> dict[str, Array]:
    """Use, activity and power of a table's long kernels, checked.

    Parameters
    ----------
    path : path or pandas.DataFrame
        With the shapes' columns, ``latency`` [ms] and ``power`` [W].
    device : str or Device
    kind : str
        Class of the kernels: one of ``TABLES``'s.

    Returns
    -------
    dict of ndarray
        ``power`` [W], ``compute``, ``memory``, ``active`` [1], ``settled``, ``group`` (whole shapes).

    Raises
    ------
    ValueError
        For a missing column, no usable row, or powers beyond the board's limit.
    """
    frame = opened(path)
    d = find_device(device)
    for name in (*_NEEDED[kind], "latency", "power"):
        if name not in frame.columns:
            raise ValueError(
                f"table of {kind} on {d.name} has no column {shown(name)}; allowed: one with "
                f"{', '.join((*_NEEDED[kind], 'latency', 'power'))}"
            )
    frame = _in_numbers(
        frame, tuple(n for n in (*_NEEDED[kind], "latency", "power") if "dtype" not in n)
    )
    for name in (n for n in _NEEDED[kind] if "dtype" not in n):
        refuse_beyond(frame, name, frame[name], COUNTS)
    refuse_beyond(frame, "latency", frame.latency, TIMES_S, "ms", 1e-3)
    refuse_beyond(frame, "power", frame.power, WATTS, "W")
    seconds = frame.latency.to_numpy() * 1e-3
    watts = every = frame.power.to_numpy()
    before = np.concatenate([[0.0], seconds[:-1]])
    with np.errstate(invalid="ignore"):
        good = np.isfinite(seconds) & (seconds >= SHORTEST) & np.isfinite(watts) & (watts > 0.0)
        for name in (n for n in _NEEDED[kind] if "dtype" not in n):
            size = frame[name].to_numpy()
            good &= np.isfinite(size) & ((size >= 0.0) if name in _MAY_BE_ZERO else (size > 0.0))
    if kind == "gemm":  # these rows are bound by their host
        good &= _types(frame.gemm_dtype) != "fp8_block"
    if not good.any():
        raise ValueError(f"table of {kind} on {d.name} has no kernel of 100 us with a power")
    if d.tdp_w and float(np.median(watts[good])) > 1.1 * d.tdp_w:
        raise ValueError(
            f"powers of {kind} on {d.name} are {np.median(watts[good]):.3g} W in the median; allowed: at "
            f"most its limit of {d.tdp_w:g} W. Are they those of one board, in watts?"
        )
    rows = frame[good]
    seconds, watts = seconds[good], watts[good]
    flops, moved, peak, fill = _work(kind, rows, d)
    keys = np.stack([np.asarray(rows[c], dtype=float) for c in (("n", "k") if kind == "gemm" else (
        ("hidden_size", "inter_size", "num_experts") if kind == "experts" else
        ("num_heads", "num_key_value_heads", "head_dim")))], axis=1)  # fmt: skip
    _, group = np.unique(keys, axis=0, return_inverse=True)
    return {
        "power": watts, "compute": flops / seconds / peak, "memory": moved / seconds / d.memory_bandwidth,
        "active": fill * (1.0 - 3e-6 / seconds), "settled": before[good] >= SHORTEST, "group": group,
        "least": np.full(1, np.quantile(every[np.isfinite(every)], 0.02)),
    }  # fmt: skip


def _in_numbers(frame: Any, names: tuple[str, ...]) -> Any:
    """The table with these columns as numbers, NaN where a cell is empty."""
    numbers = {}
    for name in names:
        try:
            numbers[name] = np.asarray(frame[name], dtype=float)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(
                f"column {name} is no column of numbers ({brief(error)}); allowed: numbers"
            ) from None
    return frame.assign(**numbers)


def predict(
    device: Device, constants: dict[str, float], kind: str, table: dict[str, Array]
) -> Array:
    """Power of the rows [W]."""
    uses = [table["active"] if name == kind else 0.0 for name in CLASSES]
    record = constants_record(constants).pack()
    watts = kernels.board_power(device.pack(), record, table["compute"], table["memory"], *uses)
    return np.asarray(watts)


def _weight(kind: str, rows: int) -> float:
    """Of a residual: a kind counts as much as another whatever its rows, products more."""
    return math.sqrt((_GEMM_WEIGHT if kind == "gemm" else 1.0) * 3000 / rows)


def _fit(device: Device, tables: dict[str, dict[str, Array]], idle: float) -> dict[str, float]:
    optimize = require("scipy.optimize", extra="analysis")
    rng = np.random.default_rng(0)
    parts = {}
    for kind, table in tables.items():
        n = len(table["power"])
        take = np.sort(rng.choice(n, min(n, 3000), replace=False))
        parts[kind] = {name: v[take] for name, v in table.items() if len(v) == n}
    weight = {kind: _weight(kind, len(part["power"])) for kind, part in parts.items()}
    free = [name for name in _FREE if name not in CLASSES or name in parts]

    def named(x: Array) -> dict[str, float]:
        return {name: 0.0 for name in CLASSES} | {"idle": idle} | dict(zip(free, x, strict=True))

    def residual(x: Array) -> Array:
        return np.concatenate([
            weight[kind] * (predict(device, named(x), kind, part) / part["power"] - 1.0)
            for kind, part in parts.items()
        ])  # fmt: skip

    found = optimize.least_squares(
        residual, [_START.get(name, 0.3) for name in free], loss="soft_l1", f_scale=_SOFT,
        bounds=tuple(zip(*(_BOUNDS.get(name, (1e-3, 3.0)) for name in free), strict=True)),
        max_nfev=200,
    )  # fmt: skip
    values = named(found.x)
    return {name: float(f"{values[name]:.4g}") for name in _core.CALIBRATION_BLOCKS["power"]}


def _part(table: dict[str, Array], chosen: NDArray[np.bool_]) -> dict[str, Array]:
    n = len(table["power"])
    return {name: v[chosen] if len(v) == n else v for name, v in table.items()}


def _left_out(device: Device, tables: dict[str, dict[str, Array]], idle: float) -> dict[str, Array]:
    """Power of each row by constants fitted without any of its shape's: a quarter of the shapes in turn [W].

    Which quarter alone moves the mean by two points, as few shapes hold most of the odd readings. Rows of a
    class with too few shapes to leave any out are NaN.
    """
    rng = np.random.default_rng(1)
    folds, powers = {}, {}
    for kind in sorted(tables):
        group = tables[kind]["group"].astype(int)
        folds[kind] = (rng.permutation(int(group.max()) + 1) % _FOLDS)[group]
        powers[kind] = np.full(len(group), np.nan)
    for fold in range(_FOLDS):
        out = {kind: folds[kind] == fold for kind in tables}
        # a class of which nothing stays has no constant in this fold
        stay = {k: _part(t, ~out[k]) for k, t in tables.items() if not out[k].all()}
        if "gemm" not in stay:
            raise ValueError(
                f"products on {device.name} are all of one (n, k); allowed: two or more, to judge on"
            )
        constants = _fit(device, stay, idle)
        for kind in stay:
            powers[kind][out[kind]] = predict(
                device, constants, kind, _part(tables[kind], out[kind])
            )
    return powers


def fit_device(device: str | Device, tables: dict[str, dict[str, Array]]) -> dict[str, Any]:
    """Fit a board's constants on tables by class, and judge them on shapes left out, a quarter at a time.

    Returns
    -------
    dict
        As the catalogue's file holds it. ``mape``, ``median``, ``bias``, ``band`` are of products left
        out, ``mape_settled`` of those whose neighbour is long too, ``mape_fitted`` of all when fitted,
        ``mape_<class>``, ``band_<class>`` of the other classes left out (if there are shapes to leave out).

    Raises
    ------
    ValueError
        For products of one (n, k) alone, of which none can be left out.
    """
    d = find_device(device)
    limit = d.tdp_w or np.nan
    idle = float(f"{min(float(t['least'][0]) for t in tables.values()) / limit:.3g}")
    powers = _left_out(d, tables, idle)
    constants = _fit(d, tables, idle)
    row: dict[str, Any] = {
        "device": d.name, "engine": "vllm", "constants": constants,
        "rows": int(sum(len(t["power"]) for t in tables.values())),
    }  # fmt: skip
    for kind, table in tables.items():
        judged = np.isfinite(powers[kind])
        model, measured = powers[kind][judged], table["power"][judged]
        if not judged.any():
            continue
        errors = Errors.of(model, measured)
        if kind != "gemm":
            row |= {f"mape_{kind}": round(errors.mape, 4), f"band_{kind}": round(errors.band, 4)}
            continue
        row |= {"mape": round(errors.mape, 4), "median": round(errors.median, 4),
                "bias": round(errors.bias, 4), "band": round(errors.band, 4)}  # fmt: skip
        calm = table["settled"][judged].astype(bool)
        if calm.any():
            row["mape_settled"] = round(Errors.of(model[calm], measured[calm]).mape, 4)
        row["mape_fitted"] = round(
            Errors.of(predict(d, constants, kind, table), table["power"]).mape, 4
        )
    row["date"] = datetime.date.today().isoformat()
    return row


def power_tables(
    folder: str | os.PathLike[str], tell: Callable[[str], Any] | None = None
) -> Iterator[tuple[Device, str, Path, dict[str, Array]]]:
    """(device, class, path, rows) of the tables below ``folder/operators`` that carry board power.

    Raises
    ------
    ValueError
        Naming the file, for a table that is not usable; with `tell` that is told instead.
    """
    for path in sorted(Path(folder, "operators").glob("*/*/*")):
        if path.stem not in TABLES or path.suffix not in (".csv", ".parquet"):
            continue
        frame = opened(path)
        if "power" not in frame.columns or not np.isfinite(np.asarray(frame.power, float)).any():
            continue
        device, kind = find_device(path.parent.parent.name), TABLES[path.stem]
        try:
            read_operator(kind, frame, device)  # refuses times in a wrong unit
            rows = read_power(frame, device, kind)
        except ValueError as error:
            if tell is None:
                raise ValueError(f"{path}: {error}") from None
            tell(f"{path}: power left out: {error}")
            continue
        yield device, kind, path, rows


def fit_power(
    folder: str | os.PathLike[str], progress: Callable[[str], Any] | None = None
) -> list[dict[str, Any]]:
    """Fit board power on every device of a folder whose tables have a column ``power``.

    Raises
    ------
    ValueError
        If there is none, or a table is not usable.
    """
    found: dict[str, dict[str, dict[str, Array]]] = {}
    for device, kind, _, table in power_tables(folder):
        found.setdefault(device.name, {})[kind] = table
    found = {name: tables for name, tables in found.items() if "gemm" in tables}
    if not found:
        raise NoTablesError(
            f"{os.fspath(folder)} has no table of products with power below operators/"
        )
    rows = []
    for name, tables in found.items():
        row = fit_device(name, tables)
        rows.append(row)
        if progress:
            progress(
                f"power {name}: {row['rows']} rows, mean error {row['mape']:.1%} of products left out"
            )

    def errors(i: int, constants: dict[str, float]) -> Errors:
        name, table = rows[i]["device"], found[rows[i]["device"]]["gemm"]
        return Errors.of(predict(find_device(name), constants, "gemm", table), table["power"])

    carry_over("power", rows, lambda row: "power", errors)
    return rows
