"""Scripts import each other by their bare names, which one process can give to one file alone."""

from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_two_scripts_share_a_name():
    files = [
        *(ROOT / "bench").rglob("*.py"),
        *(ROOT / "docs").glob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
    ]
    files = [f for f in files if f.name not in ("conftest.py", "__init__.py")]
    assert len(files) > 200
    twice = {name for name, many in Counter(f.stem for f in files).items() if many > 1}
    assert sorted(str(f.relative_to(ROOT)) for f in files if f.stem in twice) == []
