"""Encode time of towers: work by hand, and how it is spread."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.records.tower import Tower

TOWER = Tower(name="vision", hidden=1152, layers=27, heads=16, ffn=4304, patch=14, merge=4, patch_inputs=588,
              projector=((2560, 1152),), parameters=416_866_032, projector_parameters=2_950_272)  # fmt: skip
MODEL = tr.Model(name="m", hidden=2560, vocab=1000, layers=2, heads=8, ffn=4096, towers=(TOWER,))


def flops(patches: int) -> float:
    """Two per weight and patch, four per pair of query and key and channel; the projector per token."""
    weights = 588 * 1152 + 27 * (4 * 1152**2 + 2 * 1152 * 4304)
    return 2 * patches * weights + 4 * 27 * 1152 * patches**2 + 2 * (patches // 16) * 1152 * 2560


@pytest.mark.parametrize("patches", [1024, 4096])
def test_flops_by_hand(patches):
    one = tr.encode("H100-SXM", MODEL, patches=patches, fidelity="datasheet")
    assert float(one.flops) == pytest.approx(flops(patches), rel=2e-4)  # softmax and rotation aside
    assert float(one.tokens) == patches / 16
    # at best as fast as the unit
    assert float(one.time_s) > flops(patches) / tr.device("H100-SXM").peak["bf16"]
    assert float(one.time_s) == pytest.approx(sum(map(float, one.breakdown().values())))


def test_images_add_up():
    few, many = tr.encode("H100-SXM", MODEL, patches=4096, images=[8, 64]).time_s
    assert many == pytest.approx(8 * few, rel=0.1)
    np.testing.assert_allclose(
        tr.encode("H100-SXM", MODEL, patches=4096, images=[8, 64]).tokens, [2048, 16384]
    )


def test_a_window_bounds_the_pairs():
    windowed = Tower(name="vision", hidden=1280, layers=32, heads=16, ffn=3420, mlp_matrices=3, window_layers=28,
                     window=64, merge=2)  # fmt: skip
    full = Tower(name="vision", hidden=1280, layers=32, heads=16, ffn=3420, mlp_matrices=3, merge=2)
    n = 4096
    a, b = (
        float(
            tr.encode("H100-SXM", MODEL.replace(towers=(t,)), patches=n, fidelity="datasheet").flops
        )
        for t in (windowed, full)
    )
    assert b - a == pytest.approx(28 * 4 * 1280 * n * (n - 64), rel=1e-3)


def test_ranks_share_matrices_or_images():
    plan = tr.Plan(tp=4)
    weights = tr.encode("H100-SXM", MODEL, plan, patches=4096, images=8)
    data = tr.encode("H100-SXM", MODEL, plan, patches=4096, images=8, spread="data")
    alone = tr.encode("H100-SXM", MODEL, patches=4096, images=8)
    two = tr.encode("H100-SXM", MODEL, patches=4096, images=2)
    assert float(data.time_s) == pytest.approx(float(two.time_s), rel=0.01)
    assert float(data.time_s) < float(weights.time_s) < float(alone.time_s)
    # below an image a rank, the busiest has a whole one
    one = tr.encode("H100-SXM", MODEL, plan, patches=4096, images=1, spread="data")
    assert float(one.time_s) == pytest.approx(
        float(tr.encode("H100-SXM", MODEL, patches=4096).time_s), rel=0.01
    )


def test_heads_that_tp_does_not_divide():
    odd = Tower(name="vision", hidden=1024, layers=2, heads=12, head_dim=128, ffn=4096)
    m = MODEL.replace(towers=(odd,))
    a = tr.encode("H100-SXM", m, tr.Plan(tp=8), patches=1024, images=8)
    b = tr.encode("H100-SXM", m, tr.Plan(tp=8), patches=1024, images=8, spread="data")
    assert float(a.time_s) == float(b.time_s)


def test_types_of_the_language_model_do_not_count():
    a, b = (
        tr.encode("B200-SXM", MODEL, tr.Plan(weights=w), patches=1024).time_s
        for w in ("bf16", "nvfp4")
    )
    assert float(a) == float(b)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"tower": "audio"}, "tower is 'audio', of which m has none; allowed.*it has vision"),
     ({"spread": "both"}, "spread is 'both'; allowed: weights, data"),
     ({"patches": -1}, "patches"), ({"images": float("nan")}, "images"), ({"patches": [1, 2], "images": [1, 2, 3]}, "patches")],
)  # fmt: skip
def test_bad_input_is_named(change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        tr.encode("H100-SXM", MODEL, **{"patches": 64, **change})


def test_a_model_without_towers():
    with pytest.raises(ValueError, match="tower is 'vision', of which Llama-3.1-8B has none"):
        tr.encode("H100-SXM", "Llama-3.1-8B", patches=64)
