"""Where a replica's queue begins to grow, and what is short there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenroof import kernels
from tokenroof.inference.door import deployment
from tokenroof.serving.closed_twin import shape_from
from tokenroof.serving.loads import check_length
from tokenroof.serving.twin import shape_of, twin_of
from tokenroof.support.equality import by_value
from tokenroof.support.kinds import takes_records

if TYPE_CHECKING:
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.requests.lengths import Lengths
    from tokenroof.serving.requests.record import Requests
    from tokenroof.serving.simulation.scheduler import Scheduler

__all__ = ["Stability", "stability"]

# What half as many places more must bring for them to be what is short.
_WORTH = 1.1


@by_value
@dataclass(frozen=True, slots=True)
class Stability:
    """The rate where queues grow.

    Attributes
    ----------
    rate : float
        Requests per second below which the queue stays short [1/s].
    short : str
        What is short there: "memory" (the cache), "sequences" (places in the batch), "budget" (tokens of a
        step, of which prompts get too few), "time" (steps take longer as they carry more).
    kv_rate : float
        The rate that the cache alone allows, decode steps alone: M / (b E[g]) [1/s].
    running : float
        Requests in service there [1].
    """

    rate: float
    short: str
    kv_rate: float
    running: float


@takes_records
def stability(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    input_tokens: float | Lengths = 1024,
    output_tokens: float | Lengths = 1024,
    load: Requests | None = None,
    scheduler: Scheduler | None = None,
    fidelity: str | Calibration = "calibrated",
) -> Stability:
    """The rate of arrivals at which a replica's queue begins to grow, and what is short.

    Parameters
    ----------
    device, model, plan, input_tokens, output_tokens, fidelity
        As in `curve`.
    load : Requests, optional
        Whose lengths count instead.
    scheduler : Scheduler, optional
        Whose limits hold; vLLM's newest by default.

    Returns
    -------
    Stability

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `curve`; ValueError where the weights leave no memory.

    References
    ----------
    Nie, Si, Zhou, arXiv:2605.04595: mu = M / (b E[g]).

    Examples
    --------
    >>> stability("H200-SXM", "Llama-3.1-8B", input_tokens=8000, output_tokens=500).short
    'time'
    """
    on = deployment(device, model, plan, fidelity)
    _, moments = shape_from(input_tokens, output_tokens)
    shape = moments if load is None else shape_of(load)
    check_length(on.model, shape.input_tokens, shape.output_tokens, scheduler)
    twin = twin_of(on, shape, scheduler)
    places, step = len(twin.steps) - 1, float(twin.steps[-1])
    output, prompt = twin.inputs["output"], float(twin.prompts[-1, 0])
    budget = twin.inputs["budget"] * twin.inputs["ranks"]
    rate, running, short = twin.saturation, float(places), "time"
    # half as many places more, whose steps go on as they grew
    grown = 2.0 * step - float(twin.steps[(places + 1) // 2])
    more = 1.0 / (output * max(grown, step) / (1.5 * places) + prompt)
    if more > _WORTH * rate:
        short = "memory" if twin.memory < twin.sequences else "sequences"
    # prompts get what decodes leave of a step's tokens
    steps_per_s = 1.0 / (step / (1.0 - min(rate * prompt, 0.999)))
    room = max(budget - running, 1.0)
    if rate * shape.input_tokens > room * steps_per_s:
        # n output tokens a step let n / output prompts in: n (1 + input / output) tokens
        running = budget / (1.0 + shape.input_tokens / output)
        at = float(twin.steps[max(1, min(places, int(running)))])
        rate, short = 1.0 / (output * at / max(running, 1.0) + prompt), "budget"
    kv = float(
        kernels.stable_request_rate(
            twin.memory * shape.held, step, shape.input_tokens, output * (1.0 + shape.output_cv2)
        )
    )
    return Stability(rate, short, kv * (1.0 + shape.output_cv2), running)
