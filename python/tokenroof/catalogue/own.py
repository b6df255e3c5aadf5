"""Records of the caller's own, from files: wherever a name goes, a path does too.

A device, a miner or a model is a TOML or JSON file of its record's fields; a model is a Hugging Face
``config.json`` as well, or the folder that holds one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from tokenroof.catalogue.files import table
from tokenroof.records.device import Device
from tokenroof.records.miner import Miner
from tokenroof.records.model import Model
from tokenroof.support.arguments import shown
from tokenroof.support.json import read_json
from tokenroof.support.names import UnknownNameError, near_matches, normalise, unknown
from tokenroof.support.quoting import counted

__all__ = ["is_file", "read", "unknown_record"]

_LARGEST_FILE = 2**24
_RECORDS: dict[str, type[Any]] = {"device": Device, "miner": Miner, "model": Model}
# made from the files of the catalogue alone
_NOT_GIVEN = ("provenance",)


def is_file(name: object) -> bool:
    """Whether this stands for a file and not for a name: a path, or text that ends as such files do.

    Examples
    --------
    >>> is_file("cards/mine.toml"), is_file("H200-SXM"), is_file("meta-llama/Llama-3.1-8B")
    (True, False, False)
    """
    if isinstance(name, os.PathLike):
        return True
    return isinstance(name, str) and (
        name.lower().endswith((".toml", ".json"))
        or (os.sep in name and os.path.isfile(os.path.join(name, "config.json")))
    )


def _kind_of(name: str, asked: str) -> str:
    """What a name is that is none of what was asked for, in the catalogue; empty where it is nothing."""
    wanted = normalise(name)
    for kind in _RECORDS:
        for row in table(f"{kind}s")[kind] if kind != asked and wanted else ():
            if wanted in map(normalise, (row["name"], *row.get("aliases", ()))):
                return kind
    return ""


def unknown_record(kind: str, name: str, candidates: Mapping[str, str]) -> KeyError:
    """The error for a name that the catalogue lacks, with how a file or folder that is called so is given.

    Examples
    --------
    >>> print(unknown_record("device", "zzz", {"h200": "H200-SXM"} | {f"{i}": f"{i}" for i in range(99)}))
    unknown device 'zzz'; allowed: a name of tokenroof list devices, or a .toml or .json file of its fields
    """
    if of := _kind_of(name, kind):
        return UnknownNameError(f"{kind} is {shown(name)}, a {of}; allowed: a {kind}")
    error = unknown(kind, name, candidates)
    text = str(error)
    if kind == "model" and os.path.isfile(os.path.join(name[:200], "config.json")):
        text += f"; the folder here is {shown(os.path.join(os.curdir, name))}"
    elif text.endswith("'") or os.path.isfile(name[:200]):
        text += (
            f"; allowed: a name of tokenroof list {kind}s, or a .toml or .json file of its fields"
        )
    return UnknownNameError(text)


def read(kind: str, path: str | os.PathLike[str]) -> Any:
    """The device, miner or model of a file.

    Parameters
    ----------
    kind : {"device", "miner", "model"}
    path : path
        TOML or JSON: fields of the record, SI units, at the top or in a table of the kind's name, as
        ``name = "mine"``, ``memory_bandwidth = 1e12``, ``[peak]``, ``bf16 = 2e14``. Without a name the
        file's stands for it.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError, TypeError
        Naming the file, the field, its value and what is allowed.
    """
    file = Path(path)
    try:
        if kind == "model" and file.is_dir():
            file = file / "config.json"
        found = _parsed(kind, file)
        if kind == "model" and file.name == "config.json":
            from tokenroof.records.huggingface.config import with_side_file  # where it is asked for

            found = with_side_file(found, file)
        return _record(kind, file, found)
    except (ValueError, TypeError) as error:
        # some errors take more than a text
        refused = TypeError if isinstance(error, TypeError) else ValueError
        raise refused(f"{file}: {error}") from None


def _parsed(kind: str, file: Path) -> Mapping[str, Any]:
    """The fields that stand in the file."""
    with file.open("rb") as stream:
        raw = stream.read(_LARGEST_FILE + 1)
    if len(raw) > _LARGEST_FILE:
        raise ValueError("the file is larger than 16 MiB; allowed: the fields of one record")
    as_json = file.suffix.lower() == ".json"
    try:
        found = _json(raw) if as_json else _toml(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        form = "JSON" if as_json else "TOML"
        raise ValueError(
            f"the file is not {form} ({said}); allowed: {form} of one {kind}"
        ) from None
    if not isinstance(found, dict):
        raise TypeError(
            f"the file holds a {type(found).__name__}; allowed: the fields of one {kind}"
        )
    inner = found.get(kind, found)
    if isinstance(inner, list):
        if len(inner) != 1:
            raise ValueError(f"{kind} has {counted(len(inner), 'entry')}; allowed: one")
        inner = inner[0]
    if not isinstance(inner, dict):
        raise TypeError(f"{kind} is {shown(inner)}; allowed: a table of its fields")
    return inner


def _json(raw: bytes) -> Any:
    return read_json(raw)


def _toml(text: str) -> Any:
    import tomllib

    return tomllib.loads(text)


def _record(kind: str, file: Path, values: Mapping[str, Any]) -> Any:
    """The record of these fields, or of a Hugging Face config."""
    known = {f.name: f for f in fields(_RECORDS[kind]) if f.name not in _NOT_GIVEN}
    # a config calls its width hidden_size and names an architecture; a record has neither
    if kind == "model" and ("hidden" not in values or not values.keys() <= known.keys()):
        from tokenroof.records.huggingface.config import name_of  # where it is asked for

        said = values.get("_name_or_path") or values.get("name")
        return Model.from_config(values, None if said else name_of(file))
    given = {"name": file.stem, **values}
    for key, value in given.items():
        if key not in known:
            near = near_matches(key, list(known))
            hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
            raise ValueError(
                f"unknown field {shown(key)}{hint or '; allowed: ' + ', '.join(known)}"
            )
        if value is None and known[key].default is not None and key not in _needed(kind):
            raise TypeError(f"{key} is null; allowed: a value, or to leave it out")
        if known[key].type == "str" and not isinstance(value, str):
            raise TypeError(f"{key} is {shown(value)}; allowed: text")
        for inner, item in value.items() if isinstance(value, Mapping) else ():
            if item is None:
                raise TypeError(f"{key}.{inner} is null; allowed: a value, or to leave it out")
    missing = [f for f in _needed(kind) if given.get(f) is None]
    if missing:
        said = "null" if missing[0] in given else "missing"
        raise ValueError(
            f"{missing[0]} is {said}; allowed: a {kind} with {', '.join(_needed(kind))}"
        )
    if isinstance(given.get("aliases"), list):
        given["aliases"] = tuple(given["aliases"])
    return _RECORDS[kind](**given)


def _needed(kind: str) -> tuple[str, ...]:
    return {
        "device": ("memory_bandwidth", "peak"), "miner": ("hashrate",),
        "model": ("hidden", "vocab", "layers"),
    }[kind]  # fmt: skip
