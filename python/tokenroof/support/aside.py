"""Work in a thread beside the one that waits for it, which so hears Ctrl-C whatever the work does."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

__all__ = ["aside", "awaited", "beside"]

#: Between looks at whether there is a signal, which may have woken another thread [s].
_LOOK_S = 0.02


def aside(function: Callable[..., Any], *given: Any) -> Any:
    """What a function gives, called in a thread."""
    (found,) = beside(lambda _: function(*given), (0,))
    return found


def beside(task: Callable[[list[int]], Any], chunks: Sequence[int]) -> Generator[Any, None, None]:
    """What a task gives of each chunk, in order; after Ctrl-C no other chunk is begun."""
    asked: SimpleQueue[int | None] = SimpleQueue()
    answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def serve() -> None:
        while (k := asked.get()) is not None:
            try:
                answers.put((task([int(k)]), None))
            except BaseException as error:
                answers.put((None, error))

    Thread(target=copy_context().run, args=(serve,), daemon=True).start()
    try:
        for k in chunks:
            asked.put(k)
            found, error = awaited(answers)
            if error is not None:
                raise error
            yield found
    finally:
        asked.put(None)


def awaited(answers: SimpleQueue[Any]) -> Any:
    """What another thread puts into a queue."""
    while True:
        try:
            return answers.get(timeout=_LOOK_S)
        except Empty:
            continue
