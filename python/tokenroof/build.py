"""How this installation was built and what it runs on."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tokenroof import _core


def build_config() -> dict[str, Any]:
    """Version, compiler, instruction sets, CUDA and interpreter: what a bug report should carry.

    Returns
    -------
    dict
        Plain values by name: ``version``, ``isa``, ``isas_usable``, ``cuda`` ...

    Examples
    --------
    >>> build_config()["isa"] in build_config()["isas_usable"]
    True
    """
    return {
        **_core.build_config(),
        "isa": _core.ISA,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": f"{sys.platform} {platform.machine()}",
    }


def get_include() -> str:
    """Folder of the C++ headers, for ``#include <tokenroof/inference/roofline.hpp>``.

    Returns
    -------
    str
        Path of the folder.

    Examples
    --------
    >>> get_include().endswith("include")
    True
    """
    return str(Path(__file__).parent / "include")
