"""Who holds how much, by date."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tokenroof.catalogue.files import date_key, table
from tokenroof.records.provenance import Provenance
from tokenroof.support.names import among, unknown

__all__ = ["Holding", "holdings"]


@dataclass(frozen=True, slots=True)
class Holding:
    """Shares of a whole at one date.

    Attributes
    ----------
    of : str
        "pools", "miner makers", "buyers of NVIDIA".
    date : str
    shares : tuple of (str, int, float)
        Name, number of holders under it, and their share together [1].
    others_may_exceed : bool
        Whether a holder that is not named may be larger than one that is.
    provenance : Provenance
    """

    of: str
    date: str
    shares: tuple[tuple[str, int, float], ...]
    others_may_exceed: bool
    provenance: Provenance

    @property
    def rest(self) -> float:
        """Share of those that are not named [1]."""
        return max(1.0 - sum(share for _, _, share in self.shares), 0.0)


@cache
def _all() -> tuple[Holding, ...]:
    file = table("holders")
    return tuple(
        Holding(
            row["of"], row["date"], tuple((n, int(k), float(x)) for n, k, x in row["shares"]),
            bool(row.get("others_may_exceed", False)),
            Provenance(row["kind"], file["sources"][row["source"]], row["date"], file["units"]["shares"]),
        )
        for row in file["holding"]
    )  # fmt: skip


def holdings(of: str | None = None) -> tuple[Holding, ...]:
    """Dated shares of pools, miner makers and buyers, oldest first.

    Parameters
    ----------
    of : str, optional
        Of what; all if None.

    Returns
    -------
    tuple of Holding
        Shares [1].

    Raises
    ------
    KeyError
        If there is none of that kind, with near matches.

    Examples
    --------
    >>> [(h.date, h.shares[0][0]) for h in holdings("pools")]
    [('2021-05', 'AntPool'), ('2024-12', 'Foundry USA'), ('2025-03-20', 'Foundry USA')]
    """
    known = list(dict.fromkeys(h.of for h in _all()))
    if of is not None and not among(of, known):
        raise unknown("holding", str(of), known)
    rows = [h for h in _all() if of in (None, h.of)]
    return tuple(sorted(rows, key=lambda h: (known.index(h.of), date_key(h.date))))
