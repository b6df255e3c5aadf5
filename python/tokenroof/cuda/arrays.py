"""Arrays on CUDA devices: read by their protocols, made in their library, or in a small class of our own."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from tokenroof.cuda.libraries import LEGACY_STREAM, LIBRARIES, library_of
from tokenroof.support.arguments import shown

__all__ = ["Array", "View", "empty_like", "view"]

#: Types that `convert` reads and writes, in the order of cpp/cuda/element_types.hpp.
ELEMENT_TYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")
CODES = {np.dtype(t): i for i, t in enumerate(ELEMENT_TYPES)}

_CUDA, _MANAGED = 2, 13  # DLPack's device types
_DLPACK_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}
_DLPACK_KINDS = {0: "i", 1: "u", 2: "f", 5: "c", 6: "b"}

_HINT = "allowed: an array on a CUDA device (tokenroof.cuda.asarray copies one there)"


def contiguous_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Strides [B] in C order."""
    strides = []
    for size in reversed(shape):
        strides.append(itemsize)
        itemsize *= max(size, 1)
    return tuple(reversed(strides))


class Array:
    """A contiguous array on a CUDA device, as far as passing it on needs it.

    It has ``__cuda_array_interface__`` and DLPack, so that CuPy, Torch, JAX and Numba take it without a
    copy. `tokenroof.cuda.asarray` makes one from the host's numbers, `get` brings one back. Kernels give one
    where the inputs' library has no arrays of its own.

    Examples
    --------
    >>> from tokenroof import cuda
    >>> not cuda.available() or float(cuda.asarray([1.0, 2.0]).get().sum()) == 3.0
    True
    """

    def __init__(
        self, module: ModuleType, shape: tuple[int, ...], dtype: Any, device: int, stream: int
    ) -> None:
        self._module = module
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.device = device
        self._memory = module.Memory(device, self.nbytes, stream)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * int(self.dtype.itemsize)

    def __repr__(self) -> str:
        return (
            f"<tokenroof.cuda.Array of shape {self.shape}, {self.dtype}, on device {self.device}>"
        )

    def get(self) -> np.ndarray:
        """The same numbers on the host, after all work on them is done.

        Returns
        -------
        numpy.ndarray
        """
        out = np.empty(self.shape, self.dtype)
        if self.nbytes:
            self._memory.wait_on(LEGACY_STREAM)
            self._module.copy(
                self.device, out.ctypes.data, self._memory.data, self.nbytes, LEGACY_STREAM
            )
        return out

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3 of the CUDA array interface."""
        self._memory.wait_on(LEGACY_STREAM)  # the stream that made it may be gone by then
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self._memory.data if self.size else 0, False),
            "strides": None,
            "version": 3,
            "stream": LEGACY_STREAM,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return (_CUDA, self.device)

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError(
                f"dl_device is {dl_device}; allowed: {self.__dlpack_device__()}, where the array is"
            )
        if copy:
            raise BufferError("copy is True; allowed: False or None, the memory itself is lent")
        if stream == 0:
            raise ValueError(
                "stream is 0; allowed: 1 (legacy), 2 (per thread), a handle, -1 or None"
            )
        if stream != -1:
            self._memory.wait_on(LEGACY_STREAM if stream is None else stream)
        kind = (_DLPACK_CODES[self.dtype.kind], 8 * self.dtype.itemsize)
        elements = contiguous_strides(self.shape, 1)
        versioned = max_version is not None and tuple(max_version) >= (1, 0)
        data = self._memory.data
        return self._module.lend(self, data, self.device, kind, self.shape, elements, versioned)


@dataclass
class View:
    """A device array as a kernel sees it; `keep` holds what has to stay until the launch is done."""

    name: str
    data: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype
    device: int
    read_only: bool
    owner: Any
    stream: int | None = None
    keep: Any = None

    @property
    def memory(self) -> Any:
        """Memory of our own, or None."""
        return self.owner._memory if isinstance(self.owner, Array) else None

    def extent(self) -> tuple[int, int]:
        """First byte and the one behind the last."""
        if 0 in self.shape:
            return (self.data, self.data)
        low = sum(min(0, s * (n - 1)) for n, s in zip(self.shape, self.strides, strict=True))
        high = sum(max(0, s * (n - 1)) for n, s in zip(self.shape, self.strides, strict=True))
        return (self.data + low, self.data + high + self.dtype.itemsize)


def view(module: ModuleType, name: str, x: Any, stream: int | None) -> View:
    """Read an array by its protocols.

    Parameters
    ----------
    module : module
        The compiled part.
    name : str
        What messages call it.
    x : array
        With ``__cuda_array_interface__`` or ``__dlpack__``.
    stream : int or None
        Where it will be used, if that is known: a DLPack producer orders its work before it.

    Raises
    ------
    TypeError
        If it is not on a CUDA device, or has no such protocol, or a type that NumPy does not know.
    ValueError
        If it is masked, not aligned, or its memory is not a device's.
    """
    if isinstance(x, Array):
        found = View(name, x._memory.data, x.shape, contiguous_strides(x.shape, x.dtype.itemsize),
                     x.dtype, x.device, False, x)  # fmt: skip
        return found
    # JAX says by DLPack alone when an array is ready
    interface = (
        None if library_of(x) in ("jax", "jaxlib") else getattr(x, "__cuda_array_interface__", None)
    )
    if interface is not None:
        found = _from_interface(module, name, x, interface)
    elif hasattr(x, "__dlpack__") and not isinstance(x, np.ndarray):
        found = _from_dlpack(module, name, x, stream)
    else:
        what = "a host array" if hasattr(x, "__array_interface__") else "no array"
        raise TypeError(f"{name} is {what} ({type(x).__module__}.{type(x).__qualname__}); {_HINT}")
    if found.dtype not in CODES:
        raise TypeError(f"{name} has type {found.dtype}; allowed: {', '.join(ELEMENT_TYPES)}")
    item = found.dtype.itemsize
    if found.data % item or any(s % item for s in found.strides):
        raise ValueError(
            f"{name} is not aligned to its {item} bytes an element; allowed: aligned arrays"
        )
    return found


def _from_interface(module: ModuleType, name: str, x: Any, interface: Any) -> View:
    if interface.get("mask") is not None:
        raise ValueError(f"{name} has a mask; allowed: arrays without one")
    try:
        shape = tuple(int(n) for n in interface["shape"])
        dtype = np.dtype(interface["typestr"])
        data, read_only = interface["data"]
        strides = interface.get("strides")
        strides = (
            contiguous_strides(shape, dtype.itemsize)
            if strides is None
            else tuple(map(int, strides))
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TypeError(f"{name} has a malformed __cuda_array_interface__: {error}") from error
    if len(strides) != len(shape) or min(shape, default=0) < 0:
        raise TypeError(
            f"{name} has a malformed __cuda_array_interface__: shape {shape}, strides {strides}"
        )
    stream = interface.get("stream")
    if stream is not None and (not isinstance(stream, int) or stream == 0):
        raise ValueError(f"{name} names stream {shown(stream)}; allowed: None, 1, 2 or a handle")
    device = _device_of(module, name, int(data or 0), 0 in shape)
    found = View(name, int(data or 0), shape, strides, dtype, device, bool(read_only), x, stream)
    if stream is None and library_of(x) in LIBRARIES:
        found.stream = LIBRARIES[library_of(x)].stream(device)
    return found


def _device_of(module: ModuleType, name: str, data: int, empty: bool) -> int:
    """Device of a pointer; -1: of any (managed, or no memory at all)."""
    if empty:
        return -1
    kind, device = module.memory_of(data)
    if kind == "managed":
        return -1
    if kind != "device":
        raise TypeError(f"{name} points to memory of the host ({kind}); {_HINT}")
    return int(device)


def _from_dlpack(module: ModuleType, name: str, x: Any, stream: int | None) -> View:
    kind, device = (int(n) for n in x.__dlpack_device__())
    if kind not in (_CUDA, _MANAGED):
        raise TypeError(
            f"{name} is an array of {library_of(x)} that is not on a CUDA device "
            f"(DLPack device type {kind}); {_HINT}"
        )
    wanted = LEGACY_STREAM if stream is None else stream
    try:
        capsule = x.__dlpack__(stream=wanted, max_version=(1, 0))
    except TypeError:  # a producer from before DLPack 1.0
        capsule = x.__dlpack__(stream=wanted)
    borrowed = module.Borrowed(capsule)
    told = borrowed.describe()
    code, bits, lanes = told["type"]
    if lanes != 1 or code not in _DLPACK_KINDS:
        raise TypeError(
            f"{name} has DLPack type (code {code}, {bits} bits); allowed: {', '.join(ELEMENT_TYPES)}"
        )
    dtype = np.dtype(f"{_DLPACK_KINDS[code]}{bits // 8}") if code != 6 else np.dtype(bool)
    shape = tuple(told["shape"])
    strides = told["strides"]
    strides = (
        contiguous_strides(shape, dtype.itemsize)
        if strides is None
        else tuple(s * dtype.itemsize for s in strides)
    )
    where = -1 if kind == _MANAGED else device
    return View(
        name, told["data"], shape, strides, dtype, where, told["read_only"], x, None, borrowed
    )


# --- new arrays, in the library of another one ---------------------------------------------------------


def current_stream(like: View) -> int:
    """The stream that an array's library works on now; else the one it names; else the legacy stream."""
    library = LIBRARIES.get(library_of(like.owner))
    if library is not None and like.device >= 0:
        return int(library.stream(like.device))
    return LEGACY_STREAM if like.stream is None else like.stream


def empty_like(
    module: ModuleType, like: View, shape: tuple[int, ...], dtype: np.dtype, device: int,
    stream: int, given: int | None,
) -> tuple[Any, View]:  # fmt: skip
    """A new array in the library of another one, and how a kernel sees it.

    `stream` is where it will be used, `given` the same where the caller chose it. None in place of the
    array: `hand_over` makes it of the view's owner, once the kernel is launched.
    """
    library = LIBRARIES.get(library_of(like.owner))
    if library is not None:
        array = library.empty(shape, dtype, device, given)
        return array, view(module, "out", array, stream)
    array = Array(module, shape, dtype, device, stream)
    foreign = not isinstance(like.owner, Array) and (
        library_of(like.owner) in ("jax", "jaxlib") or hasattr(like.owner, "__array_namespace__")
    )
    return (None if foreign else array), view(module, "out", array, stream)


def hand_over(like: View, array: Array) -> Any:
    """Our array in the library of another one, without a copy."""
    if library_of(like.owner) in ("jax", "jaxlib"):
        return importlib.import_module("jax").dlpack.from_dlpack(array)
    return like.owner.__array_namespace__().from_dlpack(array)
