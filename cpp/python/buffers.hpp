// What modules share: the table of an instruction set by name, checked buffers.
#pragma once
#include <pybind11/pybind11.h>

#include <string>

#include "loops/processor.hpp"

namespace tokenroof {

// The table of an instruction set that this machine has; v4 and v3 may be null.
template <class Table> const Table& table_of_isa(const std::string& name, const Table* v4, const Table* v3, const Table& plain) {
    if (v4 && name == "x86_64_v4" && processor().level4) return *v4;
    if (v3 && name == "x86_64_v3" && processor().level3) return *v3;
    if (name == "generic") return plain;
    throw pybind11::value_error("isa is '" + name + "'; allowed: the instruction sets of this machine");
}

// A contiguous buffer of n numbers of type T.
template <class T>
T* numbers(const pybind11::buffer& buffer, const char* name, long long n, bool writable, pybind11::buffer_info& info) {
    info = buffer.request(writable);
    if (info.format != pybind11::format_descriptor<T>::format() || info.ndim != 1 || info.size != n ||
        (n > 0 && info.strides[0] != pybind11::ssize_t(sizeof(T))))
        throw pybind11::value_error(std::string(name) + " is not a contiguous array of " + std::to_string(n) + " numbers");
    return static_cast<T*>(info.ptr);
}

} // namespace tokenroof
