"""Decisions of a scheduler, step by step: the repository's own, or those of the folder that is named.

``TOKENROOF_SCHEDULER_TRACES=DIR python -m pytest tests/serving/simulation`` reads another folder (recorded.py has
the layout).
"""

import os
from pathlib import Path

import numpy as np
import pytest
import recorded

FOLDER = Path(os.environ.get("TOKENROOF_SCHEDULER_TRACES") or Path(__file__).parent / "traces")
FILES = recorded.files(FOLDER)


def test_there_are_traces():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.partition(".")[0])
def test_every_decision(path):
    """The same requests with the same tokens in each step, the same victims, blocks and times."""
    trace = recorded.read(path)
    cached = trace["config"]["enable_prefix_caching"]
    run = recorded.play(trace, record_steps=True)
    assert recorded.decided(run, cached) == recorded.wanted(trace["steps"], cached)
    assert recorded.results(run) == trace["results"]
    assert (run.totals["ending"] == "blocked") is trace["stuck"]
    # by counters where they serve, without a record of steps: the same bytes
    for path_ in ("counters", "sequences"):
        again = recorded.play(trace, path=path_)
        assert again.requests.tobytes() == run.requests.tobytes()
    assert np.array_equal(again.requests["status"], run.requests["status"])
