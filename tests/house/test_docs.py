"""What the pages say, run."""

import doctest
import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))


@pytest.mark.parametrize(
    "page", [p for p in PAGES if ">>> " in p.read_text()], ids=lambda p: p.stem
)
def test_examples(page):
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.S))
    test = doctest.DocTestParser().get_doctest(code, {}, page.stem, str(page), 0)
    out = []
    results = doctest.DocTestRunner().run(test, out=out.append)
    assert results.attempted > 10
    assert results.failed == 0, "".join(out)
