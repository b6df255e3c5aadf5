"""The closed form of replicas that compute prompts alone beside its twin, at points that are not drawn."""

import itertools

import numpy as np
import pytest

from tokenroof import _core
from tokenroof.reference.serving.prompt_pool import prompt_pool

INPUTS, FIELDS = _core.PROMPT_POOL_INPUTS, _core.PROMPT_POOL_FIELDS


def moments(name, mean, cv2, skew):
    """Raw moments of a lognormal, of which the third and fourth are off by so much."""
    powers = {k: mean**k * (1.0 + cv2) ** (k * (k - 1) / 2) for k in (2, 3, 4)}
    powers[3] *= 1.0 + skew
    powers[4] *= 1.0 + 2.0 * skew
    return {name: mean, **{f"{name}_{k}": x for k, x in powers.items()}}


@pytest.mark.parametrize("arrival_cv2", [5e-4, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("cv2", [0.0, 1.0])
@pytest.mark.parametrize("lag", [0.0, 1.0])
def test_the_kernel_is_its_twin_on_a_grid(lag, cv2, arrival_cv2):
    """Steps that are all fixed, hardly and not at all, full ones of half a prompt to 64, seldom to saturation."""
    axes = (0.0, 0.02, 0.1), (1e-4, 2.0**-7), (0.5, 4.0, 64.0), (1e-3, 0.1, 0.6, 0.95, 1.0)
    for fixed, w, many, load in itertools.product(*axes):
        sizes = np.geomspace(1.0, max(many, 2.0), 6)
        seconds = (fixed + w * sizes) * (1.0 + 0.2 * np.sin(np.linspace(0.0, np.pi, 6)))
        each = w + fixed / many
        inputs = {"rate": load / each, "many": many, "arrival_cv2": arrival_cv2, "lag": lag,
                  **moments("alone", fixed + w, 0.5 * cv2, 0.1), **moments("each", each, cv2, 0.0)}  # fmt: skip
        out = np.empty((1, len(FIELDS)))
        packed = np.array([[inputs[name] for name in INPUTS]])
        _core.prompt_pool(packed, sizes[None], seconds[None], out)
        want = prompt_pool(inputs, sizes.tolist(), seconds.tolist())
        found = dict(zip(FIELDS, out[0], strict=True))
        assert found == pytest.approx(want, rel=2e-4, abs=1e-15, nan_ok=True), inputs
