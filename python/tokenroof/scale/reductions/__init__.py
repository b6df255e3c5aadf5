"""What is wanted of a grid too large to look at, worked out where its chunks are."""

from tokenroof.support.lazy import attach

__all__ = ["Best", "Frontier", "Quantiles", "Reduction"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Best": "tokenroof.scale.reductions.best:Best",
        "Frontier": "tokenroof.scale.reductions.frontier:Frontier",
        "Quantiles": "tokenroof.scale.reductions.quantiles:Quantiles",
        "Reduction": "tokenroof.scale.reductions.tables:Reduction",
    },
)
