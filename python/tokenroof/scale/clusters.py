"""Who computes chunks: this process, worker processes of this machine, or a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from tokenroof.support.arguments import is_integer, shown, whole_number
from tokenroof.support.lazy import require

__all__ = ["check_client", "client_of", "each"]

EXTRA = "cluster"
#: Chunks that a thread of a worker has before it, so that it never waits for the next.
_AHEAD = 2
#: Between looks at whether all worker processes are there [s].
_LOOK_S = 1.0


def check_client(client: object) -> None:
    """Refuse what `client_of` cannot take, before anything starts.

    Raises
    ------
    TypeError, ValueError
        With the value and what is allowed.
    """
    if client is None or isinstance(client, str):
        return
    if is_integer(client):
        whole_number("client", client, 1, 4096)
        return
    if not all(callable(getattr(client, name, None)) for name in ("submit", "cancel")):
        allowed = "None, a number of processes, the address of a scheduler, or a distributed.Client"
        raise TypeError(f"client is {shown(client)}; allowed: {allowed}")


@contextmanager
def client_of(client: Any) -> Iterator[Any]:
    """A Dask client, or None for this process.

    Parameters
    ----------
    client : None, int, str or distributed.Client
        This process; so many worker processes of this machine, for as long as it takes; the address of a
        scheduler; one of your own.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    ImportError
        Without Dask: the extra ``cluster``.
    """
    check_client(client)
    if client is None:
        yield None
        return
    if is_integer(client):
        many = int(client)
        distributed = require("distributed", extra=EXTRA)
        cluster = distributed.LocalCluster(
            n_workers=many, threads_per_worker=1, dashboard_address=None, silence_logs=50
        )
        found = distributed.Client(cluster, set_as_default=False)
        over = Event()
        Thread(target=_replace, args=(cluster, many, over), daemon=True).start()
        try:
            yield found
        except BaseException:  # who was interrupted does not wait for processes to end
            over.set()
            for one in (found, cluster):
                one.loop.add_callback(one._close)
            raise
        over.set()
        found.close()
        cluster.close()
        return
    if isinstance(client, str):
        with require("distributed", extra=EXTRA).Client(client, set_as_default=False) as found:
            yield found
        return
    yield client


def _replace(cluster: Any, many: int, over: Event) -> None:
    """New processes for those that Dask gave up: lost, and not back within 15 s."""
    while not over.wait(_LOOK_S):
        if len(cluster.workers) < many:
            cluster.scale(many)


def each(
    client: Any, task: Callable[[int], Any], chunks: Iterable[int]
) -> Generator[Any, None, None]:
    """What a task gives of each chunk, as they come; in order without a client.

    Few chunks are handed out at a time, so that neither the scheduler nor this process grows with their
    number. A chunk whose worker dies goes to another.
    """
    if client is None:
        yield from _beside(task, chunks)
        return
    distributed = require("distributed", extra=EXTRA)
    todo = iter(chunks)
    held = client.submit(_itself, task, pure=False)  # computed again where its worker is lost
    threads = sum(client.nthreads().values())
    waiting = distributed.as_completed(loop=client.loop, with_results=True)
    going = set()

    def hand_out() -> None:
        for k in todo:
            future = client.submit(_run, held, k, pure=False)
            going.add(future)
            waiting.add(future)
            return

    try:
        for _ in range(_AHEAD * max(1, threads)):
            hand_out()
        while going:
            future, found = next(waiting)
            going.discard(future)
            future.release()
            hand_out()
            yield found
    finally:
        if going:
            for future in going:
                future.release()  # who was interrupted does not wait for the scheduler


def _beside(task: Callable[[int], Any], chunks: Iterable[int]) -> Generator[Any, None, None]:
    """In order, in a thread: who waits for a chunk hears Ctrl-C at once, whatever the chunk does."""
    asked: SimpleQueue[int | None] = SimpleQueue()
    answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def serve() -> None:
        while (k := asked.get()) is not None:
            try:
                answers.put((task(k), None))
            except BaseException as error:
                answers.put((None, error))

    Thread(target=copy_context().run, args=(serve,), daemon=True).start()
    try:
        for k in chunks:
            asked.put(k)
            found, error = answers.get()
            if error is not None:
                raise error
            yield found
    finally:
        asked.put(None)


def _itself(task: Callable[[int], Any]) -> Callable[[int], Any]:
    return task


def _run(task: Callable[[int], Any], k: int) -> Any:
    return task(k)
