"""The gallery: short scripts of ``docs/examples``, run by Sphinx-Gallery in one process, each with a figure.

``figure.show()`` in a script opens a browser where it is run by hand; here it becomes the page's figure,
drawn by figures.js, and a small picture of the same figure on the index.
"""

from __future__ import annotations

import hashlib
import shutil
import textwrap
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from executed import digest, figure_html
from thumbnails import thumbnail

#: Rooms in the order of the page.
ROOMS = ("inference", "serving", "mining", "economics", "library")


shown: list[go.Figure] = []


def keep(figure: go.Figure, *_: Any, **__: Any) -> None:
    """Stands for ``Figure.show``: no browser opens, the figure is kept."""
    shown.append(figure)


def scraper(block: Any, names: dict[str, Any], settings: dict[str, Any]) -> str:
    """Figures that a block has shown: each is kept as a small picture and becomes part of the page."""
    parts = []
    for figure in shown:
        path = Path(next(names["image_path_iterator"])).with_suffix(".svg")
        path.write_text(thumbnail(figure))
        parts.append(".. raw:: html\n\n" + textwrap.indent(figure_html(figure), "    "))
    shown.clear()
    return "\n\n".join(parts) + "\n"


def settings(docs: Path) -> dict[str, object]:
    """Settings of Sphinx-Gallery; pages are thrown away when the package or a library has changed."""
    go.Figure.show = keep
    made, mark = docs / "gallery", docs / "gallery" / ".made-of"
    drawn = (Path(__file__), docs / "thumbnails.py", docs / "sketch.py")
    of = digest() + hashlib.sha256(b"".join(path.read_bytes() for path in drawn)).hexdigest()
    if not mark.exists() or mark.read_text() != of:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        mark.write_text(of)
    return {
        "examples_dirs": ["examples"],
        "gallery_dirs": ["gallery"],
        "filename_pattern": r"\.py$",
        "subsection_order": [f"examples/{room}" for room in ROOMS],
        "within_subsection_order": "FileNameSortKey",
        "image_scrapers": ("gallery_pages.scraper",),
        "capture_repr": (),
        "reset_modules": (),
        "notebook_extensions": set(),
        "download_all_examples": False,
        "write_computation_times": False,
        "show_signature": False,
        "remove_config_comments": True,
    }
