"""The page of performance says what its results say, of every peer that is asked, and what peers do besides."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables():
    folders = [str(ROOT / "docs"), str(ROOT / "bench" / "peers")]
    sys.path[:0] = folders
    try:
        import compare
        import performance_tables
    finally:
        for folder in folders:
            sys.path.remove(folder)
    yield performance_tables, compare
    del sys.modules["compare"]


def test_every_table_is_on_the_page_and_every_include_is_a_table(tables):
    page = (ROOT / "docs" / "performance.md").read_text()
    for name, made in tables[0].TABLES.items():
        assert f"made/{name}.md" in page, name
        assert made().strip()
    assert page.count("```{include}") == len(tables[0].TABLES)


def test_every_peer_is_asked_and_said_what_it_does_besides(tables):
    page, compare = tables
    peers = {name for rows in compare.PARTS.values() for name in rows} - {"tokenroof"}
    assert {one for peer in peers for one in peer.split(", ")} == set(page.BEYOND)
    for rows in compare.PARTS.values():
        for peer, file in rows.items():
            assert (ROOT / "bench" / "peers" / file).exists()
            assert peer in compare.PEERS or peer in compare.HERE_TOO


def test_the_better_of_two_rounds_is_kept(tables):
    _, compare = tables
    first, second = {"a_s": 2.0, "b_rate": 5.0, "how": "x"}, {"a_s": 3.0, "b_rate": 7.0, "how": "y"}
    assert compare.merged(None, first) == first
    assert compare.merged(first, second) == {"a_s": 2.0, "b_rate": 7.0, "how": "y"}
    assert compare.merged({"failed": "no"}, first) == first
    assert compare.merged(first, {"failed": "no"}) == first


def test_errors_are_of_what_was_answered(tables):
    _, compare = tables
    asked = [{"tpot_s": 1.0}, {"tpot_s": 2.0}, {"tpot_s": 4.0}, {"tpot_s": 1.0}]
    assert compare.errors(asked, [1.1, 1.0, 4.0, None]) == pytest.approx(
        {"points": 4, "answered": 3, "error_mean": 0.2, "error_median": 0.1, "bias": 0.0}
    )
    assert compare.errors(asked, [None] * 4) == {"points": 4, "answered": 0}


def test_a_program_that_fails_is_written_down_and_stops_nothing(tables, tmp_path, monkeypatch):
    _, compare = tables
    (tmp_path / "bad.py").write_text("raise ValueError('no such thing')")
    (tmp_path / "slow.py").write_text("import time; time.sleep(30)")
    (tmp_path / "odd.py").write_text("print('hello')")
    monkeypatch.setattr(compare, "HERE", tmp_path)
    assert compare.ask(sys.executable, "bad.py", {}, 30.0) == {
        "failed": "ValueError: no such thing"
    }
    assert compare.ask(sys.executable, "slow.py", {}, 0.2) == {"failed": "did not end within 0.2 s"}
    assert compare.ask(sys.executable, "odd.py", {}, 30.0) == {"failed": "printed 'hello'"}
    assert compare.ask(str(tmp_path / "none"), "odd.py", {}, 1.0)["failed"].startswith(
        "did not start"
    )


def test_answers_are_kept_as_how_far_apart_they_are(tables):
    _, compare = tables
    rows = {
        "tokenroof": {"irr": [0.1, 20.0], "irr_s": 1.0},
        "other": {"irr": [0.1, 20.2], "npf_irr": [0.3, 20.0], "odd": [1.0]},
        "third": {"failed": "no"},
    }
    found = compare.agreed(rows)
    assert found["tokenroof"] == {"irr_s": 1.0} and found["third"] == {"failed": "no"}
    assert found["other"] == pytest.approx({"irr_apart": 0.2 / 20.2, "npf_irr_apart": 0.2})
