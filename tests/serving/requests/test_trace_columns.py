"""Which column of a table is the arrival, and what clock it may be of."""

import pytest

from tokenroof.serving.requests import trace


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "trace"
        path.write_text(content)
        return path

    return write


def test_rows_beyond_a_limit_are_not_looked_at(write):
    path = write("arrival,input_tokens,output_tokens\n0,5,6\n1,7,8\nwhen,how,many\n")
    assert trace(path, "csv", limit=2).input_tokens.tolist() == [5, 7]
    assert trace(path, "csv", limit=2, chunk=1).input_tokens.tolist() == [5, 7]
    for options in ({"limit": 3}, {}, {"limit": 2, "sort": True}):
        with pytest.raises(ValueError, match="line 4: input_tokens is 'how'"):
            trace(path, "csv", **options)


def test_the_arrival_of_a_table_that_has_both_is_the_one_that_is_named(write):
    both = "arrival_s,arrival,input_tokens,output_tokens\n7,4,5,6\n"
    assert trace(write(both), "csv").arrival_ns.tolist() == [4_000_000_000]
    own = both.replace("arrival,", "came,")
    assert trace(write(own), "csv").arrival_ns.tolist() == [7_000_000_000]
    named = trace(write(own), "csv", columns={"arrival": "came"})
    assert named.arrival_ns.tolist() == [4_000_000_000]


@pytest.mark.parametrize(
    ("year", "said"), [(1972.0, False), (1974.0, True), (2042.0, True), (2044.0, False)]
)
def test_a_clock_is_one_from_1973_on(write, year, said):
    """10^8 s after 1970, and to the latest time that there is."""
    millis = int((year - 1970.0) * 365.25 * 86400e3)
    path = write(f"arrival,input_tokens,output_tokens\n{millis},5,6\n")
    with pytest.raises(ValueError, match="arrival is") as refused:
        trace(path, "csv")
    assert ("is it in milliseconds" in str(refused.value)) is said


FIRST = 1_700_000_000_123_456_789


@pytest.mark.parametrize(
    "unit,text", [(1e-9, str), (1.0, lambda ns: f"{ns // 10**9}.{ns % 10**9:09d}")]
)
def test_a_clock_s_nanoseconds_are_read_as_they_stand(write, unit, text):
    """A double has 256 ns between two of them."""
    times = [FIRST, FIRST + 1, FIRST + 100, FIRST + 101]
    rows = "".join(f"{text(ns)},5,6\n" for ns in times)
    read = trace(write("arrival,input_tokens,output_tokens\n" + rows), "csv", unit_s=unit)
    assert read.arrival_ns.tolist() == times


def test_a_time_beyond_the_largest_number_is_refused(write):
    rows = "arrival,input_tokens,output_tokens\n0,5,6\n9223372036854775808,5,6\n"
    with pytest.raises(ValueError, match="line 3: arrival is '9223372036854775808'"):
        trace(write(rows), "csv", unit_s=1e-9)


@pytest.mark.parametrize("chunk", [1, 255, 256, 257, 600])
def test_rows_are_those_of_the_file_whatever_is_read_at_once(write, chunk):
    rows = "".join(f"{i},{i + 1},{i + 2}\n" for i in range(600))
    read = trace(write("arrival,input_tokens,output_tokens\n" + rows), "csv", chunk=chunk)
    assert read.input_tokens.tolist() == list(range(1, 601))
    assert read.output_tokens.tolist() == list(range(2, 602))
    cut = trace(write("arrival,input_tokens,output_tokens\n" + rows), "csv", chunk=chunk, limit=300)
    assert cut.arrival_ns.tolist() == [10**9 * i for i in range(300)]


def test_dates_with_an_offset_are_times_of_utc(write):
    head = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    rows = ("2023-11-16 18:15:46.5", "2023-11-16T20:15:47.5+02:00", "2023-11-16 12:45:48.5-0530",
            "2023-11-16 18:15:49.5Z", "2023-11-17 00:15:50.5+06:00")  # fmt: skip
    found = trace(write(head + "".join(f"{row},5,6\n" for row in rows)), "azure")
    assert found.arrival_ns.tolist() == [i * 1_000_000_000 for i in range(5)]
    for bad in ("2023-11-16 18:15:46+24:00", "2023-11-16 18:15:46+02", "1970-01-01 00:30:00+01:00"):
        with pytest.raises(ValueError, match="expected dates from 1970 to 2261 .* with its offset"):
            trace(write(f"{head}{bad},5,6\n"), "azure")


def test_dates_in_a_table_of_numbers_name_the_layout_that_reads_them(write):
    path = write("arrival,input_tokens,output_tokens\n2023-11-16 18:15:46,5,6\n")
    with pytest.raises(ValueError, match="dates are read with layout='azure' or --layout azure"):
        trace(path, "csv")
    names = {name: name for name in ("arrival", "input_tokens", "output_tokens")}
    assert trace(path, "azure", columns=names).arrival_ns.tolist() == [0]
    with pytest.raises(ValueError, match="line 2") as plain:
        trace(write("arrival,input_tokens,output_tokens\nwhen,5,6\n"), "csv")
    assert "azure" not in str(plain.value)
