"""Libraries of device arrays: their current stream, new arrays of theirs, handles of streams."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from tokenroof.support.arguments import is_integer, shown

__all__ = ["LEGACY_STREAM", "LIBRARIES", "library_of", "stream_handle"]

LEGACY_STREAM = 1  # cudaStreamLegacy, as both protocols number it


def library_of(x: Any) -> str:
    """The package that an object's class comes from.

    Examples
    --------
    >>> library_of(np.zeros(1))
    'numpy'
    """
    return type(x).__module__.partition(".")[0]


class _Cupy:
    @staticmethod
    def stream(device: int) -> int:
        cupy = importlib.import_module("cupy")
        with cupy.cuda.Device(device):
            return int(cupy.cuda.get_current_stream().ptr) or LEGACY_STREAM

    @staticmethod
    def empty(shape: tuple[int, ...], dtype: np.dtype, device: int, stream: int | None) -> Any:
        cupy = importlib.import_module("cupy")
        with cupy.cuda.Device(device):
            if stream is None:
                return cupy.empty(shape, dtype)
            own = cupy.cuda.ExternalStream(stream, device)
            with cupy.cuda.Stream.null if stream == LEGACY_STREAM else own:
                return cupy.empty(shape, dtype)


class _Torch:
    @staticmethod
    def stream(device: int) -> int:
        torch = importlib.import_module("torch")
        return int(torch.cuda.current_stream(device).cuda_stream) or LEGACY_STREAM

    @staticmethod
    def empty(shape: tuple[int, ...], dtype: np.dtype, device: int, stream: int | None) -> Any:
        torch = importlib.import_module("torch")
        place = {"dtype": getattr(torch, dtype.name), "device": f"cuda:{device}"}
        if stream is None:
            return torch.empty(shape, **place)
        if stream == LEGACY_STREAM:
            on = torch.cuda.default_stream(device)
        else:
            on = torch.cuda.ExternalStream(stream, device=device)
        with torch.cuda.stream(on):  # so that its allocator knows where the memory is used
            return torch.empty(shape, **place)


class _Numba:
    @staticmethod
    def stream(device: int) -> int:
        return LEGACY_STREAM

    @staticmethod
    def empty(shape: tuple[int, ...], dtype: np.dtype, device: int, stream: int | None) -> Any:
        cuda = importlib.import_module("numba.cuda")
        with cuda.gpus[device]:
            return cuda.device_array(shape, dtype)


LIBRARIES: dict[str, Any] = {"cupy": _Cupy, "torch": _Torch, "numba": _Numba}


def stream_handle(stream: Any) -> int:
    """The handle of a stream: a number, or an object of CuPy, Torch, Numba or cuda.core.

    Raises
    ------
    TypeError
        If it is none.

    Examples
    --------
    >>> stream_handle(0)
    1
    """
    handle = stream
    if hasattr(stream, "__cuda_stream__"):
        told = stream.__cuda_stream__
        handle = (told() if callable(told) else told)[1]
    else:
        for attribute in ("ptr", "cuda_stream", "handle"):
            if hasattr(stream, attribute):
                handle = getattr(stream, attribute)
                break
        handle = getattr(handle, "value", handle)
        handle = 0 if handle is None and handle is not stream else handle
    if not is_integer(handle) or int(handle) < 0:
        raise TypeError(
            f"stream is {shown(stream)}; allowed: a handle, or a stream of CuPy, Torch, Numba or cuda.core"
        )
    return int(handle) or LEGACY_STREAM
