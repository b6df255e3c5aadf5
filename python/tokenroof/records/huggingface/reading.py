"""What was made of a config's fields: read, defaulted, left alone as harmless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenroof.records.huggingface.harmless import reason

__all__ = ["Reading"]


@dataclass
class Reading:
    """Of one config, by the path of each field.

    Attributes
    ----------
    read : dict
        Fields that the family's rules read, with their values.
    defaulted : dict
        Fields that were left out, with what the architecture's class makes of that.
    unused : dict
        Fields that the family's class does not use.
    harmless : dict
        Fields that change neither shapes nor counts, with the reason.
    unknown : dict
        Fields that are none of these, for which a config is refused.
    """

    read: dict[str, Any] = field(default_factory=dict)
    defaulted: dict[str, Any] = field(default_factory=dict)
    unused: dict[str, Any] = field(default_factory=dict)
    harmless: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, Any] = field(default_factory=dict)
    parts: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list, repr=False)

    def _keys(self) -> Iterator[tuple[str, str, Any]]:
        for path, config in self.parts:
            for name, value in config.items():
                yield f"{path}{name}", str(name), value

    def close(self, ignore: tuple[str, ...] = ()) -> list[str]:
        """Sort what was not read into what is harmless, and what nobody knows: these are returned."""
        for path, name, value in self._keys():
            if path in self.read or path in self.unused:
                continue
            why = "as the caller says" if name in ignore or path in ignore else reason(name, value)
            if why:
                self.harmless[path] = why
            else:
                self.unknown[path] = value
        self.parts = []
        return list(self.unknown)
