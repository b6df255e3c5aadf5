"""Names people type: matched without case and separators, with near matches when nothing fits."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping
from typing import Any

from tokenroof.support.quoting import shown

__all__ = ["UnknownNameError", "among", "listed", "near_matches", "normalise", "unknown"]

# What a hurried hand confuses; only near matches use it, never a lookup.
_LOOKALIKES = str.maketrans({"o": "0", "l": "1", "i": "1"})
_CUTOFF = 0.6
# So many names an error lists where none is near.
_FEW = 24


class UnknownNameError(KeyError):
    """A KeyError whose text is a sentence: ``KeyError`` itself would print it in quotes."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


def normalise(name: str) -> str:
    """Return `name` without case, spaces and separators.

    Letters, digits and ``+`` stay: "Antminer S21" and "Antminer S21+" are two machines.

    Raises
    ------
    TypeError
        If `name` is not a string.

    Examples
    --------
    >>> normalise("H200 SXM") == normalise("h200_sxm") == "h200sxm"
    True
    """
    if not isinstance(name, str):
        raise TypeError(f"a name must be a string, not {type(name).__name__} ({shown(name)})")
    return "".join(c for c in name.casefold() if c.isalnum() or c == "+")


def among(value: object, names: Container[str]) -> bool:
    """Whether a value is a text and one of these names: an array or a list is none, and not looked up.

    Examples
    --------
    >>> among("vllm", ("vllm", "sglang")), among(["vllm"], {"vllm": 1})
    (True, False)
    """
    return isinstance(value, str) and value in names


def listed(field: str, value: Any, *records: type) -> list[Any]:
    """What a caller gives where several are wanted: a name or a record alone is a list of one.

    Raises
    ------
    TypeError
        Naming the field, if `value` is neither one of these nor a sequence.

    Examples
    --------
    >>> listed("devices", "H200-SXM"), listed("devices", ("H100-SXM", "H200-SXM"))
    (['H200-SXM'], ['H100-SXM', 'H200-SXM'])
    """
    if isinstance(value, (str, os.PathLike, *records)):
        return [value]
    if isinstance(value, (bytes, Mapping)) or not isinstance(value, Iterable):
        raise TypeError(f"{field} is {repr(value)[:400]}; allowed: one, or a sequence of them")
    return list(value)


def near_matches(name: str, candidates: Iterable[str] | Mapping[str, str], n: int = 3) -> list[str]:
    """Return up to `n` candidates that look like `name`, best first.

    Parameters
    ----------
    name : str
        What was asked for.
    candidates : iterable of str, or mapping of str to str
        The known names. A mapping gives for each name or alias the name to show.
    n : int
        The most names returned; each is returned once.

    Examples
    --------
    >>> near_matches("H20O", {"h200": "H200-SXM", "H20": "H20", "L4": "L4"})
    ['H200-SXM', 'H20']
    """
    from difflib import SequenceMatcher  # here: only errors need it

    shown = candidates if isinstance(candidates, Mapping) else {c: c for c in candidates}
    wanted = normalise(name)[:200].translate(_LOOKALIKES)  # a cap: the matcher is quadratic
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    keys = [
        (normalise(candidate).translate(_LOOKALIKES), label) for candidate, label in shown.items()
    ]
    partly = len(wanted) >= 3 and all(
        key != wanted for key, _ in keys
    )  # not a whole name with a slip
    best: dict[str, float] = {}
    for key, label in keys:
        matcher.set_seq1(key)
        within = len(wanted) >= 3 and (wanted in key or key in wanted)
        if not within and matcher.real_quick_ratio() < _CUTOFF:
            continue
        score = matcher.ratio()
        if within:
            score = max(score, _CUTOFF)  # "rubin" is near to "Vera Rubin NVL72"
        if partly and key.startswith(wanted):
            score += 1.0  # a name that was not typed to its end, before all that look alike
        if score >= _CUTOFF and score > best.get(label, 0.0):
            best[label] = score
    return sorted(best, key=lambda label: (-best[label], label))[:n]


def unknown(kind: str, name: str, candidates: Iterable[str] | Mapping[str, str]) -> KeyError:
    """Return (not raise) the error for a `name` that no candidate of this `kind` has.

    Examples
    --------
    >>> print(unknown("device", "H20O", {"h200": "H200-SXM", "h20": "H20"}))
    unknown device 'H20O'; did you mean 'H200-SXM', 'H20'?
    """
    text = f"unknown {kind} {shown(name)}"
    near = near_matches(name, candidates)
    if near:
        text += f"; did you mean {', '.join(repr(n) for n in near)}?"
    elif len(known := sorted(set(_shown(candidates)))) <= _FEW:
        text += f"; allowed: {', '.join(known)}"
    return UnknownNameError(text)


def _shown(candidates: Iterable[str] | Mapping[str, str]) -> Iterable[str]:
    return candidates.values() if isinstance(candidates, Mapping) else candidates
