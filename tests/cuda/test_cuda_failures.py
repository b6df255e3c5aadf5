"""Bad input, failures of devices, and what there is and why not, over tests/cuda/shim."""

import gc
import re
import sys
import types

import numpy as np
import pytest
from _shim import in_place_of_the_real_one, on_device

from tokenroof import cuda
from tokenroof.cuda import module as compiled

X = np.linspace(1.0, 2.0, 6)


@pytest.fixture(autouse=True)
def module(monkeypatch):
    gc.collect()  # what is left of the last test gives its memory back
    return in_place_of_the_real_one(monkeypatch)


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
