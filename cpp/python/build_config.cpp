// How this module was built; the first thing that a bug report needs.
#include <pybind11/pybind11.h>

#include "isa.hpp"

namespace py = pybind11;

py::dict build_config() {
    py::list built, usable;
    for (const tokenroof::Isa& isa : tokenroof::isas) {
        built.append(isa.name);
        if (isa.supported()) usable.append(isa.name);
    }
    py::dict out;
    out["version"] = TOKENROOF_VERSION;
    out["compiler"] = TOKENROOF_COMPILER;
    out["cuda"] = TOKENROOF_CUDA_STATE;
    out["isas_built"] = built;
    out["isas_usable"] = usable;
    out["cxx_standard"] = static_cast<long>(__cplusplus);
    return out;
}
