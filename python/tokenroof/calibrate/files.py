"""Fits as files of the catalogue: TOML, a table ``[[fit]]`` per row under lines that say what they are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from tokenroof.support.kinds import takes_records
from tokenroof.support.whole import whole_file


def write_fits(
    path: str | os.PathLike[str], head: Iterable[str], rows: list[dict[str, Any]]
) -> None:
    """Write lines of comment, and a table per row."""
    lines = [*head, ""]
    for row in rows:
        lines.append("[[fit]]")
        for key, value in row.items():
            if isinstance(value, dict):
                inner = ", ".join(f"{k} = {v!r}" for k, v in value.items())
                lines.append(f"{key} = {{ {inner} }}")
            elif isinstance(value, str):
                lines.append(f'{key} = "{value}"')
            else:
                lines.append(f"{key} = {value!r}")
        lines.append("")
    with whole_file(path) as beside:
        beside.write_text("\n".join(lines))


@takes_records
def write_constants(
    path: str | os.PathLike[str], operator: str, rows: list[dict[str, Any]]
) -> None:
    """Write fits as a file of the catalogue: TOML, a table ``[[fit]]`` per row.

    Parameters
    ----------
    path : path
        Of the file, which is replaced.
    operator : str
        One of `SPECS`.
    rows : list of dict
        From `fit_operator` or `fit_tables`.

    Returns
    -------
    None
        What is written is read by ``TOKENROOF_CONSTANTS`` or as the catalogue's own.

    Examples
    --------
    >>> from tokenroof import calibrate
    >>> calibrate.write_constants("gemm.toml", "gemm", rows)  # doctest: +SKIP
    """
    judged = "each quarter" if operator == "power" else "a quarter"
    head = [
        f"# Constants of {operator}: tokenroof/records/constants.hpp names them, and the operator's",
        "# header says what they mean. Written by `python -m tokenroof.calibrate`; do not edit.",
        f"# rows: shapes fitted on; mape, median, bias, band: on {judged} of the combinations, left out;",
        "# band: four in five are within exp(+-band). mape_generation, band_generation, mape_other,",
        "# band_other: with the constants of other devices of the generation, or of other generations.",
        "# slower_than, slower_by: a wider type that takes less time, by more than both bands; beaten_by,",
        "# beaten_times: another engine's products of the same type.",
    ]
    write_fits(path, head, rows)
