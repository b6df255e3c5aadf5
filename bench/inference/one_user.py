"""The largest published speed per user of each device beside what is predicted."""

from __future__ import annotations

import math
from typing import Any

import tokenroof as tr
from tokenroof import catalogue, dataflow, serving

#: Acceptance where a source names none: of the module, and of a head.
ACCEPTANCE = {"mtp": "DeepSeek-R1 MTP, reasoning", "eagle": "Llama-3.3-70B EAGLE-3, chat"}


def predicted(point: Any) -> dict[str, Any]:
    """Speed with its band, plan, drafts and what limits it; or why there is none."""
    model = tr.model(point.model)
    given, answer = point.input_tokens, point.output_tokens
    context = 1024.0 if math.isnan(given) else given + 0.5 * answer
    if tr.device(point.device).kind in ("lpu", "wafer"):
        found = dataflow.decode(point.device, model, batch=1, context=context).interactivity
        ends = float(found.low), float(found.mid), float(found.high)
        return {
            "speed": ends[1],
            "low": ends[0],
            "high": ends[2],
            "plan": "pipeline",
            "length": 0,
            "why": "layers",
        }
    rounds: dict[str, Any] = {}
    if point.speculation:
        draft = "mtp" if model.mtp_modules else "eagle"
        most = catalogue.acceptance(ACCEPTANCE[draft]).most
        rounds = {"draft": draft, "acceptance": ACCEPTANCE[draft], "length": range(1, most + 1)}
    engine = "trtllm" if point.engine[:1].lower() == "t" or "TensorRT" in point.engine else "vllm"
    one = serving.one_user(point.device, model, None, context, engine, 8, **rounds)
    share = one.shares[one.bound]
    return {"speed": one.speed, "low": one.low, "high": one.high, "plan": one.plan.label(),
            "length": one.length, "why": f"{one.bound} {share:.0%}"}  # fmt: skip


def main() -> None:
    """Print the table as docs/serving/chart.md has it."""
    print(
        "| device | model | published | date | predicted | band | plan, drafts | most of a step |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for point in catalogue.fastest_published().values():
        said = f"| {point.device} | {point.model or 'not said'} | {point.speed:g} | {point.provenance.date} |"
        try:
            f = predicted(point)
        except (KeyError, ValueError) as error:
            print(f"{said} none: {str(error)[:60]} | | | |")
            continue
        drafts = f", {f['length']} drafts" if f["length"] else ""
        print(
            f"{said} {f['speed']:.0f} | {f['low']:.0f} - {f['high']:.0f} | {f['plan']}{drafts} | {f['why']} |"
        )


if __name__ == "__main__":
    main()
