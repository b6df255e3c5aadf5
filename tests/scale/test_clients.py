"""A client of threads: what it gives is what this process gives, of sweeps, runs and paths of cash."""

import dask
import distributed
import numpy as np
import pytest
import xarray as xr
from _areas import Areas, computed

import tokenroof as tr
from tokenroof import economics as ec
from tokenroof.scale import clusters
from tokenroof.scale.grid import Grid
from tokenroof.scale.reductions import Best
from tokenroof.scale.run import keep, reduced, whole_chunks
from tokenroof.serving import Scheduler, StepTime, poisson, replicate

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def client():
    """Two workers in threads of this process."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, host="127.0.0.1", protocol="tcp://",
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as found,
    ):  # fmt: skip
        yield found


def test_sweeps(client, tmp_path):
    grid = {"devices": ["H200-SXM", "T4"], "models": "Llama-3.1-8B", "batch": np.arange(1, 40)}
    found = tr.sweep(**grid, chunks=3, client=client, store=tmp_path / "steps.parquet")
    with dask.config.set(scheduler="synchronous"):
        xr.testing.assert_identical(found.compute(), tr.sweep(**grid))
    for reduce in ("best_plan", "frontier", "quantiles"):
        whole = tr.sweep(**grid, reduce=reduce)
        xr.testing.assert_identical(tr.sweep(**grid, reduce=reduce, chunks=3, client=client), whole)


def test_paths_of_cash(client):
    risk = {
        "scenario": ec.mine("Antminer S21", 50.0),
        "uncertainty": ec.Uncertainty(0.3),
        "paths": 40_000,
    }
    one, many = ec.risk(**risk), ec.risk(**risk, chunks=16384, client=client)
    assert (one.mean, one.mean_error, one.p50) == (many.mean, many.mean_error, many.p50)


def load(seed):
    return poisson(30.0, requests=20, input_tokens=100, output_tokens=4, seed=seed)


def test_runs(client):
    knobs = Scheduler.preset("vllm-0.33", num_blocks=300, loop="sync")
    line = {"simulation": {"step_time": StepTime(10**6)}}
    runs = [
        replicate(None, None, None, load, 5, knobs, **line, **ways)
        for ways in ({}, {"chunks": 2, "client": client})
    ]
    xr.testing.assert_identical(*runs)


def test_shares_of_many_chunks_are_each_kept_once(client, tmp_path):
    """Some are handed out together; the journal has each, and what was kept is not computed again."""
    work = Areas(Grid(("width", "height"), (60, 40), (1, 40)), folder=str(tmp_path))
    told = []
    kept = keep(
        work, store=tmp_path / "a.parquet", client=client, progress=lambda *n: told.append(n)
    )
    assert whole_chunks(kept).all() and sorted(computed(tmp_path)) == list(range(60))
    assert told[-1] == (2400, 2400) and told == sorted(told)
    keep(work, store=tmp_path / "a.parquet", client=client)
    assert len(computed(tmp_path)) == 60


def test_the_address_of_a_scheduler_will_do(client):
    table = reduced(Areas(Grid(("width", "height"), (6, 5), (2, 3))), Best("area", "width"),
                    client=client.scheduler.address)  # fmt: skip
    assert table["area"].tolist() == [2.5, 7.5, 12.5, 17.5, 22.5]


def test_workers_that_come_later_get_their_part(client, monkeypatch):
    """As many shares are out as there are threads for, twice, whenever they are counted."""
    monkeypatch.setattr(clusters, "_COUNT_S", 0.0)
    handed = []

    class Counted:
        loop, threads = client.loop, 1

        def nthreads(self):
            return {"one": self.threads}

        def submit(self, function, *given, **how):
            handed.append(function)
            return client.submit(function, *given, **how)

    mine, seen, out = Counted(), [], []
    for found in clusters.each(mine, tuple, range(40)):
        out.append(handed.count(clusters._run) - len(out))  # those that are not back, and this one
        seen += found
        mine.threads = 3
    assert sorted(seen) == list(range(40))
    assert out[0] == 3 and max(out) == 7  # the next one is out before an answer is handed on
