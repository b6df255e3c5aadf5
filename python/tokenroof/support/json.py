"""JSON whose objects have each key once."""

from __future__ import annotations

from typing import Any

from tokenroof.support.quoting import shown

__all__ = ["read_json"]


def read_json(text: str | bytes) -> Any:
    """What JSON holds; of a key that stands twice nobody can say which was meant.

    Raises
    ------
    ValueError
        For no JSON, and for a key that an object has twice, by name.

    Examples
    --------
    >>> read_json('{"layers": 2}')
    {'layers': 2}
    >>> read_json('{"layers": 2, "layers": 3}')
    Traceback (most recent call last):
    ValueError: 'layers' stands twice in an object; allowed: each key once
    """
    import json  # here: `import tokenroof` must not pay for it

    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(
                    f"{shown(key[:80])} stands twice in an object; allowed: each key once"
                )
            seen.add(key)
    return found
