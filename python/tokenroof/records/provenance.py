"""Where a number comes from."""

from __future__ import annotations

from dataclasses import dataclass

from tokenroof.support.arguments import shown
from tokenroof.support.names import among

__all__ = ["KINDS", "Provenance"]


# How a number came here, strongest first.
KINDS = ("datasheet", "vendor", "measured", "press", "estimate")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a number comes from.

    Attributes
    ----------
    kind : str
        ``datasheet``: the maker's data sheet; ``vendor``: the maker's other words (pages, slides,
        list prices, filings); ``measured``: somebody measured or counted it; ``press``: a third
        party prints it; ``estimate``: derived, or without a source that could be named.
    source : str
        Who says so.
    date : str or None
        When it was said or read: year, month or day.
    unit : str or None
        Unit of the number.
    """

    kind: str
    source: str
    date: str | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        if not among(self.kind, KINDS):
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {shown(self.kind)}")
