"""Checked access to the fields of a ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Values = dict[str, Any]
LARGEST_SIZE = 10**12


class Reader:
    """Checked access to the fields of one config."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config

    def has(self, *names: str) -> bool:
        return any(self.config.get(name) is not None for name in names)

    def _find(self, names: tuple[str, ...]) -> tuple[str, Any]:
        for name in names:
            if self.config.get(name) is not None:
                return name, self.config[name]
        return names[0], None

    def size(
        self, *names: str, default: int | None = None, low: int = 1, high: int = LARGEST_SIZE
    ) -> int:
        """A whole number, by the first of these names that is there."""
        name, value = self._find(names)
        if value is None:
            if default is None:
                raise ValueError(f"{name} is missing; allowed: a whole number >= {low}")
            return default
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} is {short(value)}; allowed: a whole number >= {low}")
        if not low <= value <= high:
            raise ValueError(f"{name} is {short(value)}; allowed: a whole number {low} to {high:g}")
        return value

    def flag(self, *names: str, default: bool = False) -> bool:
        name, value = self._find(names)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise TypeError(f"{name} is {short(value)}; allowed: true or false")
        return value

    def text(self, *names: str, default: str = "") -> str:
        name, value = self._find(names)
        if value is None:
            return default
        if not isinstance(value, str):
            raise TypeError(f"{name} is {short(value)}; allowed: text")
        return value

    def numbers(self, name: str) -> list[int]:
        value = self.config.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(
            isinstance(x, int) and not isinstance(x, bool) for x in value
        ):
            raise TypeError(f"{name} is {short(value)}; allowed: a list of whole numbers")
        return value

    def words(self, name: str, allowed: tuple[str, ...], count: int) -> list[str]:
        """One word per layer, or nothing."""
        value = self.config.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(
            x in allowed for x in value if isinstance(x, str)
        ):
            raise ValueError(f"{name} is {short(value)}; allowed: a list of {', '.join(allowed)}")
        if not all(isinstance(x, str) for x in value) or len(value) < count:
            raise ValueError(
                f"{name} has {len(value)} entries; allowed: one word per layer, {count}"
            )
        return value[:count]

    def part(self, name: str) -> Reader:
        value = self.config.get(name)
        if not isinstance(value, Mapping):
            raise TypeError(f"{name} is {short(value)}; allowed: an object")
        return Reader(value)


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
