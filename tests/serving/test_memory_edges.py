"""Memory that is full to the last byte: kernels and their twins at the edges where a request fits or does not."""

import numpy as np
import pytest

import tokenroof as tr
from _support import BY_ISA, each_isa, named
from tokenroof import _core, reference
from tokenroof.reference.inference import memory

MODEL = tr.model("Llama-3.1-8B")
CALIBRATION = tr.Calibration.ideal().replace(
    constants={"engine": {"memory_share": 1.0, "memory_weights": 1.0, "memory_reserved": 0.0}}
)
SLOTS = _core.SERVING_TERMS.index("slots")
LOAD = 4.0, 1000.0, 24.0


def slots(isa, model, dp, spare):
    """Places of a replica whose ranks have so many bytes beside the weights, by kernel and twin."""
    plan = tr.Plan(dp=dp).pack()
    device = tr.device("H200-SXM").pack()
    of = dict(zip(_core.MODEL_FIELDS, map(float, model), strict=True))
    laid = dict(zip(_core.PLAN_FIELDS, map(float, plan), strict=True))
    kept = memory.weight_bytes(of, laid) + memory.workspace_bytes(of, laid)
    one = memory.sequence_bytes(of, laid, LOAD[1] + LOAD[2])
    device[_core.DEVICE_FIELDS.index("memory_bytes")] = kept + spare(one)
    vectors = device, CALIBRATION.pack(), model, plan
    with np.errstate(all="ignore"):
        got = BY_ISA[isa]["serving_terms"](*vectors, *LOAD)[SLOTS]
    return got, reference.serving_terms(*named(vectors), *LOAD)["slots"]


@each_isa
@pytest.mark.parametrize("dp", [1, 2])
@pytest.mark.parametrize(
    ("spare", "each"),
    [(lambda one: one, 1.0), (lambda one: one - 1.0, 0.0), (lambda one: 3.0 * one, 3.0),
     (lambda one: 0.0, 0.0), (lambda one: -1.0, 0.0)],
    ids=["one", "a byte short", "three", "none", "too little"],
)  # fmt: skip
def test_a_request_that_fits_to_the_byte_is_served(isa, dp, spare, each):
    assert slots(isa, MODEL.pack(), dp, spare) == (each * dp, each * dp)


@each_isa
@pytest.mark.parametrize(("spare", "places"), [(0.0, np.inf), (1.0, np.inf), (-1.0, 0.0)])
def test_requests_that_keep_nothing_fit_beside_weights_that_fill_the_memory(isa, spare, places):
    """All layers read the keys of others: no byte of a request is kept."""
    model = MODEL.pack()
    shared, full = (
        _core.MODEL_FIELDS.index(name) for name in ("shared_full_layers", "full_layers")
    )
    model[shared] = model[full]
    assert slots(isa, model, 1, lambda one: spare + one) == (places, places)
