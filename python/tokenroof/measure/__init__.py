"""Measured ceilings of this machine: operations, bytes, latencies, hashes and, where it tells, watts.

`machine` measures, `local` keeps what it found; ``tr.device("local")`` is what `local` returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof.catalogue.lookup import register_device
from tokenroof.support.lazy import attach

if TYPE_CHECKING:
    from tokenroof.measure.groups import GROUPS, machine
    from tokenroof.measure.kept import cache_path, forget, local
    from tokenroof.measure.record import Machine
    from tokenroof.records.device import Device
    from tokenroof.support.sampling import ProbeError, Reading

_LAZY = {
    "GROUPS": "tokenroof.measure.groups:GROUPS",
    "Machine": "tokenroof.measure.record:Machine",
    "ProbeError": "tokenroof.support.sampling:ProbeError",
    "Reading": "tokenroof.support.sampling:Reading",
    "cache_path": "tokenroof.measure.kept:cache_path",
    "forget": "tokenroof.measure.kept:forget",
    "local": "tokenroof.measure.kept:local",
    "machine": "tokenroof.measure.groups:machine",
}

__all__ = ["GROUPS", "Machine", "ProbeError", "Reading", "cache_path", "forget", "local", "machine"]

__getattr__, __dir__ = attach(__name__, _LAZY)


def _this_machine() -> Device:
    from tokenroof.measure.kept import local

    return local()


register_device("local", _this_machine)
