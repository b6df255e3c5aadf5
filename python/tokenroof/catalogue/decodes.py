"""What share of their bandwidth boards with GDDR reach: one user's tokens a second, of one program and model.

A token takes its bytes, and a time beside them (the host, small kernels) that the memory does not set:
t = bytes / (share * bandwidth) + beside. Two files of one model, of 16 and of about 5 bits a weight, tell the
two apart on one board. The time beside is that of the host too: the median board of a generation counts.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import cache
from typing import Any

from tokenroof.catalogue.files import table
from tokenroof.records.provenance import Provenance

__all__ = ["Decode", "beside_s", "codes_left", "decodes", "reached"]


@dataclass(frozen=True, slots=True)
class Decode:
    """How fast a board decoded for one user.

    Attributes
    ----------
    device : str
        Name in the catalogue, or of a board that it does not have.
    generation, chip, memory : str
    codes : bool
        Whether the memory held the codes of its errors.
    bytes_per_s : float
        Printed bandwidth [B/s].
    f16, q4 : tuple of float
        Rates of the two files of the model, by how many tokens were generated [token/s].
    provenance : Provenance
    """

    device: str
    generation: str
    chip: str
    memory: str
    codes: bool
    bytes_per_s: float
    f16: tuple[float, ...]
    q4: tuple[float, ...]
    provenance: Provenance

    def bytes_of(self, kind: str) -> list[float]:
        """Bytes of a token at half of each length that was generated [B]."""
        model = _model()
        weights = float(model[f"{kind}_bytes"])
        return [weights + model["context_bytes"] * tokens / 2.0 for tokens in model["tokens"]]

    @property
    def beside_s(self) -> float:
        """Of a token the time that grows with no bytes, if those of both files come as fast [s]."""
        found = []
        pairs = zip(self.f16, self.q4, self.bytes_of("f16"), self.bytes_of("q4"), strict=True)
        for fast, small, most, least in pairs:
            per_byte = (1.0 / fast - 1.0 / small) / (most - least)
            found.append(1.0 / fast - per_byte * most)
        return statistics.mean(found)

    def share(self, beside_s: float) -> float:
        """Share of the printed bandwidth that 16-bit weights come at [1].

        Parameters
        ----------
        beside_s : float
            Of a token [s].
        """
        return statistics.geometric_mean(
            moved / (1.0 / rate - beside_s) / self.bytes_per_s
            for rate, moved in zip(self.f16, self.bytes_of("f16"), strict=True)
        )


def _model() -> dict[str, Any]:
    model: dict[str, Any] = table("decodes")["model"]
    return model


@cache
def decodes() -> tuple[Decode, ...]:
    """Return what was reported, in the order of the file.

    Returns
    -------
    tuple of Decode

    Examples
    --------
    >>> [row.device for row in decodes() if row.codes]
    ['L40S', 'A40']
    """
    file = table("decodes")
    return tuple(
        Decode(
            **row | {"f16": tuple(row["f16"]), "q4": tuple(row["q4"])},
            provenance=Provenance(
                "measured", file["sources"]["notebooks"], "2024-05", file["units"]["f16"]
            ),
        )
        for row in file["decode"]
    )


@cache
def beside_s(generation: str) -> float:
    """Of a token the time beside its bytes, of a generation's median board [s].

    Examples
    --------
    >>> round(1e3 * beside_s("ada"), 2)
    2.38
    """
    return statistics.median(row.beside_s for row in decodes() if row.generation == generation)


@cache
def reached() -> dict[str, float]:
    """Share of its printed bandwidth that each board reaches [1].

    Returns
    -------
    dict of str to float
        By device.

    Examples
    --------
    >>> found = reached()
    >>> [round(found[name], 3) for name in ("L40S", "RTX 6000 Ada", "RTX 4090")]
    [0.847, 0.934, 0.937]
    """
    return {row.device: row.share(beside_s(row.generation)) for row in decodes()}


@cache
def codes_left() -> float:
    """Of what a memory reaches, what it reaches where it holds the codes of its errors [1].

    The geometric mean over boards of one chip and one kind of memory, of which one held them. A sixteenth of
    the memory is codes; that more of the rate is lost says that they are fetched on their own.

    Returns
    -------
    float

    Examples
    --------
    >>> round(1.0 / codes_left(), 3)
    1.099
    """
    share = reached()
    return statistics.geometric_mean(
        share[one.device] / share[other.device]
        for one in decodes()
        if one.codes
        for other in decodes()
        if not other.codes and (other.chip, other.memory) == (one.chip, one.memory)
    )
