"""tokenroof: what a watt makes, from the physics up.

Rooflines of LLM inference, batching latency curves, SHA-256d hashrates, and what both kinds of token
earn at the same meter. Kernels are NumPy ufuncs and gufuncs (`tokenroof.kernels`), with a pure-Python
reference (`tokenroof.reference`); records and catalogues stand on top.

Importing needs NumPy alone: whatever needs more is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tokenroof import _core, kernels

# These functions share their module's name: imported here, so that the name stays the function.
from tokenroof.device import Device, device
from tokenroof.miner import Miner, miner
from tokenroof.model import Model, model
from tokenroof.plan import Plan
from tokenroof.sweep import sweep

__version__: str = _core.build_config()["version"]

# name -> module that holds it, imported on first use
_NAMES = {
    "Calibration": "calibration",
    "decode": "step",
    "mixed": "step",
    "prefill": "step",
    "build_config": "build",
}
_MODULES = (
    "calibrate", "calibration", "catalogue", "cuda", "dataflow", "decouple", "dtypes", "economics",
    "estimates", "measure", "mining", "operators", "plot", "power", "reference", "report", "roofline",
    "serving", "speculative",
)  # fmt: skip

__all__ = [
    "Device", "Miner", "Model", "Plan", "__version__", "device", "get_include", "kernels", "miner",
    "model", "sweep", *_NAMES, *_MODULES,
]  # fmt: skip

if TYPE_CHECKING:
    from tokenroof import (
        calibrate,
        calibration,
        catalogue,
        cuda,
        dataflow,
        decouple,
        dtypes,
        economics,
        estimates,
        measure,
        mining,
        operators,
        plot,
        power,
        reference,
        report,
        roofline,
        serving,
        speculative,
    )
    from tokenroof.build import build_config
    from tokenroof.calibration import Calibration
    from tokenroof.step import decode, mixed, prefill


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(f"tokenroof.{_NAMES[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"tokenroof.{name}")
    else:
        raise AttributeError(f"module 'tokenroof' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def get_include() -> str:
    """Folder of the C++ headers, for ``#include <tokenroof/roofline.hpp>``.

    Examples
    --------
    >>> get_include().endswith("include")
    True
    """
    from pathlib import Path

    return str(Path(__file__).parent / "include")
