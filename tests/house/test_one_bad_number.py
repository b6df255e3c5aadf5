"""One bad number among good ones is refused by its argument and place, in every array of every public function."""

from __future__ import annotations

import numpy as np
import pytest

from _arrays import FUNCTIONS, given_to
from _edges import RULE, wrong_ends

# where an argument's ends are other than its name's elsewhere; None: what is right depends on other arguments
APART = {
    "attention_experts": {"batch": "0 < x"}, "prefill_decode": {"batch": "0 < x"}, "drafts": {"batch": "0 < x"},
    "dataflow.decode": {"batch": "0 < x"}, "block_probability": {"hashrate": "0 <= x"},
    "dashboard_power": {"devices": "0 <= x"},
    "allocation_sensitivity": {"demand": None, "supply": None, "floors": "0 <= x"}, "best_mix": {"supply": None},
    "board_power": {"experts": "0 <= x"}, "layer_matrices": {"experts": "0 < x"}, "pool_income": {"difficulty": "1 <= x"},
    "operators.gemm": dict.fromkeys("mnk", "0 <= x"), "operators.grouped_gemm": dict.fromkeys("nk", "0 < x"),
    "operators.norm": {"hidden": "0 <= x"}, "operators.quantise": {"hidden": "0 <= x"}, "operators.head": {"hidden": "0 <= x"},
    "operators.activation": {"intermediate": "0 <= x"}, "operators.compressor": {"ratio": "0 < x"},
    "compressed_": {"heads": "0 < x", "index_heads": "0 < x", "index_head_dim": "0 < x", "ratio": "0 <= x",
                    "topk": "0 <= x", "width": "0 < x"},
    "speculative.verify": {"tokens": "0 < x"}, "pays_until": {"length": None}, "concentration": {"shares": None},
    "npv": {"dates": None}, "xirr": {"dates": None, "flows": None}, "xnpv": {"flows": None},
    "economics.allocate": {"demand": "0 <= x", "supply": "0 <= x", "split": "0 <= x"},
    "economics.profit": {"watts": "0 < x"},
    **{key: {"heads": None, "kv_heads": "whole"} for key in ("operators.attention_", "operators.mla_x")},
    **{key: {"kv_heads": "0 < x"} for key in ("block_sparse_", "rotary")},
    **{key: {"experts": None, "topk": "whole"} for key in ("operators.experts", "grouped_gemm", "latent_experts")},
    "attention_residual": {"heads": "0 < x"},
}  # fmt: skip
# a text, a truth value, nothing, a complex number
ODD = ("1", True, None, 1j)


def _rule(name: str, array: str) -> str | None:
    for part, own in APART.items():
        if part in name and array in own:
            return own[array]
    return RULE[array]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_bad_number_among_good_ones_is_named(name: str) -> None:
    function, arrays, rest = given_to(name)
    found = []
    for array, values in arrays.items():
        rule = _rule(name, array)
        if rule is None:
            continue

        def put(value: object, values: np.ndarray = values) -> object:
            """Arrays of numbers, and lists of what is none."""
            one = values[0] if len(values) < 2 else values[2]
            among = [values[0], value, one]
            return np.array(among) if isinstance(value, float) else among

        found += wrong_ends(function, rest | arrays, array, rule, put, ODD, place="[1]")
    assert found == []
