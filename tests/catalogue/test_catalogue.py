"""The catalogue: complete, sane, and every number with a unit, a kind and a source."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tokenroof import catalogue
from tokenroof.catalogue import files as _load
from tokenroof.catalogue.architectures import model as catalogue_model
from tokenroof.catalogue.lookup import all_devices, device
from tokenroof.catalogue.tables import rows_of
from tokenroof.support.names import near_matches, normalise, unknown

FOLDER = Path(catalogue.__file__).parent


@pytest.fixture(scope="module")
def numbers():
    return catalogue.sources()


def test_counts():
    assert len(catalogue.all_devices()) == 104
    assert len(catalogue.all_miners()) == 224
    assert len(catalogue.links()) == 30
    assert len(catalogue.quotes()) == 923  # the keynote's five prices stand in the tiers
    assert len(catalogue.tier_rows()) == 5


@pytest.mark.parametrize("name", _load.FILES)
def test_text_of_the_files(name):
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert "find_" + "string" not in text  # how a source was found is nobody's business
    assert not re.search(r"\bids? \d{9,}", text)


@pytest.mark.parametrize("name", ["devices", "miners", "links"])
def test_every_number_has_unit_kind_and_source(name):
    file = _load.table(name)
    words = {"generation", "link_generation"}  # labels, not quantities
    used, cited = set(), set()
    for row in file[name.removesuffix("s")]:
        origins = _load.provenance_of(file, row)
        for key, value in row.items():
            items = [f"{key}_{k}" for k in value] if key == "peak" else [key]
            if key in words or not isinstance(value, (int, float, dict)) or key in ("kinds",):
                continue
            if key in ("own_sources", "documents"):
                continue
            for item in items:
                origin = origins[item]
                assert origin.kind in catalogue.KINDS
                assert origin.source
                assert origin.unit
                assert origin.date
        # an exception for a field that is not there would be a slip
        listed = [f for names in row.get("kinds", {}).values() for f in names]
        stated = [f for fields in row.get("documents", {}).values() for f in fields]
        assert set(listed) | set(row.get("own_sources", ())) | set(stated) <= set(origins)
        assert max(Counter([*stated, *row.get("own_sources", ())]).values(), default=1) == 1
        cited |= set(row.get("documents", ()))
        assert max(Counter(listed).values(), default=1) == 1
        used |= set(row["sources"]) | {s for v in row.get("own_sources", {}).values() for s in v}
    assert used == set(file["sources"])
    assert cited == set(file.get("documents", ()))


#: Where a reader can look: a page, a file of a repository, a dated document, the block chain, or our own work.
PLACE = re.compile(
    r"[\w-]+\.[a-z]{2,}\b|[\w.-]+/[\w.-]+|[A-Z].*\b(19|20)\d\d\b|^block \d+|one port per GPU"
    r"|tokenroof|^derived from|^a header scan compiled|^independent chains of each instruction"
)
#: How a source was found, or that there was none: neither can be looked up.
NOWHERE = re.compile(
    r"search index|index item|stored copy|\b(docs|code|find)[ _](search|string)|\bunsourced\b|\bunchecked\b"
    r"|\b\d{9,}\b|^(keynote|press|recalled|a table|a page|the press)\b"
)


@pytest.mark.parametrize("name", _load.FILES)
def test_a_reader_can_look_up_each_source_or_is_told_that_there_is_none(name):
    for key, text in _load.table(name)["sources"].items():
        assert not NOWHERE.search(text), (key, text)
        assert text.startswith("not published") or PLACE.search(text), (key, text)


def test_no_source_says_how_it_was_found(numbers):
    for text in (*numbers["source"].unique(), *catalogue.models()["source"].unique()):
        assert not NOWHERE.search(text), text
    for name in _load.FILES:
        for row in _load.table(name).get(name.removesuffix("s"), ()):
            notes = row.get("notes", "")
            assert not re.search(
                r"index items?|stored copy|(docs|code) search|ids? \d{9,}", notes
            ), notes


def test_numbers_of_devices_name_a_document_each(numbers):
    """Title, publisher and date by number where a document is named, and no lump of a row's sources."""
    file = _load.table("devices")
    for document in file["documents"].values():
        assert set(document) == {"title", "publisher", "date", "seen"}
        assert _load.date_key(document["date"])[0] >= 2011
        assert document["seen"] == "read" or document["seen"].startswith("named by ")
    origin = numbers[numbers["file"] == "devices"].set_index(["item", "field"])
    h100 = origin.loc["H100-SXM"]
    for field in ("memory_bytes", "memory_bandwidth", "peak_bf16", "tdp_w", "link_bandwidth"):
        text = h100.loc[field, "source"]
        assert text.startswith("NVIDIA H100 Tensor Core GPU Datasheet (NVIDIA, 2022-2024)"), text
        assert h100.loc[field, "date"] == "2022-2024"
        assert ";" not in text
    assert "huggingface.co/hardware/h100" in h100.loc["price_usd", "source"]
    assert "DGX H100" in h100.loc["system_power_w", "source"]
    assert h100.loc["idle_w", "source"].startswith("nvidia-smi")
    stated = [f for row in file["device"] for fs in row.get("documents", {}).values() for f in fs]
    assert len(stated) >= 200
    # what is an estimate among published numbers does not borrow their sources
    basis = {row["name"]: row["basis"] for row in file["device"]}
    own = {(row["name"], f) for row in file["device"] for f in row.get("own_sources", ())}
    own |= {
        (row["name"], f)
        for row in file["device"] for fields in row.get("documents", {}).values() for f in fields
    }  # fmt: skip
    for (item, field), row in origin.iterrows():
        if row["kind"] == "estimate" != basis[item] and (item, field) not in own:
            assert row["source"].startswith("not published"), (item, field)


def test_sources_is_complete(numbers):
    assert list(numbers.columns) == [
        "file", "item", "field", "value", "unit", "kind", "source", "date",
    ]  # fmt: skip
    assert set(numbers["file"]) == {*_load.FILES}
    assert numbers["kind"].isin(catalogue.KINDS).all()
    assert (numbers["source"].str.len() > 0).all()
    assert (numbers["unit"].str.len() > 0).all()
    assert np.isfinite(numbers["value"]).all()
    ours = numbers[numbers["file"] != "models"]
    assert (ours["date"].str.len() > 0).all()
    frame = catalogue.devices()
    cells = frame[list(frame.attrs["units"])].notna().sum().sum()
    assert (numbers["file"] == "devices").sum() == cells


def test_cells_without_a_source_are_estimates(numbers):
    key = numbers.set_index(["item", "field"])["kind"]
    assert key["A40", "l2_bytes"] == "estimate"
    assert key["H100-SXM", "idle_w"] == "measured"
    assert key["H200-SXM", "idle_w"] == "measured"
    assert key["B200-SXM", "peak_bf16"] == "datasheet"
    assert key["Rubin Ultra NVL576", "peak_fp4"] == "estimate"
    assert key["Core i7 920", "hashrate"] == "estimate"
    assert set(numbers[numbers["item"] == "EPYC 9965"]["kind"]) <= {"estimate", "vendor"}


def test_frames():
    devices, miners = catalogue.devices(), catalogue.miners()
    assert len(devices) == 104
    assert devices["name"].is_unique
    assert len(miners) == 224
    assert miners["name"].is_unique
    assert devices.attrs["units"]["memory_bandwidth"] == "B/s"
    row = devices.set_index("name").loc["H100-SXM"]
    assert row["peak_bf16"] == 989.4e12
    assert row["tdp_w"] == 700
    assert np.isnan(devices.set_index("name").loc["Groq 3 LPU (LPX rack)", "tdp_w"])
    known = miners["power"].notna()
    np.testing.assert_array_equal(
        miners["efficiency"][known], (miners["power"] / miners["hashrate"] * 1e12)[known]
    )
    assert {"name", "parameters"} <= set(catalogue.models().columns)


@pytest.mark.parametrize("name", ["devices", "models", "miners", "tiers"])
def test_rows_without_pandas_are_those_of_the_frame(name):
    rows, frame = rows_of(name), getattr(catalogue, name)()
    assert [list(row) for row in rows] == [list(frame.columns)] * len(frame)
    for row, framed in zip(rows, frame.to_dict("records"), strict=True):
        assert row == {key: None if value != value else value for key, value in framed.items()}
        assert all(
            isinstance(row[key], (float, type(None))) for key in frame.attrs.get("units", ())
        )


def test_tiers_do_not_invent():
    rows = {row["name"]: row for row in catalogue.tier_rows()}
    assert [r["price_per_mtok"] for r in rows.values()] == [0, 3, 6, 45, 150]
    assert rows["Premium"]["interactivity"] == 400
    assert rows["Premium"]["context"] == 400e3
    for name in ("Free", "Medium", "High", "Ultra"):
        assert rows[name]["interactivity"] is None
    assert rows["Free"]["context"] is None
    assert rows["Ultra"]["model"] is None
    for row in rows.values():
        for field, origin in row["provenance"].items():
            assert row[field] is not None
            assert origin.kind in ("press", "vendor")
            assert origin.source
    frame = catalogue.tiers().set_index("name")
    assert frame.loc["Premium", "interactivity_kind"] == "vendor"
    assert np.isnan(frame.loc["Medium", "interactivity"])


def test_quotes():
    assert all(q.unit and q.date and q.source and q.region for q in catalogue.quotes())
    for kind in catalogue.quote_kinds():  # so that `latest` never compares two units
        units = {q.unit for q in catalogue.quotes(kind)}
        assert len(units) == 1, kind
    assert {q.region for q in catalogue.quotes("electricity_industrial", "texas")} == {"US Texas"}
    assert catalogue.quotes("btc_price", "nowhere") == ()
    with pytest.raises(KeyError, match="did you mean 'btc_price'"):
        catalogue.quotes("btc_prize")


def test_latest():
    assert catalogue.latest("btc_hashprice").value == 28.68
    assert catalogue.latest("btc_hashprice").unit == "USD/PH/day"
    assert catalogue.latest("electricity_industrial", "US Texas").value == 0.0725
    assert catalogue.latest("electricity_industrial", "Texas").date == "2026-01"
    assert catalogue.latest("pue", "Google fleet").kind != "estimate"  # 1.10 printed, 1.09 not
    with pytest.raises(KeyError, match="region of btc_price"):
        catalogue.latest("btc_price", "Litecoin")


def test_converted_units():
    old = {q.date: q.value for q in catalogue.quotes("btc_hashprice")}
    assert old["2021-10-24"] == 380.0  # printed as 0.38 USD/TH/day
    assert catalogue.latest("dc_construction_capex", "Tokyo").value == 15.2e6


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("2026-03-16", (2026, 3, 16)),
        ("2026-03", (2026, 3, 0)),
        ("2026", (2026, 0, 0)),
        ("2024-H2", (2024, 12, 0)),
        ("2025-Q2", (2025, 6, 0)),
        ("2024-2025", (2025, 0, 0)),
        ("2023-", (2023, 0, 0)),
        ("", (0, 0, 0)),
        (None, (0, 0, 0)),
    ],
)
def test_date_key(text, key):
    assert _load.date_key(text) == key


def test_links_know_their_generations():
    rate = {r["name"]: r.get("device_bandwidth") for r in catalogue.links()}
    generations = [rate[f"NVLink {g}"] for g in range(1, 7)]
    assert generations == [8e10, 1.5e11, 3e11, 4.5e11, 9e11, 1.8e12]
    assert rate["NVLink 7"] is None  # not published
    for row in catalogue.links():
        assert set(row["provenance"]) <= set(row)


def test_unknown_file():
    with pytest.raises(KeyError, match="devices"):
        _load.table("../secrets")


def test_provenance_rejects_other_kinds():
    with pytest.raises(ValueError, match="datasheet"):
        _load.Provenance("rumour", "somebody")


def test_a_file_is_read_once(monkeypatch):
    _load.clear_cache()
    opened = []
    whole = open
    monkeypatch.setattr("builtins.open", lambda *a, **k: opened.append(a[0]) or whole(*a, **k))
    first = _load.table("devices")
    assert _load.table("devices") is first
    assert [os.path.basename(name) for name in opened] == ["devices.toml"]


def test_records_need_no_optional_library():
    code = (
        "import sys, tokenroof.catalogue as c\n"
        "c.all_devices(), c.all_miners(), c.links(), c.latest('btc_price'), c.tier_rows()\n"
        "print([m for m in ('pandas', 'xarray', 'scipy', 'plotly') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_normalise():
    assert normalise("H200 SXM") == normalise("h200_sxm") == normalise("H200-sxm") == "h200sxm"
    assert normalise("Antminer S21+") != normalise("Antminer S21")
    with pytest.raises(TypeError, match="int"):
        normalise(3)


def test_near_matches():
    shown = {"h200": "H200-SXM", "H20": "H20", "h20_sxm": "H20", "T4": "T4"}
    assert near_matches("H20O", shown) == ["H200-SXM", "H20"]
    assert near_matches("H20O", shown, n=1) == ["H200-SXM"]
    assert near_matches("", shown) == []
    assert near_matches("zzzz", ["H200"]) == []
    near_matches("h" * 1_000_000, shown)  # bounded work


def test_unknown_reads_as_a_sentence():
    error = unknown("device", "H20O", {"h200": "H200-SXM", "h20": "H20"})
    assert isinstance(error, KeyError)
    assert str(error) == "unknown device 'H20O'; did you mean 'H200-SXM', 'H20'?"
    assert str(unknown("device", "??", ["H20"])) == "unknown device '??'; allowed: H20"


@pytest.mark.parametrize(
    "name,field,value,kind,said",
    [("Vera Rubin NVL72", "memory_bandwidth", 1.92e13, "press", "Inference Performance Index"),
     ("Vera Rubin NVL72", "link_bandwidth", 1.5e12, "press", "Inference Performance Index"),
     ("TPU v3", "tdp_w", 262, "vendor", "Cloud TPU documentation, TPU v3"),
     ("MTIA 500", "memory_bandwidth", 2.76e13, "press", "Meta, MTIA roadmap"),
     ("TPU 8t", "peak_fp4", 1.26e16, "press", "Google, Our eighth generation TPUs"),
     ("Maia 200", "tdp_w", 750, "press", "Microsoft, Maia 200"),
     ("Corsair", "peak_int8", 2.4e15, "press", "vengineer"),
     ("RTX PRO 6000 Blackwell Workstation", "memory_bandwidth", 1.792e12, "press", "Workstation Edition product page"),
     ("Atlas 350", "peak_fp8", 7.8e14, "estimate", "not published in a document known here"),
     ("Ascend 960", "memory_bandwidth", 9.6e12, "press", "Xu Zhijun")],
)  # fmt: skip
def test_numbers_of_2026_and_where_they_stand(name, field, value, kind, said):
    table = catalogue.sources()
    found = table[(table["item"] == device(name).name) & (table["field"] == field)]
    assert (found["value"].item(), found["kind"].item()) == (value, kind)
    assert said in found["source"].item()


def test_no_source_is_an_index_that_nobody_can_look_up():
    for text in catalogue.sources()["source"].unique():
        assert not re.search(r"search index|index item|training data|recalled|unknown source", text)


@pytest.mark.parametrize("name", ["Gemma-4-31B-it", "google/gemma-4-13b", "Gemma-4", "DeepSeek-R1-32B",
                                  "Llama-4-Scout-109M", "Kimi-K2-8B"])  # fmt: skip
def test_another_size_is_another_model(name):
    with pytest.raises(KeyError, match="unknown model"):
        catalogue_model(name)


@pytest.mark.parametrize(("name", "found"), [
    ("DeepSeek-R1-671B", "DeepSeek-R1"), ("Llama-4-Scout-17B-16E-Instruct", "Llama-4-Scout"),
    ("Llama-4-Scout-109B", "Llama-4-Scout"), ("google/gemma-4-26B-A4B-it", "Gemma-4-26B-A4B"),
    ("Qwen3-30B-A3B-Instruct-2507", "Qwen3-30B-A3B"),
])  # fmt: skip
def test_a_size_that_is_the_models_own_may_stand(name, found):
    assert catalogue_model(name).name == found


def test_no_nvidia_board_multiplies_fp16_faster_than_bf16():
    """Engines add up in fp32: a rate with fp16 accumulators would be twice that of boards for players."""
    boards = [d for d in all_devices() if d.vendor == "NVIDIA" and {"bf16", "fp16"} <= set(d.peak)]
    assert len(boards) > 20
    assert [d.name for d in boards if d.peak["fp16"] != d.peak["bf16"]] == []
    card = device("RTX 4090")
    assert card.peak["fp16"] == 1.652e14 and card.peak["fp8"] == 3.303e14


def test_the_a10g_is_no_a10():
    """Its tensor cores are slower: no other board's figures stand for it."""
    with pytest.raises(KeyError, match="A10G"):
        device("A10G")
