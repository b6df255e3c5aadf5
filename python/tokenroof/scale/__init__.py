"""Grids of any size: chunks, stores, workers, reductions where the chunks are. It knows no subject."""

from tokenroof.support.lazy import attach

__all__ = ["Best", "Frontier", "Quantiles", "open_store", "status"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Best": "tokenroof.scale.reductions.best:Best",
        "Frontier": "tokenroof.scale.reductions.frontier:Frontier",
        "Quantiles": "tokenroof.scale.reductions.quantiles:Quantiles",
        "open_store": "tokenroof.scale.opened:open_store",
        "status": "tokenroof.scale.opened:status",
    },
)
