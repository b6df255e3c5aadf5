"""Tables of steps against the kernels that they stand for, over every model and two forms of a replica."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels
from tokenroof.catalogue import models
from tokenroof.inference.door import deployment
from tokenroof.serving.simulation.step_time import _steps

AXES = (
    np.array([0.0, 1.0, 37.0]), np.array([0.0, 64.0, 9000.0]), np.array([0.0, 1.0, 300.0, 8192.0]),
    np.array([0.0, 256.0, 30_000.0]),
)  # fmt: skip


@pytest.mark.parametrize("ranks", [1, 4])
def test_pairs_of_axes_say_all_that_four_do(ranks):
    """What contexts add to a batch and what was cached adds to a prompt know nothing of one another."""
    b, x, n, s = np.meshgrid(*(axis[1:] for axis in AXES), indexing="ij")
    seen = 0
    for name in models()["name"]:
        for engine, device in (("vllm", "H200-SXM"), ("trtllm", "B200-SXM"), ("sglang", "MI300X")):
            plan = tr.Plan(tp=2, engine=engine)
            try:
                on = deployment(device, name, plan, "calibrated")
            except ValueError:
                continue
            found = _steps(on, ranks, ranks, AXES)[1:, 1:, 1:, 1:]
            true = (
                kernels.mixed_time(*on.records, b, x, n, s)
                if ranks == 1
                else kernels.mixed_prompts_time(*on.records, ranks * b, x, float(ranks), n, s)
            )
            assert found == pytest.approx(true, rel=1e-13), (name, device)
            seen += 1
    assert seen > 50
