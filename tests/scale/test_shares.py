"""What is handed out together, and tables put together: of bounded number, whatever the grid has."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenroof.scale.clusters import _Shares
from tokenroof.scale.grid import Grid, chunked, cut
from tokenroof.scale.reductions.frontier import Frontier
from tokenroof.scale.run import _Gathered
from tokenroof.scale.work import Variable


@given(st.integers(1, 400), st.integers(1, 9), st.floats(1e-3, 3.0))
def test_shares_are_all_chunks_once_and_shrink_towards_the_end(chunks, threads, seconds):
    """Of chunks that take so long each: shares of about their time, at least two a thread to the last."""
    shares = _Shares(np.arange(7, 7 + chunks), threads)
    seen, going = [], [shares.next() for _ in range(2 * threads)]
    assert [len(share) for share in going] == [1] * min(chunks, 2 * threads) + [0] * max(
        0, 2 * threads - chunks
    )
    while going:
        share = going.pop(0)
        seen += share
        left = 7 + chunks - 1 - max(seen, default=6) - sum(map(len, going))
        shares.took(len(share) or 1, seconds * (len(share) or 1))
        if more := shares.next():
            assert len(more) <= -(-left // (2 * threads))
            assert len(more) == 1 or len(more) * seconds <= shares.seconds
            going.append(more)
    assert seen == list(range(7, 7 + chunks))
    assert all(type(k) is int for k in seen)  # as JSON takes them


def test_a_cluster_of_many_threads_gets_longer_shares():
    """So that some twenty answers a second come, however many they are."""
    for threads, seconds in ((2, 1.1), (48, 3.4), (1000, 51.0)):
        assert _Shares([], threads).seconds == pytest.approx(seconds)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=5), st.integers(1, 5000), st.data())
def test_chunks_of_a_reduction_have_at_most_so_many_points(shape, most, data):
    whole = data.draw(st.sets(st.sampled_from(range(len(shape)))))
    chunk = cut(shape, most, sorted(whole))
    assert np.prod(chunk) <= most and all(1 <= c <= n for c, n in zip(chunk, shape, strict=True))
    if not whole:
        assert chunk == cut(shape, most)


def test_a_reduction_has_what_it_searches_in_a_chunk():
    dims = ("device", "model", "plan", "batch", "context")
    assert chunked(dims, (2, 2, 16, 900, 900), None, ("plan", "batch")).chunk == (1, 1, 16, 256, 64)
    assert chunked(dims, (2, 2, 16, 200, 900), None, ("plan", "batch")).chunk == (1, 1, 16, 200, 64)
    assert chunked(dims, (2, 2, 16, 90, 8), None, ("plan", "batch")).chunk == (2, 2, 16, 90, 8)
    assert chunked(dims, (2, 2, 16, 900, 900), None, dims[2:]).chunk == (1, 1, 16, 256, 64)
    assert chunked(dims, (2, 2, 16, 900, 900), None, ()).chunk == (1, 1, 1, 291, 900)
    assert chunked(dims, (2, 2, 16, 900, 900), None).chunk == (1, 1, 1, 900, 900)


class _Sums:
    """Counts of numbers, merged; the most rows that were ever at hand."""

    most = 0

    def merge(self, tables):
        at, n = (np.concatenate([t[name] for t in tables]) for name in ("at", "n"))
        self.most = max(self.most, at.size)
        keys, place = np.unique(at, return_inverse=True)
        return {"at": keys, "n": np.bincount(place, n).astype(int)}


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=200))
def test_tables_are_merged_as_they_come(rows):
    """However many come: no more rows than the answer's, twice, and eight tables."""
    sums = _Sums()
    gathered = _Gathered(sums.merge)
    for row in rows:
        gathered.add({"at": np.array(row, int), "n": np.ones(len(row), int)})
        assert len(gathered.tables) <= max(8, 2 * 10 + 1)
    found = gathered.merged()
    if len(rows) > 1:
        want = np.bincount(np.array(list(itertools.chain(*rows)), int), minlength=10)
        assert np.bincount(found["at"], found["n"], 10).tolist() == want.tolist()
    assert sums.most <= 8 * 6 + 2 * 10 + 6


class _Points:
    """Speeds and worths that are given."""

    variables = {name: Variable("float64") for name in ("speed", "worth")}  # noqa: RUF012

    def __init__(self, points):
        self.points = np.array(points, float)
        self.grid = Grid(("point",), (len(points),), (len(points),))

    def table(self, frontier, block):
        speed, worth = self.points[block].T
        return frontier.of(self, (block,), {"speed": speed, "worth": worth})


positive = st.floats(0.5, 40.0)


@given(
    st.lists(st.tuples(positive, positive), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.02, 0.25, 1.0]),
    st.lists(st.integers(1, 59), max_size=4),
)
def test_a_thinned_frontier_is_the_same_however_it_is_cut(points, within, cuts):
    """And each point has one near it that is worth as much; of 40 times the speed there are few."""
    work, frontier = _Points(points), Frontier("speed", "worth", "point", within=within)
    whole = frontier.merge([work.table(frontier, slice(0, len(points)))])
    ends = sorted({0, len(points), *(c for c in cuts if c < len(points))})
    parts = [work.table(frontier, slice(*ends[i : i + 2])) for i in range(len(ends) - 1)]
    joined = frontier.merge([frontier.merge(parts[1:]), parts[0]] if len(parts) > 1 else parts)
    assert {n: c.tolist() for n, c in joined.items()} == {n: c.tolist() for n, c in whole.items()}
    for speed, worth in points:
        near = whole["speed"] >= speed * (1.0 - within)
        assert whole["worth"][near].max(initial=-np.inf) >= worth
    if within:
        assert whole["at"].size <= 7 * 2 ** np.ceil(-np.log2(within))


def test_a_thinned_frontier_by_hand():
    """Speeds 8, 8.1, 8.2 share a sixteenth of their octave with 8.4, not with 8.6; 9.9 stands alone."""
    work = _Points([(8.0, 5.0), (8.2, 4.0), (8.4, 3.0), (8.6, 2.0), (9.9, 1.0)])
    block = slice(0, 5)
    for within, kept in (
        (0.0, [0, 1, 2, 3, 4]),
        (1 / 16, [0, 3, 4]),
        (0.25, [0]),
        (1e-300, [0, 1, 2, 3, 4]),
    ):
        frontier = Frontier("speed", "worth", "point", within=within)
        assert work.table(frontier, block)["at"].tolist() == kept
    with pytest.raises(ValueError, match="within is 1.5; allowed: from 0 to 1"):
        Frontier("speed", "worth", "point", within=1.5)
