"""Test files' asserts are rewritten by one worker each: in a fresh checkout that is most of what collecting takes."""

import contextlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


class _Written(Exception):
    pass


class _Unrun(ModuleType):
    """A module that pytest's loader has rewritten and kept, and is about to run."""

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        raise _Written


def share(config: pytest.Config) -> list[Path]:
    """This worker's part of the test files that were asked for: all parts take about as long."""
    paths = [config.invocation_params.dir / argument.split("::")[0] for argument in config.args]
    files = {p for path in paths for p in (path.rglob("test_*.py") if path.is_dir() else [path])}
    worker = config.workerinput  # type: ignore[attr-defined]
    ordered = sorted(files, key=lambda path: (-path.stat().st_size, path))
    return ordered[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]


def rewrite(files: list[Path]) -> None:
    """Keep the bytecode of these as pytest's loader does when it imports them; what fails, fails there."""
    for path in files:
        for finder in sys.meta_path:
            spec = finder.find_spec(path.stem, [str(path.parent)], None)
            if spec is not None and spec.loader is not None:
                module = _Unrun(path.stem)
                module.__spec__ = spec
                with contextlib.suppress(_Written, SyntaxError):
                    spec.loader.exec_module(module)
                break
