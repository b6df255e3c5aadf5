// The module: NumPy's ufuncs and gufuncs over the tables of loops, and the records' field names.
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#include <pybind11/pybind11.h>

#include <numpy/ndarrayobject.h>
#include <numpy/ufuncobject.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flows.hpp"
#include "hash/hash_table.hpp"
#include "hash/scan_module.hpp"
#include "isa.hpp"
#include "montecarlo/cash_module.hpp"
#include "montecarlo/pool_module.hpp"
#include "montecarlo/switching_module.hpp"
#include "probe/probe_module.hpp"
#include "python/flows_module.hpp"
#include "python/power_split_module.hpp"
#include "queueing/open_loop_module.hpp"
#include "simulate/simulate_module.hpp"
#include "tokenroof/serving/serving.hpp"
#include "tokenroof/serving/system.hpp"

namespace py = pybind11;
namespace tr = tokenroof;

py::dict build_config();

namespace {

static_assert(sizeof(npy_intp) == sizeof(tr::Size), "tokenroof needs a 64-bit platform");

// NumPy keeps pointers to these arrays and never copies them.
struct Registered {
    std::vector<PyUFuncGenericFunction> loops;
    std::vector<void*> data;
    std::vector<char> types;
    std::string signature;
};
std::deque<Registered> registered;

// "(d),()->(s)" with each record's letter replaced by its length: NumPy then checks the lengths.
std::string sized(const char* signature) {
    std::string out;
    for (const char* c = signature; *c; ++c) {
        switch (*c) {
        case 'd': out += std::to_string(tr::device::count); break;
        case 'c': out += std::to_string(tr::calibration::count); break;
        case 'm': out += std::to_string(tr::model::count); break;
        case 'p': out += std::to_string(tr::plan::count); break;
        case 's': out += std::to_string(tr::step::count); break;
        case 'o': out += std::to_string(tr::op::count); break;
        case 't': out += std::to_string(tr::term::count); break;
        case 'v': out += std::to_string(tr::serving_field::count); break;
        case 'q': out += std::to_string(tr::system_term::count); break;
        case 'w': out += std::to_string(tr::system_field::count); break;
        default: out += *c;
        }
    }
    return out;
}

int count_operands(const std::string& side) {
    int n = 0;
    for (char c : side) n += c == '(';
    return n;
}

py::object make_ufunc(const tr::Kernel& kernel) {
    Registered& r = registered.emplace_back();
    // NumPy's loops take npy_intp, another name of the same 64-bit integer
    auto add = [&](tr::Loop loop, char type, int operands) {
        if (!loop) return;
        r.loops.push_back(reinterpret_cast<PyUFuncGenericFunction>(loop));
        r.data.push_back(nullptr);
        r.types.insert(r.types.end(), operands, type);
    };
    int inputs = kernel.inputs, outputs = 1;
    if (kernel.signature) {
        r.signature = sized(kernel.signature);
        const auto arrow = r.signature.find("->");
        inputs = count_operands(r.signature.substr(0, arrow));
        outputs = count_operands(r.signature.substr(arrow));
    }
    add(kernel.float32, NPY_FLOAT, inputs + outputs);
    add(kernel.float64, NPY_DOUBLE, inputs + outputs);
    PyObject* made = PyUFunc_FromFuncAndDataAndSignature(
        r.loops.data(), r.data.data(), r.types.data(), int(r.loops.size()), inputs, outputs, PyUFunc_None,
        kernel.name, "", 0, kernel.signature ? r.signature.c_str() : nullptr);
    if (!made) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(made);
}

// Headers of 80 bytes to digests of 32, by the hash table that comes as data.
void sha256d_loop(char** args, const npy_intp* dims, const npy_intp* steps, void* data) {
    const auto* table = static_cast<const tr::HashTable*>(data);
    constexpr npy_intp header = 80, digest = 32, batch = 64;
    const bool packed = steps[2] == 1 && steps[3] == 1;
    unsigned char in[batch * header], out[batch * digest];
    if (packed) {
        table->sha256d_headers(reinterpret_cast<const unsigned char*>(args[0]), long(steps[0]),
                               reinterpret_cast<unsigned char*>(args[1]), long(steps[1]), long(dims[0]));
        return;
    }
    for (npy_intp start = 0; start < dims[0]; start += batch) {
        const npy_intp n = dims[0] - start < batch ? dims[0] - start : batch;
        for (npy_intp k = 0; k < n; ++k)
            for (npy_intp i = 0; i < header; ++i)
                in[k * header + i] = static_cast<unsigned char>(args[0][(start + k) * steps[0] + i * steps[2]]);
        table->sha256d_headers(in, header, out, digest, long(n));
        for (npy_intp k = 0; k < n; ++k)
            for (npy_intp i = 0; i < digest; ++i)
                args[1][(start + k) * steps[1] + i * steps[3]] = static_cast<char>(out[k * digest + i]);
    }
}

py::object make_sha256d(const tr::HashTable* table) {
    Registered& r = registered.emplace_back();
    r.loops = {sha256d_loop};
    r.data = {const_cast<tr::HashTable*>(table)};
    r.types = {NPY_UINT8, NPY_UINT8};
    PyObject* made = PyUFunc_FromFuncAndDataAndSignature(r.loops.data(), r.data.data(), r.types.data(), 1, 1,
                                                         1, PyUFunc_None, "sha256d", "", 0, "(80)->(32)");
    if (!made) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(made);
}

const tr::HashTable* hash_table_of(const char* isa) {
#ifdef TR_HAS_x86_64_v4
    if (std::strcmp(isa, "x86_64_v4") == 0) return &tr::x86_64_v4::hash_table;
#endif
#ifdef TR_HAS_x86_64_v3
    if (std::strcmp(isa, "x86_64_v3") == 0) return &tr::x86_64_v3::hash_table;
#endif
    return std::strcmp(isa, "generic") == 0 ? &tr::generic::hash_table : nullptr;
}

const tr::Table& flow_table_of(const char* isa) {
#ifdef TR_HAS_x86_64_v4
    if (std::strcmp(isa, "x86_64_v4") == 0) return tr::x86_64_v4::flow_table;
#endif
#ifdef TR_HAS_x86_64_v3
    if (std::strcmp(isa, "x86_64_v3") == 0) return tr::x86_64_v3::flow_table;
#endif
    return tr::generic::flow_table;
}

py::bytes sha256(const py::bytes& message, const std::string& isa) {
    for (const tr::Isa& one : tr::isas) {
        if (isa != one.name || !one.supported()) continue;
        const auto text = static_cast<std::string_view>(message);
        unsigned char out[32];
        hash_table_of(one.name)->sha256(reinterpret_cast<const unsigned char*>(text.data()),
                                        static_cast<long long>(text.size()), out);
        return py::bytes(reinterpret_cast<const char*>(out), sizeof out);
    }
    throw py::value_error("isa is '" + isa + "'; allowed: a name of ufuncs_by_isa()");
}

template <std::size_t N> py::tuple names(const char* const (&list)[N]) {
    py::tuple out(N);
    for (std::size_t i = 0; i < N; ++i) out[i] = py::str(list[i]);
    return out;
}

#define TR_QUOTE(name) #name,
constexpr const char* device_fields[] = {TR_DEVICE_FIELDS(TR_QUOTE)};
constexpr const char* model_fields[] = {TR_MODEL_FIELDS(TR_QUOTE)};
constexpr const char* plan_fields[] = {TR_PLAN_FIELDS(TR_QUOTE)};
constexpr const char* line_fields[] = {TR_CALIBRATION_FIELDS(TR_QUOTE)};
#define TR_BLOCK(block, op, list) {#block, {TR_##list##_CONSTANTS(TR_QUOTE)}},
const std::vector<std::pair<const char*, std::vector<const char*>>> constant_blocks = {TR_CONSTANT_BLOCKS(TR_BLOCK)};
#undef TR_BLOCK
constexpr const char* step_fields[] = {TR_STEP_FIELDS(TR_QUOTE)};
constexpr const char* serving_terms[] = {TR_SERVING_TERMS(TR_QUOTE)};
constexpr const char* serving_fields[] = {TR_SERVING_FIELDS(TR_QUOTE)};
constexpr const char* system_terms[] = {TR_SYSTEM_TERMS(TR_QUOTE)};
constexpr const char* system_fields[] = {TR_SYSTEM_FIELDS(TR_QUOTE)};
constexpr const char* operator_fields[] = {TR_OPERATOR_FIELDS(TR_QUOTE)};
constexpr const char* dtypes[] = {TR_DTYPES(TR_QUOTE)};
constexpr const char* topologies[] = {TR_TOPOLOGIES(TR_QUOTE)};

// The instruction set to use: TOKENROOF_ISA if set, else the newest that runs here.
const tr::Isa& choose_isa() {
    const char* forced = std::getenv("TOKENROOF_ISA");
    std::string allowed;
    for (const tr::Isa& isa : tr::isas) {
        if (!isa.supported()) continue;
        if (!forced || !*forced || std::strcmp(forced, isa.name) == 0) return isa;
        allowed += std::string(allowed.empty() ? "" : ", ") + isa.name;
    }
    throw py::import_error("TOKENROOF_ISA is '" + std::string(forced ? forced : "") +
                           "'; on this machine allowed: " + allowed);
}

} // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    if (_import_array() < 0 || _import_umath() < 0) throw py::error_already_set();
    const tr::Isa& active = choose_isa();
    py::dict by_isa, flows_by_isa;
    for (const tr::Isa& isa : tr::isas) {
        if (!isa.supported()) continue;
        py::dict kernels;
        for (int i = 0; i < isa.table->count; ++i)
            kernels[isa.table->kernels[i].name] = make_ufunc(isa.table->kernels[i]);
        kernels["sha256d"] = make_sha256d(hash_table_of(isa.name));
        by_isa[isa.name] = kernels;
        py::dict flows;
        const tr::Table& table = flow_table_of(isa.name);
        for (int i = 0; i < table.count; ++i) flows[table.kernels[i].name] = make_ufunc(table.kernels[i]);
        flows_by_isa[isa.name] = flows;
    }
    m.attr("ISA") = active.name;
    m.def("ufuncs_by_isa", [by_isa] { return by_isa; });
    m.def("flow_ufuncs_by_isa", [flows_by_isa] { return flows_by_isa; });

    m.attr("DEVICE_FIELDS") = names(device_fields);
    m.attr("MODEL_FIELDS") = names(model_fields);
    m.attr("PLAN_FIELDS") = names(plan_fields);
    py::list calibration; // the lines' constants, then "block.constant"
    py::dict blocks;
    for (const char* name : line_fields) calibration.append(name);
    for (const auto& [block, constants] : constant_blocks) {
        py::list own;
        for (const char* name : constants) {
            own.append(name);
            calibration.append(std::string(block) + "." + name);
        }
        blocks[block] = py::tuple(own);
    }
    m.attr("CALIBRATION_FIELDS") = py::tuple(calibration);
    m.attr("CALIBRATION_BLOCKS") = blocks;
    m.attr("STEP_FIELDS") = names(step_fields);
    m.attr("OPERATOR_FIELDS") = names(operator_fields);
    m.attr("SERVING_TERMS") = names(serving_terms);
    m.attr("SERVING_FIELDS") = names(serving_fields);
    m.attr("SYSTEM_TERMS") = names(system_terms);
    m.attr("SYSTEM_FIELDS") = names(system_fields);
    m.attr("DTYPES") = names(dtypes);
    m.attr("TOPOLOGIES") = names(topologies);
    py::dict bytes, activation;
    for (int i = 0; i < tr::dtype::count; ++i) {
        bytes[dtypes[i]] = tr::dtype_bytes(i);
        activation[dtypes[i]] = tr::activation_bytes(i);
    }
    m.attr("DTYPE_BYTES") = bytes;
    m.attr("ACTIVATION_BYTES") = activation;

    m.def("build_config", &build_config);
    m.def("sha256", &sha256, py::arg("message"), py::arg("isa") = "generic");
    tr::register_mining(m);
    tr::register_montecarlo(m);
    tr::register_cash_paths(m);
    tr::register_power_split(m);
    tr::register_flows(m);
    tr::register_switching(m);
    tr::register_probe(m);
    tr::register_queueing(m);
    tr::register_simulate(m);
}
