"""The command line: ``tokenroof COMMAND``; `tokenroof.cli.commands` says which there are."""

from __future__ import annotations

from tokenroof.cli.program import main

__all__ = ["main"]


def __dir__() -> list[str]:
    return sorted(__all__)
