"""Slips of a first user, each named where it was made: what is unknown, doubled, empty or too much."""

import json

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import economics as ec
from tokenroof import serving
from tokenroof.catalogue import own
from tokenroof.economics.hall.case import _taken
from tokenroof.economics.scenarios.sections import Power
from tokenroof.serving import Speculation

WHERE = ("H200-SXM", "Llama-3.1-8B")
CONFIG = {
    "model_type": "llama", "hidden_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 8,
    "num_key_value_heads": 2, "intermediate_size": 4096, "vocab_size": 32000,
}  # fmt: skip
LOAD = {"arrival": [0.0], "input_tokens": 10, "output_tokens": 2}


def test_a_speed_that_nothing_has_is_told_with_the_fastest_there_is():
    market = ec.Market.latest(3.0)
    found = ec.compare_per_mwh("Antminer S21", *WHERE, market=market, interactivity=1e6)
    assert np.isnan(found.inference)
    assert found.reason.startswith("interactivity is 1e+06 token/s; allowed: at most ")
    fastest = float(found.reason.split("at most ")[1].split(",")[0])
    there = ec.compare_per_mwh("Antminer S21", *WHERE, market=market, interactivity=0.999 * fastest)
    assert there.inference > 0.0 and there.reason == ""
    none = ec.compare_per_mwh("Antminer S21", *WHERE, market=market, output_tokens=1)
    assert np.isnan(none.inference) and "one token" in none.reason
    big = ec.compare_per_mwh("Antminer S21", "L4", "Llama-3.1-405B", tr.Plan(), market)
    assert np.isnan(big.inference) and "per device" in big.reason


@pytest.mark.parametrize("many", [10**9, 2**16 + 1, 0, -1])
def test_more_replicas_than_can_be_played_are_refused(many):
    for ask in (
        lambda: serving.simulate(*WHERE, None, LOAD, replicas=many),
        lambda: serving.Pool("H200-SXM", count=many),
    ):
        with pytest.raises(ValueError, match=rf"is {many}; allowed: an integer from 1 to 65536"):
            ask()


@pytest.mark.parametrize("many", [10**12, 2**28 + 1])
def test_more_requests_than_memory_holds_are_refused(many):
    for ask in (lambda: serving.poisson(1.0, requests=many), lambda: serving.users(4, many)):
        with pytest.raises(ValueError, match=rf"requests is {many}; allowed: an integer from 1 to"):
            ask()


def test_a_way_to_draft_that_is_none_is_named_where_it_is_written():
    with pytest.raises(
        ValueError, match=r"method is 'eagel'; did you mean 'eagle'\?; allowed: 'mtp'"
    ):
        Speculation("eagel", 3, 0.7)
    with pytest.raises(
        ValueError, match=r"method is 'Llama-3\.2-1BB'; .*did you mean 'Llama-3\.2-1B'"
    ):
        serving.System(both=serving.Pool("H200-SXM"), speculation={"method": "Llama-3.2-1BB"})
    for method in ("mtp", "eagle", "ngram", "Llama-3.2-1B", tr.model("Llama-3.2-1B")):
        assert Speculation(method).method == method


@pytest.mark.parametrize(
    ("more", "named"),
    [({"torch_dtype": "bfloat61"}, "torch_dtype is 'bfloat61'; allowed: bfloat16, .*did you mean 'bfloat16'"),
     ({"dtype": "q4_k_m"}, "torch_dtype is 'q4_k_m'; allowed: bfloat16"),
     ({"quantization_config": {"quant_method": "gptqq", "bits": 4}}, "quant_method is 'gptqq'.*mean 'gptq'"),
     ({"quantization_config": {"quant_method": "zzz"}}, "quant_method is 'zzz'; allowed: fp8")],
)  # fmt: skip
def test_words_of_a_config_that_nobody_knows(more, named):
    with pytest.raises(ValueError, match=named):
        tr.Model.from_config({**CONFIG, **more})


@pytest.mark.parametrize("dtype", ["bfloat16", "torch.float16", "float32", "auto", "float8_e4m3fn"])
def test_words_of_a_config_that_are_known(dtype):
    assert tr.Model.from_config({**CONFIG, "torch_dtype": dtype}).native_dtype == dtype
    apart = {"quantization_config": {"quant_method": "bitsandbytes"}}
    assert tr.Model.from_config({**CONFIG, **apart}).quantisation.refusal  # known, and not read


@pytest.mark.parametrize("kind", ["gqu", "GPU", "", 3])
def test_a_kind_of_device_that_there_is_not(tmp_path, kind):
    with pytest.raises(
        ValueError, match="kind must be one of gpu, tpu, npu, lpu, apu, wafer, rdu, cpu, not"
    ):
        tr.Device(name="x", memory_bandwidth=1e12, peak={"bf16": 1e14}, kind=kind)
    if kind == "gqu":
        card = tmp_path / "card.toml"
        card.write_text('memory_bandwidth = 1e12\npeak = {bf16 = 1e14}\nkind = "gqu"\n')
        with pytest.raises(ValueError, match=r"card\.toml: .*not 'gqu'; did you mean 'gpu'"):
            tr.device(card)


def test_a_key_that_stands_twice(tmp_path):
    text = json.dumps(CONFIG)[:-1] + ', "hidden_size": 2048}'
    (tmp_path / "config.json").write_text(text)
    for ask in (lambda: tr.Model.from_config(tmp_path), lambda: tr.model(tmp_path / "config.json")):
        with pytest.raises(
            ValueError, match=r"config\.json.*'hidden_size' stands twice in an object"
        ):
            ask()
    card = tmp_path / "card.json"
    card.write_text('{"memory_bandwidth": 1e12, "peak": {"bf16": 1e14, "bf16": 2e14}}')
    with pytest.raises(ValueError, match=r"card\.json.*'bf16' stands twice"):
        tr.device(card)
    assert own  # whose reader it is


@pytest.mark.parametrize(
    ("name", "text", "layout"),
    [("t.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n", "azure"), ("t.jsonl", "", "mooncake")],
)
def test_a_trace_without_a_request(tmp_path, name, text, layout):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(
        ValueError, match=rf"{name}: no requests; allowed: a trace with at least one row"
    ):
        serving.trace(file, layout)


@pytest.mark.parametrize("seed", [-3, 2**70, 2**64, 1.0, True, "7"])
def test_a_seed_has_64_bits(seed):
    for ask in (
        lambda: serving.simulate(*WHERE, None, LOAD, seed=seed),
        lambda: serving.poisson(1.0, requests=2, seed=seed),
        lambda: ec.concentration([0.5, 0.5], seed=seed) if hasattr(ec, "concentration") else serving.users(2, 4, seed=seed),
    ):  # fmt: skip
        with pytest.raises(
            (ValueError, TypeError), match="seed is .*; allowed: whole numbers from 0 to 2"
        ):
            ask()


@pytest.mark.parametrize("name", ["devices", "models", "plans", "batch", "context"])
def test_a_sweep_over_nothing(name):
    given = {"devices": "H200-SXM", "models": "Llama-3.1-8B", name: []}
    with pytest.raises(ValueError, match=f"{name} is empty; allowed: at least one"):
        tr.sweep(**given)


def test_a_curve_over_nothing():
    with pytest.raises(ValueError, match="concurrency is empty; allowed: at least one"):
        serving.curve(*WHERE, concurrency=[])
    with pytest.raises(ValueError, match="rate is empty; allowed: at least one"):
        serving.curve(*WHERE, rate=[])


def test_power_without_a_limit_to_its_price_is_said_in_words():
    assert _taken(Power()) == "taken at any price"
    assert _taken(Power(curtail_above=80.0)).startswith("not taken above 80 $/MWh")
