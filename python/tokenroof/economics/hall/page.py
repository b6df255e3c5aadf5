"""The answer as a page of text."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["page_of"]

_HEADS = (
    "choice",
    "value now",
    "may wait",
    "capital",
    "written off",
    "first $",
    "$/MWh",
    "left",
    "breaks even",
    "returns",
)

_MEANINGS = (
    "Values in million dollars; $/MWh of the first year, before and after power; breaks even: price of",
    "power at which the first year earns nothing; may wait: with the right to do it later, or never;",
    "first $: month from now of the first income, after the years of conversion.",
)


def page_of(found: Any) -> str:
    """One page of a `Conversion`: what each choice is worth, what breaks it, what it stands on."""
    asked = f"A hall of {found.power_mw:g} MW at {found.price_per_mwh:g} $/MWh"
    lines = [f"{asked}: switch off, keep, lease, or convert?", "", found.answer, ""]
    rows = [_HEADS, *(_row(choice) for choice in found.choices)]
    wide = [max(len(row[i]) for row in rows) for i in range(len(_HEADS))]
    for row in rows:
        cells = [
            row[0].ljust(wide[0]),
            *(cell.rjust(w) for cell, w in zip(row[1:], wide[1:], strict=True)),
        ]
        lines.append("  ".join(cells).rstrip())
    lines += ["", *_MEANINGS]
    lines += [
        "",
        "What breaks each, run to its end at the expected prices, never stopped (its value is then nothing",
        "if the number is multiplied by the factor):",
    ]
    lines += [f"  {c.name}: {c.rung.breaks} x {c.rung.breaks_at:.3g}" for c in found.choices
              if c.rung is not None and c.rung.breaks]  # fmt: skip
    lines += [
        "",
        "When each is done, if it is the only way out (chance by year of decision, the rest never):",
    ]
    lines += [f"  {c.name}: " + ", ".join(f"{part:.0%}" for part in c.chances)
              for c in found.choices if c.kind != "keep"]  # fmt: skip
    lines.append(
        f"  mining without ever stopping, at the expected prices: {found.come_what_may / 1e6:,.2f} M$"
    )
    if found.rest:
        lines.append(f"  the part that stays with the miners is worth {found.rest / 1e6:,.2f} M$")
    lines += ["", "It stands on:", *(f"  {name}: {text}" for name, text in found.assumptions)]
    return "\n".join(lines)


def _row(choice: Any) -> tuple[str, ...]:
    rung, millions = choice.rung, 1e6
    money = (choice.npv, choice.with_waiting, choice.capex, choice.written_off)
    cells = tuple(f"{x / millions:,.2f}" for x in money)
    if rung is None:
        return (choice.name, *cells, *("-",) * 5)
    even = "tenant pays" if math.isinf(rung.break_even_power) else f"{rung.break_even_power:,.0f}"
    rates = ", ".join(f"{rate:.1%}" for rate in rung.irr) if choice.kind != "keep" else "-"
    return (choice.name, *cells, f"month {rung.months_to_revenue}", f"{rung.revenue_per_mwh:,.0f}",
            f"{rung.margin_per_mwh:,.0f}", even, rates or "none")  # fmt: skip
