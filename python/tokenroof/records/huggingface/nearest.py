"""What an architecture that nobody knows is nearest to, by its name and by its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenroof.records.huggingface.families import FAMILIES
from tokenroof.records.huggingface.families.table import defaults_of
from tokenroof.records.huggingface.reader import Reader, short
from tokenroof.records.huggingface.reading import Reading
from tokenroof.support.names import near_matches

__all__ = ["unknown_family"]

_SHOWN = 3


def _fit(kind: str, fields: Mapping[str, Any]) -> tuple[int, int, list[str], list[str]] | None:
    """How well a family's rules read these fields: fields left over and missing, fewer being better."""
    reading = Reading()
    r = Reader(fields, defaults_of(kind), reading)
    try:
        FAMILIES[kind](r)
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError):
        return None
    over = reading.close()
    stated = defaults_of(kind).keys() - {"max_position_embeddings"}
    missing = [name for name in reading.defaulted if name in stated]
    return len(over) * 2 + len(missing), -len(reading.read), over, missing


def unknown_family(stated: str, fields: Mapping[str, Any]) -> ValueError:
    """The error for a ``model_type`` that is not in the table.

    Says what has a similar name, which families' rules would read these fields, and which would decide.
    """
    kind = stated.lower().replace("-", "_").replace(".", "_").removesuffix("_text")
    named = near_matches(kind, sorted(FAMILIES))
    hint = f"; did you mean {', '.join(map(repr, named))}?" if named else ""
    fits = [(kind, fit) for kind in FAMILIES if (fit := _fit(kind, fields))]
    fits.sort(key=lambda found: found[1][:2])  # of the same fit the best known first
    if fits:
        first, (*_, over, missing) = fits[0]
        near = [name for name, _ in fits[:_SHOWN]]
        hint += f"; nearest by its fields: {', '.join(near)}"
        decide = [*(f"{name} (read by no rule of {first})" for name in over[:_SHOWN]),
                  *(f"{name} (left out)" for name in missing[:_SHOWN])]  # fmt: skip
        if decide:
            hint += f"; what would decide: {', '.join(decide)}"
        else:
            hint += (
                "; their rules read all its fields, so what decides is in the architecture's own code: "
                "biases, norms of queries and keys, norms per layer"
            )
    else:
        hint += "; no family's rules read its fields: hidden_size, num_hidden_layers, num_attention_heads, "
        hint += "intermediate_size, vocab_size decide"
    return ValueError(
        f"model_type is {short(stated)}, which is not in the table of families{hint}; allowed: "
        f"{', '.join(sorted(FAMILIES))}"
    )
