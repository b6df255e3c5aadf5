"""Parameters of a model from its shapes, matrix by matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenroof.records.shapes import Shapes


def _attention(m: Shapes) -> int:
    """One softmax-attention layer."""
    h = m.hidden
    if m.kv_lora_rank:
        head = m.nope_head_dim + m.rope_head_dim
        q = (
            h * m.q_lora_rank + m.q_lora_rank + m.q_lora_rank * m.heads * head
            if m.q_lora_rank
            else h * m.heads * head
        )
        latent = h * (m.kv_lora_rank + m.rope_head_dim) + m.kv_lora_rank
        up = m.kv_lora_rank * m.heads * (m.nope_head_dim + m.v_head_dim)
        return q + latent + up + m.heads * m.v_head_dim * h
    q = m.q_multiplier * m.heads * m.head_dim
    k, v = m.kv_heads * m.head_dim, m.kv_heads * m.v_head_dim
    weights = h * (q + k + v) + m.heads * m.v_head_dim * h
    biases = m.qkv_bias * (q + k + v) + m.out_bias * h
    return weights + biases + m.qk_norm + m.sinks * m.heads


def _indexer(m: Shapes) -> int:
    """Sparse attention's indexer, per full-attention layer."""
    if not m.index_topk:
        return 0
    wide = m.index_heads * m.index_head_dim
    key = m.hidden * m.index_head_dim + 2 * m.index_head_dim  # and the key's norm
    return (m.q_lora_rank or m.hidden) * wide + key + m.hidden * m.index_heads


def _linear(m: Shapes) -> int:
    """One gated-delta-net layer."""
    k = m.linear_key_heads * m.linear_key_dim
    heads, v = m.linear_value_heads, m.linear_value_heads * m.linear_value_dim
    if m.linear_gate_rank:  # both gates through a low rank, a decay by channel
        decays = heads * m.linear_key_dim
        into = m.hidden * (2 * k + v + heads + 2 * m.linear_gate_rank)
        gates = m.linear_gate_rank * (decays + v)
        convolved = (2 * k + v) * m.linear_conv
        return into + gates + convolved + heads + decays + m.linear_value_dim + v * m.hidden
    projections = m.hidden * (2 * k + 2 * v) + 2 * m.hidden * heads + v * m.hidden
    return projections + (2 * k + v) * m.linear_conv + 2 * heads + m.linear_value_dim


def _mamba(m: Shapes) -> int:
    """One Mamba-2 layer; with a rank a Mamba-1 layer, without a state a gated short convolution."""
    inner, h = m.mamba_heads * m.mamba_head_dim, m.hidden
    if not m.mamba_state:
        # two gates and values in; a filter per channel
        biases = m.mamba_conv_bias * inner + m.mamba_proj_bias * (3 * inner + h)
        return 3 * h * inner + inner * m.mamba_conv + inner * h + biases
    if m.mamba_rank:
        return _mamba1(m, inner)
    mixed = inner + 2 * m.mamba_groups * m.mamba_state
    columns = inner + mixed + m.mamba_heads
    biases = m.mamba_conv_bias * mixed + m.mamba_proj_bias * (columns + h)
    # convolution; step bias, decay and skip per head; the gated norm
    return (
        h * columns
        + mixed * m.mamba_conv
        + 3 * m.mamba_heads
        + m.mamba_norm * inner
        + inner * h
        + biases
    )


def _mamba1(m: Shapes, inner: int) -> int:
    """One Mamba-1 layer: steps of low rank per channel, a decay per channel and state."""
    h, rank, state = m.hidden, m.mamba_rank, m.mamba_state
    biases = m.mamba_conv_bias * inner + m.mamba_proj_bias * (2 * inner + h)
    steps = inner * (rank + 2 * state) + rank * inner + inner
    norms = m.mamba_norm * (rank + 2 * state)
    return (
        2 * h * inner
        + inner * m.mamba_conv
        + steps
        + inner * state
        + inner
        + norms
        + inner * h
        + biases
    )


def _mlp(m: Shapes, width: int) -> int:
    bias = m.mlp_bias * ((m.mlp_matrices - 1) * width + m.hidden)
    return m.mlp_matrices * m.hidden * width + bias


def parameter_groups(m: Shapes) -> dict[str, int]:
    """Parameters by group; the groups sum to the model's parameters.

    Parameters
    ----------
    m : Shapes

    Returns
    -------
    dict
        Group name to count: embedding, head, positions, attention, index, linear_attention, mamba,
        mlp, router, experts, shared_experts, norms; embedding_projections and what `extras` names; of each
        tower its name, and its name with _projector.
    """
    h = m.hidden
    softmax = m.full_layers + m.window_layers
    router = m.experts * h + m.router_bias * m.experts
    expert = m.mlp_matrices * h * m.moe_ffn
    expert += m.expert_bias * ((m.mlp_matrices - 1) * m.moe_ffn + h)
    shared = m.mlp_matrices * h * m.shared_ffn + m.shared_gate * h
    norm = h * (1 + m.norm_bias)
    table = m.vocab * (m.embedding_width or h)
    head = table + m.head_bias * m.vocab
    if m.headless:  # over labels, if there are any
        head = m.labels * h + m.head_bias * m.labels
    groups = {
        "embedding": 0 if m.tied and not m.headless else table,
        "head": head,
        "positions": m.positions * h,
        "attention": softmax * _attention(m),
        "index": m.full_layers * _indexer(m),
        "linear_attention": m.linear_layers * _linear(m),
        "mamba": m.mamba_layers * _mamba(m),
        "mlp": m.dense_layers * _mlp(m, m.ffn),
        "router": m.moe_layers * router,
        "experts": m.moe_layers * m.experts * expert,
        "shared_experts": m.moe_layers * shared,
        "norms": (m.norms_per_layer * m.layers + m.final_norm + m.embedding_norm) * norm,
    }
    if m.embedding_width:
        groups["embedding_projections"] = 2 * m.embedding_width * h
    for name, count in m.extras:
        groups[name] = groups.get(name, 0) + count
    for tower in m.towers:
        for name, count in ((tower.name, tower.parameters),
                            (f"{tower.name}_projector", tower.projector_parameters)):  # fmt: skip
            groups[name] = groups.get(name, 0) + count
    return groups
