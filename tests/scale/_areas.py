"""Work of a few numbers, as the tests of chunks have it; workers import it too."""

import os
import signal
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tokenroof.scale.grid import Grid
from tokenroof.scale.run import whole_chunks
from tokenroof.scale.work import Variable, mark_of


class Stop(Exception):
    """What ends a run early."""


@dataclass(frozen=True)
class Areas:
    """Width times height, and whether it is even; what goes wrong, goes wrong once."""

    grid: Grid
    folder: str = ""
    #: Chunks at which a worker is killed, or the run is stopped; that take so long each.
    kills: tuple = ()
    stops: tuple = ()
    seconds: float = 0.0

    attrs: ClassVar = {"made": "here"}
    variables: ClassVar = {
        "area": Variable("float64", {"units": "m2"}),
        "even": Variable("uint8", {"flag_meanings": "odd even"}),
    }

    @property
    def coords(self):
        n, m = self.grid.shape
        return {
            "width": ([f"w{i}" for i in range(n)], {}),
            "height": (np.arange(m) + 0.5, {"units": "m"}),
        }

    def mark(self):
        return mark_of("areas", list(self.grid.shape))

    def compute(self, block):
        place = [s.start // c for s, c in zip(block, self.grid.chunk, strict=True)]
        k = int(np.ravel_multi_index(place, self.grid.counts))
        time.sleep(self.seconds)
        if self.folder:
            with open(f"{self.folder}/computed", "a") as file:
                file.write(f"{k}\n")
        if k in self.kills and self._first(k):
            os.kill(os.getpid(), signal.SIGKILL)
        if k in self.stops:
            raise Stop(k)
        width, height = (np.arange(s.start, s.stop) for s in block)
        area = width[:, None] * (height + 0.5)
        area[width % 7 == 3] = np.nan
        return {"area": area, "even": (width[:, None] + height) % 2 == 0}

    def _first(self, k):
        try:
            os.close(os.open(f"{self.folder}/killed-{k}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


def computed(folder):
    """Chunks in the order in which they were computed."""
    with open(f"{folder}/computed") as file:
        return list(map(int, file))


def areas(shape=(6, 5), chunk=(2, 3), **given):
    return Areas(Grid(("width", "height"), shape, chunk), **given)


def values(store, work):
    """All points of a store, by variable."""
    out = {n: np.empty(work.grid.shape, v.dtype) for n, v in work.variables.items()}
    for k in range(len(work.grid)):
        for name in out:
            out[name][work.grid.block(k)] = store.read(k, name)
    return out


def assert_whole(store, work):
    assert whole_chunks(store).all()
    exact = work.compute(tuple(slice(0, n) for n in work.grid.shape))
    for name, found in values(store, work).items():
        np.testing.assert_array_equal(found, exact[name])
