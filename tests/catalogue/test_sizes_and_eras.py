"""Ends of the catalogue's series by hand: coins of a block before the first one, sizes that names say."""

import math
from types import SimpleNamespace

import pytest

from tokenroof.catalogue import market_sense, neighbours
from tokenroof.catalogue.market_file import market_data, subsidy_on
from tokenroof.support.units import Quantity


def test_coins_of_a_block_from_the_first_on():
    assert subsidy_on("2009-01-02") == 0.0 and subsidy_on("2009-01-03") == 50.0
    assert subsidy_on("2008-12") == 0.0
    assert subsidy_on("2009-01") == pytest.approx(50.0 * 29 / 31)


@pytest.mark.parametrize(
    ("key", "said"), [('kind = "rumour"', "kind is 'rumour'"), ("source = 3", "source is 3")]
)
def test_what_is_wrong_with_a_word_for_all_rows_is_named_at_its_line(tmp_path, key, said):
    file = tmp_path / "m.toml"
    file.write_text(f'# prices\n\n{key}\n[[row]]\ndate = "2026-10"\nprice = 1\n')
    with pytest.raises(ValueError, match=said) as caught:
        market_data(file)
    assert str(caught.value).startswith(f"{file}:3:")


@pytest.mark.parametrize(
    ("name", "size", "half"), [("x-8B", 8e9, 0.5 / 8), ("x-1.5B", 1.5e9, 0.05 / 1.5), ("x-350M", 350e6, 0.5 / 350)]
)  # fmt: skip
def test_a_size_in_a_name_is_as_sharp_as_its_digits(name, size, half, monkeypatch):
    """Half of the last digit of a name comes on top of the least spread."""
    model = SimpleNamespace(name=name, parameters=3 * size, active_parameters=2.5 * size)
    monkeypatch.setattr(neighbours.architectures, "models", lambda: [model])
    (found,) = neighbours.sizes()
    assert found.z == pytest.approx(math.log(2.5) / (neighbours.FLOOR + half))
    assert neighbours.sizes(threshold=1.01 * found.z) == []


@pytest.mark.parametrize("value", [10.0 * market_sense._ODD, 1.0 / market_sense._ODD])
def test_a_number_is_odd_beyond_so_many_times_what_is_usual_and_not_at_it(value, monkeypatch):
    """Usual are 1 to 10."""
    monkeypatch.setattr(market_sense, "_date", lambda *_: None)
    monkeypatch.setattr(market_sense, "_span", lambda *_: (Quantity("1"), 1.0, 10.0))
    place = SimpleNamespace(file="m.csv", line=2, column=1)

    def judged(value):
        market_sense.judge(
            [("price", SimpleNamespace(value=value), "2026-10", place)], lambda *_: 1.0
        )

    judged(value)
    with pytest.warns(UserWarning, match=r"m.csv:2:1: price is .*: legal and odd"):
        judged(value * 1.01 if value > 1.0 else value / 1.01)


@pytest.mark.parametrize(
    "column",
    ["rent." + "x" * 9000, "input." + "y" * 9000 + ".toml", "output." + "/" * 9000, "z" * 9000],
)
def test_long_names_of_columns_are_quoted_in_part(tmp_path, column):
    file = tmp_path / "m.csv"
    file.write_text(f"date,{column}\n2026-10,1\n")
    with pytest.raises(ValueError, match=r"allowed: ") as caught:
        market_data(file)
    assert len(str(caught.value)) < 2000
