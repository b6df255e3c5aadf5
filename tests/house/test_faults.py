"""What a fault leaves behind: a full disk, a folder that nobody may write, a file cut short, signal 9 half-way."""

import contextlib
import os
import resource
import signal
import warnings
from pathlib import Path

import pytest

import tokenroof as tr
from measure.test_local import made
from tokenroof import measure
from tokenroof.measure import kept
from tokenroof.report.build import _move_into, _staging, _write

NEW = "the new one, which is longer than what the disk has room for"


@contextlib.contextmanager
def full_disk(room=16):
    """No file of this process can grow past so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def nobody():
    """Without root's rights."""
    root = not os.geteuid()
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def reported(tmp_path):
    (tmp_path / "index.html").write_text("the old one")
    (tmp_path / "report.json").write_text('{"files": ["index.html"]}')
    return tmp_path


def is_old(folder):
    return {p.name: p.read_text() for p in folder.iterdir() if p.is_file()} == {
        "index.html": "the old one",
        "report.json": '{"files": ["index.html"]}',
    }


def report(out, text=NEW):
    with _staging(out) as folder:
        _write(folder, {}, text, {})
        _move_into(folder, out)


def test_a_full_disk_leaves_the_old_report(reported):
    with full_disk(), pytest.raises(OSError, match="File too large"):
        report(reported)
    assert is_old(reported) and len(list(reported.iterdir())) == 2  # nor is half of a new one there
    report(reported)
    assert (reported / "index.html").read_text() == NEW


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forks beside threads
def test_a_report_killed_half_way_leaves_the_old_one(reported):
    """By signal 9, so that nobody tidies up; the next report is whole."""
    child = os.fork()
    if not child:
        with _staging(reported) as folder:
            (folder / "index.html").write_text("half of the ne")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert is_old(reported)
    report(reported)
    assert (reported / "index.html").read_text() == NEW


def test_a_report_in_a_read_only_folder_is_an_error_that_names_it():
    with nobody(), pytest.raises(OSError, match=r"/usr/tokenroof-report"):
        report(Path("/usr/tokenroof-report"))


@pytest.fixture
def known(monkeypatch):
    """Nothing is known yet, and a machine takes no time to measure."""
    monkeypatch.setattr(kept, "machine", lambda *_: made())

    def forget():
        monkeypatch.setattr(kept, "_known", {})

    forget()
    return forget


def measured_anew():
    """Whether this machine was measured, and what was said of it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert "Abacus" in tr.device("local").name
    return [str(w.message) for w in said if w.category is RuntimeWarning]


def test_measurements_cut_short_are_made_anew(known, tmp_path, monkeypatch):
    """Wherever the file ends; and then it is whole again."""
    monkeypatch.setenv("TOKENROOF_CACHE_DIR", str(tmp_path))
    measured_anew()
    path = measure.cache_path()
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 3, len(whole) - 2, len(whole) - 1):
        os.truncate(path, length)
        known()
        (said,) = measured_anew()
        assert "measuring anew" in said and str(path) in said
        assert path.read_bytes() == whole
    known()
    assert measured_anew() == []


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_measurements_that_cannot_be_kept_are_used(known, fault, tmp_path, monkeypatch):
    folder = tmp_path / "cache" if fault == "full" else Path("/usr/tokenroof-cache")
    monkeypatch.setenv("TOKENROOF_CACHE_DIR", str(folder))
    with full_disk() if fault == "full" else nobody():
        (said,) = measured_anew()
    assert f"{measure.cache_path()} cannot be written" in said
    assert not folder.exists() or not list(folder.iterdir())
    assert measured_anew() == []  # this process knows it
