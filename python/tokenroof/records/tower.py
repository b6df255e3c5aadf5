"""Towers that turn images or sound into tokens in front of a language model: shapes and counts."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tokenroof.support.arguments import is_integer, shown

__all__ = ["Tower"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tower:
    """An encoder of patches, whose tokens a projector merges into the language model's.

    Parameters
    ----------
    name : str
        "vision" or "audio".
    hidden, layers, heads, ffn : int
        Width, blocks, heads, width of the MLP.
    head_dim : int
        Width of a head; ``hidden / heads`` by default.
    mlp_matrices : int
        3 with a gate, 2 without.
    window_layers, window : int
        Layers in which a patch sees `window` patches only.
    patch_inputs : int
        Numbers of a patch that the embedding takes in.
    patch, merge : int
        Pixels of a patch's side; patches of a side that become one token.
    projector : tuple of (int, int)
        Outputs and inputs of the projector's matrices, per token of the language model.
    parameters, projector_parameters : int
        Counted from the shapes of the public implementation.

    Examples
    --------
    >>> t = Tower(name="vision", hidden=1152, layers=27, heads=16, ffn=4304, patch=14, merge=4,
    ...           patch_inputs=588, projector=((2560, 1152),), parameters=416866032)
    >>> t.patches(896, 896), t.tokens(4096)
    (4096, 256)
    """

    name: str
    hidden: int
    layers: int
    heads: int
    ffn: int
    head_dim: int = 0
    mlp_matrices: int = 2
    window_layers: int = 0
    window: int = 0
    patch_inputs: int = 0
    patch: int = 0
    merge: int = 1
    projector: tuple[tuple[int, int], ...] = ()
    parameters: int = 0
    projector_parameters: int = 0

    def __post_init__(self) -> None:
        if self.name not in ("vision", "audio"):
            raise ValueError(f"name is {shown(self.name)}; allowed: vision, audio")
        for f in fields(self):
            if f.name in ("name", "projector"):
                continue
            value = getattr(self, f.name)
            least = 1 if f.name in ("hidden", "layers", "heads", "ffn", "merge") else 0
            if not is_integer(value) or value < least:
                raise ValueError(
                    f"{self.name}.{f.name} is {shown(value)}; allowed: a whole number >= {least}"
                )
        if not self.head_dim:
            if self.hidden % self.heads:
                raise ValueError(
                    f"{self.name}.heads is {self.heads}; allowed: a divisor of hidden = {self.hidden}"
                )
            object.__setattr__(self, "head_dim", self.hidden // self.heads)
        if self.mlp_matrices not in (2, 3):
            raise ValueError(f"{self.name}.mlp_matrices is {self.mlp_matrices}; allowed: 2, 3")
        if self.window_layers > self.layers:
            raise ValueError(
                f"{self.name}.window_layers is {self.window_layers}; allowed: at most {self.layers}"
            )

    def patches(self, height: int, width: int) -> int:
        """Patches of an image of so many pixels, both sides rounded up to whole merged patches."""
        if not self.patch:
            raise ValueError(f"patch of the {self.name} tower is unknown; allowed: give patches")
        step = self.patch * self.merge
        for field, value in (("height", height), ("width", width)):
            if not is_integer(value) or value < 1:
                raise ValueError(f"{field} is {shown(value)}; allowed: a positive integer [pixel]")
        return (-(-height // step)) * (-(-width // step)) * self.merge**2

    def tokens(self, patches: int) -> int:
        """Tokens that these patches are in front of the language model."""
        return -(-int(patches) // self.merge**2)
