"""Every public function says what it takes, what it gives back, and shows a use."""

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path

import pytest

import tokenroof as tr

FOLDERS = [tr] + [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(tr.__path__, "tokenroof.")
    if module.ispkg and not {"reference", "cli"} & set(module.name.split("."))
]
FUNCTIONS = {
    f"{found.__module__}.{found.__name__}": found
    for folder in FOLDERS
    for name in getattr(folder, "__all__", ())
    if inspect.isfunction(found := getattr(folder, name))
}


def test_the_folders_hand_out_functions():
    assert len(FUNCTIONS) > 200


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_public_function_is_documented(name):
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    wanted = ["Examples\n--------"]
    if inspect.signature(FUNCTIONS[name]).parameters:
        wanted.append("Parameters\n----------")
    if "Yields\n------" not in text:
        wanted.append("Returns\n-------")
    assert [head for head in wanted if head not in text] == []


@pytest.fixture
def given_by(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2] / "docs"), *sys.path])
    return importlib.import_module("given_by")


def test_every_public_class_shows_a_use(given_by):
    """An example of its own, or on its page that of a public function that gives it."""
    classes = given_by.public(inspect.isclass)
    assert len(classes) > 100
    shown = {
        name: given_by.example_of(found) or given_by.shown(found) for name, found in classes.items()
    }
    assert [name for name, text in shown.items() if ">>> " not in text] == []
    assert [name for name, found in classes.items() if not inspect.getdoc(found)] == []


def test_the_example_of_a_record_is_that_of_who_gives_it(given_by):
    ladder = given_by.shown(tr.economics.Ladder)
    assert ladder.startswith(
        "Examples\n--------\nAs `tokenroof.economics.same_meter` gives it:\n\n>>> "
    )
    assert given_by.example_of(tr.economics.same_meter) in ladder and "Returns" not in ladder
    assert (
        given_by.givers()["Payback"] == "tokenroof.mining.payback"
    )  # not who names it beside others
    assert given_by.shown(tr.Plan) == "" != given_by.example_of(tr.Plan)
    lines = ["What it is."]
    given_by.complete(None, "class", "tokenroof.economics.Ladder", tr.economics.Ladder, None, lines)
    assert lines == ["What it is.", "", *ladder.splitlines()]
    given_by.complete(None, "function", "same_meter", tr.economics.same_meter, None, lines)
    assert len(lines) == 2 + len(ladder.splitlines())


def test_a_method_says_what_type_it_gives(given_by):
    lines = ["A row for each use."]
    given_by.complete(None, "method", "to_frame", tr.economics.Ladder.to_frame, None, lines)
    assert lines == ["A row for each use.", "", "Returns", "-------", "``pd.DataFrame``"]
    assert given_by.returned(tr.economics.ArmsRace.lives) == ""  # says it by itself
    assert given_by.returned(tr.Plan.check) == ""  # gives nothing
    assert given_by.returned(tr.Plan.from_config) == "Returns\n-------\n``Plan``\n"
