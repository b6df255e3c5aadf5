"""Pages that stand in the root of the repository: how to work on it, what changed."""

from __future__ import annotations

import re
from pathlib import Path

PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def write_project(root: Path, folder: Path) -> None:
    """Copy them, links to pages of this site following; other links of the repository become text."""
    for source, target in PAGES.items():
        text = (root / source).read_text()
        text = re.sub(r"\]\(docs/([^)]+)\)", r"](../\1)", text)
        text = re.sub(r"\[([^\]]+)\]\((?!https?:|\.\./|#)[^)]+\)", r"`\1`", text)
        path = folder / target
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
