"""Types as a client of the package sees them: a program under ``mypy --strict``, and stubs that do not drift."""

import inspect
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import tokenroof as tr
from tokenroof import kernels

HERE = Path(__file__).parent
PACKAGE = Path(tr.__file__).parent


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """What mypy knows of the package, for all programs."""
    return tmp_path_factory.mktemp("mypy")


def check(program, tmp_path, kept):
    pytest.importorskip("mypy")
    environment = dict(os.environ)
    if PACKAGE.parent.name != "site-packages":  # mypy finds those by itself, and refuses them there
        environment["MYPYPATH"] = str(PACKAGE.parent)
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent",
         f"--cache-dir={kept}", str(program)],
        capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300,
    )  # fmt: skip


def test_a_strict_client_sees_types(tmp_path, kept):
    done = check(HERE / "client.py", tmp_path, kept)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import tokenroof as tr\n"
        "tr.kernels.attainable(1e15, 1e12)\n"  # one input too few
        "tr.decode('H200-SXM', 'GPT-2', bach=1)\n"
        "tr.Step().no_such_thing\n"
    )
    done = check(wrong, tmp_path, kept)
    assert [line.split(":")[1] for line in done.stdout.splitlines() if ": error:" in line] == [
        "2", "3", "4", "4",
    ]  # fmt: skip


def test_the_client_runs():
    subprocess.run([sys.executable, str(HERE / "client.py")], check=True, timeout=120)


def test_every_name_of_the_package_is_exported_to_type_checkers(tmp_path, kept):
    program = tmp_path / "names.py"
    names = [f"tr.{name}" for name in tr.__all__]
    names += [f"tr.kernels.{name}" for name in kernels.__all__]
    for folder in (
        "catalogue",
        "measure",
        "mining",
        "serving",
        "economics",
        "operators",
        "calibrate",
    ):
        names += [f"tr.{folder}.{name}" for name in getattr(tr, folder).__all__]
    program.write_text("import tokenroof as tr\n" + "".join(f"_ = [{name}]\n" for name in names))
    done = check(program, tmp_path, kept)
    assert "not explicitly export" not in done.stdout and "no attribute" not in done.stdout, (
        done.stdout
    )


def test_the_stub_of_kernels_is_what_is_compiled():
    lines = (PACKAGE / "kernels" / "__init__.pyi").read_text().splitlines()
    stated = dict(
        line.split(": ") for line in lines if ": _" in line and not line.startswith((" ", "_"))
    )
    compiled = kernels.by_isa()["generic"]
    expected = {
        name: "_Digest" if name == "sha256d"
        else f"_{'Elementwise' if kernel.signature is None else 'OverRecords'}{kernel.nin}"
        for name, kernel in compiled.items()
    }  # fmt: skip
    # a new kernel needs no line here: without one it is a kernel of any inputs
    assert stated.items() <= expected.items() and len(stated) > 80


FOLDERS = ("mining", "serving", "economics", "operators", "calibrate", "measure", "catalogue", "decouple",
           "speculative", "power", "estimates", "roofline", "dataflow", "calibration")  # fmt: skip


def _results():
    for where in ("", *FOLDERS):
        module = getattr(tr, where) if where else tr
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isfunction(value) and value.__module__.startswith("tokenroof"):
                yield pytest.param(module, value, id=f"{where or 'tr'}.{name}")


@pytest.mark.parametrize("module, function", list(_results()))
def test_what_a_function_gives_can_be_named(module, function):
    """A result's class is a name of the place where the function is, or of the package."""
    own = vars(import_module(function.__module__))
    text = inspect.signature(function).return_annotation
    for word in (
        str(text).replace("|", " ").replace("[", " ").replace("]", " ").replace(",", " ").split()
    ):
        kind = own.get(word)
        if inspect.isclass(kind) and kind.__module__.startswith("tokenroof"):
            assert any(
                getattr(place, "__dict__", {}).get(word) is kind or (word in place.__all__)
                for place in (module, tr)
            ), f"{word} of {function.__name__}"
