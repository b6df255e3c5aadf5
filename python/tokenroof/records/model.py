"""Architectures of language models: shapes, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.records.counting import idle_parameters, parameter_groups
from tokenroof.records.derived import again
from tokenroof.records.plan import Plan
from tokenroof.records.shapes import Shapes
from tokenroof.records.weights import module_bytes, stored_as
from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Mapping

    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.explanation import Explanation
    from tokenroof.records.huggingface.reading import Reading

__all__ = ["ATTENTIONS", "Model"]

# what is said about a model, not what it is made of
_ABOUT = frozenset({
    "name", "hf_id", "aliases", "family", "model_type", "release", "native_dtype", "source", "confidence",
    "notes", "context_max", "reading",
})  # fmt: skip
ATTENTIONS = ("mha", "gqa", "mqa", "mla", "dsa", "compressed", "sliding", "hybrid-linear")


@dataclass(frozen=True, kw_only=True)
class Model(Shapes):
    """A decoder's shapes. All sizes are whole numbers, 0 where a part is absent.

    Parameters
    ----------
    name : str
    hidden, vocab, layers : int
        Width, vocabulary, blocks.
    heads, kv_heads, head_dim, v_head_dim : int
        Query heads, key-value heads, widths of a head. `kv_heads` defaults to `heads`, `head_dim` to
        ``hidden / heads``, `v_head_dim` to `head_dim`.
    q_multiplier : int
        2 where the query projection carries an output gate.
    q_lora_rank, kv_lora_rank, rope_head_dim, nope_head_dim : int
        Multi-head latent attention, where `kv_lora_rank` is above 0.
    full_layers, window_layers, window : int
        Layers of softmax attention over everything, by default all, and over at most `window` tokens.
    window_heads, window_kv_heads, window_head_dim, window_v_head_dim : int
        Heads of the layers with windows, by default those of the others.
    tied_values, single_key : bool
        Whether full layers take their keys as values too, without a matrix for these; whether all heads of
        all layers read one vector per token, as key and as value, which is cached once.
    shared_full_layers, shared_window_layers : int
        Of these layers, those that read the cache of an earlier one.
    head_gate : bool
        Whether each query head's result is gated by one number.
    o_groups, o_lora_rank : int
        Groups of heads whose results are projected to so many values each, ahead of the output matrix.
    compressed_layers, compress_ratio, selected_layers, select_ratio : int
        Layers that see their window and one key for each `ratio` tokens: all of these, or the `index_topk`
        that an indexer chooses.
    index_heads, index_head_dim, index_topk : int
        Indexer of sparse attention: heads, width, tokens (or compressed keys) chosen.
    index_layers, sparse_layers : int
        Layers with an indexer of their own, and full layers that choose; by default all of them.
    linear_layers, linear_key_heads, linear_key_dim, linear_value_heads, linear_value_dim, linear_conv
        Gated delta net.
    linear_gate_rank : int
        Rank of its gates, where decays are by channel (Kimi Linear); 0: a decay per head, gates of full rank.
    mamba_layers, mamba_heads, mamba_head_dim, mamba_groups, mamba_state, mamba_conv : int
        Mamba-2.
    dense_layers, ffn, mlp_matrices : int
        Layers with a dense MLP (by default all without experts), its width; 3 matrices with a gate, or 2.
    linear_full_gate : bool
        Whether the output gate has full rank all the same.
    wide_layers, wide_ffn : int
        Further layers with a dense MLP, and its other width.
    moe_layers, experts, topk, moe_ffn, shared_ffn : int
        Layers with experts, experts of a layer, experts per token, width of one, width of the shared
        ones together.
    moe_latent, zero_experts : int
        Width that tokens are projected to ahead of the experts, where it is not `hidden`; experts that
        give a token back as it is, which are chosen beside the others.
    streams, stream_mixes : int
        Residual streams of hyper-connections, and how often a step mixes them.
    residual_slots : int
        Earlier results that each half of a layer reads again.
    layer_embedding, layer_vocab, laurel_rank : int
        Width of an embedding that each layer adds, tokens that have one; rank of a learned residual.
    mtp_modules : int
        Modules behind the last layer that predict further tokens; not counted in `parameters`.
    mtp_stored, mtp_tables : bool
        Whether the checkpoint holds them, and each with an input table and an output matrix of its own.
    towers : tuple of Tower
        Encoders of images and sound in front of the model.
    quantisation : Quantisation, optional
        How the released checkpoint stores its matrices; None: all in 16 bits.
    tied, joint_norm : bool
        Whether the input table is the output matrix, norms of queries and of keys are over all heads at once.

    Raises
    ------
    ValueError, TypeError
        Naming the field, its value and what is allowed.

    Examples
    --------
    >>> m = Model(name="tiny", hidden=64, vocab=100, layers=2, heads=4, ffn=256)
    >>> m.parameters, m.kv_bytes_per_token("bf16")
    (144192, 512.0)
    """

    hf_id: str = ""
    aliases: tuple[str, ...] = ()
    family: str = ""
    model_type: str = ""
    release: str = ""
    context_max: int = 0
    native_dtype: str = ""
    source: str = ""
    confidence: str = ""
    notes: str = ""
    reading: Reading | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_config(
        cls,
        config: str | os.PathLike[str] | Mapping[str, Any],
        name: str | None = None,
        *,
        ignore: Collection[str] = (),
    ) -> Model:
        """Read a Hugging Face ``config.json``, from a path or as a dict. No network.

        Parameters
        ----------
        config : path or dict
            Nested text configs are found, towers are counted apart.
        name : str, optional
            By default what the file says, else the name of the file or its folder, else the architecture.
        ignore : collection of str
            Fields that no rule reads and which you know to be harmless; or a tower.

        Raises
        ------
        ValueError, TypeError
            For no config, an unknown architecture (with what is nearest and which fields would decide), a
            field that is missing, of the wrong kind or read by no rule: field, value, what is allowed.
        OSError
            If the file cannot be read.

        Warns
        -----
        UserWarning
            For a ``vision_config`` or ``audio_config`` that no rule reads: it is in no count.

        Examples
        --------
        >>> llama = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
        ...          "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
        ...          "vocab_size": 128256, "tie_word_embeddings": False}
        >>> Model.from_config(llama).parameters
        8030261248
        """
        from tokenroof.records.huggingface.config import read_config  # where it is asked for

        values = read_config(config, ignore)
        if name is not None:
            values["name"] = name
        return cls(**values)

    def explain(self) -> Explanation:
        """How the config was read: fields read, defaulted, harmless; parameters by module.

        Returns
        -------
        Explanation
            A record that prints as a page.

        Examples
        --------
        >>> llama = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100,
        ...          "num_attention_heads": 4, "intermediate_size": 256, "rms_norm_eps": 1e-5}
        >>> page = Model.from_config(llama).explain()
        >>> page.read["hidden_size"], page.defaulted["tie_word_embeddings"], list(page.harmless)
        (64, False, ['rms_norm_eps'])
        >>> sum(page.parameters.values()) == Model.from_config(llama).parameters
        True
        """
        from tokenroof.records.explanation import explain  # where it is asked for

        return explain(
            self.name, self.model_type, self.reading, self._groups, self.active_parameters,
            *stored_as(self),
        )  # fmt: skip

    def parameter_groups(self) -> dict[str, int]:
        """Parameters by group, counted from the shapes; they sum to `parameters`."""
        return parameter_groups(self)

    @cached_property
    def _groups(self) -> dict[str, int]:
        return self.parameter_groups()

    @property
    def parameters(self) -> int:
        """Parameters of the whole model, embeddings and towers included."""
        return sum(self._groups.values())

    @property
    def tower_parameters(self) -> int:
        """Parameters of the encoders of images and sound, and of their projectors."""
        return sum(t.parameters + t.projector_parameters for t in self.towers)

    @property
    def language_parameters(self) -> int:
        """Parameters of the language model, embeddings included, towers not.

        Examples
        --------
        >>> import tokenroof as tr
        >>> m = tr.model("Llama-3.1-8B")
        >>> m.language_parameters == m.parameters
        True
        """
        return self.parameters - self.tower_parameters

    @property
    def routed_parameters(self) -> int:
        """Parameters of the routed experts of all layers."""
        return self._groups["experts"]

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the input table; 0 if it is tied to the head."""
        return self._groups["embedding"]

    @property
    def head_parameters(self) -> int:
        """Parameters of the output matrix."""
        return self._groups["head"]

    @property
    def active_parameters(self) -> int:
        """Parameters of the language model that one token uses: all but experts that it is not routed to."""
        if not self.experts:
            return self.language_parameters - idle_parameters(self)
        routed = self.routed_parameters
        chosen = self.experts + self.zero_experts  # of these topk, some compute nothing
        idle = idle_parameters(self)
        return self.language_parameters - idle - routed + routed * self.topk // chosen

    @property
    def norms(self) -> int:
        """Norm layers of the whole model."""
        return self.norms_per_layer * self.layers + self.final_norm

    @property
    def attention(self) -> str:
        """Kind of attention: one of `ATTENTIONS`."""
        if self.linear_layers or self.mamba_layers:
            return "hybrid-linear"
        if self.compressed_layers or self.selected_layers:
            return "compressed"
        if self.index_topk:
            return "dsa"
        if self.kv_lora_rank:
            return "mla"
        if self.window_layers:
            return "sliding"
        if self.kv_heads == self.heads:
            return "mha"
        return "mqa" if self.kv_heads == 1 else "gqa"

    @property
    def _plain(self) -> bool:
        """Whether keys and values are of heads."""
        return not (self.kv_lora_rank or self.single_key)

    @property
    def _cached_values(self) -> int:
        """Values that a softmax-attention layer caches per token."""
        if self.kv_lora_rank:
            return self.kv_lora_rank + self.rope_head_dim
        if self.single_key:
            return self.head_dim
        return self.kv_heads * (self.head_dim + self.v_head_dim)

    def kv_bytes_per_token(self, dtype: str = "bf16") -> float:
        """Bytes that each further token of a long context adds to the cache.

        Full-attention layers, and of compressed ones a share: windows and recurrent states do not grow.
        Where all layers slide it is what a token adds until the window is full. The indexer's keys of
        sparse attention are counted by `kv_bytes`, not here, which also says what a context of some
        length holds.

        Examples
        --------
        >>> import tokenroof as tr
        >>> tr.model("DeepSeek-V3").kv_bytes_per_token("bf16")
        70272.0
        """
        full = float(self.full_layers - self.shared_full_layers)
        if self.compressed_layers:
            full += self.compressed_layers / self.compress_ratio
        if self.selected_layers:
            full += self.selected_layers / self.select_ratio
        if full:
            return full * self._cached_values * _bytes(dtype)
        sliding = self.window_layers - self.shared_window_layers
        values = self.window_kv_heads * (self.window_head_dim + self.window_v_head_dim)
        return sliding * (values if self._plain else self._cached_values) * _bytes(dtype)

    def kv_bytes(self, context: ArrayLike, dtype: str = "bf16") -> NDArray[np.float64]:
        """Bytes of cache and state of one sequence.

        Parameters
        ----------
        context : array_like
            Tokens of the sequence [1].
        dtype : str
            Of the cache; recurrent states stay fp32, convolution tails 16 bits, index keys FP8 with a scale.
        """
        tokens = np.asarray(context, dtype=np.float64)
        if not (tokens >= 0).all():
            raise ValueError(f"context is {shown(context)}; allowed: numbers >= 0")
        _bytes(dtype)
        cache = Plan(kv_cache=dtype).pack()
        held: Any = kernels.memory_required(self._weightless, cache, 1.0, tokens)
        return np.asarray(held)

    @cached_property
    def _weightless(self) -> NDArray[np.float64]:
        record = self.pack()
        record[[name.endswith("parameters") for name in _core.MODEL_FIELDS]] = 0.0
        return record

    def weight_bytes(self) -> dict[str, float]:
        """Bytes of the released checkpoint by module, its scales and zero points apart [B].

        Returns
        -------
        dict
            By ``quantization_config``, without one by `native_dtype`: embedding, head, attention,
            linear_attention, mlp, router, experts, shared_experts, norms, scales, zero_points; where there
            are any: mtp, and towers by name. They sum to the size of its tensors.

        Raises
        ------
        ValueError
            If the model's ``quantization_config`` cannot be read, or its groups do not divide a matrix.

        Examples
        --------
        >>> import tokenroof as tr
        >>> round(sum(tr.model("gpt-oss-120b").weight_bytes().values()) / 1e9, 1)
        65.2
        """
        return module_bytes(self)

    def pack(self) -> NDArray[np.float64]:
        """The record that kernels take, in the order of ``_core.MODEL_FIELDS``; `parameters` are the language
        model's."""
        known = {"parameters": "language_parameters"}
        values = [getattr(self, known.get(name, name)) for name in _core.MODEL_FIELDS]
        record = np.array(values, dtype=np.float64)
        if self.headless:  # the last product is over labels; there is at least one result
            record[_core.MODEL_FIELDS.index("vocab")] = max(self.labels, 1)
        return record

    def replace(self, **changes: Any) -> Model:
        """A copy with some fields changed; what its config said holds no longer where shapes do.

        Fields that were left out follow those that change, as they do in a new record.

        Examples
        --------
        >>> small = Model(name="small", hidden=2048, vocab=32000, layers=16, heads=16, ffn=8192)
        >>> wide = small.replace(hidden=4096, layers=32)
        >>> wide.head_dim, wide.full_layers, wide.dense_layers
        (256, 32, 32)
        """
        if not changes.keys() <= _ABOUT:
            changes.setdefault("reading", None)
        return replace(self, **again(self, self._derived, changes))


def _bytes(dtype: str) -> float:
    size = _core.DTYPE_BYTES.get(dtype) if isinstance(dtype, str) else None
    if size is None:
        raise ValueError(f"dtype is {shown(dtype)}; allowed: {', '.join(_core.DTYPES)}")
    return size
