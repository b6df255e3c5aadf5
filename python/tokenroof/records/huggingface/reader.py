"""Checked access to the fields of a ``config.json``, with a record of what was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenroof.records.huggingface.reading import Reading
from tokenroof.support.quoting import counted

Values = dict[str, Any]
LARGEST_SIZE = 10**12
_ABSENT = object()


class Reader:
    """Checked access to the fields of one config.

    A field that is left out takes the default of the architecture's public class; one that is null takes
    what the family makes of null, given as ``default``.

    Parameters
    ----------
    config : mapping
    defaults : mapping, optional
        Of the architecture's class, by field.
    reading : Reading, optional
        Where what was read and defaulted is noted.
    path : str
        Where the fields stand within the whole, such as ``"text_config."``.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        defaults: Mapping[str, Any] | None = None,
        reading: Reading | None = None,
        path: str = "",
    ) -> None:
        self.config = config
        self.defaults = defaults or {}
        self.reading = Reading() if reading is None else reading
        self.path = path
        self.reading.parts.append((path, config))

    def has(self, *names: str) -> bool:
        """Whether one of these is given, or a default of the class."""
        if any(self.config.get(name) is not None for name in names):
            return True
        named = any(name in self.config for name in names)
        return not named and any(self.defaults.get(name) is not None for name in names)

    def given(self, *names: str) -> bool:
        """Whether one of these stands in the file."""
        return any(self.config.get(name) is not None for name in names)

    def raw(self, name: str) -> Any:
        """The field as it stands, or None."""
        return self._find((name,))[1]

    def _find(self, names: tuple[str, ...]) -> tuple[str, Any]:
        """Name and value of the first that is given, else of the class's default; or None."""
        found: tuple[str, Any] | None = None
        null = None
        for name in names:
            value = self.config.get(name, _ABSENT)
            if value is _ABSENT:
                continue
            self.reading.read[self.path + name] = value
            if value is None:
                null = null or name
            elif found is None:
                found = name, value
        if found or null:
            return found or (null or names[0], None)
        for name in names:
            if self.defaults.get(name) is not None:
                self.reading.defaulted[self.path + name] = self.defaults[name]
                return name, self.defaults[name]
        return names[0], None

    def _default(self, names: tuple[str, ...], value: Any) -> None:
        if not any(name in self.config for name in names):
            self.reading.defaulted.setdefault(self.path + names[0], value)

    def size(
        self, *names: str, default: int | None = None, low: int = 1, high: int = LARGEST_SIZE
    ) -> int:
        """A whole number, by the first of these names that is there."""
        name, value = self._find(names)
        if value is None:
            if default is None:
                raise ValueError(f"{self.path}{name} is missing; allowed: a whole number >= {low}")
            self._default(names, default)
            return default
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(
                f"{self.path}{name} is {short(value)}; allowed: a whole number >= {low}"
            )
        if not low <= value <= high:
            raise ValueError(
                f"{self.path}{name} is {short(value)}; allowed: a whole number {low} to {high:g}"
            )
        return value

    def flag(self, *names: str, default: bool = False) -> bool:
        name, value = self._find(names)
        if value is None:
            self._default(names, default)
            return default
        if not isinstance(value, bool):
            raise TypeError(f"{self.path}{name} is {short(value)}; allowed: true or false")
        return value

    def text(self, *names: str, default: str = "") -> str:
        name, value = self._find(names)
        if value is None:
            return default
        if not isinstance(value, str):
            raise TypeError(f"{self.path}{name} is {short(value)}; allowed: text")
        return value

    def number(self, name: str, default: float, low: float = 0.0) -> float:
        """A finite number, above `low`."""
        _, value = self._find((name,))
        if value is None:
            self._default((name,), default)
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{self.path}{name} is {short(value)}; allowed: a number > {low:g}")
        if not low < value <= LARGEST_SIZE:
            raise ValueError(
                f"{self.path}{name} is {short(value)}; allowed: a number > {low:g}, at most 1e12"
            )
        return float(value)

    def numbers(self, name: str) -> list[int]:
        _, value = self._find((name,))
        if value is None:
            return []
        if not isinstance(value, list) or not all(
            isinstance(x, int) and not isinstance(x, bool) for x in value
        ):
            raise TypeError(
                f"{self.path}{name} is {short(value)}; allowed: a list of whole numbers"
            )
        return value

    def words(self, name: str, allowed: tuple[str, ...], count: int) -> list[str]:
        """One word per layer, or nothing."""
        _, value = self._find((name,))
        if value is None:
            return []
        if not isinstance(value, list) or not all(
            x in allowed for x in value if isinstance(x, str)
        ):
            odd = sorted({x for x in value if isinstance(x, str)} - set(allowed)) if isinstance(
                value, list
            ) else []  # fmt: skip
            what = f"has {short(odd)}" if odd else f"is {short(value)}"
            raise ValueError(f"{self.path}{name} {what}; allowed: a list of {', '.join(allowed)}")
        if not all(isinstance(x, str) for x in value) or len(value) < count:
            raise ValueError(
                f"{self.path}{name} has {counted(len(value), 'entry')}; allowed: one word per layer, {count}"
            )
        return value[:count]

    def must_be(self, name: str, *allowed: object) -> None:
        """Refuse a field whose other values nobody's rules describe here."""
        _, value = self._find((name,))
        if value is not None and value not in allowed:
            raise ValueError(
                f"{self.path}{name} is {short(value)}; allowed: {', '.join(map(repr, allowed))}"
            )

    def unused(self, *names: str) -> None:
        """Note fields that stand in files of a family, and that its class does not use."""
        for name in names:
            if name in self.config:
                self.reading.unused[self.path + name] = self.config[name]

    def over(self, config: Mapping[str, Any]) -> Reader:
        """The same reader over fields that were renamed; what is read of them is noted as before."""
        other = Reader.__new__(Reader)
        other.config, other.defaults = config, self.defaults
        other.reading, other.path = self.reading, self.path
        return other

    def part(self, name: str) -> Reader:
        _, value = self._find((name,))
        if not isinstance(value, Mapping):
            raise TypeError(f"{self.path}{name} is {short(value)}; allowed: an object")
        defaults = self.defaults.get(name)
        return Reader(
            value, defaults if isinstance(defaults, Mapping) else None, self.reading,
            f"{self.path}{name}.",
        )  # fmt: skip


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
