"""Parameters of a model from its shapes, matrix by matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenroof.records.shapes import Shapes


def _heads(m: Shapes, window: bool, keys: bool) -> int:
    """One layer of softmax attention with keys and values per head."""
    kind = "window_" if window else ""
    heads, kv_heads, width, v_width = (
        int(getattr(m, f"{kind}{name}")) for name in ("heads", "kv_heads", "head_dim", "v_head_dim")
    )
    q, k = m.q_multiplier * heads * width, kv_heads * width
    v = 0 if m.tied_values and not window else kv_heads * v_width
    if not keys:
        k = v = 0
    weights = m.hidden * (q + k + v + m.head_gate * heads) + heads * v_width * m.hidden
    biases = m.qkv_bias * (q + k + v) + m.out_bias * m.hidden
    norms = m.qk_norm * width // m.head_dim if m.qk_norm else 0
    return weights + biases + norms + m.sinks * heads


def _latent(m: Shapes) -> int:
    """One layer of latent attention."""
    h, head = m.hidden, m.nope_head_dim + m.rope_head_dim
    q = (
        h * m.q_lora_rank + m.q_lora_rank + m.q_lora_rank * m.heads * head
        if m.q_lora_rank
        else h * m.heads * head
    )
    latent = h * (m.kv_lora_rank + m.rope_head_dim) + m.kv_lora_rank
    up = m.kv_lora_rank * m.heads * (m.nope_head_dim + m.v_head_dim)
    out = m.heads * m.v_head_dim * h
    return q + latent + up + out * m.q_multiplier  # and the output's gate


def _single_key(m: Shapes) -> int:
    """One layer whose heads all read one key, which is the value too."""
    h, queries = m.hidden, m.heads * m.head_dim
    rank = m.q_lora_rank
    q = h * rank + rank + rank * queries if rank else h * queries
    groups, low = m.o_groups, m.o_lora_rank
    out = queries * low + groups * low * h if low else queries * h
    return q + h * m.head_dim + m.head_dim + out + m.sinks * m.heads


def compressor(hidden: int, width: int, ratio: int, overlap: bool) -> int:
    """What makes one key of `ratio` tokens: values and weights, places, the norm.

    Two series of them where neighbouring stretches overlap.
    """
    series = width * (1 + overlap)
    return 2 * hidden * series + ratio * series + width


def _softmax(m: Shapes) -> int:
    """All layers of softmax attention."""
    if m.kv_lora_rank:
        return m.softmax_layers * _latent(m)
    if m.single_key:
        light = compressor(m.hidden, m.head_dim, m.select_ratio, True)
        heavy = compressor(m.hidden, m.head_dim, m.compress_ratio, False)
        each = m.softmax_layers * _single_key(m)
        return each + m.selected_layers * light + m.compressed_layers * heavy
    total = 0
    for window, layers, shared in (
        (False, m.full_layers, m.shared_full_layers),
        (True, m.window_layers, m.shared_window_layers),
    ):
        total += (layers - shared) * _heads(m, window, True)
        total += shared * _heads(m, window, m.idle_kv_weights)
    return total


def idle_parameters(m: Shapes) -> int:
    """Parameters that no token uses: keys and values of layers that read another's cache."""
    if not m.idle_kv_weights:
        return 0
    return sum(
        shared * (_heads(m, window, True) - _heads(m, window, False))
        for window, shared in ((False, m.shared_full_layers), (True, m.shared_window_layers))
    )


def _indexer(m: Shapes) -> int:
    """One indexer of sparse attention."""
    if not m.index_topk:
        return 0
    wide = m.index_heads * m.index_head_dim
    queries = (m.q_lora_rank or m.hidden) * wide
    weights = 0 if m.index_unweighted else m.hidden * m.index_heads
    if m.selected_layers:
        return queries + weights + compressor(m.hidden, m.index_head_dim, m.select_ratio, True)
    return queries + weights + m.hidden * m.index_head_dim + 2 * m.index_head_dim  # and norms


def _linear(m: Shapes) -> int:
    """One gated-delta-net layer."""
    k = m.linear_key_heads * m.linear_key_dim
    heads, v = m.linear_value_heads, m.linear_value_heads * m.linear_value_dim
    if m.linear_gate_rank:  # both gates through a low rank, a decay by channel
        decays = heads * m.linear_key_dim
        low = m.linear_gate_rank
        gate = m.hidden * v if m.linear_full_gate else m.hidden * low + low * v
        into = m.hidden * (2 * k + v + heads + low) + gate
        gates = low * decays
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


def _streams(m: Shapes) -> int:
    """Hyper-connections, or what stands in their place."""
    h, n = m.hidden, m.streams
    if m.residual_slots:  # a norm and a score of the earlier results, per half layer and at the end
        return (2 * m.layers + 1) * 2 * h
    if m.altup:  # predictions and corrections from a router's n values; scales; the streams' ends
        each = h * n + h + n * n * n + n * n + h
        return m.layers * each + 2 * (n - 1) * h * h
    if not n:
        return 0
    columns = (2 + n) * n
    return m.stream_mixes * (columns * n * h + columns + 3) + n * n * h + n + 1


def _layer_embedding(m: Shapes) -> int:
    """Embeddings of each layer, and the learned residuals beside them."""
    h, width, laurel = m.hidden, m.layer_embedding, m.laurel_rank
    total = m.layers * (2 * h * laurel + h) if laurel else 0
    if width:
        total += m.layer_vocab * m.layers * width + h * m.layers * width + width
        total += m.layers * 2 * h * width
    return total


def parameter_groups(m: Shapes) -> dict[str, int]:
    """Parameters by group; the groups sum to the model's parameters.

    Parameters
    ----------
    m : Shapes

    Returns
    -------
    dict
        Group name to count: embedding, head, positions, attention, index, linear_attention, mamba,
        mlp, router, experts, expert_latent, shared_experts, streams, layer_embedding, norms;
        embedding_projections and what `extras` names; of each tower its name, and its name with _projector.
    """
    h = m.hidden
    choices = m.experts + m.zero_experts
    router = choices * h + m.router_bias * choices
    seen = m.moe_latent or h
    expert = m.mlp_matrices * seen * m.moe_ffn
    expert += m.expert_bias * ((m.mlp_matrices - 1) * m.moe_ffn + seen)
    latent = 2 * h * m.moe_latent + m.moe_latent_norm * m.moe_latent
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
        "attention": _softmax(m),
        "index": m.index_layers * _indexer(m),
        "linear_attention": m.linear_layers * _linear(m),
        "mamba": m.mamba_layers * _mamba(m),
        "mlp": m.dense_layers * _mlp(m, m.ffn) + m.wide_layers * _mlp(m, m.wide_ffn),
        "router": m.moe_layers * router,
        "experts": m.moe_layers * m.experts * expert,
        "expert_latent": m.moe_layers * latent,
        "shared_experts": m.moe_layers * shared,
        "streams": _streams(m),
        "layer_embedding": _layer_embedding(m),
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
