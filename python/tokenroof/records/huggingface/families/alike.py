"""Families that are shaped like others: an entry each, of one table.

The entry names the family whose rules hold, fields that go by other names, and what differs whatever a config
says. See ``docs/inference/configs.md``.
"""

from __future__ import annotations

from tokenroof.records.huggingface.families import dense, latent, mixtures, ungated
from tokenroof.records.huggingface.families.table import FAMILIES, Like, like

__all__ = ["ALIKE"]

#: By ``model_type``, as in `FAMILIES`.
ALIKE: dict[str, Like] = {
    # Llama under other names; some with norms, biases or MLPs of another kind
    "granite": like("llama"),
    "iquestcoder": like("llama"),
    "helium": like("llama", out_bias=False),
    "exaone": like("llama"),
    "baichuan": like("llama"),
    "xverse": like("llama"),
    "aquila": like("llama"),
    "minicpm": like("llama", defaults={"tie_word_embeddings": True}),
    "orion": like("llama", norm_bias=True),
    "arcee": like("llama", mlp_matrices=2),
    "jais2": like("llama", mlp_matrices=2, norm_bias=True),
    "olmo": like("llama", norms_per_layer=0, final_norm=False),
    "nanochat": like("llama", mlp_matrices=2, norms_per_layer=0, final_norm=False),
    # composites whose text part may leave out what it is
    "mistral3": like("mistral"),
    "llava": like("llama"),
    "llava_next": like("llama"),
    # Qwen's
    "mimo": like("qwen2"),
    "qwen3_omni_moe": like("qwen3_moe"),
    "qwen3_omni_moe_thinker": like("qwen3_moe"),
    # Gemma's
    "vaultgemma": like("gemma2", norms_per_layer=2),
    # mixtures
    "glm4_moe_lite": like("deepseek_v3", defaults={"first_k_dense_replace": 1}),
    "glm4v_moe": like("glm4_moe"),
    "solar_open": like("glm4_moe"),
    "sarvam_moe": like("glm4_moe"),
}

_ENTERED = (dense, latent, mixtures, ungated)  # the families that these are like
FAMILIES.update(ALIKE)
