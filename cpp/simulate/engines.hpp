// Engines by name, from the knobs that Python hands over.
#pragma once
#include <pybind11/pybind11.h>

#include "simulate/drafting.hpp"
#include "simulate/engine.hpp"

namespace tokenroof::simulate {

// Rules of config["engine"]; an error for a name that is not known.
Rules rules_of(const pybind11::dict& config);

// How a configuration drafts.
Drafting drafting_of(const pybind11::dict& config);

Rules vllm_rules(const pybind11::dict& config);
Rules sglang_rules(const pybind11::dict& config);
Rules trtllm_rules(const pybind11::dict& config);

} // namespace tokenroof::simulate
