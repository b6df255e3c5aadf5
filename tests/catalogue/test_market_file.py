"""Files of prices that are newer than the package: what they say, where they are wrong, how they count."""

import datetime
import random
import re
import string
import warnings
from pathlib import Path

import pytest

from tokenroof import catalogue
from tokenroof.catalogue import latest, market_data, market_in_force, quotes

pytestmark = pytest.mark.filterwarnings("ignore:.*after today")  # the made-up file is of 2027
NEWER = Path(__file__).parent / "fixtures" / "newer.csv"
# what one PH/s finds in a day at a difficulty of 1.5e14, with 3.125 + 0.025 BTC a block of 100,000 $
HASHPRICE = 86400 * 1e15 / (1.5e14 * 2**32) * 3.15 * 1e5


def _written(folder, text, name="m.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_quotes_of_a_file():
    found = market_data(NEWER)
    assert (found.rows, found.first, found.last) == (2, "2026-12", "2027-01-15")
    assert found.newest("btc_hashprice")["Bitcoin"].value == pytest.approx(HASHPRICE, rel=1e-14)
    assert found.newest("gpu_hour")["H200-SXM"].value == 2.5
    assert {q.kind for q in found.quotes} == {"press"}
    assert found.newest("gpu_hour")["H200-SXM"].source == "a list, made up (newer.csv, line 4)"
    december = 86400 * 1e15 / (1.4e14 * 2**32) * 3.175 * 1.1e5
    old = [q.value for q in found.quotes if q.quantity == "btc_hashprice"]
    assert old == pytest.approx([december, HASHPRICE], rel=1e-14)
    assert found.as_dict()["sha256"] == found.sha256 and len(found.sha256) == 64
    assert len(found.to_frame()) == len(found.quotes) == 14
    assert market_data(found) is found


def test_a_file_counts_while_it_is_asked_for_and_no_longer():
    before = latest("btc_hashprice")
    assert latest("btc_hashprice", market=NEWER).value == pytest.approx(HASHPRICE, rel=1e-14)
    assert latest("electricity_industrial", "US average", market=NEWER).value == 0.08
    with market_in_force(NEWER) as newer:
        assert newer.rows == 2 and latest("btc_hashprice").date == "2027-01-15"
        with market_in_force(None) as same:
            assert same is newer
    assert latest("btc_hashprice") == before
    assert catalogue.gpu_hour("H200-SXM", market=NEWER).rent == 2.5
    assert catalogue.gpu_hour("H200-SXM", "2026-12", market=NEWER).rent == 2.6
    newest = catalogue.gpu_hour("H200-SXM")
    assert newest.rent != 2.5 and catalogue.gpu_hour("H200-SXM", market=NEWER).watts == newest.watts


def test_a_month_of_the_file_comes_in_place_of_the_catalogues(tmp_path):
    path = _written(tmp_path, "date,price,hashprice\n2026-06,70000,30\n")
    june = [q.value for q in quotes("btc_price", market=path) if q.date[:7] == "2026-06"]
    assert june == [70000.0] != [q.value for q in quotes("btc_price") if q.date[:7] == "2026-06"]
    others = [q for q in quotes("btc_price") if q.date[:7] != "2026-06"]
    assert [q for q in quotes("btc_price", market=path) if q.date[:7] != "2026-06"] == others
    # of the same month the catalogue has a hashprice of the 26th
    assert latest("btc_hashprice", market=path).value == 30.0


def test_toml_says_the_same(tmp_path):
    text = """
    source = "a list, made up"
    [[row]]
    date = "2026-12"
    price = 110000
    difficulty = 1.4e14
    fees = 0.05
    power = 0.09
    rent = { H200-SXM = 2.6 }
    [[row]]
    date = 2027-01-15
    price = 100000
    difficulty = 1.5e14
    fees = 0.025
    power = 0.08
    rent."H200-SXM" = 2.5
    [row.input]
    gpt-oss-120b = 0.2
    [row.output]
    gpt-oss-120b = 0.7
    """
    of_toml = market_data(_written(tmp_path, text, "m.toml")).quotes
    said = [(q.quantity, q.region, q.date, q.value, q.unit) for q in of_toml]
    assert said == [
        (q.quantity, q.region, q.date, q.value, q.unit) for q in market_data(NEWER).quotes
    ]


@pytest.mark.parametrize("text,place,said", [
    ("date,price\n2026-10,-1\n", "2:9", "price is '-1'; allowed: a number > 0"),
    ("date,price\n2026-10,0\n", "2:9", "price is '0'; allowed: a number > 0"),
    ("date,price\n2026-10,1e400\n", "2:9", "price is '1e400'; allowed"),
    ("date,price\n2026-10,61 000\n", "2:9", "price is '61 000'; allowed"),
    ("date,fees\n2026-10,-0.1\n", "2:9", "fees is '-0.1'; allowed: a number >= 0"),
    ("date,prise\n2026-10,1\n", "1:6", "unknown column 'prise'; did you mean 'price'"),
    ("date,\n2026-10,1\n", "1:6", "a column has no name"),
    ("date,price,price\n2026-10,1,1\n", "1:12", "column 'price' is there twice"),
    ("date,rent.H100-SXM,rent.h100\n2026-10,1,2\n", "2:11", "is H100-SXM again, as rent.H100-SXM"),
    ("date,rent.H1OO\n2026-10,1\n", "1:6", "unknown device 'H1OO'; did you mean 'H100-SXM'"),
    ("date,output.gpt-oss-12b\n2026-10,1\n", "1:6", "unknown model 'gpt-oss-12b'; did you mean"),
    ("date,rent.local\n2026-10,1\n", "1:6", "'local' is not in the catalogue"),
    ("price\n1\n", "1:1", "no column date among price"),
    ("date,price\n,1\n", "2:1", "the row has no date"),
    ("date,price\n2026-13,1\n", "2:1", "date is '2026-13'; allowed: YYYY-MM"),
    ("date,price\n2026-02-30,1\n", "2:1", "date is '2026-02-30'"),
    ("date,price\n2008-12,1\n", "2:1", "date is '2008-12'; allowed: YYYY-MM or YYYY-MM-DD, from 2009"),
    ("date,price\n2026-11,1\n2026-10,1\n", "3:1", "date is '2026-10' after '2026-11'; allowed: dates that ascend"),
    ("date,price\n2026-10,1\n2026-10,1\n", "3:1", "dates that ascend, each once"),
    ("date,price\n2026-10\n", "2:1", "the row has 1 cells; allowed: 2"),
    ("date,price\n2026-10,1,2\n", "2:11", "the row has 3 cells; allowed: 2"),
    ("date,price\n2026-10,\n", "2:1", "the row has no number"),
    ("date,price\n", "1:1", "no row"),
    ("", "1:1", "the file is empty"),
    ('date,price\n2026-10,"1\n', "2:9", "the quote is not closed"),
    ('date,price,source\n2026-10,1,"a\nb"c\n', "2:11", "behind the closing quote"),
    ('date,price,source\n2026-10,1,"a\nb"\n2026-11,x,y\n', "4:9", "price is 'x'"),
    ("date,price,kind\n2026-10,1,rumour\n", "2:11", "kind is 'rumour'; allowed: datasheet"),
    (b"date,price\n2026-10,1\xff\n", "2:10", "byte 0xff is not UTF-8"),
    ("date,price,difficulty\n2026-10,1e-320,1e21\n", "2:1", "make a hashprice of"),
])  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(tmp_path, text, place, said):
    path = _written(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        market_data(path)
    assert str(caught.value).startswith(f"{path}:{place}: ") and "allowed" in str(caught.value)


@pytest.mark.parametrize("text,place,said", [
    ('[[row]]\ndate = "2026-10"\nprice = -1\n', "3:1", "price is -1; allowed: a number > 0"),
    ('[[row]]\ndate = "2026-10"\nprice = true\n', "3:1", "price is True; allowed: a number"),
    ('[[row]]\ndate = "2026-10"\nprice = "1"\n', "3:1", "price is '1'; allowed: a number"),
    ('[[row]]\ndate = "2026-10"\nprise = 1\n', "3:1", "unknown column 'prise'; did you mean 'price'"),
    ('[[row]]\ndate = "2026-10"\nrent = { H200-SXM = 0 }\n', "3:10", "rent.H200-SXM is 0; allowed"),
    ('[[row]]\ndate = 2026\nprice = 1\n', "2:1", "date is 2026; allowed: YYYY-MM"),
    ('[[row]]\ndate = "2026-10"\nprice = 1\n[[row]]\nprice = 1\n', "4:1", "the row has no date"),
    ('[[rows]]\ndate = "2026-10"\n', "1:1", "unknown key 'rows'; did you mean 'row'"),
    ('row = 1\n', "1:1", "row is no list of tables"),
    ('[[row]]\ndate = "2026-10"\nprice = = 1\n', "3:9", "the file is not TOML"),
    ('kind = "rumour"\n[[row]]\ndate = "2026-10"\nprice = 1\n', "1:1", "kind is 'rumour'"),
    ('source = "x"\n', "1:1", "the file has no row"),
])  # fmt: skip
def test_the_same_of_toml(tmp_path, text, place, said):
    path = _written(tmp_path, text, "m.toml")
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        market_data(path)
    assert str(caught.value).startswith(f"{path}:{place}: ") and "allowed" in str(caught.value)


def test_no_file_and_no_path(tmp_path):
    with pytest.raises(FileNotFoundError):
        market_data(tmp_path / "none.csv")
    with pytest.raises(TypeError, match="market is 3; allowed: a path"):
        market_data(3)
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        market_data(_written(tmp_path, b"#" * (2**20 + 1)))


def test_mutated_files_are_read_or_refused(tmp_path):
    """Of a few; `python tests/fuzz/fuzz_parser.py market` has as many as wanted, led by coverage."""
    rng = random.Random(5)
    seeds = (NEWER.read_text(), '[[row]]\ndate = "2026-10"\nprice = 1e5\nrent = { H200-SXM = 2 }\n')
    for i in range(200):
        text = list(seeds[i % 2])
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(text))
            text[at : at + rng.randint(0, 3)] = rng.choice(
                string.printable + "\ufeff\u0664"
            ) * rng.randint(0, 2)
        path = _written(tmp_path, "".join(text), f"m.{('csv', 'toml')[i % 2]}")
        try:
            with warnings.catch_warnings(action="ignore"):  # odd numbers and years to come
                found = market_data(path)
        except ValueError as error:
            assert re.match(rf"{re.escape(str(path))}:\d+:\d+: .*allowed", str(error), re.DOTALL)
        else:
            assert all(0 <= q.value <= 1e21 for q in found.quotes)


@pytest.mark.parametrize("text,place,said", [
    ("date,price\n2206-10,9e4\n", "2:1", "date is '2206-10', after today"),
    ("date,price,kind\n2206-10,9e4,estimate\n", "2:1", "allowed: at most 2 years ahead, as an estimate"),
    ("date,price\n2026-09,9e4\n2026-10,9.1e7\n", "3:9", "price is 91000000 $/BTC, 1394 times beyond 6.526e+04, "
     "which is usual; allowed: within 1000 times of it"),
    ("date,price\n2026-10,9\n", "2:9", "price is 9 $/BTC"), ("date,price\n2011-11,1e5\n", "2:9", "price is 100000"),
    ("date,difficulty\n2026-10,150\n", "2:9", "; did you mean 1.5e+14 (150 T)?"),
    ("date,hashprice\n2026-10,3.9e-5\n", "2:9", "; did you mean 39 $/(PH/s day) (3.9e-05 $/(GH/s day))?"),
    ("date,hashprice\n2026-10,390000\n", "2:9", "hashprice is 390000 $/(PH/s day)"),
    ("date,fees\n2026-10,3e6\n", "2:9", "; did you mean 0.03 BTC/block (3000000 satoshi/block)?"),
    ("date,output.gpt-oss-120b\n2026-10,6e-7\n", "2:9", "; did you mean 0.6 $/Mtok (6e-07 $/token)?"),
    ("date,power\n2026-10,85\n", "2:9", "did you mean 0.085 $/kWh (85 $/MWh)?"),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place(tmp_path, text, place, said):
    path = _written(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        market_data(path)
    assert str(caught.value).startswith(f"{path}:{place}: ") and "allowed" in str(caught.value)


@pytest.mark.parametrize("text,place,said", [
    ("date,price\n{next},9e4\n", "2:1", "allowed without this warning: kind 'estimate'"),
    ("date,price\n2026-10,97\n", "2:9", "price is 97 $/BTC, 673 times beyond 6.526e+04, which is usual: legal and "
     "odd; did you mean 97000 $/BTC (97 k$/BTC)?"),
    ("date,hashprice\n2026-10,0.04\n", "2:9", "did you mean 40 $/(PH/s day) (0.04 $/(TH/s day))?"),
    ("date,power\n2026-10,8.5\n", "2:9", "did you mean 0.085 $/kWh (8.5 cent/kWh)?"),
    ("date,rent.H200-SXM\n2026-10,2400\n", "2:9", "did you mean 3.28767 $/h (2400 $/month)?"),
    ("date,rent.H200-SXM\n2026-09,2.4\n2026-10,0.0024\n2026-11,0.0024\n", "3:9", "rent.H200-SXM is 0.0024 $/h"),
])  # fmt: skip
def test_what_is_odd_brings_one_warning_with_its_place(tmp_path, text, place, said):
    ahead = datetime.date.today() + datetime.timedelta(days=400)
    path = _written(tmp_path, text.format(next=max(ahead.isoformat()[:7], "2027-12")))
    with pytest.warns(UserWarning, match=re.escape(said)) as caught:
        market_data(path)
    (one,) = caught
    assert str(one.message).startswith(f"{path}:{place}: ") and one.filename == __file__


def test_what_was_is_not_odd(tmp_path):
    """Pizzas at 0.004 $, the year of 20 $, this month, and fees of nothing."""
    rows = "2010-05,0.0041,12\n2013-01,17,3e6\n2021-11,6e4,2.2e13\n2026-11,9e4,1.5e14\n"
    found = market_data(_written(tmp_path, "date,price,difficulty\n" + rows))
    assert found.rows == 4
    assert market_data(_written(tmp_path, "date,fees,rent.T4\n2026-10,0,0.1\n")).rows == 1
