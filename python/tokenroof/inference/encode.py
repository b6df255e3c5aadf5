"""Images and sound in front of a model: the tower's encode time, a prefill of its own."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.inference.door import as_device, as_model, as_plan
from tokenroof.inference.operators.gemm import gemm
from tokenroof.inference.step import prefill
from tokenroof.records.model import Model
from tokenroof.records.plan import Plan
from tokenroof.support.arguments import amounts, check_shapes, shown
from tokenroof.support.quoting import brief

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.inference.operators.base import Operator
    from tokenroof.inference.step import Step
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.tower import Tower

__all__ = ["Encode", "encode"]

_SPREADS = ("weights", "data")


class Encode:
    """What a tower takes to turn patches into tokens; each quantity is computed when it is first asked for.

    Attributes
    ----------
    tower : Tower
    time_s : ndarray
        Time of all images [s]. Engines encode before the step that prefills the tokens, so it adds to that.
    tokens : ndarray
        Tokens of the language model that all images become [1].
    flops : ndarray
        Work of the whole replica [FLOP].
    blocks : Step
        The tower's blocks.
    error_band : float
        Relative band around the time: that of products and prompts' attention. No tower was measured whole.
    """

    def __init__(
        self, tower: Tower, blocks: Step, products: dict[str, list[Operator]], tokens: NDArray[np.float64],
        ranks: float,
    ) -> None:  # fmt: skip
        self.tower, self.blocks, self.tokens = tower, blocks, tokens
        self._products, self._ranks = products, ranks

    @cached_property
    def time_s(self) -> NDArray[np.float64]:
        parts = self.breakdown().values()
        return np.asarray(sum(parts))

    @property
    def flops(self) -> NDArray[np.float64]:
        each = sum(p.flops for group in self._products.values() for p in group)
        return np.asarray(self.blocks.flops + each * self._ranks)

    @property
    def error_band(self) -> float:
        return self.blocks.error_band

    @property
    def calibrated_on(self) -> str:
        return self.blocks.calibrated_on

    def breakdown(self) -> dict[str, NDArray[np.float64]]:
        """Seconds of the patch embedding, the blocks and the projector; they sum to `time_s`."""
        patches, projector = (
            np.asarray(sum(p.time_s for p in self._products[name]))
            for name in ("patches", "projector")
        )
        return {
            "patches": patches,
            "blocks": np.asarray(self.blocks.time_s),
            "projector": projector,
        }

    def __repr__(self) -> str:
        where = f"{self.blocks.model.name} on {self.blocks.device.name}"
        return f"<tokenroof.Encode {where}, shape {self.time_s.shape}>"


def _tower(model: Model, name: str) -> Tower:
    found = [t for t in model.towers if t.name == name]
    if not found:
        have = ", ".join(t.name for t in model.towers) or "none"
        raise ValueError(
            f"tower is {shown(name)}, of which {model.name} has none; allowed: a model whose config has a "
            f"{brief(name)}_config that is read (it has {have})"
        )
    return found[0]


def _as_model(model: Model, tower: Tower) -> Model:
    """The tower's blocks as a model without a vocabulary."""
    return Model(
        name=f"{model.name}'s {tower.name} tower", hidden=tower.hidden, vocab=1, layers=tower.layers,
        heads=tower.heads, head_dim=tower.head_dim, full_layers=tower.layers - tower.window_layers,
        window_layers=tower.window_layers, window=tower.window if tower.window_layers else 0,
        ffn=tower.ffn, mlp_matrices=tower.mlp_matrices, tied=True,
    )  # fmt: skip


def encode(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    *,
    patches: ArrayLike,
    images: ArrayLike = 1.0,
    tower: str = "vision",
    spread: str = "weights",
    fidelity: str | Calibration = "calibrated",
) -> Encode:
    """Encode images (or pieces of sound) of equal size: a prefill of the tower, and its projector.

    Every patch sees every other of its image, but in windowed layers the `window` ones around it. Towers stay
    in 16 bits whatever the language model's types, as checkpoints are released.

    Parameters
    ----------
    device, model, plan, fidelity
        As in `decode`; the plan's ``tp`` and ``dp`` count.
    patches : array_like
        Patches of an image [1]; ``model.towers[0].patches(height, width)`` of one in pixels.
    images : array_like
        Images of the step, over the whole replica [1].
    tower : {"vision", "audio"}
    spread : {"weights", "data"}
        Whether the ranks of a tensor-parallel group share each matrix, or the images (vLLM's
        ``--mm-encoder-tp-mode``). Where ``tp`` does not divide heads and MLP, the images.

    Returns
    -------
    Encode

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `decode`; and for a model without such a tower.

    References
    ----------
    docs/inference/step-model.md, section 6.

    Examples
    --------
    >>> from tokenroof.records.tower import Tower
    >>> t = Tower(name="vision", hidden=1152, layers=27, heads=16, ffn=4304, patch=14, merge=4,
    ...           patch_inputs=588, projector=((2560, 1152),))
    >>> m = Model(name="small", hidden=2560, vocab=1000, layers=2, heads=8, ffn=1024, towers=(t,))
    >>> step = encode("H100-SXM", m, patches=t.patches(896, 896), images=[1, 4])
    >>> step.tokens, bool(step.time_s[1] > step.time_s[0])
    (array([ 256., 1024.]), True)
    """
    d, m = as_device(device), as_model(model)
    p = as_plan(plan, m)
    own = _tower(m, tower)
    if spread not in _SPREADS:
        raise ValueError(f"spread is {shown(spread)}; allowed: {', '.join(_SPREADS)}")
    n, count = amounts("patches", patches), amounts("images", images)
    check_shapes(patches=n, images=count)
    divides = not (own.heads % p.tp or own.ffn % p.tp)
    tp = p.tp if spread == "weights" and divides else 1
    dp = p.tp * p.dp // tp
    layout = Plan(tp=tp, dp=dp, engine=p.engine, power_cap_w=p.power_cap_w)
    # n new tokens behind (n - 1) / 2 others have n x n pairs of query and key: all with all
    blocks = prefill(d, _as_model(m, own), layout, tokens=n, past=np.maximum(n - 1.0, 0.0) / 2.0,
                     batch=count, fidelity=fidelity)  # fmt: skip
    ranks = np.maximum(count / dp, np.minimum(count, 1.0))  # the busiest has a whole image
    rows = ranks * n
    merged = np.ceil(n / own.merge**2)

    def product(m: NDArray[np.float64], n: int, k: int) -> Operator:
        return gemm(d, m, n, k, engine=p.engine, fidelity=fidelity)

    products = {
        "patches": [product(rows, own.hidden, own.patch_inputs)] if own.patch_inputs else [],
        "projector": [
            product(ranks * merged, -(-outputs // tp), inputs) for outputs, inputs in own.projector
        ],
    }
    return Encode(own, blocks, products, count * merged, float(tp * dp))
