"""Every public function says what it takes, what it gives back, and shows a use."""

import importlib
import inspect
import pkgutil

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
