"""Which tests concern a change: those that come to its place, the quickest first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from places import Mutant
    from served import Reach

# Subject of a header -> tests that hold its formulas to their twins, first those that take least.
HEADERS = {
    "core": ("tests/kernels/test_kernels_reference.py", "tests/kernels/test_out_of_domain.py",
             "tests/inference/test_step_reference.py",
             "tests/mining/test_pools.py", "tests/serving/test_open_loop.py", "tests/economics/test_risk.py"),
    "records": ("tests/inference/test_header_points.py", "tests/inference/test_step_reference.py",
                "tests/inference/test_memory.py"),
    "inference": ("tests/inference/test_header_points.py", "tests/kernels/test_kernels_reference.py",
                  "tests/inference/test_step_reference.py", "tests/inference/test_gemm.py",
                  "tests/inference/test_attention.py", "tests/inference/test_experts.py",
                  "tests/inference/test_routing.py", "tests/inference/test_layer_operators.py",
                  "tests/inference/test_collectives.py", "tests/inference/test_memory.py",
                  "tests/inference/test_recent_layers.py", "tests/inference/test_power.py",
                  "tests/inference/test_data_parallel.py", "tests/inference/test_rows_beside_prompts.py",
                  "tests/kernels/test_kernels_nan.py", "tests/kernels/test_out_of_domain.py"),
    "serving": ("tests/kernels/test_kernels_reference.py", "tests/serving/test_closed_twin.py",
                "tests/serving/test_serving_reference.py", "tests/serving/test_short_answers.py", "tests/serving/test_prompt_pool_grid.py",
                "tests/serving/test_prompt_pool.py",
                "tests/serving/system/test_system_kernel.py", "tests/serving/test_open_loop.py",
                "tests/serving/tuning/test_fleet.py", "tests/serving/test_session_curve.py",
                "tests/kernels/test_out_of_domain.py"),
    "mining": ("tests/mining/test_sha256.py", "tests/kernels/test_kernels_reference.py",
               "tests/kernels/test_out_of_domain.py", "tests/mining/test_attacks.py",
               "tests/mining/test_pools.py", "tests/mining/test_bitcoin.py"),
    "economics": ("tests/kernels/test_kernels_reference.py", "tests/kernels/test_out_of_domain.py",
                  "tests/economics/test_flow_rows.py",
                  "tests/economics/test_returns.py", "tests/economics/test_dated_flows.py",
                  "tests/economics/test_power_split.py", "tests/economics/test_risk.py"),
}  # fmt: skip

# Folders whose tests are asked about Python.
FOLDERS = (
    "inference",
    "mining",
    "serving",
    "economics",
    "records",
    "catalogue",
    "calibrate",
)
DEFAULTS = "tests/house/test_defaults.py::test_no_default_changes_unseen"


def subject(path: str) -> str:
    """The subject of a header or a Python file."""
    return path.split("tokenroof/")[-1].split("/")[0]


def of_subject(copy: Path, name: str) -> list[str]:
    """Tests of a subject's headers, as far as this copy has them."""
    return [t for t in HEADERS[name] if (copy / t).exists()]


def of_headers(copy: Path) -> list[str]:
    """Files of tests that hold headers to their twins."""
    return sorted({test for name in HEADERS for test in of_subject(copy, name)})


def of_all(copy: Path) -> list[str]:
    """Files of tests that may come to the Python of a formula, of those of this copy."""
    found = [p for folder in FOLDERS for p in (copy / "tests" / folder).rglob("test_*.py")]
    return sorted(str(p.relative_to(copy)) for p in found)


def of_change(reach: Reach, mutant: Mutant, of_file: set[str], seconds: float) -> list[str]:
    """Tests that come to a change's place, else to others of its file or subject, quickest first, for so many seconds.

    Tests of another subject count as three times as long, those of a few changes as shorter than those of many.
    """
    own = f"tests/{subject(mutant.path)}/"

    def cost(test: str) -> tuple[float, str]:
        took, names = reach[test]
        return took * (1 if test.startswith(own) else 3) + 1e-4 * len(names), test

    here = [test for test, (_, names) in reach.items() if mutant.name in names]
    here = here or [test for test, (_, names) in reach.items() if not of_file.isdisjoint(names)]
    here = here or [test for test in reach if test.startswith(own)]
    out, spent = [], 0.0
    for test in sorted(here, key=cost):
        spent += reach[test][0] + 0.01
        if spent > seconds and out:
            break
        out.append(test)
    return out
