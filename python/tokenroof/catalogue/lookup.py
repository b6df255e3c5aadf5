"""Devices and miners by name or alias, and devices that something else than the files provides."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any

from tokenroof.catalogue.files import provenance_of, table
from tokenroof.catalogue.own import is_file, read, unknown_record
from tokenroof.records.device import Device
from tokenroof.records.miner import Miner
from tokenroof.support.arguments import shown
from tokenroof.support.names import normalise

__all__ = ["all_devices", "all_miners", "device", "miner", "register_device"]

_RECORDS: dict[str, type[Any]] = {"device": Device, "miner": Miner}
_PROVIDERS: dict[str, Callable[[], Device]] = {}


def register_device(name: str, provider: Callable[[], Device]) -> None:
    """Let `device` answer a name by a call: how a layer above the catalogue adds what it alone can make.

    Parameters
    ----------
    name : str
        Matched as names of the catalogue are, and before them.
    provider : callable
        Called each time that the name is asked for.

    Returns
    -------
    None

    Examples
    --------
    >>> register_device("half an H200", lambda: device("H200-SXM").replace(tdp_w=350.0))
    >>> device("half-an-h200").tdp_w
    350.0
    """
    _PROVIDERS[normalise(name)] = provider


@cache
def _index(kind: str) -> tuple[dict[str, int], dict[str, str]]:
    """Normalised name or alias -> row, and name or alias as written -> name."""
    rows: dict[str, int] = {}
    names: dict[str, str] = {}
    for i, row in enumerate(table(f"{kind}s")[kind]):
        for name in (row["name"], *row.get("aliases", ())):
            rows[normalise(name)] = i
            names[name] = row["name"]
    return rows, names


@cache
def _build(kind: str, i: int) -> Any:
    file, record = table(f"{kind}s"), _RECORDS[kind]
    row = file[kind][i]
    known = {f.name for f in fields(record)}
    values = {k: v for k, v in row.items() if k in known}
    return record(**values, provenance=provenance_of(file, row))


def _find(kind: str, name: object) -> Any:
    if is_file(name):
        return read(kind, name)  # type: ignore[arg-type]
    if not isinstance(name, str):
        record = _RECORDS[kind].__name__
        raise TypeError(
            f"{kind} must be a name or a tokenroof.{record}, not {type(name).__name__} ({shown(name)})"
        )
    rows, names = _index(kind)
    i = rows.get(normalise(name))
    if i is None:
        _refuse_announced(kind, name)
        raise unknown_record(kind, name, names)
    return _build(kind, i)


def _refuse_announced(kind: str, name: str) -> None:
    """Say why what is known by name alone is no record."""
    for row in table(f"{kind}s").get("announced", ()):
        if normalise(name) in map(normalise, (row["name"], *row["aliases"])):
            raise ValueError(
                f"{kind} {shown(row['name'])} has no published figures ({row['reason']}: {row['source']}); "
                f"allowed: a {kind} that has, or {_RECORDS[kind].__name__}(...) of your own"
            )


def device(name: str | os.PathLike[str] | Device) -> Device:
    """Return the catalogue's device of that name or alias; case and separators do not matter.

    A `Device` is returned as it is, so that functions can take either. "local" is this machine as
    `tokenroof.measure.local` measures it: some ten seconds the first time, then remembered. A path, or
    text that ends in ``.toml`` or ``.json``, is a file of the fields of a `Device`.

    Parameters
    ----------
    name : str, path or Device
        A name, an alias, a file, or the record itself.

    Returns
    -------
    Device
        Frozen, in SI units, with a provenance by field.

    Raises
    ------
    KeyError
        If the catalogue has no such device; the message names near matches.
    TypeError
        If `name` is neither a string, nor a path, nor a `Device`.
    OSError, ValueError
        If a file cannot be read, or is not one of a device; for a device that is announced, and whose figures
        nobody has published, with the reason.

    Examples
    --------
    >>> device("h200_sxm").name
    'H200-SXM'
    """
    if isinstance(name, Device):
        return name
    provider = _PROVIDERS.get(normalise(name)) if isinstance(name, str) else None
    found: Device = provider() if provider is not None else _find("device", name)
    return found


def listed_device(text: str) -> str | None:
    """Name of the catalogue's device that a text is a name or an alias of; None where it is of none.

    For texts that often are none: `device` looks for near matches of each.

    Examples
    --------
    >>> listed_device("h200 sxm"), listed_device("H200 of a server")
    ('H200-SXM', None)
    """
    i = _index("device")[0].get(normalise(text))
    found: str | None = None if i is None else _build("device", i).name
    return found


def miner(name: str | os.PathLike[str] | Miner) -> Miner:
    """Return the catalogue's miner of that name or alias; case and separators do not matter.

    A `Miner` is returned as it is; a path, or text that ends in ``.toml`` or ``.json``, is a file of the
    fields of one.

    Parameters
    ----------
    name : str, path or Miner
        A name, an alias, a file, or the record itself.

    Returns
    -------
    Miner
        Frozen: hash rate [hash/s], power [W], and where they come from.

    Raises
    ------
    KeyError
        If the catalogue has no such miner; the message names near matches.
    TypeError
        If `name` is neither a string, nor a path, nor a `Miner`.
    OSError, ValueError
        If a file cannot be read, or is not one of a miner.

    Examples
    --------
    >>> miner("antminer s21").efficiency
    17.5
    """
    found: Miner = name if isinstance(name, Miner) else _find("miner", name)
    return found


def all_devices() -> tuple[Device, ...]:
    """Return every device of the catalogue as a record, in the order of the file.

    Returns
    -------
    tuple of Device

    Examples
    --------
    >>> len(all_devices())
    104
    """
    return tuple(_build("device", i) for i in range(len(table("devices")["device"])))


def all_miners() -> tuple[Miner, ...]:
    """Return every miner of the catalogue as a record, in the order of the file.

    Returns
    -------
    tuple of Miner

    Examples
    --------
    >>> len(all_miners())
    224
    """
    return tuple(_build("miner", i) for i in range(len(table("miners")["miner"])))
