"""What a model changes of its device's and engine's constants: which experts are chosen, whose kernels run.

Which experts tokens choose is a model's own. The engines' constants have one exponent for all models (the
serving points do not tell them apart); where a model's router was counted, its own stands instead.

Which kernels multiply is the engine's choice, by types and layout. vLLM takes FlashInfer's CUTLASS kernels
for 16-bit experts of the workstation chips of Blackwell, which its tables there are of, but Triton's as soon
as several attention ranks meet at the experts (vllm-project/vllm, fused_moe/oracle/unquantized.py: up to 0.19
``use_ep and not use_dp``, then FLASHINFER_CUTLASS goes to the back where ``dp_size > 1``; the TensorRT-LLM
kernels before it are of data-centre chips alone). Triton's run on Ada's boards: the same code, for the same
instructions and the same kind of memory.

Attention with sinks is not FlashAttention 2's (vllm/v1/attention/backends/fa_utils.py:
`flash_attn_supports_sinks`): rows of a decode batch do not run in a kernel that gives each a tile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof.catalogue.counted import counts
from tokenroof.inference.carried import generation

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model

__all__ = ["passed_over", "with_counted_routing", "with_sinks"]

_CUTLASS_ALONE = ("nvidia blackwell gddr", "nvidia blackwell lpddr")


def passed_over(device: Device, engine: str, experts: str, meeting: bool) -> str:
    """The generation whose tables of experts are of other kernels than a plan runs.

    Parameters
    ----------
    device : Device
    engine, experts : str
        Whose kernels, for which type.
    meeting : bool
        Whether tokens of several attention ranks meet at the experts.

    Returns
    -------
    str
        As `generation` names it; empty where the tables are of the kernels that run.

    Examples
    --------
    >>> import tokenroof as tr
    >>> card = tr.device("RTX-PRO-6000")
    >>> passed_over(card, "vllm", "bf16", True), passed_over(card, "vllm", "nvfp4", True)
    ('nvidia blackwell gddr', '')
    """
    own = generation(device)
    wide = engine == "vllm" and experts in ("bf16", "fp16")
    return own if meeting and wide and own in _CUTLASS_ALONE else ""


def with_counted_routing(
    known: Calibration, model: Model, fidelity: str | Calibration
) -> Calibration:
    """Constants of a step with the model's own routing, where its router was counted.

    Parameters
    ----------
    known : Calibration
    model : Model
    fidelity : str or Calibration
        What was asked for: an exponent that the caller gives stays.

    Returns
    -------
    Calibration
        The same one for a model without counts, or of another shape than was counted.

    Examples
    --------
    >>> import tokenroof as tr
    >>> tr.decode("H200-SXM", "Qwen3-30B-A3B").calibrated_on.rsplit("; ", 1)[1]
    'experts chosen as counted in the router of Qwen3-30B-A3B'
    """
    for found in counts():
        if (found.model, found.experts, found.topk) == (model.name, model.experts, model.topk):
            break
    else:
        return known
    if not isinstance(fidelity, str) and (
        fidelity.stands_alone or "skew" in fidelity.constants.get("engine", {})
    ):
        return known
    # all plans of these types share it, and it goes with what is known
    shared: dict[str, Calibration] = known.__dict__.setdefault("of_routers", {})
    if found.model not in shared:
        engine = known.constants.get("engine", {}) | {"skew": found.skew}
        shared[found.model] = known.replace(
            constants=known.constants | {"engine": engine},
            calibrated_on=f"{known.calibrated_on}; experts chosen as counted in the router of {found.model}",
        )
    return shared[found.model]


def with_sinks(known: Calibration, model: Model) -> Calibration:
    """Constants of a step whose attention has sinks: no kernel runs prompts of one token as a decode.

    Parameters
    ----------
    known : Calibration
    model : Model

    Returns
    -------
    Calibration
        The same one for a model without sinks, or where no such kernel runs.

    Examples
    --------
    >>> import tokenroof as tr
    >>> models = "gpt-oss-20b", "Llama-3.1-8B"
    >>> on = [tr.decode("RTX-PRO-6000", m, tr.Plan()).calibration for m in models]
    >>> [c.constants["attention_prefill"]["single"] for c in on]
    [0.0, 1.0]
    """
    own = known.constants.get("attention_prefill", {})
    if not model.sinks or own.get("single") != 1.0:
        return known
    shared: dict[str, Calibration] = known.__dict__.setdefault("of_sinks", {})
    if "" not in shared:
        shared[""] = known.replace(
            constants=known.constants | {"attention_prefill": own | {"single": 0.0}}
        )
    return shared[""]
