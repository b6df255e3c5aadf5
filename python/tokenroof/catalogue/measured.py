"""Measured serving runs, each with its device, engine and version, date and source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tokenroof.catalogue.files import table
from tokenroof.records.plan import Plan
from tokenroof.records.provenance import Provenance
from tokenroof.support.names import normalise

__all__ = ["Run", "runs"]


@dataclass(frozen=True, slots=True)
class Run:
    """One measured point of a closed loop.

    Attributes
    ----------
    model, device : str
        Names in the catalogue.
    plan : Plan
        Layout, types and engine.
    version : str
        The engine's.
    nominal_tokens : (int, int)
        Prompt and answer as the benchmark calls them [1].
    input_tokens, output_tokens : float
        Their means [1].
    concurrency : int
        Requests in flight [1].
    ttft_s, tpot_s : float
        Mean time to the first token, and per output token after it [s].
    date : str
        When it was measured, or collected after.
    provenance : Provenance
        Kind and source.
    """

    model: str
    device: str
    plan: Plan
    version: str
    nominal_tokens: tuple[int, int]
    input_tokens: float
    output_tokens: float
    concurrency: int
    ttft_s: float
    tpot_s: float
    date: str
    provenance: Provenance

    @property
    def output_throughput(self) -> float:
        """Output tokens of the replica per second [token/s], as a closed loop has them."""
        seconds = self.ttft_s + (self.output_tokens - 1.0) * self.tpot_s
        return self.concurrency * self.output_tokens / seconds

    @property
    def load(self) -> str:
        """The nominal lengths in a word: "1K/8K"."""
        return "/".join(f"{tokens / 1024:g}K" for tokens in self.nominal_tokens)


@cache
def _runs() -> tuple[Run, ...]:
    file = table("runs")
    found = []
    for row in file["run"]:
        for date, users, tp, dp, moe_tp, moe_ep, ttft, tpot in row["points"]:
            plan = Plan(
                tp=tp, dp=dp, moe_tp=moe_tp, moe_ep=moe_ep, weights=row["weights"],
                experts=row["experts"], kv_cache=row["kv_cache"], engine=row["engine"],
            )  # fmt: skip
            found.append(Run(
                model=row["model"], device=row["device"], plan=plan, version=row["version"],
                nominal_tokens=(row["nominal_input_tokens"], row["nominal_output_tokens"]),
                input_tokens=row["input_tokens"], output_tokens=row["output_tokens"],
                concurrency=users, ttft_s=ttft, tpot_s=tpot, date=date,
                provenance=Provenance("measured", file["sources"][row["source"]], date, "s"),
            ))  # fmt: skip
    return tuple(found)


def runs(model: str | None = None, device: str | None = None) -> tuple[Run, ...]:
    """Return measured runs, in the order of the file.

    Parameters
    ----------
    model, device : str, optional
        Name in the catalogue, without regard to case and separators; any if None.

    Returns
    -------
    tuple of Run
        Empty where nothing was measured.

    Examples
    --------
    >>> run = runs("gpt-oss-120b", "H100-SXM")[0]
    >>> run.load, run.plan.engine, run.version, run.date
    ('1K/8K', 'vllm', '0.18.0', '2026-04-06')
    """
    return tuple(
        run
        for run in _runs()
        if (model is None or normalise(run.model) == normalise(model))
        and (device is None or normalise(run.device) == normalise(device))
    )
