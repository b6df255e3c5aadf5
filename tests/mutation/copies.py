"""Copies of the sources in which a change does no harm."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("python", "tests", "cpp", "docs", "bench", "pyproject.toml", "CMakeLists.txt", "README.md", "CONTRIBUTING.md",
          "CHANGELOG.md", "LICENSE")  # fmt: skip


def scratch(copy: Path, but: str = "nothing", built: bool = True) -> Path:
    """A copy of the sources, brought up to date by date and size, but for a folder that it has; cores built there stay."""
    for name in COPIED:
        source = ROOT / name
        for path in (copy / name).rglob("*"):  # what is gone
            here = ROOT / path.relative_to(copy)
            if path.is_file() and path.suffix not in (".so", ".pyc") and not here.exists():
                path.unlink()
        for path in [source] if source.is_file() else sorted(source.rglob("*")):
            target = copy / path.relative_to(ROOT)
            if path.is_dir() or "__pycache__" in path.parts:
                continue
            if target.exists() and (but in str(target) or (built and path.suffix == ".so")):
                continue
            have, want = target.stat() if target.exists() else None, path.stat()
            if have is None or (have.st_size, int(have.st_mtime)) != (
                want.st_size,
                int(want.st_mtime),
            ):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
    return copy
