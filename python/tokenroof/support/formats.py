"""Numbers and tables as people read them."""

from __future__ import annotations

import math
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["ascii_of", "plain", "si", "table"]

# Signs of tables and sentences as a terminal of any encoding can show them.
_SIGNS = str.maketrans({
    "µ": "u", "μ": "u", "±": "+-", "×": "x", "–": "-", "—": "-", "−": "-", "≤": "<=", "≥": ">=",
    "’": "'", "‘": "'", "“": '"', "”": '"', "…": "...", "·": ".", "─": "-", "━": "-",
})  # fmt: skip

_PREFIXES = (
    (1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""),
    (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"),
)  # fmt: skip


def si(value: float | None, unit: str = "", digits: int = 3) -> str:
    """Return a number with an SI prefix; "-" if it is unknown.

    Examples
    --------
    >>> si(989.4e12, "FLOP/s"), si(0.0123, "s"), si(None, "W")
    ('989 TFLOP/s', '12.3 ms', '-')
    """
    if value is None or math.isnan(value):
        return "-"
    if value == 0 or math.isinf(value):
        return f"{value:g} {unit}".strip()
    # rounded first, so that 999.96 becomes 1.00 k and not 1000
    rounded = float(f"{value:.{digits - 1}e}")
    factor, prefix = next(((f, p) for f, p in _PREFIXES if abs(rounded) >= f), _PREFIXES[-1])
    scaled = rounded / factor
    whole = len(str(int(abs(scaled))))
    return f"{scaled:.{max(digits - whole, 0)}f} {prefix}{unit}".strip()


def ascii_of(text: str) -> str:
    """Return text in ASCII: signs by their like, letters without accents, "?" for the rest.

    Examples
    --------
    >>> ascii_of("12 µs ± 3 %, Hôpital"), ascii_of("日本")
    ('12 us +- 3 %, Hopital', '??')
    """
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFKD", text.translate(_SIGNS))
    return (
        "".join(c for c in apart if not unicodedata.combining(c))
        .encode("ascii", "replace")
        .decode()
    )


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: numbers of NumPy as Python's, NaN and infinity as None.

    Examples
    --------
    >>> import numpy as np
    >>> plain({"a": np.float64("nan"), "b": np.arange(2)})
    {'a': None, 'b': [0, 1]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    if hasattr(value, "tolist"):  # NumPy's arrays and scalars
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """Print a table in ASCII: by rich on a terminal that is wide enough, else as plain aligned text."""
    cells = [["" if cell is None else ascii_of(str(cell)) for cell in row] for row in rows]
    headers, title = [ascii_of(header) for header in headers], ascii_of(title)
    widths = [max([len(h), *(len(row[i]) for row in cells)]) for i, h in enumerate(headers)]
    numeric = [bool(cells) and all(_numeric(row[i]) for row in cells) for i in range(len(headers))]
    # a cut or folded number is worse than a line that the terminal wraps
    roomy = sum(widths) + 2 * len(widths) < shutil.get_terminal_size().columns
    if sys.stdout.isatty() and roomy:
        try:
            from rich.box import ASCII2
            from rich.console import Console
            from rich.table import Table
            from rich.text import Text
        except ImportError:
            pass
        else:
            drawn = Table(box=ASCII2, show_edge=False, padding=(0, 2, 0, 0), pad_edge=False)
            for header, number in zip(headers, numeric, strict=True):
                drawn.add_column(header, justify="right" if number else "left", no_wrap=True)
            for row in cells:
                drawn.add_row(*(Text(cell) for cell in row))
            if title:
                print(title)
            Console().print(drawn)
            return
    if title:
        print(title)
    for row in [list(headers), *cells]:
        line = "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        print(line.rstrip())


def _numeric(cell: str) -> bool:
    return not cell or cell == "-" or cell[0].isdigit() or (cell[0] in "-+" and cell[1:2].isdigit())
