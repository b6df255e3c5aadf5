"""The gallery: every script runs in this process, shows figures, and is as short and as plain as the others."""

import ast
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

DOCS = Path(__file__).parents[2] / "docs"
SCRIPTS = sorted((DOCS / "examples").rglob("*.py"))


@pytest.fixture
def docs(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    import gallery_pages

    return gallery_pages


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_script_runs_and_its_claims_hold(path, docs, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(go.Figure, "show", lambda figure, *_, **__: shown.append(figure))
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    assert len(shown) == 1
    small = docs.thumbnail(shown[0])
    marks = re.findall(r"<(?:path|rect)[^>]* (?:d|x)=\"[^\"]+\"", small.split("clip-path=", 1)[1])
    assert marks  # the picture has something of the figure in it
    assert not re.search(r"[\s\"(]nan", small)
    assert len(small) < 40_000


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_script_is_one_idea_with_a_finding(path):
    tree = ast.parse(path.read_text())
    said = ast.get_docstring(tree, clean=False)
    _, title, line, empty, *text = said.split("\n")
    assert set(line) == {"="} and len(line) == len(title) and not empty and any(text)
    # what a number is, the script says, not its prose; names such as H200 have digits
    assert not re.search(r"(?<![\w-])[\d]", said)
    code = path.read_text().split('"""', 2)[2].splitlines()
    assert 8 <= sum(1 for row in code if row.strip()) <= 36
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    assert ".show()" in code[-1]


def test_every_room_is_on_the_page(docs):
    assert {path.parent.name for path in SCRIPTS} == set(docs.ROOMS)
    assert len(SCRIPTS) >= 30
    for room in docs.ROOMS:
        assert (DOCS / "examples" / room / "GALLERY_HEADER.rst").exists()


def test_a_thumbnail_has_what_the_figure_has(docs):
    figure = go.Figure(go.Scatter(x=["a", "b", "c"], y=[1.0, 10.0, 1000.0], mode="lines+markers"))
    figure.add_bar(x=["a", "b", "c"], y=[1.0, 10.0, 1000.0])
    figure.add_scatter(x=["a"], y=[5.0], visible="legendonly")
    figure.update_yaxes(type="log", range=[0, 3])
    text = docs.thumbnail(figure)
    heights = [float(h) for h in re.findall(r'<rect[^>]*height="([\d.]+)"', text)[1:]]
    plain = [float(h) for h in re.findall(r'<clipPath[^>]*><rect[^>]*height="([\d.]+)"', text)]
    # bars of a log axis stand on its floor: each decade is a third of the panel more
    assert np.diff(heights) == pytest.approx([plain[0] / 3, 2 * plain[0] / 3], abs=0.2)
    assert re.findall(r">([abc])</text>", text) == ["a", "b", "c"]
    assert text.count('stroke-linecap="round"') == 1
