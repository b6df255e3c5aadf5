"""Worker processes that are killed: their chunks are done by others, nothing is lost or kept twice."""

import signal

import dask
import numpy as np
import pytest
from _areas import Areas, computed

from tokenroof.scale.grid import Grid
from tokenroof.scale.run import keep, whole_chunks


@pytest.fixture
def ends():
    """A run that hangs is an error."""

    def late(*_):
        raise TimeoutError("the run does not end")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_killed_worker_loses_and_doubles_nothing(tmp_path, ends):
    """By signal 9 in a chunk; there is one worker, which Dask gives up at once and never starts again."""
    grid = Grid(("width", "height"), (6, 50), (1, 50))
    store = tmp_path / "areas.parquet"
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "0 s"}):
        kept = keep(Areas(grid, folder=str(tmp_path), kills=(3,)), store=store, client=1)
    assert whole_chunks(kept).all() and len(list(store.glob("*.parquet"))) == 6
    assert sorted(set(computed(tmp_path))) == list(range(6)) and computed(tmp_path).count(3) >= 2
    exact = Areas(grid).compute((slice(0, 6), slice(0, 50)))
    for k in range(6):
        np.testing.assert_array_equal(kept.read(k, "area"), exact["area"][k : k + 1])
