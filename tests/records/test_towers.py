"""Towers of images and sound: counts of the public checkpoints, apart from the language model's."""

import json
from pathlib import Path

import pytest

import tokenroof as tr
from tokenroof import _core
from tokenroof.records.tower import Tower

CONFIGS = Path(__file__).parent / "fixtures" / "model_configs"


def text(name: str) -> dict:
    return json.loads((CONFIGS / f"{name}.json").read_text())


def whole(kind: str, name: str, vision: dict, **outer: object) -> dict:
    return {"model_type": kind, "text_config": text(name), "vision_config": vision, **outer}


SIGLIP = {"model_type": "siglip_vision_model", "hidden_size": 1152, "image_size": 896, "patch_size": 14,
          "intermediate_size": 4304, "num_attention_heads": 16, "num_hidden_layers": 27}  # fmt: skip
QWEN3 = {"model_type": "qwen3_vl", "depth": 27, "hidden_size": 1152, "num_heads": 16, "intermediate_size": 4304,
         "num_position_embeddings": 2304, "patch_size": 16, "temporal_patch_size": 2, "spatial_merge_size": 2,
         "deepstack_visual_indexes": [8, 16, 24], "out_hidden_size": 4096}  # fmt: skip
QWEN25 = {"model_type": "qwen2_5_vl", "depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420,
          "patch_size": 14, "temporal_patch_size": 2, "spatial_merge_size": 2, "window_size": 112,
          "fullatt_block_indexes": [7, 15, 23, 31], "out_hidden_size": 3584}  # fmt: skip
PIXTRAL = {"model_type": "pixtral", "hidden_size": 1024, "head_dim": 64, "num_attention_heads": 16,
           "intermediate_size": 4096, "num_hidden_layers": 24, "patch_size": 14, "image_size": 1540}  # fmt: skip
LLAMA4 = {"model_type": "llama4_vision_model", "hidden_size": 1408, "image_size": 336, "patch_size": 14,
          "intermediate_size": 5632, "num_attention_heads": 16, "num_hidden_layers": 34, "pixel_shuffle_ratio": 0.5,
          "projector_input_dim": 4096, "projector_output_dim": 4096, "vision_output_dim": 4096}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "language", "parameters"),
    [
        # safetensors totals of the hub: google/gemma-3-27b-it, Qwen/Qwen2.5-VL-7B-Instruct (its tower 676,550,144),
        # mistralai/Mistral-Small-3.2-24B-Instruct-2506, meta-llama/Llama-4-Scout-17B-16E-Instruct,
        # Qwen/Qwen3-VL-8B-Instruct
        (whole("gemma3", "Gemma-3-27B", SIGLIP, mm_tokens_per_image=256), 27_009_346_304, 27_432_406_640),
        (whole("qwen2_5_vl", "Qwen2.5-7B", QWEN25), 7_615_616_512, 8_292_166_656),
        (whole("mistral3", "Mistral-Small-24B", PIXTRAL, spatial_merge_size=2, multimodal_projector_bias=False),
         23_572_403_200, 24_011_361_280),
        (whole("llama4", "Llama-4-Scout", LLAMA4), 107_769_861_120, 108_641_793_536),
        (whole("qwen3_vl", "Qwen3-8B", QWEN3), 8_190_735_360, 8_767_123_696),
    ],
    ids=["Gemma-3-27B", "Qwen2.5-VL-7B", "Mistral-Small-3.2", "Llama-4-Scout", "Qwen3-VL-8B"],
)  # fmt: skip
def test_published_counts(config, language, parameters):
    m = tr.Model.from_config(config)
    assert m.language_parameters == language
    assert m.parameters == parameters
    groups = m.parameter_groups()
    assert groups["vision"] + groups["vision_projector"] == m.tower_parameters
    assert sum(groups.values()) == parameters
    # a token of text uses none of it, kernels know it apart
    alone = m.replace(towers=())
    assert m.active_parameters == alone.active_parameters
    packed, without = (dict(zip(_core.MODEL_FIELDS, x.pack(), strict=True)) for x in (m, alone))
    assert packed.pop("tower_parameters") == m.tower_parameters
    assert without.pop("tower_parameters") == 0
    assert packed == without
    assert m.weight_bytes()["vision"] == 2 * groups["vision"]


@pytest.mark.parametrize(
    ("kind", "vision", "outer", "width", "tower", "projector"),
    [
        # OpenGVLab/InternViT-300M-448px: 304.01 million
        ("internvl_chat", {"model_type": "intern_vit_6b"}, {}, 4096, 304_012_288, 33_570_816),
        # a MoonViT is a SigLIP whose table is as large and that ends with a norm, too
        ("kimi_k25", {"vt_hidden_size": 1152, "vt_num_attention_heads": 16}, {}, 7168, 416_866_032, 54_277_888),
        ("qwen2_vl", {"embed_dim": 1280, "num_heads": 16, "hidden_size": 3584}, {}, 3584, 631_183_360, 44_575_744),
    ],
)  # fmt: skip
def test_more_towers(kind, vision, outer, width, tower, projector):
    from tokenroof.records.huggingface.towers import read_towers

    (found,), fields = read_towers({"model_type": kind, "vision_config": vision, **outer}, width)
    assert (found.parameters, found.projector_parameters, fields) == (
        tower,
        projector,
        ["vision_config"],
    )


def test_a_block_by_hand():
    """A SigLIP of one layer: width 4, MLP 8, patches of 2 x 2 pixels, an image of 4 x 4."""
    from tokenroof.records.huggingface.towers import read_towers

    small = {"model_type": "siglip_vision_model", "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
             "intermediate_size": 8, "patch_size": 2, "image_size": 4}  # fmt: skip
    (found,), _ = read_towers(
        {"model_type": "gemma3", "mm_tokens_per_image": 1, "vision_config": small}, 6
    )
    embedding, table = 12 * 4 + 4, 4 * 4
    block = 4 * (4 * 4 + 4) + (8 * 4 + 8) + (4 * 8 + 4) + 2 * 2 * 4
    assert found.parameters == embedding + table + block + 8
    assert found.projector_parameters == 4 * 6 + 4
    assert (found.merge, found.patches(4, 4), found.tokens(4)) == (2, 4, 1)


def test_windows_of_a_tower():
    (tower,) = tr.Model.from_config(whole("qwen2_5_vl", "Qwen2.5-7B", QWEN25)).towers
    assert (tower.window_layers, tower.window, tower.merge) == (28, 64, 2)
    assert tower.patches(448, 450) == 32 * 34  # whole pairs of patches


def test_a_part_too_short_to_be_a_tower_is_left_out():
    short = whole("gemma3", "Gemma-3-4B", {"hidden_size": 1152, "num_hidden_layers": 27})
    with pytest.warns(
        UserWarning,
        match="^vision_config is a tower that no rule reads: what it holds is not counted",
    ):
        assert tr.Model.from_config(short).towers == ()


@pytest.mark.parametrize("field", ["vision_config", "audio_config"])
def test_a_tower_of_another_kind_is_left_out_and_said(field):
    """In front of a text model too, whose own class reads no tower."""
    for config in ({**text("Llama-3.1-8B"), field: {"model_type": "nobody_knows"}},
                   {"model_type": "some_vl", "text_config": text("Llama-3.1-8B"), field: {"depth": 3}}):  # fmt: skip
        said = f"^{field} is a tower (of model_type 'nobody_knows' )?that no rule reads.*ignore=\\['{field}'\\]"
        with pytest.warns(UserWarning, match=said) as heard:
            m = tr.Model.from_config(config)
        assert len(heard) == 1 and heard[0].filename == __file__
        assert m.towers == ()
        assert m.parameters == m.language_parameters == tr.model("Llama-3.1-8B").parameters
        assert tr.Model.from_config(config, ignore=[field]) == m
        # nothing there is nothing to say
        assert (
            tr.Model.from_config({**config, field: {}})
            == m
            == tr.Model.from_config({**config, field: None})
        )


def test_a_tower_of_a_thinker_that_no_rule_reads_is_said():
    config = {"model_type": "some_omni", "thinker_config": {
        "text_config": text("Llama-3.1-8B"), "vision_config": {"model_type": "nobody_knows"}}}  # fmt: skip
    with pytest.warns(
        UserWarning, match="^thinker_config.vision_config is a tower of model_type 'nobody_knows'"
    ):
        tr.Model.from_config(config)
    for name in ("vision_config", "thinker_config.vision_config"):
        assert tr.Model.from_config(config, ignore=[name]).towers == ()


@pytest.mark.parametrize(
    ("vision", "message"),
    [({"num_hidden_layers": 0}, "vision_config.num_hidden_layers is 0"),
     ({"hidden_size": "wide"}, "vision_config.hidden_size is 'wide'"),
     ({"num_attention_heads": 7}, "vision.heads is 7; allowed: a divisor of hidden = 1152"),
     ({"patch_size": [14, 16]}, "patch_size is \\[14, 16\\]; allowed"),
     ({"patch_size": 0}, "vision_config.patch_size is 0")],
)  # fmt: skip
def test_bad_towers_are_named(vision, message):
    config = whole("gemma3", "Gemma-3-4B", {**SIGLIP, **vision}, mm_tokens_per_image=256)
    with pytest.raises((ValueError, TypeError), match=message):
        tr.Model.from_config(config)


def test_bad_images_are_named():
    t = Tower(name="vision", hidden=64, layers=1, heads=4, ffn=64, patch=14)
    with pytest.raises(ValueError, match="height is 0; allowed"):
        t.patches(0, 14)
    with pytest.raises(ValueError, match="patch of the audio tower is unknown"):
        Tower(name="audio", hidden=64, layers=1, heads=4, ffn=64).patches(1, 1)
    with pytest.raises(ValueError, match="name is 'nose'"):
        Tower(name="nose", hidden=64, layers=1, heads=4, ffn=64)


@pytest.mark.parametrize(
    ("kind", "name", "written"),
    [("qwen2_5_vl", "Qwen2.5-7B", QWEN25 | {"depth": 24}),
     ("qwen2_vl", "Qwen2.5-7B", {"model_type": "qwen2_vl", "embed_dim": 1280, "depth": 32, "num_heads": 16, "patch_size": 14,
                                 "mlp_ratio": 4, "spatial_merge_size": 2, "temporal_patch_size": 2, "in_channels": 3})],
)  # fmt: skip
def test_a_field_that_is_left_out_is_its_familys(kind, name, written):
    whole_ = tr.Model.from_config(whole(kind, name, written)).towers[0]
    for field in written.keys() - {"model_type", "depth", "out_hidden_size"}:
        less = {key: value for key, value in written.items() if key != field}
        assert tr.Model.from_config(whole(kind, name, less)).towers[0] == whole_, field


def test_patches_that_are_merged_three_by_three():
    """Mistral's norm and matrix before the two: nine patches' widths to one's."""
    given = whole("mistral3", "Mistral-Small-24B", PIXTRAL, spatial_merge_size=3)
    (tower,) = tr.Model.from_config(given).towers
    wide = tower.hidden
    assert tower.merge == 3 and tower.projector[0] == (wide, 9 * wide)
    (two,) = tr.Model.from_config({**given, "spatial_merge_size": 2}).towers
    assert tower.projector_parameters - two.projector_parameters == 5 * wide * wide
