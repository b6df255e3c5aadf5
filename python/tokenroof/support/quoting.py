"""Values that errors quote: whole where short, in part where long."""

from __future__ import annotations

import os
from pathlib import Path

#: Characters of a value that an error quotes whole.
LONGEST_SHOWN = 400
# Linux's longest path; the system's own error would quote a longer one whole.
_LONGEST_PATH = 4096


def shown(value: object) -> str:
    """A value as an error quotes it, long ones in part; Python refuses to print the longest integers.

    Examples
    --------
    >>> shown("fp9"), len(shown("9" * 50_000))
    ("'fp9'", 222)
    """
    try:
        text = repr(value)
    except ValueError:
        return "an integer of thousands of digits"
    return brief(text)


def counted(number: object, of: str, form: str = "") -> str:
    """How many there are, with the word for one of them or for several.

    Parameters
    ----------
    number : int, float or str
        The count, or the text that stands for it.
    of : str
        What is counted, of one.
    form : str
        As `format` takes it.

    Examples
    --------
    >>> counted(1, "device"), counted(4.0, "request", "g"), counted(0, "entry")
    ('1 device', '4 requests', '0 entries')
    """
    said = format(number, form)
    if said == "1":
        return f"{said} {of}"
    return f"{said} {of[:-1]}ies" if of.endswith("y") else f"{said} {of}s"


def brief(text: object) -> str:
    """A text as an error gives it without quotation marks, as another library's words: long ones in part.

    Examples
    --------
    >>> brief(ValueError("no day: 31")), len(brief("9" * 50_000))
    ('no day: 31', 222)
    """
    whole = str(text)
    if len(whole) <= LONGEST_SHOWN:
        return whole
    return f"{whole[: LONGEST_SHOWN // 2]}... ({len(whole)} characters)"


def file_of(field: str, path: str | os.PathLike[str]) -> Path:
    """The path of a file; an error names the field of one that no file can have.

    Examples
    --------
    >>> file_of("market", "prices.csv").name
    'prices.csv'
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{field} is {shown(path)}; allowed: the path of a file")
    given = os.fspath(path)
    if "\0" in given:
        raise ValueError(f"{field} is {shown(path)}; allowed: a path without NUL")
    if len(given) > _LONGEST_PATH:
        raise ValueError(
            f"{field} is {shown(path)}; allowed: a path of at most {_LONGEST_PATH:,} characters"
        )
    return Path(path)
