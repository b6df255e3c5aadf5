"""The catalogue: devices, models, miners, links, markets, tiers, runs, drafts; each number has its source.

`devices`, `miners`, `tiers`, `models` and `sources` return pandas DataFrames; the other functions
return records and need numpy alone. Files are read on first use, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof.support.lazy import attach

if TYPE_CHECKING:
    from tokenroof.catalogue.accepted import Acceptance, acceptance, acceptances
    from tokenroof.catalogue.contracts import Deal, deal, deals
    from tokenroof.catalogue.held import Holding, holdings
    from tokenroof.catalogue.hours import GpuHour, gpu_hour, gpu_hours
    from tokenroof.catalogue.lookup import all_devices, all_miners, register_device
    from tokenroof.catalogue.market_file import market_data, market_in_force
    from tokenroof.catalogue.markets import (
        Quote,
        latest,
        quote_kinds,
        quotes,
        revenue_claims,
        tier_assumptions,
        tier_rows,
    )
    from tokenroof.catalogue.measured import Run, runs
    from tokenroof.catalogue.numbers import Number, source
    from tokenroof.catalogue.printed import Published, fastest_published, published
    from tokenroof.catalogue.quote import MarketData
    from tokenroof.catalogue.tables import devices, links, miners, models, sources, tiers
    from tokenroof.records.provenance import KINDS, Provenance

_WHERE = {
    "accepted": ("Acceptance", "acceptance", "acceptances"),
    "contracts": ("Deal", "deal", "deals"),
    "market_file": ("market_data", "market_in_force"),
    "quote": ("MarketData",),
    "held": ("Holding", "holdings"),
    "hours": ("GpuHour", "gpu_hour", "gpu_hours"),
    "lookup": ("all_devices", "all_miners", "register_device"),
    "markets": (
        "Quote",
        "latest",
        "quote_kinds",
        "quotes",
        "revenue_claims",
        "tier_assumptions",
        "tier_rows",
    ),
    "measured": ("Run", "runs"),
    "numbers": ("Number", "source"),
    "printed": ("Published", "fastest_published", "published"),
    "tables": ("devices", "links", "miners", "models", "sources", "tiers"),
}
_LAZY = {
    "KINDS": "tokenroof.records.provenance:KINDS",
    "Provenance": "tokenroof.records.provenance:Provenance",
    **{
        name: f"tokenroof.catalogue.{file}:{name}"
        for file, names in _WHERE.items()
        for name in names
    },
}

__all__ = [
    "KINDS",
    "Acceptance",
    "Deal",
    "GpuHour",
    "Holding",
    "MarketData",
    "Number",
    "Provenance",
    "Published",
    "Quote",
    "Run",
    "acceptance",
    "acceptances",
    "all_devices",
    "all_miners",
    "deal",
    "deals",
    "devices",
    "fastest_published",
    "gpu_hour",
    "gpu_hours",
    "holdings",
    "latest",
    "links",
    "market_data",
    "market_in_force",
    "miners",
    "models",
    "published",
    "quote_kinds",
    "quotes",
    "register_device",
    "revenue_claims",
    "runs",
    "source",
    "sources",
    "tier_assumptions",
    "tier_rows",
    "tiers",
]

__getattr__, __dir__ = attach(__name__, _LAZY)
