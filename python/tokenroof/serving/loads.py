"""What callers of this folder give beside a deployment: a load, concurrencies, which power counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.door import check_context
from tokenroof.serving.requests.lengths import Lengths
from tokenroof.serving.requests.random import MOST_REQUESTS
from tokenroof.support.arguments import amounts, not_empty, number, refuse, shown
from tokenroof.support.names import among
from tokenroof.support.quoting import counted
from tokenroof.support.units import check_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.model import Model

__all__ = [
    "LONGEST_WAIT", "ONE_TOKEN", "POWERS", "Load", "as_concurrency", "as_load", "as_power", "check_length",
    "refuse_gaps", "timed",
]  # fmt: skip

#: Longest mean time to the first token of a point that is sold [s]: beyond it is no offer.
LONGEST_WAIT = 10.0
#: Why answers of one token have neither TPOT nor interactivity.
ONE_TOKEN = (
    "output_tokens is at most 1, and an answer of one token has no time per token after the first: tpot_s "
    "and interactivity are NaN; allowed: more than 1"
)
#: Which power counts in ``output_tokens_per_s_per_mw``.
POWERS = ("provisioned", "board", "chassis", "facility", "dashboard")


@dataclass(frozen=True)
class Load:
    """Mean tokens of a request [1]; how many requests a run has, without end where nobody says."""

    input_tokens: float
    output_tokens: float
    requests: float = np.inf

    @property
    def context(self) -> float:
        """Mean cached tokens while decoding."""
        return self.input_tokens + 0.5 * self.output_tokens

    @property
    def gaps(self) -> bool:
        """Whether answers have tokens after the first, which take a time each."""
        return self.output_tokens > 1.0


def timed(output_tokens: float, per_token: Any) -> Any:
    """Times per token after the first: NaN where answers have one token."""
    return per_token if output_tokens > 1.0 else np.full_like(per_token, np.nan)


def refuse_gaps(bounds: Mapping[str, float], output_tokens: float) -> None:
    """Reject bounds on times between tokens of answers that have one."""
    for name in ("tpot_s", "itl_s"):
        if name in bounds and not output_tokens > 1.0:
            raise ValueError(
                f"{name} is {shown(bounds[name])} with output_tokens {output_tokens:g}; allowed: None, as an "
                "answer of one token has no time between tokens, or more output_tokens"
            )


def check_length(
    model: Model, input_tokens: float, output_tokens: float, scheduler: Any = None
) -> None:
    """Reject requests longer than a model, or the scheduler that serves it, takes."""
    most = getattr(scheduler, "longest", None)
    check_context(model, "input_tokens + output_tokens", input_tokens + output_tokens, most)


def as_load(
    input_tokens: float | Lengths,
    output_tokens: float | Lengths,
    requests: float | None = None,
    instead: str = "curve, capacity, fleet or tune, which take Lengths",
) -> Load:
    """Means that were given; `instead` is what a distribution may be given with or to."""
    given = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    if requests is not None:
        given["requests"] = requests
    sizes = {}
    for name, value in given.items():
        if isinstance(value, Lengths):
            raise TypeError(
                f"{name} is a distribution of mean {value.mean:g}; allowed: the mean as a number, or "
                f"{instead}"
            )
        array = amounts(name, value, positive=True)
        if array.ndim:
            raise ValueError(f"{name} has {counted(array.ndim, 'dimension')}; allowed: one number")
        sizes[name] = float(array)
    if sizes.get("requests", 1.0) < 1.0:
        raise ValueError(f"requests is {shown(requests)}; allowed: a number >= 1")
    return Load(**sizes)


def as_power(name: str, pue: float) -> tuple[str, float]:
    if not among(name, POWERS):
        raise ValueError(f"power is {shown(name)}; allowed: {', '.join(POWERS)}")
    if not 1.0 <= number(pue) < np.inf:
        raise ValueError(f"pue is {shown(pue)}; allowed: finite numbers >= 1")
    check_unit("pue", pue)
    return name, float(pue)


def as_concurrency(value: ArrayLike) -> NDArray[np.float64]:
    array = np.atleast_1d(amounts("concurrency", value, positive=True))
    refuse(
        "concurrency",
        array,
        array > MOST_REQUESTS,
        "at most 2**28, as many requests as are simulated",
    )
    if array.ndim > 1:
        raise ValueError(f"concurrency has {counted(array.ndim, 'dimension')}; allowed: one")
    return np.asarray(not_empty("concurrency", array))
