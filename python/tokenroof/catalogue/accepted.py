"""Tokens that a round of speculative decoding yields, as measured: by position, by task, with sources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from tokenroof.catalogue.files import table
from tokenroof.records.provenance import Provenance
from tokenroof.support.names import normalise, unknown

__all__ = ["Acceptance", "acceptance", "acceptances"]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A measurement of how many drafted tokens are kept.

    Attributes
    ----------
    name : str
    method : {"mtp", "eagle"}
        Who drafts.
    model : str
        Name of the target in the catalogue; "" where the source names none.
    task : str
        What is written: "coding", "chat", "mathematics", "reasoning", "mixed".
    temperature : float or None
        Of sampling; None where the source does not say it.
    drafts : tuple of int
        Tokens drafted a round [1].
    lengths : tuple of float
        Mean tokens of a round with so many drafts, the target's own included [1].
    provenance : Provenance
        Kind, source, date.
    """

    name: str
    method: str
    model: str
    task: str
    temperature: float | None
    drafts: tuple[int, ...]
    lengths: tuple[float, ...]
    provenance: Provenance

    @property
    def most(self) -> int:
        """The most drafts that were measured [1]."""
        return self.drafts[-1]

    @property
    def positions_known(self) -> bool:
        """Whether each number of drafts up to `most` was measured; else all positions have one chance."""
        return self.drafts == tuple(range(1, self.most + 1))

    @property
    def by_position(self) -> tuple[float, ...]:
        """Chance that the draft at each position is kept after those before it, 0 to 1 and nowhere rising.

        The likeliest such chances, each round a trial of a position that all drafts before it reached: where
        a measured one would rise, its neighbours are pooled, weighted by trials.

        References
        ----------
        Ayer et al., Annals of Mathematical Statistics 26(4) 1955, for the pooling.

        Examples
        --------
        >>> [round(a, 3) for a in acceptance("MTP, coding").by_position[:3]]
        [0.92, 0.75, 0.522]
        """
        if not self.positions_known:
            return (_constant(self.lengths[-1], self.most),) * self.most
        added = _falling([b - a for a, b in pairwise((1.0, *self.lengths))], [1.0] * self.most)
        kept = [min(max(x, 0.0), 1.0) for x in added]
        trials = [1.0, *kept[:-1]]
        shares = [k / t if t > 0.0 else 0.0 for k, t in zip(kept, trials, strict=True)]
        return tuple(_falling(shares, trials))


def _falling(values: list[float], weights: list[float]) -> list[float]:
    """The nearest sequence that does not rise: neighbours that do are replaced by their weighted mean."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in zip(values, weights, strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] < block[0]:
            mean, heavy, many = blocks.pop()
            both = heavy + block[1]
            middle = (mean * heavy + block[0] * block[1]) / both if both > 0.0 else mean
            block = (middle, both, many + block[2])
        blocks.append(block)
    return [mean for mean, _, many in blocks for _ in range(many)]


def _constant(length: float, drafts: int) -> float:
    """The one chance of all positions that yields so many tokens: 1 + a + ... + a^drafts."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if sum(middle**i for i in range(drafts + 1)) < length:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@cache
def _rows() -> tuple[Acceptance, ...]:
    file, found = table("acceptance"), []
    for row in file["acceptance"]:
        lengths = row.get("lengths")
        if lengths is None:  # shares of rounds add up
            shares = row["shares"]
            lengths = [1.0 + sum(shares[: i + 1]) for i in range(len(shares))]
        said = Provenance(
            row["kind"], file["sources"][row["source"]], row["when"], file["units"]["lengths"]
        )
        found.append(Acceptance(
            row["name"], row["method"], row.get("model", ""), row["task"], row.get("temperature"),
            tuple(row["drafts"]), tuple(map(float, lengths)), said,
        ))  # fmt: skip
    return tuple(found)


def acceptances(
    method: str | None = None, task: str | None = None, model: str | None = None
) -> tuple[Acceptance, ...]:
    """Measured lengths of rounds, in the order of the file.

    Parameters
    ----------
    method, task, model : str, optional
        Without regard to case and separators; any if None.

    Returns
    -------
    tuple of Acceptance
        Empty where nothing was measured.

    Examples
    --------
    >>> [row.lengths[0] for row in acceptances("mtp", task="coding")]
    [1.79, 1.92]
    """

    def fits(asked: str | None, has: str) -> bool:
        return asked is None or normalise(asked) == normalise(has)

    return tuple(
        row
        for row in _rows()
        if fits(method, row.method) and fits(task, row.task) and fits(model, row.model)
    )


def acceptance(name: str) -> Acceptance:
    """One measurement by its name.

    Parameters
    ----------
    name : str
        Case and separators do not matter.

    Returns
    -------
    Acceptance
        Mean tokens of a step by drafts [1], and its source.

    Raises
    ------
    KeyError
        For an unknown name, with near matches.

    Examples
    --------
    >>> acceptance("DeepSeek-R1 MTP, reasoning").lengths[2]
    2.82
    """
    for row in _rows():
        if normalise(row.name) == normalise(name):
            return row
    raise unknown("acceptance", name, [row.name for row in _rows()])
