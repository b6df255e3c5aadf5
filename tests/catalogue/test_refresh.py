"""Devices and models of autumn 2026: each works at every door, or is refused by name with the reason."""

import json

import pytest

import tokenroof as tr
from tokenroof import catalogue, mining
from tokenroof import economics as ec
from tokenroof.catalogue import architectures
from tokenroof.catalogue.files import table
from tokenroof.cli.program import main

NEW = (
    "Vera Rubin NVL72", "TPU 8t", "TPU 8i", "Maia 200", "MTIA 300", "MTIA 400", "MTIA 450", "MTIA 500",
    "Ascend 950PR (Atlas 350)", "Ascend 950DT", "Ascend 960", "Ascend 970", "Instinct MI455X", "d-Matrix Corsair",
    "RTX PRO 6000 Blackwell Workstation", "GB10 (DGX Spark)", "Jetson AGX Thor", "Apple M3 Ultra",
)  # fmt: skip
MODEL, PLAN = "SmolLM2-135M", tr.Plan()
PRICES = ec.Market(hashprice=40.0, price_per_mtok=1.0)


@pytest.mark.parametrize("name", NEW)
def test_a_new_device_at_every_door(name):
    found = tr.device(name)
    assert float(tr.decode(found, MODEL, PLAN, batch=1, context=128).time_s) > 0.0
    curve = tr.serving.curve(found, MODEL, PLAN, concurrency=[1.0])
    front = tr.serving.frontier(found, MODEL, [PLAN])
    sold = ec.compare_per_mwh("Antminer S21", found, MODEL, PLAN, PRICES, interactivity=1.0)
    if name == "d-Matrix Corsair":  # 2 GB of SRAM, of which a part is left
        assert f"{MODEL} needs" in curve.attrs["reason"] and front.sizes["point"] == 0
    else:
        assert (
            float(curve.interactivity[0]) > 0.0
            and front.sizes["point"] > 0
            and sold.inference > 0.0
        )
    try:
        assert mining.hashrate(found) > 0.0
    except ValueError as error:
        assert f"{found.name} is unknown; allowed" in str(error)
    try:
        assert ec.rent_gpus(found, 3e4).income.price_per_gpu_hour > 0.0
    except ValueError as error:
        assert found.name in str(error) and "nobody priced; allowed" in str(error)


@pytest.mark.parametrize(
    "name", ["MI430X", "instinct mi440x", "Jalapeno", "Crescent Island", "trn4"]
)
def test_what_is_announced_without_figures_is_refused_with_the_reason(name, capsys):
    with pytest.raises(
        ValueError, match=r"has no published figures \(.*: .*\); allowed: a device that has"
    ):
        tr.device(name)
    with pytest.raises(ValueError, match="has no published figures"):
        tr.serving.curve(name, MODEL)
    assert main(["roofline", name]) == 2 and "no published figures" in capsys.readouterr().err


def test_announced_devices_name_their_source_and_are_no_records():
    rows = table("devices")["announced"]
    assert all(row["reason"] and len(row["source"]) > 20 and row["release"] for row in rows)
    assert not {row["name"] for row in rows} & {d.name for d in catalogue.all_devices()}


def test_models_known_by_name_are_refused_with_the_reason():
    rows = {row["name"]: row for row in table("models")["model"] if "config" not in row}
    assert {"MiMo-V2.5", "Inkling", "Mistral-Large-3", "Qwen3.5-9B"} <= rows.keys()
    for name in ("MiMo-V2.5", "XiaomiMiMo/MiMo-V2.5", "thinkingmachines/Inkling-NVFP4"):
        with pytest.raises(
            ValueError, match=r"has no published shapes \(.+\); allowed: a model with shapes"
        ):
            tr.model(name)
    frame = {row["name"]: row for row in architectures.rows()}
    assert (
        frame["Inkling"]["active_parameters"] == 41_000_000_000
        and frame["Inkling"]["context_max"] == 1048576
    )


def test_sources_of_one_number():
    found = catalogue.source("h100_sxm", "idle_w")
    assert (found.value, found.unit, found.kind) == (
        70.0,
        "W",
        "measured",
    ) and "nvidia-smi" in found.source
    assert catalogue.source("Llama-2-70b-chat-hf", "context_max").value == 4096
    assert catalogue.source("antminer s21", "power").unit == "W"
    with pytest.raises(KeyError, match="unknown number of H100-SXM 'tdp'; did you mean 'tdp_w'"):
        catalogue.source("H100-SXM", "tdp")
    with pytest.raises(KeyError, match="unknown item 'H1OO'; did you mean"):
        catalogue.source("H1OO", "tdp_w")


def test_the_command_line_lists_sources(capsys):
    assert main(["list", "devices", "--sources", "--match", "b200-sxm", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["item"] for row in rows} == {"B200-SXM"} and len(rows) > 20
    by_field = {row["field"]: row for row in rows}
    assert (
        by_field["tdp_w"]["value"] == 1000.0
        and "Blackwell Datasheet" in by_field["tdp_w"]["source"]
    )
    assert main(["list", "miners", "--sources", "--match", "antminer s21 pro"]) == 0
    assert "J/TH" in (said := capsys.readouterr().out) or "hash/s" in said
