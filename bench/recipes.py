"""Settings that public runs of pools apart were launched with, `recipes.txt`, matched to rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tokenroof as tr

if TYPE_CHECKING:
    import pandas as pd

_NAME = re.compile(r"ctx(\d+)_gen(\d+)_(tep|dep|tp)(\d+)_batch(\d+)_mtp(\d)$")
_LAYOUT = re.compile(r"(tep|dep|tp)(\d+)$")


@dataclass(frozen=True)
class Recipe:
    """Replicas of both pools, degrees of their plans, sequences of a decode replica, drafts."""

    prefills: int
    decodes: int
    prefill: dict[str, int]
    decode: dict[str, int]
    sequences: int
    drafts: int

    @property
    def sizes(self) -> tuple[int, int]:
        """Devices of a replica of each pool."""
        return max(self.prefill.values()), max(self.decode.values())


def _degrees(kind: str, devices: int) -> dict[str, int]:
    """Degrees of a plan by a recipe's word for it."""
    attention = {"dp": devices} if kind == "dep" else {"tp": devices}
    return attention | ({"moe_tp": devices} if kind == "tp" else {"moe_ep": devices})


def read_recipes() -> dict[tuple[Any, ...], list[Recipe]]:
    """By model, device, type, lengths, concurrency."""
    found: dict[tuple[Any, ...], list[Recipe]] = {}
    head: tuple[str, ...] = ()
    for line in (Path(__file__).parent / "recipes.txt").read_text().splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) == 5:
            head = tuple(words)
            continue
        named, before = _NAME.match(words[1]), _LAYOUT.match(head[4])
        if named is None or before is None:
            raise ValueError(
                f"recipes.txt has {line!r}; allowed: users ctxN_genN_LAYOUTN_batchN_mtpN"
            )
        prefills, decodes, kind, size, batch, drafts = named.groups()
        each = int(batch) * (int(size) if kind == "dep" else 1)
        recipe = Recipe(
            int(prefills), int(decodes), _degrees(before[1], int(before[2])), _degrees(kind, int(size)),
            each, int(drafts),
        )  # fmt: skip
        for users in words[0].split(","):
            found.setdefault((*head[:4], float(users)), []).append(recipe)
    return found


def _key(row: Any) -> tuple[Any, ...]:
    lengths = f"{int(row.isl)}/{int(row.osl)}"
    try:
        name = tr.model(row.model_path).name
    except (KeyError, ValueError):
        name = row.model_path
    model = "DeepSeek-R1" if name.startswith(("DeepSeek-R1", "DeepSeek-V3")) else name
    return model, str(row.system).removesuffix("_sxm"), row.experts, lengths, float(row.concurrency)


def sequences_of(row: Any, recipes: dict[tuple[Any, ...], list[Recipe]]) -> int | None:
    """Sequences of a decode replica of a row with workers, where one recipe without drafts is the row's."""
    if row.backend != "trtllm" or row["mode"] != "disagg" or row.isna().decode_num_workers:
        return None
    pools = (row.prefill_num_workers, row.decode_num_workers)
    degrees = (row.decode_tp_size, row.decode_attention_dp_size)
    found = [
        r.sequences
        for r in recipes.get(_key(row), ())
        if (r.prefills, r.decodes) == pools
        and not r.drafts
        and (r.decode.get("tp", 1), r.decode.get("dp", 1)) == degrees
    ]
    return found[0] if len(set(found)) == 1 else None


def told(frame: pd.DataFrame) -> pd.DataFrame:
    """Points of which no workers are told and one recipe can be the row's, with `recipe`; repeats left out.

    Where a recipe with drafts and one without were run at one setting, of two speeds the faster has them; a
    setting of which but one speed is there, or more recipes of a kind, is left out.
    """
    recipes = read_recipes()
    rows = frame[(frame["mode"] == "disagg") & frame.decode_num_workers.isna()]
    rows = rows[(rows.backend == "trtllm") & rows.model_path.str.endswith("DeepSeek-R1")]
    degrees = [f"{pool}_tp_size" for pool in ("prefill", "decode")]
    rows = rows.sort_values("id").drop_duplicates(
        ["system", "experts", "isl", "osl", "concurrency", "silicon_ttft_ms", "silicon_tpot_ms"]
    )
    found = []
    for _, group in rows.groupby(["system", "experts", "isl", "osl", "concurrency", *degrees]):
        first, speeds = group.iloc[0], group.silicon_tpot_ms
        sizes = (first.prefill_tp_size, first.decode_tp_size)
        some = [r for r in recipes.get(_key(first), ()) if r.sizes == sizes]
        plain = [r for r in some if not r.drafts]
        drafted = [r for r in some if r.drafts]
        two = speeds.max() > 1.3 * speeds.min()
        if max(len(plain), len(drafted)) > 1 or two != bool(plain and drafted) or not some:
            continue
        middle = np.sqrt(speeds.min() * speeds.max())
        slow, fast = (plain or drafted)[0], (drafted or plain)[0]
        found += [(i, slow if t > middle else fast) for i, t in speeds.items()]
    table = rows.loc[[i for i, _ in found]].copy()
    table["recipe"] = [r for _, r in found]
    return table


def drafts_run(row: Any) -> int:
    """Drafts of a run of one replica with them: by these runs' scripts one where attention is split by
    requests, otherwise three (InferenceX, dsr1_fp4_b200_trt_mtp.sh, dsr1_fp8_b200_trt_mtp.sh and
    dsr1_fp8_h200_trt_mtp.sh, 2025 and 2026)."""
    if row.label != "speculative":
        return 0
    return 1 if row.dp > 1 else 3


def speculation(model: str, drafts: int) -> Any:
    """Drafts by the model's own module, accepted as the same benchmark measured of a model that thinks."""
    if not drafts:
        return None
    rows = tr.catalogue.acceptances("mtp", task="coding")
    known = next(row for row in rows if "thinking" in row.name).by_position
    return tr.serving.Speculation("mtp", drafts, known[:drafts])
