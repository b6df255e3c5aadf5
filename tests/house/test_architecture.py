"""The house: who may import whom, what a folder shows, how long things are, and that questions resolve once."""

import ast
import importlib
import pkgutil
import tomllib
from pathlib import Path

import pytest
from importlinter import cli as linter

import tokenroof as tr
from tokenroof import catalogue
from tokenroof.catalogue import lookup
from tokenroof.inference import calibration, constants, door, estimates

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "tokenroof"
FOLDERS = sorted(
    m.name for m in pkgutil.walk_packages(tr.__path__, "tokenroof.") if m.ispkg
)  # fmt: skip
LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS, MOST_ROOT_FILES = 400, 60, 12, 12


def _modules():
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def _imports(name, path, modules):
    """Modules of the package that one imports anywhere, for types too; the root stands for its compiled parts."""
    here = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = here.split(".")[: len(here.split(".")) - node.level + 1]
                base = ".".join([*up, base] if base else up)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                if base == "tokenroof" and full not in modules:
                    assert alias.name in ("_core", "_cuda"), (
                        f"{name} imports {alias.name} of the root"
                    )
                    continue
                target = full if full in modules else base
                if target in modules and target != name:
                    yield target


def test_the_contracts_of_imports_hold(monkeypatch, capsys):
    """As pyproject.toml has them: one direction, no ring, the reference apart."""
    monkeypatch.chdir(ROOT)
    assert linter.lint_imports(no_cache=True) == linter.EXIT_STATUS_SUCCESS, capsys.readouterr().out
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = {
        part.strip() for layer in config["contracts"][0]["layers"] for part in layer.split("|")
    }
    own = {m.name for m in pkgutil.iter_modules(tr.__path__)} - {"_core", "_cuda", "reference"}
    assert layers == own


def test_no_ring_of_any_kind():
    """Folders' own files count too: a file never imports the folder that hands it out."""
    modules = _modules()
    left = {name: set(_imports(name, path, modules)) for name, path in modules.items()}
    assert sum(map(len, left.values())) > 400
    while True:  # take away what imports nothing that is left
        done = {name for name, targets in left.items() if not targets & left.keys()}
        if not done:
            break
        left = {name: targets for name, targets in left.items() if name not in done}
    assert sorted(left) == []


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_shows_its_public_names_alone(name):
    module = importlib.import_module(name)
    shown = getattr(module, "__all__", None)
    if shown is None:  # a folder that hands nothing out
        assert not [node for node in ast.parse(Path(module.__file__).read_text()).body[1:]]
        return
    assert dir(module) == sorted(shown)
    for public in shown:
        getattr(module, public)


def test_the_root_shows_its_public_names_alone():
    assert dir(tr) == sorted(tr.__all__)
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_ROOT_FILES


def _subjects(folder, pattern="*"):
    return {p.name for p in (ROOT / folder).glob(pattern) if p.is_dir() and p.name[0] not in "_."}


def test_the_same_subject_has_the_same_name_in_every_tree():
    # C++ support; what holds for all; whether tests notice changes; whether any input is read or refused
    subjects = _subjects("python/tokenroof") | {"core", "house", "mutation", "fuzz"}
    for tree in ("cpp/include/tokenroof", "python/tokenroof/reference", "tests"):
        assert _subjects(tree) <= subjects, tree
    for tree in ("cpp/include/tokenroof", "python/tokenroof/reference", "tests"):
        assert {"inference", "serving", "mining", "economics"} <= _subjects(tree), tree


CODE = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("python", "cpp", "bench", "tests")
    for ending in ("*.py", "*.cpp", "*.hpp", "*.cu", "*.h")
    for path in (ROOT / folder).rglob(ending)
    if "tokenroof/include" not in path.as_posix()
    or folder == "cpp"  # headers beside an editable install
)


def test_no_file_is_long():
    lengths = {name: len((ROOT / name).read_text().splitlines()) for name in CODE}
    assert {n: lines for n, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_function_is_long_and_no_list_of_parameters():
    long, many = {}, {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            what = f"{path.relative_to(PACKAGE)}:{node.name}"
            lines = (
                node.end_lineno
                - node.lineno
                + 1
                - len((ast.get_docstring(node) or "").splitlines())
            )
            count = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
            if lines > LONGEST_FUNCTION:
                long[what] = lines
            if count > MOST_PARAMETERS:
                many[what] = count
    assert (long, many) == ({}, {})


# --- resolved once, at the door ----------------------------------------------------------------------


@pytest.fixture
def looked_up(monkeypatch):
    """Counts of what the door does, wherever it is called from."""
    counts = {"device": 0, "complete": 0, "search": 0}

    def counted(what, function):
        def wrapper(*arguments, **named):
            counts[what] += 1
            return function(*arguments, **named)

        return wrapper

    monkeypatch.setattr(door, "device_of", counted("device", lookup.device))
    monkeypatch.setattr(door, "complete", counted("complete", estimates.complete))
    monkeypatch.setattr(calibration, "find", counted("search", constants.find))
    calibration._own_types.cache_clear()
    calibration._of_step_kind.__wrapped__.cache_clear()
    return counts


PLAN = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
BLOCKS = 10  # of a calibration record that hold an operator's constants


def test_a_question_resolves_its_device_once(looked_up):
    tr.decode("H200-SXM", "Llama-3.1-70B", PLAN, batch=[1, 64]).breakdown()
    assert looked_up == {"device": 1, "complete": 1, "search": BLOCKS}
    tr.serving.curve("H200-SXM", "Llama-3.1-70B", PLAN)
    assert looked_up == {"device": 2, "complete": 2, "search": BLOCKS}  # constants are known by now
    tr.serving.capacity("H200-SXM", "Llama-3.1-70B", PLAN, tr.serving.SLO(tpot_s=0.02))
    assert looked_up == {"device": 3, "complete": 3, "search": BLOCKS}
    tr.economics.compare_per_mwh("Antminer S21", "H200-SXM", "Llama-3.1-70B", PLAN)
    assert looked_up == {"device": 4, "complete": 4, "search": BLOCKS}


def test_plans_share_what_depends_on_device_engine_and_types(looked_up):
    front = tr.serving.frontier("B200-SXM", "gpt-oss-120b")
    assert front.plans_tried > 20
    assert looked_up["device"] == looked_up["complete"] == 1
    assert looked_up["search"] <= 2 * 2 * BLOCKS  # two sets of types, within a domain and beyond it


def test_records_know_no_catalogue():
    """A record is made, packed and asked without any file of the catalogue."""
    catalogue.files.clear_cache() if hasattr(catalogue, "files") else None
    before = lookup.table.cache_info().misses
    card = tr.Device(name="mine", memory_bandwidth=1e12, peak={"bf16": 2e14}, pcie_generation=5)
    assert card.link is not None and card.link.bandwidth == 6.3015e10 and card.pack().size
    assert lookup.table.cache_info().misses == before
    rates = {
        row["generation"]: row["device_bandwidth"]
        for row in catalogue.links()
        if row["name"].startswith("PCIe")
    }
    for generation, rate in rates.items():  # the record's own table is the catalogue's
        assert card.replace(pcie_generation=generation).link.bandwidth == rate


def test_a_layer_above_provides_a_device_by_name():
    with pytest.raises(KeyError, match="unknown device 'a shelf of cards'"):
        tr.device("a shelf of cards")
    catalogue.register_device("a shelf of cards", lambda: tr.device("H200-SXM"))
    try:
        assert tr.device("A-shelf of CARDS").name == "H200-SXM"
    finally:
        del lookup._PROVIDERS["ashelfofcards"]
    assert "local" in lookup._PROVIDERS
