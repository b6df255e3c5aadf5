"""Fields of a model that few have: a small one in which each counts, another value, and what that changes."""

from tokenroof.records.huggingface.reading import Reading
from tokenroof.records.quantisation import Quantisation, Stored
from tokenroof.records.tower import Tower

SMALL = {
    "name": "m",
    "hidden": 1024,
    "vocab": 32000,
    "layers": 8,
    "heads": 16,
    "kv_heads": 4,
    "ffn": 4096,
}
SLIDING = SMALL | {"full_layers": 4, "window_layers": 4, "window": 512}
SHARED = SLIDING | {"shared_full_layers": 1, "shared_window_layers": 2}
ONE_WINDOW = SMALL | {"kv_heads": 1, "head_dim": 64, "window_layers": 8, "window": 512}
INDEXER = {"index_heads": 4, "index_head_dim": 32, "index_topk": 128}
CHOOSING = SMALL | INDEXER
GROUPED = ONE_WINDOW | {"single_key": True, "o_groups": 4, "o_lora_rank": 256}
COMPRESSED = ONE_WINDOW | INDEXER | {"single_key": True, "window_layers": 2, "compressed_layers": 3,
                                     "compress_ratio": 128, "selected_layers": 3, "select_ratio": 4}  # fmt: skip
DELTA = SMALL | {"full_layers": 2, "linear_layers": 6, "linear_key_heads": 8, "linear_key_dim": 64,
                 "linear_value_heads": 8, "linear_value_dim": 64, "linear_conv": 4, "linear_gate_rank": 32}  # fmt: skip
MAMBA = SMALL | {"full_layers": 2, "mamba_layers": 6, "mamba_heads": 32, "mamba_head_dim": 64,
                 "mamba_groups": 1, "mamba_state": 16, "mamba_conv": 4}  # fmt: skip
WIDE = SMALL | {"dense_layers": 4, "wide_layers": 4, "wide_ffn": 8192}
MIXTURE = SMALL | {"ffn": 0, "moe_layers": 8, "experts": 32, "topk": 4, "moe_ffn": 512}
LATENT = MIXTURE | {"moe_latent": 256}
STREAMS = SMALL | {"streams": 4, "stream_mixes": 16}
EMBEDDED = SMALL | {"layer_embedding": 256, "layer_vocab": 32000}
FURTHER = SMALL | {"mtp_modules": 1}
VISION = Tower(name="vision", hidden=512, layers=4, heads=8, ffn=2048, patch=14, merge=2, patch_inputs=588,
               projector=((1024, 2048),), parameters=13_000_000, projector_parameters=2_000_000)  # fmt: skip
BLOCKS = Quantisation("fp8", (((), Stored("fp8", 8, 128, 128, 4.0)),))

# what follows from counts alone, from what a step computes too, and from what it keeps
STORED = {"parameters", "weights", "page"}
COUNTED = STORED | {"active"}
TIMED = COUNTED | {"decode", "prefill"}
WORKED = TIMED | {"flops"}
HELD = WORKED | {"kv_bytes"}
GROWING = HELD | {"kv_bytes_per_token"}

# field: the model without the change, the field's other value, all that it changes
CASES = {
    "tied_values": (SMALL, True, WORKED),
    "single_key": (ONE_WINDOW, True, GROWING),
    "shared_full_layers": (SLIDING, 2, GROWING),
    "shared_window_layers": (SLIDING, 2, HELD),
    "head_gate": (SMALL, True, WORKED),
    "o_groups": (GROUPED, 8, WORKED),
    "o_lora_rank": (GROUPED, 128, WORKED),
    "compressed_layers": (COMPRESSED, 2, GROWING),
    "compress_ratio": (COMPRESSED, 64, GROWING),
    "selected_layers": (COMPRESSED, 2, GROWING),
    "select_ratio": (COMPRESSED, 8, GROWING),
    "joint_norm": (SMALL, True, set()),  # of several ranks: test_kernel_counts.py
    "linear_full_gate": (DELTA, True, WORKED),
    "wide_layers": (WIDE, 3, WORKED),
    "wide_ffn": (WIDE, 6144, WORKED),
    "moe_latent": (MIXTURE, 256, WORKED),
    "zero_experts": (MIXTURE, 16, WORKED),
    "streams": (STREAMS, 2, WORKED),
    "stream_mixes": (STREAMS, 8, WORKED),
    "residual_slots": (SMALL, 4, TIMED),  # moves, and multiplies next to nothing
    "layer_embedding": (EMBEDDED, 128, WORKED),
    "layer_vocab": (EMBEDDED, 16000, COUNTED),
    "laurel_rank": (SMALL, 64, WORKED),
    "mtp_stored": (FURTHER, False, {"weights"}),
    "mtp_tables": (FURTHER, True, {"weights"}),
    "idle_kv_weights": (SHARED, True, STORED),
    "index_unweighted": (CHOOSING, True, COUNTED),
    "altup": (STREAMS, True, COUNTED),
    "moe_latent_norm": (LATENT, True, COUNTED),
    "headless": (SMALL, True, WORKED),
    "labels": (SMALL | {"headless": True}, 1000, WORKED),
    "embedding_width": (SMALL, 512, COUNTED),
    "mamba_rank": (MAMBA, 64, COUNTED),
    "mamba_norm": (MAMBA, False, COUNTED),
    "mamba_conv_bias": (MAMBA, False, COUNTED),
    "mamba_proj_bias": (MAMBA, True, COUNTED),
    "extras": (SMALL, (("attention", 1000),), COUNTED),
    "quantisation": (SMALL, BLOCKS, {"weights", "plan", "page", "decode", "prefill"}),
    "towers": (SMALL, (VISION,), STORED | {"encode"}),
    "reading": (SMALL, Reading(read={"hidden_size": 1024}), {"page"}),
}  # fmt: skip
