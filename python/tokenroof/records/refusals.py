"""What engines refuse to load: shards that their types of weights do not divide, with the engines' reasons.

vLLM (``validate_fp8_block_shape``, ``Fp8MoEMethod``, ``ModelOptNvFp4LinearMethod``, groups of GPTQ and AWQ,
``divide``) and SGLang (these, and ``check_quantized_moe_compatibility``) abort while a model loads; the
planner of TensorRT-LLM, aiconfigurator, calls such mixtures an invalid configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenroof.records.plan import Plan
    from tokenroof.records.shapes import Shapes

__all__ = ["check_loads", "refusal"]

_BLOCK = 128  # rows and columns that share a scale in FP8 blocks
_NVFP4_GROUP = 16  # inner elements that share one
_INT4_GROUPS = {"int4": 128, "int4_64": 64, "int4_32": 32}


def check_loads(plan: Plan, model: Shapes) -> None:
    """Reject a plan that its engine would not load.

    Raises
    ------
    ValueError
        With the engine's reason.
    """
    found = refusal(plan, model)
    if found:
        field, reason = found
        raise ValueError(
            f"{field} is {getattr(plan, field)} for {model.name}, which {plan.engine} refuses: {reason}; "
            "allowed: shards of whole blocks and groups, as with less tensor and more expert parallelism"
        )


def refusal(plan: Plan, model: Shapes) -> tuple[str, str] | None:
    """Field of the plan because of which its engine would not load the model, and why; None where it would.

    Examples
    --------
    >>> import tokenroof as tr
    >>> plan, model = tr.Plan(tp=8, weights="fp8_block"), tr.model("Qwen3-235B-A22B")
    >>> field, reason = refusal(plan, model)
    >>> field, reason[:43]
    ('moe_tp', "The output_size of gate's and up's weight =")
    >>> refusal(plan.replace(moe_tp=1, moe_ep=8), model)
    """
    if plan.engine == "ideal":
        return None
    for name, width in _dense(model):
        if width % plan.tp:
            return "tp", f"{name} {width} is not divisible by {plan.tp}"
    if model.experts:
        reason = _of_experts(plan, model)
        if reason:
            return "moe_tp", reason
    for name, inner, size, dtype in _shards(plan, model):
        reason = _of_matrix(plan, inner, size, dtype)
        if reason:
            return "tp", f"{reason} ({name})"
    return None


def _dense(model: Shapes) -> Iterator[tuple[str, int]]:
    if model.dense_layers and model.ffn:
        yield "ffn", model.ffn
    if model.shared_ffn:
        yield "shared_ffn", model.shared_ffn


def _of_experts(plan: Plan, model: Shapes) -> str | None:
    width = model.moe_ffn // (plan.moe_tp or 1)
    if plan.experts == "fp8_block" and width % _BLOCK:
        if plan.engine == "vllm":
            return (
                f"The output_size of gate's and up's weight = {width} is not divisible by weight "
                f"quantization block_n = {_BLOCK}"
            )
        return f"(moe_ffn {model.moe_ffn} / moe_tp {plan.moe_tp}) % weight_block_size {_BLOCK} != 0"
    if plan.experts == "nvfp4" and width % _NVFP4_GROUP:
        return f"in features size {width} is not multiple of {_NVFP4_GROUP}"
    group = _INT4_GROUPS.get(str(plan.experts), 1)
    if width % group and (plan.moe_tp or 1) > 1:
        return f"the input_size of down's weight = {width} is not divisible by group_size {group}"
    return None


def _of_matrix(plan: Plan, inner: bool, size: int, dtype: str) -> str | None:
    split = plan.tp > 1
    if dtype == "fp8_block" and size % _BLOCK and (split or not inner):
        what, block = ("input_size_per", "k") if inner else ("output", "n")
        end = "" if inner else "_size"
        return (
            f"Weight {what}_partition{end} = {size} is not divisible by weight quantization "
            f"block_{block} = {_BLOCK}"
        )
    if dtype == "nvfp4" and inner and size % _NVFP4_GROUP:
        return f"in features size {size} is not multiple of {_NVFP4_GROUP}"
    group = _INT4_GROUPS.get(dtype, 1)
    if inner and split and size % group:
        return f"Weight input_size_per_partition = {size} is not divisible by group_size = {group}"
    return None


def _shards(plan: Plan, model: Shapes) -> Iterator[tuple[str, bool, int, str]]:
    """Of matrices that tensor parallelism splits: name, whether the inner size is, size of a shard, type."""
    kind = plan.attention_type(model)
    if model.full_layers or model.window_layers:
        heads = model.heads // plan.tp
        if model.kv_lora_rank:
            yield "q_b_proj", False, heads * (model.nope_head_dim + model.rope_head_dim), kind
            yield "kv_b_proj", False, heads * (model.nope_head_dim + model.v_head_dim), kind
        else:
            yield "q_proj", False, heads * model.head_dim, kind
            yield "k_proj", False, max(model.kv_heads // plan.tp, 1) * model.head_dim, kind
        yield "o_proj", True, heads * (model.v_head_dim or model.head_dim), kind
    for name, width in _dense(model):
        own = plan.shared_experts if name == "shared_ffn" else None
        if name == "shared_ffn" and own is None and plan.weights in _INT4_GROUPS:
            continue  # such checkpoints keep shared experts in 16 bits
        yield f"gate_up_proj of {name}", False, width // plan.tp, own or plan.weights
        yield f"down_proj of {name}", True, width // plan.tp, own or plan.weights
