"""What pages claim without running it: commands at a prompt, and tables that stand for the package's own."""

import re
import shlex
import sys
from pathlib import Path

import pytest

import tokenroof as tr
from tokenroof.cli.commands import COMMANDS
from tokenroof.cli.parser import parse
from tokenroof.economics import scenario_keys

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if p.name != "changelog.md"),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
]


def commands(text):
    """Lines in blocks, and code within a sentence, that call the program."""
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, re.S)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    inline = re.findall(
        r"(?<!`)`(tokenroof\s[^`]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.S)
    )
    for said in [*lines, *(" ".join(one.split()) for one in inline)]:
        for one in re.split(r"&&", said):
            words = shlex.split(one, comments=True)
            if words[:1] == ["tokenroof"] and len(words) > 1 and words[1] != "--help":
                yield words[1:]


FOUND = sorted({tuple(words) for page in PAGES for words in commands(page.read_text())})


def test_pages_show_commands():
    assert len(FOUND) > 10
    assert list(commands("`tokenroof list` and\n```sh\ntokenroof hash # x\n```")) == [
        ["hash"],
        ["list"],
    ]


@pytest.mark.parametrize("words", FOUND, ids=" ".join)
def test_a_command_on_a_page_is_one_that_the_program_takes(words):
    if len(words) == 1:  # the command is named, not called
        assert words[0] in COMMANDS
        return
    _, arguments = parse(words)
    assert arguments.command == words[0]


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "docs"), *sys.path])
    import table_pages

    return table_pages


def test_every_key_of_a_scenario_stands_on_its_page(tables):
    page = tables.keys_page()
    for key in scenario_keys():
        section, _, name = key.name.rpartition(".")
        rows = [line for line in page.split(f"## {section}\n", 1)[1].split("\n## ")[0].splitlines()
                if line.startswith(f"| `{name}` |")]  # fmt: skip
        assert len(rows) == 1, key.name
        assert key.unit in rows[0]
        assert key.allowed in rows[0]
        assert tables.default_of(key) in rows[0]


def test_every_ending_of_a_name_is_in_use(tables):
    used = tables.names_in_use()
    for ending, (unit, text) in tables.ENDINGS.items():
        assert unit
        assert text
        if ending != "watts":
            assert any(name.endswith(f"_{ending}") for name in used), ending


def test_the_readme_shows_what_its_example_prints(capsys):
    page = (ROOT / "README.md").read_text()
    [code], [shown] = (
        re.findall(r"```python\n(.*?)```", page, re.S),
        re.findall(r"```text\n(.*?)```", page, re.S),
    )
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == shown
    assert len(code.splitlines()) <= 11


def names(text):
    """Names of the package in code, from ``tr`` on, as far as they are modules, classes and functions."""
    said = " ".join([*re.findall(r"```.*?```", text, re.S), *re.findall(r"`[^`\n]+`", text)])
    return set(re.findall(r"\btr((?:\.[A-Za-z_]\w*)+)", said))


NAMES = sorted(
    {
        (page.relative_to(ROOT).as_posix(), name)
        for page in PAGES
        for name in names(page.read_text())
    }
)


def test_a_name_on_a_page_is_one_of_the_package():
    assert len(NAMES) > 200
    unknown = []
    for page, name in NAMES:
        found = tr
        for part in name.removeprefix(".").split("."):
            if not hasattr(found, part):
                unknown.append((page, name))
                break
            found = getattr(found, part)
    assert unknown == []
