"""Attention of steps that run as a captured graph: some kernels are laid out when it is captured.

FlashAttention 2 cuts the cache of each sequence into parts so that all multiprocessors are busy, and makes
each as long as the longest sequence of the call needs (csrc/flash_attn: `set_params_splitkv`,
`n_blocks_per_split`). vLLM replays a graph for steps without prompts, and captures it with its own longest
sequence (v1/worker/gpu_model_runner.py: `for_cudagraph_capture`): sequences far shorter than that lie in
their first part, which one thread block reads, and the others are joined empty. Its kernels run where tables
say that a tile holds rows of one head (`attention_prefill.hpp`: `heads_apart`); FlashAttention 3 gets its
parts anew in each step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.model import Model

__all__ = ["captured_for", "with_captured_graphs"]

_ROWS = 64.0  # of a tile, as in the prompts' kernel that rows of a decode batch run in


def _cut_when_captured(known: Calibration) -> bool:
    """Whether the kernels of a step without prompts are FlashAttention 2's."""
    prompts, decode = (known.constants.get(f"attention_{k}", {}) for k in ("prefill", "decode"))
    return bool(decode) and (
        prompts.get("single") == 1.0 and prompts["packed"] == 0.0 and prompts["tile"] <= _ROWS
    )


def with_captured_graphs(known: Calibration, model: Model) -> Calibration:
    """Constants of a step whose attention was cut for the longest sequence of its model.

    Parameters
    ----------
    known : Calibration
    model : Model
        Engines serve as long a sequence as it takes, where they are not told otherwise.

    Returns
    -------
    Calibration
        The same one where kernels are laid out anew in each step, or the longest sequence is unknown.

    Examples
    --------
    >>> import tokenroof as tr
    >>> on = [tr.decode(device, "Llama-3.1-8B").calibration for device in ("L40S", "H200-SXM")]
    >>> [c.constants["attention_decode"].get("captured") for c in on]
    [131072.0, None]
    """
    if not model.context_max or not _cut_when_captured(known):
        return known
    return _captured(known, float(model.context_max))


def captured_for(on: Deployment, config: Mapping[str, Any]) -> Deployment:
    """A deployment whose graphs are those of a scheduler: of its longest sequence, or none.

    Parameters
    ----------
    on : Deployment
    config : mapping
        The scheduler's knobs: ``max_model_len`` [token] and ``cudagraphs``.

    Returns
    -------
    Deployment
        The same one where nothing was cut for a graph.
    """
    was = on.calibration.constants.get("attention_decode", {}).get("captured", 0.0)
    now = float(config["max_model_len"]) if config.get("cudagraphs") else 0.0
    if was == 0.0 or now == was:
        return on
    calibration = _captured(on.calibration, now)
    device, _, model, plan = on.records
    return replace(on, calibration=calibration, records=(device, calibration.packed, model, plan))


def _captured(known: Calibration, longest: float) -> Calibration:
    shared: dict[float, Calibration] = known.__dict__.setdefault("of_captured", {})
    if longest not in shared:
        own = known.constants["attention_decode"] | {"captured": longest}
        shared[longest] = known.replace(constants=known.constants | {"attention_decode": own})
    return shared[longest]
