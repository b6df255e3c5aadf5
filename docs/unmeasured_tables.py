"""What the page of accuracy begins with: of what nothing was measured.

The catalogue, and what the package can be asked, without what ``docs/results/accuracy.json`` has.
"""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np
from figures_text import data, joined, percent, table

import tokenroof as tr
from tokenroof.inference import constants as _constants
from tokenroof.inference import operators as _operators
from tokenroof.inference.estimates import complete
from tokenroof.records import dtypes
from tokenroof.records.plan import ENGINES

#: Operators of a step that tables are about.
MEASURED = _constants.OPERATORS
#: Parts of models beside `*_layers`, by the field that says whether a model has them.
PARTS = {
    "towers": "towers of images or sound",
    "moe_latent": "experts in a latent space",
    "zero_experts": "experts that compute nothing",
    "streams": "several residual streams",
    "residual_slots": "attention over residuals",
    "layer_embedding": "embeddings of each layer",
    "mtp_modules": "modules that predict further tokens",
}
LAYERS = {
    "full_layers": "full attention",
    "window_layers": "attention in a window",
    "wide_layers": "wide MLPs",
    "shared_full_layers": "caches shared by layers",
    "shared_window_layers": "windows' caches shared by layers",
    "compressed_layers": "compressed caches",
    "selected_layers": "selected blocks of a cache",
    "index_layers": "indexers of tokens",
    "sparse_layers": "sparse attention",
    "linear_layers": "linear attention",
    "mamba_layers": "state spaces (Mamba)",
    "dense_layers": "dense MLPs",
    "moe_layers": "mixtures of experts",
}


def measured_of() -> dict[str, dict[str, int]]:
    """By device: rows of each operator's tables and of power, and points of whole steps."""
    found: dict[str, dict[str, int]] = {}
    for part in data()["operators"]["tables"]:
        own = found.setdefault(part["device"], {})
        own[part["operator"]] = own.get(part["operator"], 0) + part["shapes"]
    for one in data()["serving"]["rows"]:
        if one["by"] == "device":
            found.setdefault(one["name"], {})["whole steps"] = one["points"]
    for one in data()["systems"]["apart"]:
        if (
            one["name"].count(", ") == 2
        ):  # a model, a device, an engine; those by recipe have a fourth word
            own = found.setdefault(tr.device(one["name"].split(", ")[1]).name, {})
            own["pools apart"] = own.get("pools apart", 0) + one["points"]
    for name in {(one["run"], one["device"]) for one in data()["runs"]}:
        own = found.setdefault(tr.device(name[1]).name, {})
        own["recorded runs"] = own.get("recorded runs", 0) + 1
    return found


def stands_in(name: str) -> tuple[str, str]:
    """What an unmeasured device's products and attention take instead, and the band of its products."""
    device = tr.device(name)
    fit = _constants.find("gemm", complete(device), "vllm", "bf16")
    if device.kind in ("lpu", "wafer"):
        return "the form of dataflow chips, from datasheets", "ranges"
    if fit is None:
        return "estimated shares of the datasheet", percent(_constants.FAR_BAND, digits=0)
    where = {"generation": "constants of its generation", "other": "constants of other generations"}
    return where.get(fit.near, f"constants of the nearest {fit.near}"), percent(
        np.expm1(fit.band), digits=0
    )


def devices_unmeasured() -> str:
    """Devices of the catalogue without a table or a point, by what stands in for them."""
    catalogue = tr.catalogue.devices()
    known = measured_of()
    without = [name for name in catalogue.name if name not in known]
    groups: dict[tuple[str, str, str], list[str]] = {}
    for name in without:
        groups.setdefault((str(tr.device(name).kind), *stands_in(name)), []).append(name)
    rows = [
        (kind, len(names), what, band, joined(names))
        for (kind, what, band), names in sorted(groups.items(), key=lambda g: -len(g[1]))
    ]
    return (
        f"**{len(without)} of {len(catalogue)} devices** of the catalogue have no measurement at all here: "
        "no table of an operator, no whole step.\n\n"
    ) + table(["kind", "devices", "what stands in", "band of its BF16 products", "which"], rows)


def devices_in_part() -> str:
    """Devices with some measurements: what of each there is, rows and points."""
    known = measured_of()
    columns = [*MEASURED, "power", "whole steps", "pools apart", "recorded runs"]
    named = [c for c in columns if any(c in own for own in known.values())]
    devices = sorted(known)
    rows = [
        (c.replace("_", " "), *(f"{known[d][c]:,}" if c in known[d] else "none" for d in devices))
        for c in named
    ]
    return table(["", *devices], rows)


def with_shapes() -> list[tr.Model]:
    """Models of the catalogue whose shapes are published."""
    found = []
    for name in tr.catalogue.models().name:
        with contextlib.suppress(ValueError):
            found.append(tr.model(name))
    return found


def else_unmeasured() -> str:
    """Engines, operators, types, layers, layouts and models without a measurement."""
    tables, covers = data()["operators"]["tables"], data()["serving"]["covers"]
    of_points = set(covers["types"]["engine"])
    of_tables = {part["engine"].split()[0] for part in tables}
    operators = {part["operator"] for part in tables}
    alone = [n for n in sorted(_operators.__all__) if n.islower() and n not in operators]
    weights = set(covers["types"]["weights"]) | set(covers["types"]["experts"])
    seen = {part["type"] for part in tables if part["operator"] in ("gemm", "experts")}
    rest = [n for n in dtypes.NAMES if n not in seen and n not in weights]
    models = [tr.model(name) for name in covers["models"]]
    every = with_shapes()
    kinds = {f.name for f in dataclasses.fields(tr.Model)}
    new = {
        text: n
        for field, text in (LAYERS | PARTS).items()
        if field in kinds
        and not any(getattr(m, field) for m in models)
        and (n := sum(bool(getattr(m, field)) for m in every))
    }
    degrees = covers["degrees"]
    loads = "; ".join(
        f"{n.replace('_', ' ')} {a:,.0f} to {b:,.0f}" for n, (a, b) in covers["loads"].items()
    )
    counts = data()["hashing"]["machines"]
    rows = [
        (
            "engines",
            f"whole steps: {joined(n for n in ENGINES if n not in of_points)} (a bound); tables: "
            f"{joined(n for n in ENGINES if n not in of_tables)}, which takes those of others",
        ),
        (
            "operators without a table",
            joined(f"`{n}`" for n in alone)
            + ": what of these a measured model has counts in its whole steps alone",
        ),
        ("types of weights", joined(f"`{n}`" for n in rest)),
        ("layers in no measured model", joined(f"{text} ({n} models)" for text, n in new.items())),
        ("degrees", "; ".join(f"{n} above {most}" for n, most in degrees.items())),
        ("loads", f"whole steps outside of {loads}"),
        (
            "models",
            f"{len(every) - len(models)} of {len(every)}; measured were {joined(covers['models'])}",
        ),
        (
            "mining",
            f"hash rates and watts of all {counts.get('asic', 0)} ASICs and {counts.get('fpga', 0)} FPGAs "
            "are their makers' or sources' numbers: nothing is predicted, nothing was measured",
        ),
        ("money", "prices of tomorrow, difficulty, demand: assumptions, which scenarios name"),
    ]
    return table(["of", "nothing was measured"], rows)
