"""What every prediction is printed with: the band of its steps, and what they were calibrated on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tokenroof.records.deployment import Deployment

__all__ = ["basis_of", "basis_of_system", "mixed_engines", "say_basis", "say_beyond"]


def basis_of(on: Iterable[Deployment]) -> dict[str, Any]:
    """Bands of the steps of replicas, the widest of several, and what they were calibrated on.

    They are those of steps: what is made of steps by a scheduler's play or a closed form has no band of its
    own, and none is said.

    Examples
    --------
    >>> from tokenroof.inference.door import deployment
    >>> found = basis_of([deployment("H200-SXM", "Llama-3.1-8B", None, "datasheet")])
    >>> found["error_band"], found["calibrated_on"]
    (nan, 'nothing: datasheet values, experts routed as in serving')
    """
    known = [one.calibration for one in on]
    parts = (part for one in known for part in one.calibrated_on.split("; "))
    return {
        # of several that are all known the widest; unknown beside known is unknown
        "error_band": float(np.max([one.error_band for one in known])),
        "ttft_error_band": float(np.max([one.ttft_band for one in known])),
        "calibrated_on": "; ".join(dict.fromkeys(parts)),
    }


def basis_of_system(
    system: Any, device: Any, model: Any, plan: Any, fidelity: Any
) -> dict[str, Any]:
    """`basis_of` a system's pools, or of the one replica where there is none."""
    from tokenroof.inference.door import deployment

    if system is None:
        return basis_of([deployment(device, model, plan, fidelity)])
    return basis_of(system.deployments(model, fidelity).values())


def mixed_engines(scheduler: str, engine: str) -> dict[str, str]:
    """That a scheduler is of another engine than the constants of steps; nothing where it is of the same.

    Examples
    --------
    >>> mixed_engines("vllm-0.33", "vllm"), mixed_engines("vllm-0.33", "ideal")
    ({}, {})
    >>> mixed_engines("vllm-0.33", "sglang")["mixed_engines"]
    'two engines: requests are scheduled as vllm-0.33 does, steps take what they do with sglang (--engine)'
    """
    if engine in ("ideal", scheduler.partition("-")[0]):
        return {}
    said = f"two engines: requests are scheduled as {scheduler} does, steps take what they do with {engine}"
    return {"mixed_engines": f"{said} (--engine)"}


def say_basis(bands: Mapping[str, Any], calibrated_on: str, *more: str) -> None:
    """Print one line: the band of each of some times, over all rows of a table, and where constants are from.

    Examples
    --------
    >>> say_basis({"steps": 0.174, "first tokens": [0.3, 0.45]}, "671 serving points")
    band: steps +-17 %, first tokens +-30 to 45 %; calibrated on 671 serving points
    >>> say_basis({"steps": float("nan")}, "nothing: datasheet values", "board power")
    band: steps unknown; calibrated on nothing: datasheet values; board power
    """
    said = ", ".join(f"{name} {_wide(band)}" for name, band in bands.items())
    say("; ".join([f"band: {said}", f"calibrated on {calibrated_on}", *more]))


def say_beyond(what: str) -> None:
    """Print what of a load lies beyond what constants were fitted on; nothing where nothing does.

    Examples
    --------
    >>> say_beyond("output_tokens 1 below 100")
    beyond what the constants were fitted on: output_tokens 1 below 100
    >>> say_beyond("")
    """
    if what:
        say(f"beyond what the constants were fitted on: {what}")


def _wide(band: Any) -> str:
    known = np.ravel(np.asarray(band, dtype=float))
    known = known[np.isfinite(known)]
    if not known.size:
        return "unknown"
    low, high = (f"{100.0 * end:.0f}" for end in (known.min(), known.max()))
    return f"+-{low} %" if low == high else f"+-{low} to {high} %"
