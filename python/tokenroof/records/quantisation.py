"""How a checkpoint stores its matrices: the type of each kind of module, its scales, its zero points."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

__all__ = ["Quantisation", "Rule", "Stored", "matches"]

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)(?=\.|\*|$)")


@dataclass(frozen=True, slots=True)
class Stored:
    """How one matrix of ``[rows, columns]`` is stored.

    Parameters
    ----------
    type : str
        As a plan names it (``tokenroof.dtypes.NAMES``).
    bits : int
        Of an element.
    rows, columns : int
        Of the tile that shares a scale; 0: all of them.
    scale_bytes : float
        Of a scale.
    zero_bits : int
        Of the zero point beside each scale; 0: none.
    input_bytes : float
        Beside each column, as the order of GPTQ's groups; counted with the scales.

    Examples
    --------
    >>> Stored("int4", 4, 1, 128, 2.0, 4).parts(4096, 4096)
    (8388608.0, 262144.0, 65536.0)
    """

    type: str
    bits: int = 16
    rows: int = 0
    columns: int = 0
    scale_bytes: float = 0.0
    zero_bits: int = 0
    input_bytes: float = 0.0

    def parts(self, rows: int, columns: int) -> tuple[float, float, float]:
        """Bytes of a matrix's elements, of its scales, and of its zero points."""
        high = -(-rows // self.rows) if self.rows else 1
        wide = -(-columns // self.columns) if self.columns else 1
        tiles = high * wide
        return (
            rows * columns * self.bits / 8.0,
            tiles * self.scale_bytes + columns * self.input_bytes,
            tiles * self.zero_bits / 8.0,
        )


#: Patterns of names, and how what they match is stored (None: as it was). No patterns: every matrix.
Rule = tuple[tuple[str, ...], Stored | None]


@dataclass(frozen=True, slots=True)
class Quantisation:
    """What a ``quantization_config`` says.

    Parameters
    ----------
    method : str
        Its ``quant_method``.
    rules : tuple of Rule
        The first that matches a module's name counts; without one it is left as it was.
    kv_cache : str
        Type that the cache is to have; empty: none is named.
    head : bool
        Whether rules hold for the output matrix, too.
    experts_alone : bool
        Whether the rules are for routed experts alone.
    refusal : str
        Why it cannot be read; empty: it can.

    Examples
    --------
    >>> Quantisation("fp8", (((), Stored("fp8", 8)),)).stored(["model.layers.0.self_attn.q_proj"], 0).type
    'fp8'
    """

    method: str
    rules: tuple[Rule, ...] = ()
    kv_cache: str = ""
    head: bool = False
    experts_alone: bool = False
    refusal: str = ""

    def stored(self, names: Iterable[str], layer: int) -> Stored | None:
        """How the module of a layer that goes by these names is stored; None: as it was."""
        known = tuple(names)
        for patterns, how in self.rules:
            if not patterns or _any(_sorted(patterns), known, layer):
                return how
        return None

    def layers_named(self, layers: int) -> dict[int, int]:
        """Layers that patterns name one by one, each with the first of which they name the same."""
        return _layers_of(tuple(p for patterns, _ in self.rules for p in patterns), layers)


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Patterns by how they are looked up: whole parts of names, and others by the layer that they name."""

    parts: frozenset[str]
    others: tuple[str, ...]
    of_layer: dict[int, tuple[str, ...]]


@lru_cache(maxsize=256)
def _sorted(patterns: tuple[str, ...]) -> _Sorted:
    parts, others = set(), []
    of_layer: dict[int, list[str]] = {}
    for pattern in patterns:
        wild = "*" in pattern
        named = _LAYER.findall(pattern) if wild and not pattern.startswith("re:") else []
        if pattern.startswith("re:") or (wild and not named):
            others.append(pattern)
        elif wild:
            of_layer.setdefault(int(named[0]), []).append(pattern)
        else:
            parts.add(pattern.strip("."))
    return _Sorted(frozenset(parts), tuple(others), {k: tuple(v) for k, v in of_layer.items()})


def _any(known: _Sorted, names: tuple[str, ...], layer: int) -> bool:
    others = known.others + known.of_layer.get(layer, ())
    for name in names:
        if known.parts:
            words = name.split(".")
            count = len(words)
            if any(
                ".".join(words[i:j]) in known.parts
                for i in range(count)
                for j in range(i + 1, count + 1)
            ):
                return True
        if any(matches(pattern, name) for pattern in others):
            return True
    return False


@lru_cache(maxsize=256)
def _layers_of(patterns: tuple[str, ...], layers: int) -> dict[int, int]:
    said: dict[int, set[str]] = {}
    for pattern in patterns:
        if pattern.startswith("re:"):
            if "layers" in pattern and any(c.isdigit() for c in pattern):  # any of them
                for layer in range(layers + 1):
                    said.setdefault(layer, set()).add(f"{layer} {pattern}")
            continue
        for found in _LAYER.finditer(pattern):
            if len(found[1]) < 6:
                rest = f"{pattern[: found.start(1)]}#{pattern[found.end(1) :]}"
                said.setdefault(int(found[1]), set()).add(rest)
    first: dict[frozenset[str], int] = {}
    return {layer: first.setdefault(frozenset(said[layer]), layer) for layer in sorted(said)}


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern of a list of modules means this one: itself, or what it is a part of.

    ``re:`` starts a regular expression, ``*`` stands for anything; otherwise whole parts between the dots
    must agree, so that "gate" is not "gate_proj".

    Examples
    --------
    >>> matches("re:.*self_attn.*", "model.layers.0.self_attn.q_proj"), matches("gate", "mlp.gate_proj")
    (True, False)
    >>> matches("model.layers.*.self_attn", "model.layers.7.self_attn.o_proj"), matches("mlp", "a.mlp.up")
    (True, True)
    """
    if pattern.startswith("re:"):
        return _compiled(pattern[3:]).match(name) is not None
    dotted = f".{name}."
    if "*" in pattern:
        return fnmatchcase(name, pattern) or fnmatchcase(dotted, f"*.{pattern.strip('.')}.*")
    return f".{pattern.strip('.')}." in dotted
