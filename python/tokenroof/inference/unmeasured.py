"""Operators of recent layers that no table has: a step with them has a wider band, which says so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tokenroof.inference.constants import FAR_BAND

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.model import Model

__all__ = ["UNMEASURED_BAND", "unmeasured", "with_unmeasured"]

#: What such operators add to a step's band, in quadrature: they are at most half of it (their share is below
#: that at every context up to a million tokens), and as sure as those of a device that nobody measured.
UNMEASURED_BAND = FAR_BAND / 2.0


def unmeasured(model: Model) -> tuple[str, ...]:
    """Names of the operators of a model that neither a table nor a serving point has.

    Examples
    --------
    >>> import tokenroof as tr
    >>> unmeasured(tr.model("Nemotron-3-Nano")), unmeasured(tr.model("Llama-3.1-8B"))
    (('Mamba-2',), ())
    """
    choosing = model.index_topk and not (model.kv_lora_rank or model.selected_layers)
    has = {
        "attention over compressed keys": model.single_key,
        "attention over chosen blocks": choosing,
        "Mamba-2": model.mamba_layers,
        "hyper-connections": model.stream_mixes,
        "residuals over earlier results": model.residual_slots,
        "embeddings of each layer": model.layer_embedding,
    }
    return tuple(name for name, present in has.items() if present)


def _wider(known: Calibration, names: tuple[str, ...]) -> Calibration:
    found = known.replace(
        error_band=math.hypot(known.error_band, UNMEASURED_BAND),
        ttft_band=math.hypot(known.ttft_band, UNMEASURED_BAND),
        calibrated_on=f"{known.calibrated_on}; nothing of {', '.join(names)} was measured",
    )
    found.__dict__["packed"] = known.packed  # bands are no part of it
    return found


def with_unmeasured(known: Calibration, model: Model) -> Calibration:
    """Constants of a step, with the band that the model's unmeasured operators ask for.

    Examples
    --------
    >>> import tokenroof as tr
    >>> step = tr.decode("B200-SXM", "Nemotron-3-Nano", batch=1, context=1024)
    >>> step.calibrated_on.rsplit("; ", 1)[1]
    'nothing of Mamba-2 was measured'
    """
    names = unmeasured(model)
    return _wider(known, names) if names else known
