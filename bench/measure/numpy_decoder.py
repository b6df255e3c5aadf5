"""A small transformer with random weights, one decode step at a time, in plain NumPy and float32."""

from __future__ import annotations

import numpy as np

from tokenroof.measure.numpy_probes import attend, gate


class Decoder:
    """Llama's layer: RMS norms, rotary embedding, grouped projections, SwiGLU. Columns are sequences."""

    def __init__(self, hidden=1024, layers=4, heads=16, ffn=2816, vocab=8192, seed=0):
        self.hidden, self.heads, self.vocab, self.ffn = hidden, heads, vocab, ffn
        self.width, self.count = hidden // heads, layers
        rng = np.random.default_rng(seed)

        def weights(n, k):
            return rng.standard_normal((n, k), dtype=np.float32) / np.float32(np.sqrt(k))

        self.layers = [
            {"qkv": weights(3 * hidden, hidden), "o": weights(hidden, hidden),
             "up": weights(2 * ffn, hidden), "down": weights(hidden, ffn)}
            for _ in range(layers)
        ]  # fmt: skip
        self.head, self.embedding = weights(vocab, hidden), weights(vocab, hidden)

    def config(self):
        """What `tokenroof.Model.from_config` reads."""
        return {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": self.hidden,
            "num_hidden_layers": self.count, "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads, "head_dim": self.width, "intermediate_size": self.ffn,
            "vocab_size": self.vocab, "max_position_embeddings": 1 << 16, "hidden_act": "silu",
            "tie_word_embeddings": False, "torch_dtype": "float32", "rms_norm_eps": 1e-5,
        }  # fmt: skip

    def start(self, batch, context, seed=1):
        """Caches of so many tokens, the new one's place included; and tokens."""
        rng = np.random.default_rng(seed)
        shape = (2, batch, self.heads, context, self.width)
        one = rng.standard_normal(shape, dtype=np.float32)
        self.caches = [one + np.float32(0.01 * i) for i in range(self.count)]
        self.context = context
        angle = (context - 1) * 1e4 ** (
            -np.arange(self.width // 2, dtype=np.float32) * 2 / self.width
        )
        self.cos, self.sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        return rng.integers(0, self.vocab, batch)

    def rotate(self, x):
        """Rotary embedding of [heads, width, batch]."""
        a, b = np.split(x, 2, axis=1)
        return np.concatenate([a * self.cos - b * self.sin, b * self.cos + a * self.sin], axis=1)

    @staticmethod
    def norm(x):
        return x / np.sqrt(np.mean(x * x, axis=0, keepdims=True) + np.float32(1e-5))

    def step(self, tokens):
        """The next token of each sequence."""
        batch = len(tokens)
        x = np.ascontiguousarray(self.embedding[tokens].T)
        for w, cache in zip(self.layers, self.caches, strict=True):
            q, k, v = np.split(
                (w["qkv"] @ self.norm(x)).reshape(3 * self.heads, self.width, batch), 3
            )
            cache[0, :, :, -1] = self.rotate(k).transpose(2, 0, 1)
            cache[1, :, :, -1] = v.transpose(2, 0, 1)
            query = self.rotate(q).transpose(2, 0, 1)[..., None] / np.float32(np.sqrt(self.width))
            mixed = attend(
                np.ascontiguousarray(query), cache[0], cache[1]
            )  # [batch, heads, 1, width]
            x = x + w["o"] @ np.ascontiguousarray(mixed.reshape(batch, self.hidden).T)
            gated, up = np.split(w["up"] @ self.norm(x), 2)
            x = x + w["down"] @ gate(gated, up)
        return (self.head @ self.norm(x)).argmax(axis=0)
