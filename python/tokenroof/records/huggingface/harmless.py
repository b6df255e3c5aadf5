"""The one list of fields that change neither shapes nor counts, by what they are about.

A field that no family's rules read and that is not here is refused by name: it may be what a model is
made of. Names may have ``*``. A field that is switched off (null, false, 0, empty) has no effect and needs
no name.
"""

from __future__ import annotations

import re
from functools import cache

__all__ = ["HARMLESS", "reason"]

HARMLESS: dict[str, tuple[str, ...]] = {
    "names and versions": (
        "_name_or_path", "name", "model_name", "architectures", "auto_map", "transformers_version",
        "*_version", "_commit_hash", "_attn_implementation*", "attn_implementation",
        "_experts_implementation*", "model_type", "dtype", "torch_dtype", "quantization_config",
        "compression_config", "base_model_name_or_path", "custom_pipelines", "task_specific_params",
        "problem_type", "finetuning_task", "license", "description", "unsloth_*", "_remove_final_layer_norm",
        "base_model_tp_plan", "base_model_pp_plan", "tokenizer_class", "prefix", "processor_class",
        "dense_list", "_from_model_config", "use_embedding_sharing", "for_llm_compressor",
        "quantization_bit", "org_vocab_size", "pool_type", "class_num", "add_classification_head",
        "cla_share_factor", "norm_type", "initial_*_version", "is_llama_config", "model_max_length",
        "max_length", "min_length", "sub_configs", "format",
    ),
    "words of the vocabulary": (
        "*_token_id", "*_token_ids", "*_token_index", "*_token", "*_token_index_list", "eos_token_id_list",
        "id2label", "label2id", "eoi_*", "boi_*", "eoa_*", "boa_*", "pad_id", "bos_id", "eos_id",
        "*_start_token", "*_end_token", "*_token_offset", "im_end_id", "im_start_id",
    ),
    "how text is drawn": (
        "temperature", "top_k", "top_p", "typical_p", "num_beams", "num_beam_groups", "num_return_sequences",
        "do_sample", "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "diversity_penalty",
        "encoder_no_repeat_ngram_size", "bad_words_ids", "suppress_tokens", "begin_suppress_tokens",
        "early_stopping", "exponential_decay_length_penalty", "forced_*", "calc_logits*",
        "remove_invalid_values", "renormalize_logits", "return_dict", "return_dict_in_generate", "output_*",
        "use_cache", "is_decoder", "is_encoder_decoder", "return_token_timestamps", "cache_implementation",
        "generation_config", "num_logits_to_keep", "summary_*", "keys_to_ignore_at_inference",
        "return_attention_mask",
    ),
    "training": (
        "*_dropout", "*dropout*", "*_pdrop", "drop_path_rate", "layerdrop", "load_balance_coeff*",
        "uniform_expert_assignment", "*initializer*", "init_*", "*_init", "*_init_*", "*aux_loss*",
        "*z_loss*", "router_jitter_noise", "*jitter*", "*_loss_coef", "*loss*", "pretraining_tp",
        "pretraining_*", "ep_size", "gradient_checkpointing*", "use_reentrant", "save_logits", "seq_aux",
        "pruned_heads", "emb_pdrop", "wd_*", "weight_decay", "chunk_size_feed_forward", "train_*",
        "router_dtype", "moe_router_dtype", "router_bias_update*", "moe_token_drop*", "mlp_ptq*",
        "use_aux_free*", "norm_reduce_in_fp32", "rescale_every", "tp_size", "sequence_parallel*",
        "num_experts_per_node", "moe_*_capacity_factor", "capacity_factor*", "moe_capacity",
        "moe_eval_capacity*", "moe_train_capacity*", "moe_use_aux_free", "moe_group_experts", "moe_dropout*",
        "freeze_*", "recompute*", "use_recompute*", "ignored_index", "z_regularization*",
    ),
    "numbers inside a layer, not their shapes": (
        "*_eps", "*_epsilon", "epsilon", "hidden_act", "hidden_activation", "activation_function",
        "*_hidden_act", "activation", "*_activation", "activation_func", "act_fn", "hidden_act_param",
        "*softcap*", "*_soft_cap", "*_capping", "logit_scale", "logits_scaling", "logits_scale",
        "lm_head_multiplier", "embedding_multiplier", "*_multiplier_value", "residual_multiplier",
        "attention_multiplier", "attention_in_multiplier", "attention_out_multiplier", "key_multiplier",
        "ssm_in_multiplier", "ssm_out_multiplier", "ssm_multipliers", "mlp_multipliers", "scale_emb",
        "scale_depth", "dim_model_base", "embedding_scale", "scale_embedding", "scale_attn_weights",
        "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "attention_softmax_in_fp32",
        "residual_in_fp32", "fp32_residual_connection", "apply_residual_connection_post_layernorm",
        "apply_query_key_layer_scaling", "query_pre_attn_scalar", "attn_scale*", "attention_value_scale",
        "clip_qkv", "swiglu_*", "router_logit_softcapping", "time_step_*", "dt_*", "chunk_size",
        "mamba_chunk_size", "A_init*", "*residual_scale*", "mup_*", "use_mup", "normalization_type",
        "normalization_function", "mlp_scale*", "mamba_hidden_act", "mamba_norm_before_gate", "mamba_ssm_*",
        "ssm_cfg_*", "use_gemma_norm", "layernorm_scale*", "layer_scale*", "floor_scale", "attn_scale",
        "attn_temperature_tuning", "temperature_tuning", "rescale_prenorm_residual",
        "attention_value_scale*", "slow_but_exact", "skip_bias_add", "gegelu_*", "*softmax_scale*", "logn_*",
        "use_logn_attn", "bf16", "fp16", "fp32", "no_bias_act", "embd_scale", "add_swiglu*", "use_bfloat16",
        "tf_legacy_loss", "torchscript", "use_pos_enc", "attn_type", "softmax_in_fp32", "use_rmsnorm",
        "mlp_type", "offset_alibi", "skip_bias_add*", "masked_softmax_fusion", "ffn_act_fn",
        "enable_lm_head_fp32", "norm_head", "norm_softmax", "use_gated_activation", "using_split_qkv*",
        "scale_attention_softmax_in_fp32", "moe_apply_router_weight_on_input", "qk_norm_type", "hc_eps",
        "hc_sinkhorn_iters", "zero_centered_gamma", "layernorm_zero_centered*", "attention_logit_cap*",
        "act_*", "conv_act*", "quantize", "gate_norm_*",
    ),
    "positions, not their tables": (
        "rope_*", "rotary_*", "*_rope_theta", "*rope_base*", "*_rotary_factor", "partial_rotary_*", "yarn_*",
        "use_dynamic_ntk", "original_max_position_embeddings", "mrope*", "use_mrope", "no_rope_layer*",
        "no_rope_layers", "nope_layer*", "*rope_interleave*", "position_embedding_type", "alibi", "alibi_*",
        "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length",
        "n_ctx", "seq_len", "max_seq_length", "rope", "use_rotary", "rotary", "swa_rope_theta",
        "global_rope_theta", "local_rope_theta", "ntk_*", "initial_context_length", "max_model_len",
        "use_rope", "use_rotary_pos_emb", "position_embedding_xdrope", "original_rope", "theta",
        "order_of_interleaved_layers", "mla_use_nope", "freq_allocation", "scale_attn", "context_length",
        "rope_ratio", "max_context*",
    ),
    "how experts are chosen, not how many": (
        "norm_topk_prob", "routed_scaling_factor", "*_routed_scaling_factor", "scoring_func", "score_func",
        "score_function", "topk_method", "n_group", "topk_group", "num_expert_group", "num_limited_groups",
        "num_expert_groups", "use_grouped_mm", "n_limited_groups", "route_norm", "route_scale",
        "moe_router_*scal*", "moe_router_score*", "moe_renormalize", "moe_router_logit_softcapping",
        "moe_router_activation_func", "num_experts_group", "moe_norm_*", "group_limited_greedy",
        "router_softmax*", "norm_expert_weight", "moe_scaling*", "use_grouped_topk",
        "use_mixed_mlp_moe_routing", "moe_topk_group", "moe_layer_recompute", "router_scale*",
        "num_hash_layers", "moe_normalize_expert_weights", "router_scaling_factor", "moe_gate", "moe_gate_*",
        "scale_router*", "route_*", "moe_router_topk_scaling_factor", "topk_groups", "num_groups",
        "moe_shared_expert_overlap", "moe_grouped_gemm", "moe_router_load*", "moe_router_group*", "moe_aux*",
        "moe_drop_tokens", "moe_random_routing*", "moe_normalize*", "moe_multimodal*",
    ),
    "how engines compute": (
        "use_flash_attn*", "use_flash_attention*", "_flash_attn*", "flash_*", "use_mamba_kernels",
        "use_mambapy", "use_associative_scan", "use_sdpa", "attn_impl*", "use_fused_*", "fused_*", "fuse_*",
        "use_kernel*", "*_kernel", "use_cache_*", "mamba_ssm_cache_dtype", "kv_cache_*", "*use_triton*",
        "use_parallel_*", "softmax_impl*", "use_unpad*", "use_deepspeed*", "deterministic", "compile*",
        "max_logits*", "*_backend", "chunk_prefill*", "use_xformers", "sdpa_*", "low_cpu_mem_usage",
        "inference_segments", "use_cache_quantization", "use_cache_kernel", "save_*", "enable_flash*",
        "pad_head*", "pad_sequence*", "moe_use_hardware*", "offload_*", "expert_dtype",
    ),
    "further tokens at once: their modules are no part of the count": (
        "mtp_*", "num_nextn_*", "num_mtp_*", "use_mtp", "n_predict", "num_speculative*",
        "index_share_for_mtp*", "nextn_*", "multi_token_prediction*", "num_multi_token*",
    ),
    "other towers and their tokens": (
        "vision_*", "visual*", "image_*", "img_*", "video_*", "audio_*", "speech_*", "mm_*", "multimodal_*",
        "projector_*", "*_projector*", "vit_*", "patch_*", "vq_config", "perceiver_*", "downsample_*",
        "use_unified_vision_chunk", "select_layer", "ps_version", "spatial_merge*", "temporal_patch*",
        "max_dynamic_patch", "min_dynamic_patch", "dynamic_image_size", "use_thumbnail", "force_image_size",
        "template", "pad2square", "tokens_per_*", "talker_config", "code2wav_config", "token2wav_config",
        "enable_audio_output", "enable_talker", "qformer_config", "has_lora_adapter", "*_soft_tokens*",
        "sound_*", "encoder_config", "tie_vision*", "video", "understand_projector_*",
        "use_bidirectional_attention", "image", "interpolate_factor", "anyres*", "hd_transform_order",
        "embd_layer", "vision", "aligner_config", "gen_*", "use_image_id", "slice_*", "slice_config",
        "query_num", "batch_vision_input", "deepstack*", "fusion_*", "merger_*", "text_prompt*",
        "use_visual*", "media_*", "stft_*", "num_media_embeds", "use_vit", "use_cat_token", "mask_*",
        "processor_*",
    ),
}  # fmt: skip


@cache
def _expressions() -> tuple[tuple[str, re.Pattern[str]], ...]:
    found = []
    for why, names in HARMLESS.items():
        together = "|".join(re.escape(name).replace(r"\*", ".*") for name in names)
        found.append((why, re.compile(f"(?:{together})")))
    return tuple(found)


@cache
def _reason(name: str) -> str:
    for why, expression in _expressions():
        if expression.fullmatch(name):
            return why
    return ""


def reason(name: str, value: object) -> str:
    """Why a field of this value changes nothing; "" where it may.

    Examples
    --------
    >>> reason("rms_norm_eps", 1e-6), reason("moe_latent_size", None), reason("moe_latent_size", 1024)
    ('numbers inside a layer, not their shapes', 'switched off', '')
    """
    why = _reason(name) if len(name) <= 100 else ""
    if why:
        return why
    if value is None or value is False or value in (0, "", [], {}, ()):
        return "switched off"
    return ""
