"""Device arrays of our own and of other libraries, their streams, and results, over tests/cuda/shim."""

import gc
import sys
import types

import numpy as np
import pytest
from _shim import HostArray, in_place_of_the_real_one, on_device

from tokenroof import cuda, kernels

X = np.linspace(1.0, 2.0, 6)


@pytest.fixture(autouse=True)
def module(monkeypatch):
    gc.collect()  # what is left of the last test gives its memory back
    return in_place_of_the_real_one(monkeypatch)


# --- an array of our own, and its protocols -----------------------------------------------------------


def test_there_and_back(module):
    for x in (
        X,
        X.astype(np.float32)[::-2],
        np.arange(6).reshape(2, 3).T,
        np.float16(3),
        np.zeros((2, 0)),
        [True],
    ):
        array = cuda.asarray(x, device=1)
        got = array.get()
        assert (
            got.dtype == np.asarray(x).dtype
            and np.array_equal(got, x)
            and array.shape == np.shape(x)
        )
        assert array.nbytes == got.nbytes and array.size == got.size and array.ndim == got.ndim
        assert "device 1" in repr(array)
    assert cuda.asarray([1, 2], np.float32).dtype == np.float32
    array = cuda.asarray(X)
    interface = array.__cuda_array_interface__
    assert interface["version"] == 3 and interface["typestr"] == "<f8" and interface["stream"] == 1
    assert module.memory_of(interface["data"][0]) == ("device", 0)


def test_memory_goes_back(module):
    before = module.shim.used(0)
    array = cuda.asarray(X)
    result = cuda.attainable(array, 2.0, array)
    assert module.shim.used(0) == before + 2 * X.nbytes
    capsule = array.__dlpack__()
    del array, result
    assert module.shim.used(0) == before + X.nbytes  # lent
    del capsule
    assert module.shim.used(0) == before
    with pytest.raises(ValueError, match="do not broadcast"):
        cuda.attainable(cuda.asarray(X), cuda.asarray(X[:4]), 1.0)
    gc.collect()
    assert module.shim.used(0) == before


class Lender:
    """DLPack alone, of an array of ours; `versions` as a producer of before 1.0 or after."""

    def __init__(self, array, new=True):
        self.array, self.new, self.asked = array, new, []

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, **keywords):
        if not self.new and "max_version" in keywords:
            raise TypeError("__dlpack__() got an unexpected keyword argument 'max_version'")
        self.asked.append(keywords)
        return self.array.__dlpack__(**keywords)


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "u2", "?", "f2"])
def test_dlpack_in_and_out(module, new, dtype):
    before = module.shim.used(0)
    x = np.arange(12).reshape(3, 4).astype(dtype)
    lender = Lender(cuda.asarray(x), new)
    got = cuda.ridge_point(lender, 4.0, stream=77)
    assert lender.asked == [{"stream": 77, "max_version": (1, 0)} if new else {"stream": 77}]
    want = kernels.ridge_point(x, 4.0)
    assert (
        isinstance(got, cuda.Array) and got.dtype == want.dtype and np.array_equal(got.get(), want)
    )
    # what was borrowed is given back only when the work is done
    assert ("synchronize", 77) in module.shim.log()
    del lender, got
    gc.collect()
    assert module.shim.used(0) == before
    out = cuda.asarray(np.zeros((3, 4)))
    assert cuda.ridge_point(Lender(cuda.asarray(x)), 4.0, out=out) is out
    assert np.array_equal(out.get(), want.astype(float))


def test_a_capsule_is_used_once(module):
    array = cuda.asarray(X)
    for versioned in (None, (1, 0), (2, 5)):
        capsule = array.__dlpack__(max_version=versioned)
        borrowed = module.Borrowed(capsule)
        told = borrowed.describe()
        assert told["shape"] == [6] and told["strides"] == [1] and told["type"] == (2, 64, 1)
        assert (told["device_type"], told["device"], told["read_only"]) == (2, 0, False)
        with pytest.raises(TypeError, match="used before"):
            module.Borrowed(capsule)
    with pytest.raises(TypeError, match="not a DLPack capsule"):
        module.Borrowed(object())
    with pytest.raises(ValueError, match="stream is 0"):
        array.__dlpack__(stream=0)
    with pytest.raises(BufferError, match="dl_device"):
        array.__dlpack__(dl_device=(1, 0))
    with pytest.raises(BufferError, match="copy is True"):
        array.__dlpack__(copy=True)
    assert array.__dlpack_device__() == (2, 0)


# --- streams ---------------------------------------------------------------------------------------


class Stream:
    def __init__(self, **named):
        self.__dict__.update(named)


class CudaStream:
    def __cuda_stream__(self):
        return (0, 55)


@pytest.mark.parametrize(
    "stream,handle",
    [(55, 55), (np.int64(55), 55), (0, 1), (1, 1), (2, 2), (Stream(ptr=55), 55), (Stream(ptr=0), 1),
     (Stream(cuda_stream=55), 55), (Stream(handle=types.SimpleNamespace(value=55)), 55),
     (Stream(handle=types.SimpleNamespace(value=None)), 1), (CudaStream(), 55)],
)  # fmt: skip
def test_streams_are_honoured(module, stream, handle):
    x = on_device(X, stream=99)
    module.shim.log()
    cuda.ridge_point(x, 4.0, stream=stream)
    log = module.shim.log()
    # the launch waits for what the producer's stream was given
    first = [entry for entry in log if entry[0] in ("record", "wait")][:2]
    assert first == [("record", 99), ("wait", handle)]
    assert {s for what, s in log if what == "launch"} == {handle}
    assert log.index(("record", 99)) < log.index(("launch", handle))


def test_the_producers_stream_is_the_default(module):
    for told, launched in ((99, 99), (None, 1), (2, 2)):
        module.shim.log()
        cuda.ridge_point(on_device(X, stream=told), 4.0)
        log = module.shim.log()
        assert ("launch", launched) in log and ("wait", launched) not in log[
            : log.index(("launch", launched))
        ]


@pytest.mark.parametrize(
    "stream", [True, "0", 1.5, -3, object(), Stream(handle=types.SimpleNamespace(value="x"))]
)
def test_no_stream(stream):
    with pytest.raises(TypeError, match="stream is .*; allowed: a handle"):
        cuda.ridge_point(on_device(X), 1.0, stream=stream)


# --- libraries: what their documentation says of streams and new arrays -----------------------------------


def library(monkeypatch, name):
    """A module of this name in which memory of the host passes for a device's, and its array class."""
    fake = types.ModuleType(name)
    asked = []

    class FakeArray(HostArray):
        pass

    FakeArray.__module__ = f"{name}._core"

    class Block:
        def __init__(self, *told):
            asked.append(told)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    def empty(shape, dtype, **more):
        asked.append(("empty", tuple(shape), str(dtype), more))
        return FakeArray(np.empty(shape, dtype))

    monkeypatch.setitem(sys.modules, name, fake)
    return fake, FakeArray, Block, empty, asked


def test_results_are_cupys(monkeypatch, module):
    cupy, array, block, empty, asked = library(monkeypatch, "cupy")
    cupy.empty = empty
    null = types.SimpleNamespace(null=block("null"))
    asked.clear()
    cupy.cuda = types.SimpleNamespace(Stream=null,
        Device=lambda d: block("device", d), ExternalStream=lambda s, d: block("stream", s, d),
        get_current_stream=lambda: types.SimpleNamespace(ptr=31),
    )  # fmt: skip
    got = cuda.ridge_point(array(X), 4.0)
    assert type(got) is array and np.array_equal(got.array, X / 4.0)
    assert ("launch", 31) in module.shim.log()
    assert ("empty", (6,), "float64", {}) in asked and {a[0] for a in asked} == {"device", "empty"}
    assert type(cuda.ridge_point(1.0, array(X))) is array
    # the first device array decides
    assert isinstance(cuda.attainable(cuda.asarray(X), array(X), 1.0), cuda.Array)
    assert type(cuda.attainable(array(X), cuda.asarray(X), 1.0)) is array
    cuda.ridge_point(array(X), 4.0, stream=8)
    log = module.shim.log()
    assert ("launch", 8) in log and ("record", 31) in log and ("stream", 8, 0) in asked


def test_results_are_torchs(monkeypatch, module):
    torch, array, block, empty, asked = library(monkeypatch, "torch")
    torch.float64, torch.float32 = np.dtype(np.float64), np.dtype(np.float32)
    torch.empty = empty
    torch.cuda = types.SimpleNamespace(
        current_stream=lambda d: types.SimpleNamespace(cuda_stream=0), default_stream=lambda d: f"default {d}",
        ExternalStream=lambda s, device: f"external {s}", stream=lambda s: block("on", s),
    )  # fmt: skip
    got = cuda.ridge_point(array(X.astype(np.float32), version=2), 4.0)
    assert type(got) is array and got.array.dtype == np.float32
    assert ("launch", 1) in module.shim.log() and not any(a[0] == "on" for a in asked)
    assert asked[-1] == ("empty", (6,), "float32", {"device": "cuda:0"})
    cuda.ridge_point(array(X, version=2), 4.0, stream=8)
    log = module.shim.log()
    assert ("launch", 8) in log and ("record", 1) in log and ("on", "external 8") in asked
    cuda.ridge_point(array(X, version=2), 4.0, stream=0)
    assert ("on", "default 0") in asked


def test_results_are_numbas(monkeypatch, module):
    numba, array, block, empty, _ = library(monkeypatch, "numba")
    numba.cuda = types.ModuleType("numba.cuda")
    numba.cuda.device_array = empty
    numba.cuda.gpus = [block("gpu", 0)]
    monkeypatch.setitem(sys.modules, "numba.cuda", numba.cuda)
    got = cuda.ridge_point(array(X, stream=None), 4.0)
    assert type(got) is array and np.array_equal(got.array, X / 4.0)


def test_results_are_jaxs(monkeypatch, module):
    jax = types.ModuleType("jax")

    class Taken:
        """An array of JAX: DLPack counts, whatever else it has."""

        __module__ = "jaxlib._jax"
        __cuda_array_interface__ = property(
            lambda self: pytest.fail("JAX's arrays are asked by DLPack")
        )

        def __init__(self, array):
            self.lender = Lender(array)
            self.__dlpack__, self.__dlpack_device__ = (
                self.lender.__dlpack__,
                self.lender.__dlpack_device__,
            )

    jax.dlpack = types.SimpleNamespace(from_dlpack=Taken)
    monkeypatch.setitem(sys.modules, "jax", jax)
    given = Taken(cuda.asarray(X))
    got = cuda.ridge_point(given, 4.0)
    assert type(got) is Taken and np.array_equal(got.lender.array.get(), X / 4.0)
    with pytest.raises(TypeError, match="out is a JAX array"):
        cuda.ridge_point(given, 4.0, out=given)


def test_any_array_api(module):
    class Other(Lender):
        def __array_namespace__(self):
            return types.SimpleNamespace(from_dlpack=Other)

    got = cuda.ridge_point(Other(cuda.asarray(X)), 4.0)
    assert type(got) is Other and np.array_equal(got.array.get(), X / 4.0)
