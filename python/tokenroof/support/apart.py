"""Long calls of NumPy's in a thread of their own, so that Ctrl-C is heard meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

__all__ = ["apart"]


def apart(call: Callable[..., Any], *given: Any) -> Any:
    """What a call gives, that holds no lock for long and writes to nothing: nobody waits for it after Ctrl-C.

    Examples
    --------
    >>> apart(sum, [1, 2])
    3
    """
    found: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(call(*given))
        except BaseException as error:
            failed.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
