"""One call of a kernel over device arrays: types, shapes and strides as NumPy's ufuncs settle them."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.cuda.arrays import CODES, Array, View, current_stream, empty_like, hand_over, view
from tokenroof.cuda.libraries import stream_handle
from tokenroof.support.quoting import shown

__all__ = ["DeviceKernel"]

_PREPARED = 4  # device, calibration, model, plan


@dataclass
class _Scalar:
    """A number of the host, which goes along with the launch."""

    value: float
    kind: Any  # its NumPy type, or Python's int or float


def _core_sizes(signature: str | None, inputs: int) -> tuple[list[int | None], int | None]:
    """Lengths of the inputs' records and of the output's: None without one, -1 where any will do."""
    if signature is None:
        return [None] * inputs, None
    sizes = [
        None if not text else int(text) if text.isdigit() else -1
        for text in re.findall(r"\(([^)]*)\)", signature)
    ]
    return sizes[:-1], sizes[-1]


class DeviceKernel:
    """A kernel of `tokenroof.kernels` over arrays on a CUDA device.

    Examples
    --------
    >>> from tokenroof import cuda
    >>> cuda.ridge_point.nin if cuda.available() else 2
    2
    """

    def __init__(self, name: str, loader: Any) -> None:
        if not isinstance(name, str) or not hasattr(kernels, name):
            raise ValueError(f"name is {shown(name)}; allowed: a kernel of tokenroof.kernels")
        self.__name__ = self.__qualname__ = name
        self.__module__ = "tokenroof.cuda"
        self.ufunc: np.ufunc = getattr(kernels, name)
        self.nin = self.ufunc.nin
        self.signature: str | None = self.ufunc.signature
        self._cores, self._core_out = _core_sizes(self.signature, self.nin)
        self._loader = loader
        names = [p.name for p in inspect.signature(self.ufunc).parameters.values()][: self.nin]
        self._names = names
        kind = inspect.Parameter
        self.__signature__ = inspect.Signature(
            [kind(n, kind.POSITIONAL_ONLY) for n in names]
            + [kind(n, kind.KEYWORD_ONLY, default=None) for n in ("out", "dtype", "stream")]
        )
        self.__doc__ = self._describe()

    def __repr__(self) -> str:
        return f"<tokenroof.cuda.{self.__name__}>"

    def _describe(self) -> str:
        text = str(self.ufunc.__doc__)
        start, end = text.index("Parameters\n"), text.index("Returns\n")
        inputs = text[start:end].replace("array_like", "device array or number").rstrip()
        result = text[end:].split("\n\n")[0]
        return (
            f"{text.splitlines()[0]} On a CUDA device.\n\n{inputs}\n"
            "out : device array, optional\n    Where the result goes.\n"
            "dtype : dtype, optional\n    Type of the maths, as for a ufunc.\n"
            "stream : int or stream, optional\n"
            "    Where the launch is put; without it the current stream of the first array's library.\n\n"
            f"{result}, in the library of the first device array\n\n"
            "See Also\n--------\n"
            f"tokenroof.kernels.{self.__name__} : the same on the host; notes and references are there."
        )

    def __call__(self, *inputs: Any, out: Any = None, dtype: Any = None, stream: Any = None) -> Any:
        if len(inputs) != self.nin:
            raise TypeError(f"{self.__name__}() takes {self.nin} inputs, and got {len(inputs)}")
        module: ModuleType = self._loader()
        if isinstance(out, tuple):
            if len(out) != 1:
                raise ValueError(f"out has {len(out)} arrays; allowed: one")
            (out,) = out
        given = None if stream is None else stream_handle(stream)
        operands = [
            self._operand(module, *pair, given) for pair in zip(self._names, inputs, strict=True)
        ]
        views = [o for o in operands if isinstance(o, View)]
        if not views:
            raise TypeError(
                f"{self.__name__}() got no device array; "
                f"numbers alone go to tokenroof.kernels.{self.__name__}"
            )
        target = None if out is None else self._target(module, out, given)
        device = _one_device([*views, target] if target else views)
        where = current_stream(views[0]) if given is None else given

        loop = self._types(operands, target, dtype)
        shape = self._shape(operands, target)
        for one in [*views, target] if target else views:
            if one.memory is not None:
                one.memory.wait_on(where)
            elif one.stream is not None and one.stream != where:
                module.wait(device, where, one.stream)

        prepared = [
            self._prepare(module, o, core, loop, device, where)
            for o, core in zip(operands, self._cores, strict=True)
        ]
        whole = shape if self._core_out is None else (*shape, self._core_out)
        array: Any = None
        if target is None:
            array, result = empty_like(module, views[0], whole, loop, device, where, given)
        elif target.dtype != loop or self._clashes(target, prepared, shape):
            result = view(module, "out", Array(module, whole, loop, device, where), where)
        else:
            result = target
        self._run(module, prepared, result, shape, loop, device, where)
        if target is not None and result is not target:
            _convert(module, result, target, device, where)
        everything = [*views, *(p for p in prepared if isinstance(p, View)), result]
        for one in [*everything, target] if target else everything:
            if one.memory is not None:
                one.memory.used_by(where)
        if any(one.keep is not None for one in [*views, *([target] if target else [])]):
            module.synchronize(device, where)  # what is borrowed goes back when this returns
        if target is not None:
            return out
        return hand_over(views[0], result.owner) if array is None else array

    def _operand(self, module: ModuleType, name: str, x: Any, stream: int | None) -> View | _Scalar:
        if isinstance(x, np.generic):  # np.float64 is a float too
            if x.dtype.kind not in "biuf":
                raise TypeError(f"{name} has type {x.dtype}; allowed: real numbers")
            return _Scalar(float(x), x.dtype)
        if isinstance(x, (bool, int, float)):
            return _Scalar(float(x), np.dtype(bool) if isinstance(x, bool) else type(x))
        return view(module, name, x, stream)

    def _target(self, module: ModuleType, out: Any, stream: int | None) -> View:
        if type(out).__module__.partition(".")[0] in ("jax", "jaxlib"):
            raise TypeError("out is a JAX array; allowed: an array that can be written to")
        target = view(module, "out", out, stream)
        if target.read_only:
            raise ValueError("out is read-only; allowed: an array that can be written to")
        repeated = any(s == 0 and n > 1 for n, s in zip(target.shape, target.strides, strict=True))
        if repeated and 0 not in target.shape:
            raise ValueError(
                "out has several elements in one place; allowed: an array without broadcast axes"
            )
        return target

    def _types(self, operands: list[View | _Scalar], target: View | None, dtype: Any) -> np.dtype:
        """The type of the loop, by NumPy's own rules (NEP 50 for numbers)."""
        kinds = tuple(o.dtype if isinstance(o, View) else o.kind for o in operands)
        wanted: dict[str, Any] = (
            {} if dtype is None else {"signature": (*(None,) * self.nin, np.dtype(dtype))}
        )
        resolved = self.ufunc.resolve_dtypes((*kinds, None), **wanted)
        loop = resolved[-1]
        if target is not None and not np.can_cast(loop, target.dtype, "same_kind"):
            raise TypeError(
                f"out has type {target.dtype}; allowed: one that {loop} casts to in kind"
            )
        return loop

    def _shape(self, operands: list[View | _Scalar], target: View | None) -> tuple[int, ...]:
        """The loops' shape, after the records' lengths are checked."""
        shapes = []
        for name, o, core in zip(self._names, operands, self._cores, strict=True):
            own = o.shape if isinstance(o, View) else ()
            if core is None:
                shapes.append(own)
                continue
            if not own or (core >= 0 and own[-1] != core):
                want = "its last axis a record" if core < 0 else f"a last axis of {core}"
                raise ValueError(
                    f"{name} has shape {own}; allowed: {want} (core dimension of {self.signature})"
                )
            shapes.append(own[:-1])
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError as error:
            told = ", ".join(f"{n} {s}" for n, s in zip(self._names, shapes, strict=True))
            raise ValueError(f"shapes do not broadcast: {told}") from error
        if target is not None:
            own = target.shape
            if self._core_out is not None:
                if not own or own[-1] != self._core_out:
                    raise ValueError(
                        f"out has shape {own}; allowed: a last axis of {self._core_out}"
                    )
                own = own[:-1]
            try:
                fits = np.broadcast_shapes(shape, own) == own
            except ValueError:
                fits = False
            if not fits:
                raise ValueError(
                    f"out has shape {target.shape}; allowed: one that {shape} broadcasts to"
                )
            shape = own
        return shape

    def _prepare(
        self,
        module: ModuleType,
        o: View | _Scalar,
        core: int | None,
        loop: np.dtype,
        device: int,
        stream: int,
    ) -> View | _Scalar:
        """The operand in the loop's type, its records without gaps: itself, or a copy."""
        if isinstance(o, _Scalar):
            return o
        packed = core is None or o.shape[-1] < 2 or o.strides[-1] == o.dtype.itemsize
        if o.dtype == loop and packed:
            return o
        # axes of stride 0 are not copied out
        shape = tuple(1 if s == 0 and n > 1 else n for n, s in zip(o.shape, o.strides, strict=True))
        if core is not None:
            shape = (*shape[:-1], o.shape[-1])
        copied = Array(module, shape, loop, device, stream)
        made = view(module, o.name, copied, stream)
        source = View(o.name, o.data, shape, o.strides, o.dtype, o.device, True, o.owner)
        _convert(module, source, made, device, stream)
        steps = tuple(
            0 if one == 1 and n != 1 else s
            for one, n, s in zip(shape, o.shape, made.strides, strict=True)
        )
        return View(o.name, made.data, o.shape, steps, loop, device, True, copied)

    def _clashes(
        self, target: View, operands: list[View | _Scalar], shape: tuple[int, ...]
    ) -> bool:
        """Whether writing the output would change an input that is still to be read."""
        low, high = target.extent()
        for o, core in zip(operands, self._cores, strict=True):
            if not isinstance(o, View):
                continue
            first, last = o.extent()
            if first >= high or last <= low:
                continue
            alike = core is None and self._core_out is None and o.data == target.data
            if not (alike and _strides(o, shape, None) == _strides(target, shape, None)):
                return True
        return False

    def _run(
        self, module: ModuleType, operands: list[View | _Scalar], result: View, shape: tuple[int, ...],
        loop: np.dtype, device: int, stream: int,
    ) -> None:  # fmt: skip
        if 0 in shape:
            return
        rows: list[tuple[int | None, float, tuple[int, ...]]] = []
        core = 0
        for o, own in zip(operands, self._cores, strict=True):
            if isinstance(o, _Scalar):
                rows.append((None, o.value, (0,) * len(shape)))
                continue
            rows.append((o.data, 0.0, _strides(o, shape, own)))
            core = o.shape[-1] if own == -1 else core
        rows.append((result.data, 0.0, _strides(result, shape, self._core_out)))
        core_out = 0 if self._core_out is None else result.strides[-1]
        prepared = self.signature is not None and self._cores[:_PREPARED] == _RECORDS
        module.run(
            f"{self.__name__}_{loop.name}", list(shape), rows, _PREPARED if prepared else 0, core, core_out,
            (0, 0), device, stream,
        )  # fmt: skip


_RECORDS = [
    len(fields)
    for fields in (
        _core.DEVICE_FIELDS,
        _core.CALIBRATION_FIELDS,
        _core.MODEL_FIELDS,
        _core.PLAN_FIELDS,
    )
]


def _strides(o: View, shape: tuple[int, ...], core: int | None) -> tuple[int, ...]:
    """Strides [B] along the loops' axes, 0 where the operand is broadcast."""
    own, strides = o.shape, o.strides
    if core is not None:
        own, strides = own[:-1], strides[:-1]
    missing = len(shape) - len(own)
    kept = (0 if n == 1 else s for n, s in zip(own, strides, strict=True))
    return (*(0,) * missing, *kept)


def _convert(module: ModuleType, source: View, target: View, device: int, stream: int) -> None:
    """Copy `source` into `target`, of the same shape, from type to type."""
    if 0 in target.shape:
        return
    rows = [(source.data, 0.0, source.strides), (target.data, 0.0, target.strides)]
    codes = (CODES[source.dtype], CODES[target.dtype])
    module.run("convert", list(target.shape), rows, 0, 0, 0, codes, device, stream)


def _one_device(views: list[View]) -> int:
    places = {v.device: v.name for v in views if v.device >= 0}
    if len(places) > 1:
        told = " and ".join(f"{name} on {device}" for device, name in sorted(places.items()))
        raise ValueError(f"arrays are on different devices: {told}; allowed: all on one")
    return next(iter(places), 0)


def asarray(module: ModuleType, x: Any, dtype: Any, device: int, stream: int) -> Array:
    """The host's numbers on a device."""
    host = np.ascontiguousarray(x, dtype)
    if host.dtype not in CODES:
        raise TypeError(f"x has type {host.dtype}; allowed: real numbers")
    host = host.reshape(np.shape(x))
    out = Array(module, host.shape, host.dtype, device, stream)
    if math.prod(host.shape):
        module.copy(device, out._memory.data, host.ctypes.data, host.nbytes, stream)
    return out
