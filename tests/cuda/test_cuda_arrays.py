"""Device arrays of other libraries, streams, results, and bad input, over tests/cuda/shim."""

import gc
import re
import sys
import types

import numpy as np
import pytest
from _shim import HostArray, on_device, shim

from tokenroof import cuda, kernels
from tokenroof.cuda import module as compiled

X = np.linspace(1.0, 2.0, 6)


@pytest.fixture(autouse=True)
def module(monkeypatch):
    """The module over the shim in place of the real one."""
    found = shim()
    gc.collect()
    found.shim.reset()
    monkeypatch.setattr(compiled, "load", lambda: (found, ""))
    return found


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


# --- bad input ---------------------------------------------------------------------------------------


class Broken:
    def __init__(self, **told):
        self.__cuda_array_interface__ = told


class OfHost:
    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, **_):
        raise AssertionError("it is not asked for")


FAR = on_device  # made in each case: the memory is registered while the array lives


@pytest.mark.parametrize(
    "call,error,named",
    [(lambda: cuda.ridge_point(X, FAR(X)), TypeError, "peak_flops is a host array (numpy.ndarray); allowed: an array on"),
     (lambda: cuda.ridge_point(FAR(X), [1.0]), TypeError, "bandwidth is no array (builtins.list); allowed"),
     (lambda: cuda.ridge_point(FAR(X), "1"), TypeError, "bandwidth is no array (builtins.str)"),
     (lambda: cuda.ridge_point(FAR(X), None), TypeError, "bandwidth is no array"),
     (lambda: cuda.ridge_point(FAR(X), OfHost()), TypeError, "not on a CUDA device (DLPack device type 1)"),
     (lambda: cuda.ridge_point(1.0, 2.0), TypeError, "got no device array; numbers alone go to"),
     (lambda: cuda.ridge_point(FAR(X)), TypeError, "takes 2 inputs, and got 1"),
     (lambda: cuda.ridge_point(FAR(X), 1.0, where=True), TypeError, "where"),
     (lambda: cuda.ridge_point(FAR(X), FAR(X.copy(), device=1)), ValueError, "different devices: peak_flops on 0 and bandwidth on 1"),
     (lambda: cuda.ridge_point(FAR(X), 1.0, out=FAR(X.copy(), device=1)), ValueError, "different devices"),
     (lambda: cuda.ridge_point(FAR(X), 1.0, out=FAR(X.copy(), read_only=True)), ValueError, "out is read-only"),
     (lambda: cuda.ridge_point(FAR(X), 1.0, out=X.copy()), TypeError, "out is a host array"),
     (lambda: cuda.ridge_point(FAR(X), 1.0, out=FAR(np.zeros(6, int))), TypeError, "out has type int64; allowed"),
     (lambda: cuda.ridge_point(FAR(X), 1.0, out=FAR(np.zeros(5))), ValueError, "out has shape (5,); allowed: one that (6,)"),
     (lambda: cuda.ridge_point(FAR(X), 1.0, out=(FAR(X), FAR(X))), ValueError, "out has 2 arrays"),
     (lambda: cuda.ridge_point(FAR(X), 1.0, out=FAR(np.broadcast_to(np.zeros(1), 6))), ValueError, "several elements in one place"),
     (lambda: cuda.ridge_point(FAR(X), FAR(X[:5])), ValueError, "shapes do not broadcast: peak_flops (6,), bandwidth (5,)"),
     (lambda: cuda.ridge_point(FAR(X.astype(complex)), 1.0), TypeError, "peak_flops has type complex128"),
     (lambda: cuda.ridge_point(FAR(X.astype(np.longdouble)), 1.0), TypeError, "peak_flops has type"),
     (lambda: cuda.ridge_point(FAR(X), np.complex64(1)), TypeError, "bandwidth has type complex64"),
     (lambda: cuda.ridge_point(FAR(X), 1.0, dtype=int), TypeError, "ridge_point"),
     (lambda: cuda.ridge_point(FAR(X, mask=FAR(X)), 1.0), ValueError, "peak_flops has a mask"),
     (lambda: cuda.ridge_point(FAR(X, stream=0), 1.0), ValueError, "names stream 0; allowed"),
     (lambda: cuda.ridge_point(Broken(shape=(2,)), 1.0), TypeError, "malformed __cuda_array_interface__"),
     (lambda: cuda.ridge_point(Broken(shape=(2,), typestr="<f8", data=(64, False), strides=(8, 8)), 1.0), TypeError, "malformed"),
     (lambda: cuda.ridge_point(Broken(shape=(2,), typestr="what", data=(64, False)), 1.0), TypeError, "malformed"),
     (lambda: cuda.ridge_point(Broken(shape=(2,), typestr="<f8", data=(X.ctypes.data, False)), 1.0), TypeError, "memory of the host"),
     (lambda: cuda.ridge_point(FAR(np.zeros(20, np.uint8)[1:17].view(np.float64)), 1.0), ValueError, "not aligned"),
     (lambda: cuda.decode_time(*[FAR(X)] * 6), ValueError, "device has shape (6,); allowed: a last axis of"),
     (lambda: cuda.decode_time(1.0, *[FAR(X)] * 5), ValueError, "device has shape (); allowed: a last axis of"),
     (lambda: cuda.expected_tokens_by_position(FAR(np.array(1.0))), ValueError, "allowed: its last axis a record"),
     (lambda: cuda.sha256d(FAR(np.zeros((2, 79), np.uint8))), ValueError, "headers has shape (2, 79)"),
     (lambda: cuda.asarray(X, device=2), ValueError, "device is 2; allowed: 0 to 1"),
     (lambda: cuda.asarray(X, device=True), ValueError, "device is True"),
     (lambda: cuda.asarray(["a"]), TypeError, "x has type"),
     (lambda: cuda.asarray([1j]), TypeError, "x has type complex128")],
)  # fmt: skip
def test_bad_input_is_named(call, error, named):
    with pytest.raises(error, match=re.escape(named)):
        call()


def test_nothing_is_read_of_nothing(module):
    """NumPy gives empty arrays strides of 0: no element is there to be converted."""
    for shape in ((0,), (0, 3), (3, 0)):
        empty = on_device(
            np.lib.stride_tricks.as_strided(np.zeros(0, np.float16), shape, (0,) * len(shape))
        )
        assert cuda.ridge_point(empty, 1.0).shape == shape
        out = on_device(np.zeros(shape))
        assert cuda.ridge_point(empty, 1.0, out=out) is out
    assert "launch" not in module.shim.calls()


def works():
    return np.array_equal(cuda.ridge_point(on_device(X), 4.0).get(), X / 4.0)


def test_out_of_memory_leaves_all_usable(module):
    x = on_device(np.ones(1000))
    before = module.shim.used(0)
    module.shim.set(memory=before + 4000)
    for call in (lambda: cuda.ridge_point(x, 1.0), lambda: cuda.asarray(np.ones(1000))):
        with pytest.raises(MemoryError, match="allocating 8000 bytes on device 0: out of memory"):
            call()
    assert module.shim.used(0) == before
    module.shim.set()
    assert works()
    # in the middle: the result is there, the prepared records do not fit
    packed = [on_device(np.ones(n)) for n in cuda.decode_time._cores[:4]]
    module.shim.set(memory=before + 10_000)
    with pytest.raises(MemoryError, match="allocating"):
        cuda.decode_time(*packed, x, 1.0)
    assert module.shim.used(0) == before
    module.shim.set()
    assert works()


@pytest.mark.parametrize(
    "call", ["launch", "cudaEventRecord", "cudaPointerGetAttributes", "cudaEventCreateWithFlags"]
)
@pytest.mark.parametrize(
    "code,text", [(719, "unspecified launch failure"), (9, "invalid configuration argument")]
)
def test_a_failure_is_told_and_over(module, call, code, text):
    gc.collect()
    before = module.shim.used(0)
    module.shim.fail(call, code)
    with pytest.raises(module.CudaError, match=text) as failure:
        cuda.ridge_point(on_device(X), 4.0)
    assert isinstance(failure.value, RuntimeError) and re.search(
        r"\(cudaError\w+\)$", str(failure.value)
    )
    del failure  # its frames hold arrays
    gc.collect()
    assert works() and module.shim.used(0) == before


def test_without_pools_of_memory(module):
    """A driver that has none (some virtual machines): plain allocations."""
    # what is known of a device is kept: ask for one that no test used before
    module.shim.set(devices=3, pools=0)
    x = cuda.asarray(X, device=2)
    assert np.array_equal(cuda.ridge_point(x, 4.0).get(), X / 4.0)
    assert (
        module.shim.calls()["cudaMalloc"] == 2
        and "cudaMallocFromPoolAsync" not in module.shim.calls()
    )
    del x
    module.shim.set()


# --- what there is, and why not ----------------------------------------------------------------------


def test_devices_and_why_not(module):
    assert cuda.available() and cuda.why_not() == ""
    first, second = cuda.devices()
    assert (first.index, first.name, first.compute_capability) == (0, "shim0", (9, 0))
    assert (
        first.sm_count == 4 and first.memory_bytes == 1 << 30 and second.pci_bus == "0000:01:00.0"
    )
    for state, reason in (
        ({"driver": 0}, "no NVIDIA driver was found (libcuda.so.1)"),
        (
            {"driver": 12040},
            "the NVIDIA driver is too old: it knows CUDA 12.4, this module needs 13.0",
        ),
        ({"devices": 0}, "the NVIDIA driver sees no device (is CUDA_VISIBLE_DEVICES set?)"),
        ({"capability": 61}, "no device of compute capability 7.5 or later"),
    ):
        module.shim.set(**state)
        assert cuda.why_not() == reason and not cuda.available()
        with pytest.raises(RuntimeError, match=re.escape(f"no CUDA here: {reason}")):
            cuda.asarray(X)
        with pytest.raises(RuntimeError, match=re.escape(reason)):
            cuda.ridge_point(X, 1.0)
    module.shim.set(devices=0)
    assert cuda.devices() == []
    module.shim.reset()
    module.shim.fail("cudaGetDeviceCount", 999)
    assert "the NVIDIA driver does not start: " in cuda.why_not()
    assert works()


def test_built_without(monkeypatch):
    monkeypatch.undo()
    # what is not built cannot be imported, nor has it been
    monkeypatch.setitem(sys.modules, "tokenroof._cuda", None)
    monkeypatch.delattr("tokenroof._cuda", raising=False)
    monkeypatch.setattr(compiled, "_core", types.SimpleNamespace(
        build_config=lambda: {"cuda": "built without CUDA: no CUDA compiler was found"}))  # fmt: skip
    compiled.load.cache_clear()
    assert cuda.why_not() == "built without CUDA: no CUDA compiler was found"
    assert not cuda.available() and cuda.devices() == []
    with pytest.raises(RuntimeError, match="no CUDA here: built without CUDA"):
        cuda.ridge_point(1.0, 2.0)
    monkeypatch.setattr(
        compiled,
        "_core",
        types.SimpleNamespace(build_config=lambda: {"cuda": "built with CUDA 13.0"}),
    )
    compiled.load.cache_clear()
    assert cuda.why_not().startswith("the CUDA module does not load: ")
    monkeypatch.undo()
    compiled.load.cache_clear()
