"""tokenroof: what a watt makes, from the physics up.

Rooflines of LLM inference, batching latency curves, SHA-256d hashrates, and what both kinds of token
earn at the same meter. Kernels are NumPy ufuncs and gufuncs (`tokenroof.kernels`), with a pure-Python
reference (`tokenroof.reference`); records and catalogues stand on top.

Importing needs NumPy alone: whatever needs more is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof import _core, kernels, measure
from tokenroof.catalogue.architectures import model
from tokenroof.catalogue.lookup import device, miner
from tokenroof.records.device import Device
from tokenroof.records.miner import Miner
from tokenroof.records.model import Model
from tokenroof.records.plan import Plan
from tokenroof.support.lazy import attach

__version__: str = _core.build_config()["version"]

_LAZY = {
    "Calibration": "tokenroof.records.calibration:Calibration",
    "Deployment": "tokenroof.records.deployment:Deployment",
    "build_config": "tokenroof.build:build_config",
    "calibrate": "tokenroof.calibrate",
    "calibration": "tokenroof.inference.calibration",
    "catalogue": "tokenroof.catalogue",
    "cuda": "tokenroof.cuda",
    "dataflow": "tokenroof.inference.dataflow",
    "decode": "tokenroof.inference.step:decode",
    "decouple": "tokenroof.inference.decouple",
    "dtypes": "tokenroof.records.dtypes",
    "economics": "tokenroof.economics",
    "estimates": "tokenroof.inference.estimates",
    "get_include": "tokenroof.build:get_include",
    "mining": "tokenroof.mining",
    "mixed": "tokenroof.inference.step:mixed",
    "operators": "tokenroof.inference.operators",
    "plot": "tokenroof.plot",
    "power": "tokenroof.inference.power",
    "prefill": "tokenroof.inference.step:prefill",
    "reference": "tokenroof.reference",
    "report": "tokenroof.report",
    "roofline": "tokenroof.inference.roofline",
    "serving": "tokenroof.serving",
    "speculative": "tokenroof.inference.speculative",
    "sweep": "tokenroof.inference.sweep:sweep",
}

__all__ = [
    "Device", "Miner", "Model", "Plan", "__version__", "device", "kernels", "measure",
    "miner", "model", *_LAZY,
]  # fmt: skip

if TYPE_CHECKING:
    from tokenroof import (
        calibrate,
        catalogue,
        cuda,
        economics,
        mining,
        plot,
        reference,
        report,
        serving,
    )
    from tokenroof.build import build_config, get_include
    from tokenroof.inference import (
        calibration,
        dataflow,
        decouple,
        estimates,
        operators,
        power,
        roofline,
        speculative,
    )
    from tokenroof.inference.step import decode, mixed, prefill
    from tokenroof.inference.sweep import sweep
    from tokenroof.records import dtypes
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment

__getattr__, __dir__ = attach(__name__, _LAZY, __all__)
