"""``tokenroof info``: what a bug report should carry."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace

from tokenroof.cli.output import emit, say
from tokenroof.support.lazy import install_hint

_LIBRARIES = ("numpy", "pandas", "xarray", "scipy", "plotly", "jinja2", "rich", "dask")


def add_arguments(command: ArgumentParser) -> None:
    """It has none of its own."""


def run(arguments: Namespace) -> int:
    from tokenroof.build import build_config, get_include
    from tokenroof.measure.system import processor_name
    from tokenroof.support.processors import usable_processors

    document = {
        **build_config(), "processor": processor_name(), "cores": usable_processors(),
        "cores_online": os.cpu_count(), "measurements": _remembered(), "include": get_include(),
        "python_executable": sys.executable,
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }  # fmt: skip
    if arguments.json:
        emit(document)
        return 0
    libraries = document.pop("libraries")
    for key, value in document.items():
        shown = ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else value
        say(f"{key.replace('_', ' '):18} {shown}")
    absent = [name for name, version in libraries.items() if version is None]
    say(f"{'libraries':18} {', '.join(f'{n} {v}' for n, v in libraries.items() if v)}")
    if absent:
        say(f"{'not installed':18} {', '.join(absent)}  ({install_hint('all')})")
    return 0


def _remembered() -> str:
    """Where the measurements of "local" are, if there are any."""
    from tokenroof.measure import cache_path

    path = cache_path()
    return str(path) if path.is_file() else f"none yet ({path}; tokenroof measure)"


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None
