"""Mutated configs, by the million: each is refused with a clear error or read to a model that adds up.

    python bench/fuzz_configs.py [COUNT [SEED]]

Takes the configs of the tests, changes, drops, adds, swaps and nests fields, and checks of each answer that
the counts sum, the record packs without a NaN, every field is accounted for and the harmless ones decide
nothing; of each refusal that it is a ValueError or TypeError whose text says what is allowed.
"""

from __future__ import annotations

import copy
import json
import math
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import tokenroof as tr
from tokenroof.records.huggingface.families import FAMILIES

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "records" / "fixtures"
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 7, 64, 129, 10**6, 10**12, 10**13, 2**63, 10**400, 0.5, 2.0, -0.0,
    1e300, math.nan, math.inf, -math.inf, "", "x", "full_attention", "auto", [], [0], [1, 2],
    [1, 2, 3], ["full_attention"],
    [None], {}, {"a": 1}, {"hidden_size": 4}, [[1]], "\ud800", "a" * 5000,
]  # fmt: skip


def corpus() -> list[dict[str, Any]]:
    """Whole configs and sparse ones, of all families that the tests know."""
    found = [json.loads(p.read_text()) for p in sorted((FIXTURES / "model_configs").glob("*.json"))]
    rows = (FIXTURES / "class_counts.jsonl").read_text().splitlines()
    return found + [json.loads(row)["config"] for row in rows]


def mutate(config: dict[str, Any], all_fields: list[str], rng: random.Random) -> dict[str, Any]:
    """A few changes to a copy."""
    config = copy.deepcopy(config)
    target = config
    if isinstance(config.get("text_config"), dict) and rng.random() < 0.8:
        target = config["text_config"]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        fields = list(target) or ["hidden_size"]
        field, how = rng.choice(fields), rng.random()
        if how < 0.35:
            target[field] = copy.deepcopy(rng.choice(ODD))
        elif how < 0.5:
            target.pop(field, None)
        elif how < 0.65:
            target[rng.choice(all_fields)] = copy.deepcopy(rng.choice(ODD))
        elif how < 0.75 and isinstance(target.get(field), int):
            target[field] = int(target[field] * rng.choice((0, 1, 2, 3))) + rng.choice((-1, 0, 1))
        elif how < 0.85:
            target["model_type"] = rng.choice([*FAMILIES, "no_such", "llama_", "", 3])
        elif how < 0.9:
            other = rng.choice(fields)
            target[field], target[other] = target.get(other), target.get(field)
        elif how < 0.95:
            target["x" * rng.randint(1, 8)] = rng.choice(ODD)
        else:
            nested = rng.choice(("text_config", "llm_config", "thinker_config"))
            config = {"model_type": "some_vl", nested: config}
    return config


def check(config: dict[str, Any]) -> bool:
    """Whether it was read; raises where an answer is wrong or a refusal says nothing."""
    try:
        m = tr.Model.from_config(config)
    except (ValueError, TypeError) as error:
        text = str(error)
        if "allowed" not in text or len(text) > 20_000:
            raise AssertionError(f"no clear error: {text[:300]!r}") from error
        return False
    groups = m.parameter_groups()
    assert sum(groups.values()) == m.parameters > 0
    assert all(count >= 0 for count in groups.values()), groups
    assert 0 < m.active_parameters <= m.parameters
    assert not np.isnan(m.pack()).any()
    assert m.kv_bytes_per_token() >= 0.0
    page = m.explain()
    assert dict(page.parameters) == groups
    top = {name for name in config if "." not in name}
    known = {
        *page.read,
        *page.harmless,
        "text_config",
        "llm_config",
        "language_config",
        "thinker_config",
    }
    assert all(name in known or isinstance(config[name], dict) for name in top), top - known
    if not any(isinstance(value, dict) for value in config.values()):
        # what was passed over as harmless decides nothing
        bare = {name: value for name, value in config.items() if name in page.read}
        assert tr.Model.from_config(bare, name=m.name) == m, bare
    return True


def main(count: int = 10_000, seed: int = 0) -> int:
    rng, configs = random.Random(seed), corpus()
    all_fields = sorted(
        {field for config in configs for field in config.get("text_config", config)}
    )
    read, start = 0, time.monotonic()
    for i in range(count):
        config = mutate(rng.choice(configs), all_fields, rng)
        try:
            read += check(config)
        except Exception:
            print(f"case {i} of seed {seed}: {config!r}"[:4000])
            raise
    seconds = time.monotonic() - start
    print(f"{count} configs in {seconds:.0f} s: {read} read, {count - read} refused with a reason")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
