"""Fields of records that are lists: what is none is named, with what is allowed."""

from dataclasses import replace

import pytest

import tokenroof as tr

NONE = (0, 2.5, True, None, "x", b"x", {"a": 1})
RECORDS = (tr.device("H100-SXM"), tr.miner("Antminer S21"), tr.model("Llama-3.1-8B"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
@pytest.mark.parametrize("bad", [*NONE, [1], ["a", None]], ids=repr)
def test_aliases(record, bad):
    with pytest.raises(TypeError, match="aliases is .*; allowed: a list of names"):
        replace(record, aliases=bad)


@pytest.mark.parametrize(
    ("field", "bad"), [(f, b) for f in ("towers", "extras") for b in (*NONE, [1], [[2]])]
)
def test_parts_of_a_model(field, bad):
    with pytest.raises(TypeError, match=f"{field} is .*; allowed: "):
        replace(RECORDS[2], **{field: bad})


def test_lists_are_taken():
    assert replace(RECORDS[0], aliases=["a", "b"]).aliases == ("a", "b")
    assert replace(RECORDS[2], extras=[("norms", 7)], towers=[]).extras == (("norms", 7),)


@pytest.mark.parametrize("record", RECORDS[:2], ids=lambda r: type(r).__name__)
def test_a_name_without_a_letter(record):
    with pytest.raises(ValueError, match="name is '='; allowed: text with a letter or digit"):
        replace(record, name="=")
