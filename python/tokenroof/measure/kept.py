"""This machine, measured once and kept: in this process, and in a file of the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from tokenroof import _core, cuda
from tokenroof.measure import system
from tokenroof.measure.groups import GROUPS, check_limits, machine
from tokenroof.measure.record import Machine
from tokenroof.support.arguments import shown
from tokenroof.support.json import read_json
from tokenroof.support.sampling import Progress

if TYPE_CHECKING:
    from tokenroof.records.device import Device

__all__ = ["cache_path", "forget", "local", "measured"]

_FORMAT = 1


def cache_path(threads: int | None = None) -> Path:
    """The file that keeps this machine's measurements: one per processor, core count and version.

    In ``TOKENROOF_CACHE_DIR``, else in the user's cache folder (``XDG_CACHE_HOME``, else ``~/.cache``;
    ``~/Library/Caches`` on macOS, ``%LOCALAPPDATA%`` on Windows). NumPy's version and the thread
    settings of its BLAS count too, because its products are among what was measured.

    Parameters
    ----------
    threads : int, optional
        Of the measurement; as many as there are cores by default.

    Returns
    -------
    Path
        Of a file that need not be there.

    Raises
    ------
    TypeError, ValueError
        For what is no number of threads.

    Examples
    --------
    >>> from tokenroof.measure import cache_path
    >>> cache_path(threads=1) == cache_path(threads=2)
    False
    """
    import numpy as np

    own = os.environ.get("TOKENROOF_CACHE_DIR")
    if own:
        folder = Path(own)
    elif sys.platform == "darwin":
        folder = Path("~/Library/Caches/tokenroof").expanduser()
    elif sys.platform == "win32":
        folder = Path(
            os.environ.get("LOCALAPPDATA") or Path("~/AppData/Local").expanduser(), "tokenroof"
        )
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        folder = Path(base if os.path.isabs(base) else Path("~/.cache").expanduser(), "tokenroof")
    cores = check_limits(1.0, threads)
    blas = [os.environ.get(f"{lib}_NUM_THREADS", "") for lib in ("OPENBLAS", "OMP", "MKL", "BLIS")]
    key = "|".join((system.processor_identity(), _core.build_config()["version"], str(cores),
                    np.__version__, *blas))  # fmt: skip
    slug = re.sub(r"[^a-z0-9]+", "-", system.processor_name().lower()).strip("-")[:40]
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    return folder / f"machine-{slug}-{cores}-{digest}.json"


def _load(path: Path) -> Machine | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        warnings.warn(
            f"{path} cannot be read ({error}): measuring anew", RuntimeWarning, stacklevel=4
        )
        return None
    try:
        data = read_json(text)
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise ValueError("it has another format")
        return Machine.from_dict(data["machine"])
    except (ValueError, KeyError, RecursionError) as error:
        warnings.warn(
            f"{path} holds no measurements ({error}): measuring anew", RuntimeWarning, stacklevel=4
        )
        return None


def _save(path: Path, found: Machine) -> None:
    """Whole or not at all: readers never see half a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"format": _FORMAT, "machine": found.as_dict()}, file, indent=1)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        warnings.warn(f"{path} cannot be written ({error}): this process alone knows what was measured",
                      RuntimeWarning, stacklevel=4)  # fmt: skip


_known: dict[Path, Machine] = {}


def measured(
    seconds: float = 1.0,
    threads: int | None = None,
    remeasure: bool = False,
    progress: Progress | None = None,
) -> Machine:
    """Every reading of this machine: this process's, the file's, or measured now."""
    check_limits(seconds, threads)  # whether they are needed or not
    path = cache_path(threads)
    if not remeasure:
        found = _known.get(path) or _load(path)
        if found is not None:
            _known[path] = found
            return found
    found = machine(seconds, threads, GROUPS, progress)
    _known[path] = found
    _save(path, found)
    return found


def local(
    device: str = "cpu",
    *,
    seconds: float = 1.0,
    threads: int | None = None,
    remeasure: bool = False,
    progress: Progress | None = None,
) -> Device:
    """This machine as a `Device`: measured once, then remembered; ``tr.device("local")``.

    Parameters
    ----------
    device : str
        "cpu". A GPU ("cuda" or "cuda:0") needs a build with CUDA and a device.
    seconds : float
        Limit for each of the eight groups of probes [s]: some ten seconds in all by default.
    threads : int, optional
        As in `machine`; each count is remembered on its own.
    remeasure : bool
        Measure anew, whatever is remembered (`cache_path` says where).
    progress : callable, optional
        As in `machine`.

    Returns
    -------
    Device
        ``device.measured`` holds what NumPy, calls and hashes reached, which the step and operator
        models take as this device's calibration; ``device.provenance`` each value's spread and date.

    Raises
    ------
    ValueError, TypeError
        As `machine`, or if `device` is unknown.
    RuntimeError
        If a GPU was asked for and cannot be measured, with the reason.
    ProbeError
        As `machine`.

    Warns
    -----
    RuntimeWarning
        If the file is damaged or cannot be written; the result is right all the same.

    Examples
    --------
    >>> import tokenroof as tr
    >>> here = tr.measure.local(seconds=0.05)  # doctest: +SKIP
    >>> here.kind, here.provenance["memory_bandwidth"].kind  # doctest: +SKIP
    ('cpu', 'measured')
    """
    if not isinstance(device, str):
        raise TypeError(f"device is {shown(device)}; allowed: 'cpu', 'cuda', 'cuda:0' ...")
    if re.fullmatch(r"cuda(:\d+)?", device):
        return _of_gpu(int(device.partition(":")[2] or 0), seconds, progress)
    if device != "cpu":
        raise ValueError(f"device is {shown(device)}; allowed: 'cpu', 'cuda', 'cuda:0' ...")
    return measured(seconds, threads, remeasure, progress).device()


def _of_gpu(index: int, seconds: float, progress: Progress | None) -> Device:
    """The probes of `tokenroof.cuda`; kept nowhere, for clocks and neighbours differ from run to run."""
    if not cuda.available():
        raise RuntimeError(f"no GPU can be measured: {cuda.why_not()}")
    return cuda.probe(index, seconds=seconds, progress=progress).device()


def forget(threads: int | None = None, *, file: bool = True) -> None:
    """Forget what was measured, in this process and, with `file`, on disk.

    Parameters
    ----------
    threads : int, optional
        As in `cache_path`.
    file : bool
        Delete the file, too.

    Returns
    -------
    None
        Also where there was nothing to forget.

    Raises
    ------
    TypeError, ValueError
        As `cache_path`.

    Examples
    --------
    >>> from tokenroof.measure import forget
    >>> forget(file=False)
    """
    path = cache_path(threads)
    _known.pop(path, None)
    if file:
        path.unlink(missing_ok=True)
