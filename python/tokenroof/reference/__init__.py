"""The pure-Python twin of every kernel: standard library only, one number at a time.

Written from the formulas' sources and docs/inference/step-model.md. The package never computes with it;
tests and ``tokenroof check`` hold the kernels against it. Records come as packed vectors, or as mappings
of field names to floats (`unpack` makes one); ``_step`` and ``_operator`` functions return mappings.

Each file lists in ``__all__`` what is handed out here.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any

from tokenroof.reference.mining import bitcoin as bitcoin

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


def _twins() -> dict[str, Any]:
    found = {}
    for part in walk_packages(__path__, f"{__name__}."):
        module = import_module(part.name)
        found.update({name: getattr(module, name) for name in getattr(module, "__all__", ())})
    return found


globals().update(_twins())
__all__ = sorted({"bitcoin", *_twins()})


def __dir__() -> list[str]:
    return sorted(__all__)
