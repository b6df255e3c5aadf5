"""Who computes chunks: this process, worker processes of this machine, or a Dask cluster."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from tokenroof.support.arguments import is_integer, shown, whole_number
from tokenroof.support.aside import awaited, beside
from tokenroof.support.lazy import require

__all__ = ["check_client", "client_of", "each"]

EXTRA = "cluster"
#: Shares of chunks that a thread of a worker has before it, so that it never waits for the next.
_AHEAD = 2
#: What a share is to take, and what is added for each thread of the workers [s]: some twenty come a second.
_SHARE_S = 1.0
_SHARE_S_THREAD = 0.05
#: Of processes that are ours: nobody looks at profiles that they take a hundred times a second.
_QUIET = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "100ms"}
#: Between counts of the workers' threads: some come later [s].
_COUNT_S = 5.0
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
        with _own(int(client)) as found:
            yield found
        return
    if isinstance(client, str):
        with require("distributed", extra=EXTRA).Client(client, set_as_default=False) as found:
            yield found
        return
    yield client


@contextmanager
def _own(many: int) -> Iterator[Any]:
    """So many worker processes of this machine, started, replaced and ended by a thread.

    Replaced are those that Dask gives up: lost, and not back within 15 s. Who was interrupted waits for none
    of it, and none is left behind.
    """
    distributed = require("distributed", extra=EXTRA)
    over, there = Event(), SimpleQueue[Any]()

    def live() -> None:
        try:
            with require("dask", extra=EXTRA).config.set(_QUIET):
                cluster = distributed.LocalCluster(
                    n_workers=many, threads_per_worker=1, dashboard_address=None, silence_logs=50,
                    scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # a port that nobody has
                )  # fmt: skip
                found = distributed.Client(cluster, set_as_default=False, direct_to_workers=True)
        except BaseException as error:
            there.put((None, error))
            return
        there.put((found, None))
        while not over.wait(_LOOK_S):
            if len(cluster.workers) < many:
                cluster.scale(many)
        found.close()
        cluster.close()

    thread = Thread(target=live, daemon=True)
    thread.start()
    try:
        found, error = awaited(there)
        if error is not None:
            raise error
        yield found
    except BaseException:
        over.set()
        raise
    over.set()
    thread.join()


def each(
    client: Any, task: Callable[[list[int]], Any], chunks: Sequence[int]
) -> Generator[Any, None, None]:
    """What a task gives of some chunks at a time, as they come; of each, in order, without a client.

    Few are handed out at a time, so that neither the scheduler nor this process grows with their number:
    so many together as take about a second, more the more threads there are, and less towards the end. Those
    whose worker dies go to another.
    """
    if client is None:
        yield from beside(task, chunks)
        return
    distributed = require("distributed", extra=EXTRA)
    packed = require("cloudpickle", extra=EXTRA).dumps(task)
    held = client.submit(_itself, packed, pure=False)  # computed again where its worker is lost
    shares, looked = _Shares(chunks, 1), -math.inf
    waiting = distributed.as_completed(loop=client.loop, with_results=True)
    going: set[Any] = set()

    def hand_out() -> None:
        nonlocal looked
        if time.monotonic() - looked > _COUNT_S:
            shares.threads = max(1, sum(client.nthreads().values()))
            looked = time.monotonic()
        while len(going) < _AHEAD * shares.threads and (share := shares.next()):
            future = client.submit(_run, held, share, pure=False)
            going.add(future)
            waiting.add(future)

    try:
        hand_out()
        while going:
            future, (found, many, seconds) = next(waiting)
            going.discard(future)
            future.release()
            shares.took(many, seconds)
            hand_out()
            yield found
    finally:
        if going:
            for future in going:
                future.release()  # who was interrupted does not wait for the scheduler


class _Shares:
    """How many chunks are handed out together: as many as keep the scheduler and this process at rest."""

    def __init__(self, chunks: Sequence[int], threads: int) -> None:
        self.chunks, self.threads = chunks, threads
        self._at, self._many = 0, 1

    @property
    def seconds(self) -> float:
        """What a share is to take [s]."""
        return _SHARE_S + _SHARE_S_THREAD * self.threads

    def next(self) -> list[int]:
        """The chunks after those handed out; none at the end."""
        left = len(self.chunks) - self._at
        begun, many = self._at, min(self._many, -(-left // (_AHEAD * self.threads)))
        self._at += many
        return [int(k) for k in self.chunks[begun : begun + many]]

    def took(self, many: int, seconds: float) -> None:
        """So many chunks took so long: from one to more by twos, so that no first guess is far off."""
        wanted = int(self.seconds * many / max(seconds, 1e-6))
        self._many = max(1, min(wanted, 2 * many))


def _itself(packed: bytes) -> bytes:
    return packed


@lru_cache(maxsize=2)
def _task(packed: bytes) -> Callable[[list[int]], Any]:
    """A task whose arrays are where kernels take them: those of a message begin at any byte of it."""
    task: Callable[[list[int]], Any] = pickle.loads(packed)
    return task


def _run(packed: bytes, chunks: list[int]) -> tuple[Any, int, float]:
    """What a task gives, of how many chunks, and the seconds it took."""
    begun = time.perf_counter()
    return _task(packed)(chunks), len(chunks), time.perf_counter() - begun
