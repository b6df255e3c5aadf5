"""tokenroof: what a watt makes, from the physics up.

Rooflines of LLM inference, batching latency curves, SHA-256d hashrates, and what both kinds of token
earn at the same meter. Kernels are NumPy ufuncs and gufuncs (`tokenroof.kernels`), with a pure-Python
reference (`tokenroof.reference`); records and catalogues stand on top.

Importing needs NumPy alone: whatever needs more is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof.support import interrupted as _interrupted  # isort: skip  # before all that takes time

from tokenroof import _core
from tokenroof import kernels as kernels
from tokenroof import measure as measure
from tokenroof.catalogue.architectures import model as model
from tokenroof.catalogue.lookup import device as device
from tokenroof.catalogue.lookup import miner as miner
from tokenroof.records.device import Device as Device
from tokenroof.records.miner import Miner as Miner
from tokenroof.records.model import Model as Model
from tokenroof.records.plan import Plan as Plan
from tokenroof.support.lazy import attach

__version__: str = _core.build_config()["version"]

_LAZY = {
    "Calibration": "tokenroof.records.calibration:Calibration",
    "Deployment": "tokenroof.records.deployment:Deployment",
    "Encode": "tokenroof.inference.encode:Encode",
    "Step": "tokenroof.inference.step:Step",
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
    "encode": "tokenroof.inference.encode:encode",
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
    "scale": "tokenroof.scale",
    "serving": "tokenroof.serving",
    "speculative": "tokenroof.inference.speculative",
    "sweep": "tokenroof.inference.sweep:sweep",
}

__all__ = [
    "Device", "Miner", "Model", "Plan", "__version__", "device", "kernels", "measure",
    "miner", "model", *_LAZY,
]  # fmt: skip

if TYPE_CHECKING:  # `as` exports a name to strict type checkers
    from tokenroof import calibrate as calibrate
    from tokenroof import catalogue as catalogue
    from tokenroof import cuda as cuda
    from tokenroof import economics as economics
    from tokenroof import mining as mining
    from tokenroof import plot as plot
    from tokenroof import reference as reference
    from tokenroof import report as report
    from tokenroof import scale as scale
    from tokenroof import serving as serving
    from tokenroof.build import build_config as build_config
    from tokenroof.build import get_include as get_include
    from tokenroof.inference import calibration as calibration
    from tokenroof.inference import dataflow as dataflow
    from tokenroof.inference import decouple as decouple
    from tokenroof.inference import estimates as estimates
    from tokenroof.inference import operators as operators
    from tokenroof.inference import power as power
    from tokenroof.inference import roofline as roofline
    from tokenroof.inference import speculative as speculative
    from tokenroof.inference.encode import Encode as Encode
    from tokenroof.inference.encode import encode as encode
    from tokenroof.inference.step import Step as Step
    from tokenroof.inference.step import decode as decode
    from tokenroof.inference.step import mixed as mixed
    from tokenroof.inference.step import prefill as prefill
    from tokenroof.inference.sweep import sweep as sweep
    from tokenroof.records import dtypes as dtypes
    from tokenroof.records.calibration import Calibration as Calibration
    from tokenroof.records.deployment import Deployment as Deployment

__getattr__, __dir__ = attach(__name__, _LAZY, __all__)
