"""A replaced field takes along what was left out because of it, and leaves alone what was given."""

import copy
import pickle

import pytest

import tokenroof as tr
from tokenroof import Model, Plan

PLAIN = {"name": "small", "hidden": 2048, "vocab": 32000, "layers": 16, "heads": 16, "ffn": 8192}
MIXED = PLAIN | {"experts": 8, "topk": 2, "moe_ffn": 1024, "moe_layers": 16}
LATENT = PLAIN | {"kv_lora_rank": 512, "rope_head_dim": 64, "nope_head_dim": 128, "index_heads": 4,
                  "index_head_dim": 128, "index_topk": 2048}  # fmt: skip


@pytest.mark.parametrize(
    "given,changes",
    [
        (PLAIN, {"hidden": 4096}),  # head_dim, v_head_dim and those of windowed layers
        (PLAIN, {"heads": 32}),  # kv_heads, head_dim
        (PLAIN, {"layers": 32}),  # full_layers, dense_layers
        (PLAIN, {"head_dim": 64}),  # v_head_dim
        (PLAIN, {"window_layers": 8, "window": 128, "full_layers": 8}),
        (PLAIN, {"linear_layers": 12, "linear_value_heads": 8, "linear_value_dim": 64}),
        (LATENT, {"layers": 4}),  # sparse_layers, index_layers
        (MIXED, {"heads": 8, "moe_layers": 4}),
        (PLAIN | {"head_dim": 128}, {"hidden": 4096}),  # what was given stays
        (PLAIN | {"kv_heads": 4}, {"heads": 32}),
    ],
)
def test_a_replaced_model_is_the_one_built_so(given, changes):
    model = Model(**given)
    assert model.replace(**changes) == Model(**{**given, **changes})
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert twin.replace(**changes) == model.replace(**changes)


@pytest.mark.parametrize(
    "given,changes",
    [
        ({"tp": 8}, {"tp": 4}),
        ({"tp": 2, "dp": 4}, {"dp": 2}),
        ({"tp": 8, "moe_ep": 4}, {"tp": 4}),
        ({"weights": "fp8"}, {"weights": "bf16"}),
        ({"weights": "nvfp4", "activations": "bf16"}, {"weights": "fp8"}),
        ({"experts": "mxfp4"}, {"weights": "fp8"}),
    ],
)
def test_a_replaced_plan_is_the_one_built_so(given, changes):
    plan = Plan(**given)
    assert plan.replace(**changes) == Plan(**{**given, **changes})
    assert pickle.loads(pickle.dumps(plan)).replace(**changes) == plan.replace(**changes)


def test_what_was_replaced_stays():
    """A field that a replacement names counts as given from then on; one that it does not, still follows."""
    model = Model(**PLAIN).replace(head_dim=64).replace(hidden=4096)
    assert (model.head_dim, model.v_head_dim) == (64, 64)
    assert Plan(tp=8).replace(moe_ep=8, moe_tp=1).replace(weights="fp8").moe_ep == 8
    assert Plan(weights="fp8").replace(experts="bf16").replace(weights="nvfp4").experts == "bf16"


def test_types_as_they_run_do_not_follow():
    """On a device without the unit weights are unpacked; what their activations are was settled before."""
    plan, device = Plan(weights="nvfp4"), tr.device("H100-SXM")
    assert plan.on(device).replace(weights="bf16").experts == plan.on(device).experts
