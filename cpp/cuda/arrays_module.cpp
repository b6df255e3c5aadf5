// Device memory, the order of streams, and DLPack capsules.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <vector>

#include "dlpack.hpp"
#include "parts.hpp"
#include "runtime.hpp"
#include "scratch.hpp"

namespace tokenroof {
namespace arrays_part {
namespace {

namespace py = pybind11;

cudaStream_t stream_of(std::uintptr_t handle) { return reinterpret_cast<cudaStream_t>(handle); }
cudaStream_t legacy_stream() { return stream_of(1); } // cudaStreamLegacy

// A device's memory, and the work that has to be done before it may go: streams may be gone by then.
class Memory {
    int device_;
    std::size_t bytes_;
    void* data_ = nullptr;
    cudaEvent_t used_ = nullptr;

public:
    Memory(int device, std::size_t bytes, std::uintptr_t stream) : device_(device), bytes_(bytes) {
        const OnDevice here(device);
        check(cudaEventCreateWithFlags(&used_, cudaEventDisableTiming), "making an event");
        try {
            data_ = allocate(device, bytes, stream_of(stream));
            check(cudaEventRecord(used_, stream_of(stream)), "recording an event");
        } catch (...) {
            if (data_) release(device, data_, stream_of(stream));
            cudaEventDestroy(used_);
            throw;
        }
    }
    ~Memory() {
        try {
            const OnDevice here(device_);
            cudaStreamWaitEvent(legacy_stream(), used_, 0);
            release(device_, data_, legacy_stream());
            cudaEventDestroy(used_);
        } catch (const CudaError&) { // the context is lost, and the memory with it
        }
    }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    // Work on a stream that comes after now waits for what was done with the memory.
    void wait_on(std::uintptr_t stream) {
        const OnDevice here(device_);
        check(cudaStreamWaitEvent(stream_of(stream), used_, 0), "waiting for an array");
    }
    // What a stream does up to now counts as use of the memory.
    void used_by(std::uintptr_t stream) {
        const OnDevice here(device_);
        check(cudaStreamWaitEvent(stream_of(stream), used_, 0), "waiting for an array");
        check(cudaEventRecord(used_, stream_of(stream)), "recording an event");
    }
    int device() const { return device_; }
    std::size_t bytes() const { return bytes_; }
    std::uintptr_t data() const { return reinterpret_cast<std::uintptr_t>(data_); }
};

// ("unregistered" | "host" | "device" | "managed", device) of a pointer.
py::tuple memory_of(std::uintptr_t pointer) {
    cudaPointerAttributes a;
    check(cudaPointerGetAttributes(&a, reinterpret_cast<void*>(pointer)), "asking whose memory a pointer is");
    const char* kind = a.type == cudaMemoryTypeDevice    ? "device"
                       : a.type == cudaMemoryTypeManaged ? "managed"
                       : a.type == cudaMemoryTypeHost    ? "host"
                                                         : "unregistered";
    return py::make_tuple(kind, a.device);
}

// Work of `waiting` that comes after now waits for what `awaited` was given up to now.
void wait(int device, std::uintptr_t waiting, std::uintptr_t awaited) {
    if (waiting == awaited) return;
    const OnDevice here(device);
    cudaEvent_t event;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
    const cudaError_t recorded = cudaEventRecord(event, stream_of(awaited));
    const cudaError_t waits = recorded == cudaSuccess ? cudaStreamWaitEvent(stream_of(waiting), event, 0) : recorded;
    cudaEventDestroy(event);
    check(waits, "ordering two streams");
}

void synchronize(int device, std::uintptr_t stream) {
    const py::gil_scoped_release release;
    const OnDevice here(device);
    check(cudaStreamSynchronize(stream_of(stream)), "waiting for a stream");
}

void copy(int device, std::uintptr_t to, std::uintptr_t from, std::size_t bytes, std::uintptr_t stream) {
    const py::gil_scoped_release release;
    const OnDevice here(device);
    check(cudaMemcpyAsync(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes, cudaMemcpyDefault,
                          stream_of(stream)),
          "copying");
    check(cudaStreamSynchronize(stream_of(stream)), "waiting for a copy");
}

// What another library lent by DLPack; given back when this goes.
class Borrowed {
    dlpack::Managed* plain_ = nullptr;
    dlpack::ManagedVersioned* versioned_ = nullptr;

    const dlpack::Tensor& tensor() const { return versioned_ ? versioned_->tensor : plain_->tensor; }

public:
    explicit Borrowed(const py::object& capsule) {
        PyObject* o = capsule.ptr();
        if (PyCapsule_IsValid(o, "dltensor_versioned")) {
            auto* p = static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(o, "dltensor_versioned"));
            if (p->version.major != 1)
                throw py::buffer_error("DLPack version " + std::to_string(p->version.major) + " is not known here");
            versioned_ = p;
            PyCapsule_SetName(o, "used_dltensor_versioned");
        } else if (PyCapsule_IsValid(o, "dltensor")) {
            plain_ = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(o, "dltensor"));
            PyCapsule_SetName(o, "used_dltensor");
        } else {
            throw py::type_error("not a DLPack capsule, or one that was used before");
        }
    }
    ~Borrowed() {
        if (versioned_ && versioned_->deleter) versioned_->deleter(versioned_);
        if (plain_ && plain_->deleter) plain_->deleter(plain_);
    }
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;

    py::dict describe() const {
        const dlpack::Tensor& t = tensor();
        const auto n = static_cast<std::size_t>(t.ndim);
        py::dict out;
        out["data"] = reinterpret_cast<std::uintptr_t>(t.data) + t.byte_offset;
        out["device_type"] = t.device.type;
        out["device"] = t.device.id;
        out["type"] = py::make_tuple(t.dtype.code, t.dtype.bits, t.dtype.lanes);
        out["shape"] = py::cast(std::vector<std::int64_t>(t.shape, t.shape + n));
        out["strides"] = t.strides ? py::cast(std::vector<std::int64_t>(t.strides, t.strides + n)) : py::none();
        out["read_only"] = versioned_ && (versioned_->flags & dlpack::flag_read_only);
        return out;
    }
};

// Memory that is lent: kept until the borrower's deleter runs, on whichever thread that may be.
struct Lent {
    py::object owner;
    std::vector<std::int64_t> shape, strides;
    dlpack::Managed plain;
    dlpack::ManagedVersioned versioned;
};
void give_back(void* context) {
    if (!Py_IsInitialized()) return;
    const py::gil_scoped_acquire acquire;
    delete static_cast<Lent*>(context);
}
void drop_capsule(PyObject* capsule) { // only where nobody took it
    if (PyCapsule_IsValid(capsule, "dltensor"))
        give_back(static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule, "dltensor"))->context);
    else if (PyCapsule_IsValid(capsule, "dltensor_versioned"))
        give_back(static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(capsule, "dltensor_versioned"))->context);
}

py::object lend(const py::object& owner, std::uintptr_t data, int device, std::pair<int, int> type,
                const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides, bool versioned) {
    auto lent = std::make_unique<Lent>();
    lent->owner = owner;
    lent->shape = shape;
    lent->strides = strides;
    const dlpack::Tensor tensor = {reinterpret_cast<void*>(data), {dlpack::device_cuda, device},
                                   static_cast<std::int32_t>(shape.size()),
                                   {static_cast<std::uint8_t>(type.first), static_cast<std::uint8_t>(type.second), 1},
                                   lent->shape.data(), lent->strides.data(), 0};
    lent->plain = {tensor, lent.get(), [](dlpack::Managed* m) { give_back(m->context); }};
    lent->versioned = {{1, 0}, lent.get(), [](dlpack::ManagedVersioned* m) { give_back(m->context); }, 0, tensor};
    PyObject* capsule = versioned ? PyCapsule_New(&lent->versioned, "dltensor_versioned", drop_capsule)
                                  : PyCapsule_New(&lent->plain, "dltensor", drop_capsule);
    if (!capsule) throw py::error_already_set();
    lent.release();
    return py::reinterpret_steal<py::object>(capsule);
}

} // namespace
} // namespace arrays_part

void add_arrays(pybind11::module_& m) {
    namespace py = pybind11;
    using namespace arrays_part;
    py::class_<Memory>(m, "Memory")
        .def(py::init<int, std::size_t, std::uintptr_t>(), py::arg("device"), py::arg("bytes"), py::arg("stream"))
        .def("wait_on", &Memory::wait_on, py::arg("stream"))
        .def("used_by", &Memory::used_by, py::arg("stream"))
        .def_property_readonly("device", &Memory::device)
        .def_property_readonly("bytes", &Memory::bytes)
        .def_property_readonly("data", &Memory::data);
    py::class_<Borrowed>(m, "Borrowed").def(py::init<py::object>()).def("describe", &Borrowed::describe);
    m.def("lend", &lend, py::arg("owner"), py::arg("data"), py::arg("device"), py::arg("type"), py::arg("shape"),
          py::arg("strides"), py::arg("versioned"));
    m.def("memory_of", &memory_of, py::arg("pointer"));
    m.def("wait", &arrays_part::wait, py::arg("device"), py::arg("waiting"), py::arg("awaited"));
    m.def("synchronize", &synchronize, py::arg("device"), py::arg("stream"));
    m.def("copy", &copy, py::arg("device"), py::arg("to"), py::arg("source"), py::arg("bytes"), py::arg("stream"));
}

} // namespace tokenroof
