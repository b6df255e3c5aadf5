"""What every field of a config does, as recorded: each is left out in turn, of one release of each family.

`test_config_fields.py` and `test_releases.py` hold counts to public ones; this holds the rest of the record (windows,
heads, experts, types, towers) to what it was. A change that is meant is written anew by
`python tests/records/test_recorded_fields.py`, and its lines are looked through.
"""

import json
import sys
import zlib
from dataclasses import fields
from pathlib import Path

import pytest

import tokenroof as tr

HERE = Path(__file__).parent / "fixtures"
KEPT = HERE / "recorded_fields.json"


def _configs():
    """One release of each family and shape of config, and the classes' own."""
    found = {}
    for path in sorted((HERE / "model_configs").glob("*.json")):
        config = json.loads(path.read_text())
        kind = config.get("model_type", "")
        found.setdefault(kind, []).append((path.stem, config))
    # of each family the one with most fields
    out = {
        name: config
        for some in found.values()
        for name, config in [max(some, key=lambda x: len(x[1]))]
    }
    for i, line in enumerate((HERE / "class_counts.jsonl").read_text().splitlines()):
        out[f"class {i}"] = json.loads(line)["config"]
    return out


def _said(config, names):
    """A number for all that the record says, or for the error's kind."""
    try:
        model = tr.Model.from_config(config)
    except (ValueError, TypeError, KeyError) as error:
        return type(error).__name__
    text = "|".join(f"{name}={getattr(model, name)!r}" for name in names)
    return f"{zlib.crc32(text.encode()):08x}"


def _each(name, config, names):
    """Field -> what the record is without it; of classes' configs the whole alone."""
    out = {"": _said(config, names)}
    if not name.startswith("class "):
        for key in sorted(config):
            out[key] = _said({k: v for k, v in config.items() if k != key}, names)
    return out


CONFIGS = _configs()


@pytest.mark.filterwarnings("ignore:vision_config is a tower")  # whose kind was left out
@pytest.mark.parametrize("part", range(8))
def test_records_are_those_that_were_recorded(part):
    kept = json.loads(KEPT.read_text())
    for name in sorted(CONFIGS)[part::8]:
        assert _each(name, CONFIGS[name], kept["fields"]) == kept["records"].get(name), name


if __name__ == "__main__":
    names = sorted(f.name for f in fields(tr.Model) if f.name != "provenance")
    kept = {"fields": names, "records": {n: _each(n, c, names) for n, c in sorted(CONFIGS.items())}}
    KEPT.write_text(json.dumps(kept, indent=0) + "\n")
    print(f"{len(CONFIGS)} configs in {KEPT}", file=sys.stderr)
