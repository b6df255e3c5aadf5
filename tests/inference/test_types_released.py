"""Where no plan is given, the types are those that the model was released in."""

import json

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import serving
from tokenroof.inference.door import deployment
from tokenroof.inference.released import plan_as_released, released_plan, said_types
from tokenroof.records.huggingface.config import name_of

TINY = {
    "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 8192, "vocab_size": 32000, "tie_word_embeddings": False,
}  # fmt: skip
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True}


@pytest.fixture
def own(tmp_path):
    def write(name, **more):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**TINY, **more}))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("model", "types"),
    [("DeepSeek-R1", ("fp8_block", "fp8_block")), ("gpt-oss-120b", ("bf16", "mxfp4")),
     ("Llama-3.1-8B", ("bf16", "bf16"))],
)  # fmt: skip
def test_every_door_takes_released_types(model, types):
    plan = deployment("H200-SXM", model).plan
    assert (plan.weights, plan.experts) == types
    step = tr.decode("H200-SXM", model, batch=1)
    assert (step.plan.weights, step.plan.experts) == types
    want = tr.decode("H200-SXM", model, tr.Plan(**released_plan(tr.model(model))), batch=1)
    assert step.time_s == want.time_s
    pool = serving.System(both=serving.Pool("H200-SXM"))
    if model != "DeepSeek-R1":
        found = pool.deployments(model, "datasheet")["both"].plan
        assert (found.weights, found.experts) == types
    fits = serving.plan_that_fits("H200-SXM", model)
    assert (fits.weights, fits.experts) == types
    assert fits.devices == {"DeepSeek-R1": 8}.get(model, 1)
    # what is given stays as it is
    assert tr.decode("H200-SXM", model, tr.Plan(), batch=1).plan.weights == "bf16"


@pytest.mark.parametrize(
    ("said", "types"),
    [("fp8", ("fp8", "fp8")), ("int4", ("int4", "int4")), ("nvfp4 by NVIDIA", ("nvfp4", "nvfp4")),
     ("bf16", None), ("fp16", None), ("fp32", None), ("", None), ("fp8 in blocks of 128", ("fp8_block", "fp8_block")),
     ("mxfp4 experts, bf16 rest", ("bf16", "mxfp4"))],
)  # fmt: skip
def test_types_that_are_narrower_than_wide_ones(said, types):
    assert said_types(tr.model("Llama-3.1-8B").replace(native_dtype=said)) == types


def test_own_configs_of_four_bits(own):
    narrow, wide = tr.model(own("narrow.json", quantization_config=AWQ)), tr.model(own("wide.json"))
    short, long = (tr.decode("L40S", m, batch=1) for m in (narrow, wide))
    assert short.plan.weights == "int4" and short.time_s < 0.6 * long.time_s
    assert serving.plan_that_fits("L40S", narrow).weights == "int4"
    assert plan_as_released(narrow, tp=2).weights == "int4"
    assert plan_as_released(narrow, weights="fp8") == tr.Plan(weights="fp8")
    table = tr.sweep("L40S", [narrow, wide], batch=1, context=64)
    assert table.plan.values.tolist() == ["tp1 int4 kv bf16", "tp1 bf16 kv bf16"]
    assert table.time_s.sel(model="narrow").values.ravel()[0] < short.time_s * 1.01


def test_unreadable_types_are_refused_but_for_a_plan_that_is_given(own):
    odd = tr.model(own("odd.json", quantization_config={"quant_method": "bitsandbytes"}))
    with pytest.raises(ValueError, match="quant_method is"):
        tr.decode("L40S", odd, batch=1)
    assert tr.decode("L40S", odd, tr.Plan(), batch=1).time_s > 0.0
    assert serving.plan_that_fits("L40S", odd).weights == "bf16"
    assert "quant_method is" in str(odd.explain())


def test_what_does_not_fit_is_told_in_the_repr():
    assert repr(tr.decode("H200-SXM", "DeepSeek-R1", batch=1)).endswith(
        "shape (), does not fit the memory>"
    )
    some = tr.decode("H200-SXM", "Llama-3.1-8B", batch=[1, 10**5, 10**6])
    assert repr(some).endswith("shape (3,), 2 of 3 do not fit the memory>")
    assert some.fits.tolist() == [True, False, False]
    assert "memory" not in repr(tr.decode("H200-SXM", "Llama-3.1-8B", batch=1))


def test_explain_says_how_it_is_stored(own):
    m = tr.model(own("narrow.json", quantization_config=AWQ))
    page = m.explain()
    assert page.stored.startswith("awq; weights int4")
    assert page.weight_bytes == m.weight_bytes()
    assert f"{sum(m.weight_bytes().values()):,.0f} B 100.00 %" in str(page)
    plain = tr.model(own("wide.json")).explain()
    assert plain.stored == "" and not plain.weight_bytes and "stored" not in str(plain)


def test_own_models_are_named_by_their_files(own):
    assert tr.model(own("a.json")).name == tr.Model.from_config(own("a.json")).name == "a"
    assert tr.model(own("mine/config.json")).name == "mine"
    assert tr.Model.from_config(own("mine/config.json")).name == "mine"
    assert tr.model(own("c.json", _name_or_path="org/its-own")).name == "org/its-own"
    assert tr.Model.from_config(TINY).name == "llama"


def test_a_config_of_the_hub_s_cache_is_named_by_its_repository(tmp_path, monkeypatch):
    """There a snapshot's files are links to blobs that are called by their hashes."""
    kept = tmp_path / "models--org--its-own"
    for folder in ("blobs", "snapshots/6cee5e8"):
        (kept / folder).mkdir(parents=True)
    (kept / "blobs" / "0a1b").write_text(json.dumps(TINY))
    path = kept / "snapshots" / "6cee5e8" / "config.json"
    path.symlink_to("../../blobs/0a1b")
    assert tr.model(str(path)).name == tr.Model.from_config(path).name == "its-own"
    monkeypatch.chdir(path.parent)
    assert name_of("config.json") == name_of(".") == "its-own"


def test_labels_of_a_sweep_tell_records_apart(own):
    a, b = own("a.json"), own("b.json", num_hidden_layers=8)
    table = tr.sweep("H200-SXM", [a, b], batch=1)
    assert table.model.values.tolist() == ["a", "b"]
    twin = tr.model(b).replace(name="a")
    with pytest.raises(ValueError, match="models has two unlike records called 'a'"):
        tr.sweep("H200-SXM", [a, twin], batch=1)
    card = tr.device("H200-SXM").replace(memory_bandwidth=1e12)
    with pytest.raises(ValueError, match="devices has two unlike records called 'H200-SXM'"):
        tr.sweep(["H200-SXM", card], a, batch=1)
    plans = [tr.Plan(), tr.Plan(engine="sglang"), tr.Plan(tp=2)]
    labels = tr.sweep("H200-SXM", a, plans, batch=1).plan.values.tolist()
    assert labels == ["tp1 bf16 kv bf16 engine vllm", "tp1 bf16 kv bf16 engine sglang",
                      "tp2 bf16 kv bf16"]  # fmt: skip
    assert np.unique(labels).size == 3


def test_a_slip_in_an_option_is_told_all_arguments():
    with pytest.raises(
        TypeError,
        match=r"unexpected option 'batc'.*progress, devices, .*batch.*did you mean 'batch'",
    ):
        tr.sweep("H200-SXM", "Llama-3.1-8B", batc=[1])


def test_lengths_count_where_queues_begin_to_grow():
    whole = serving.stability("H200-SXM", "Llama-3.1-8B", None, 800, 100)
    same = serving.stability("H200-SXM", "Llama-3.1-8B", None, serving.Lengths.fixed(800), 100)
    wide = serving.stability(
        "H200-SXM", "Llama-3.1-8B", None, 800, serving.Lengths.lognormal(100, 1.5)
    )
    assert same == whole and wide.rate < whole.rate


def test_what_best_hits_gives_prints_in_a_line():
    load = serving.as_requests({
        "arrival_ns": np.arange(3), "input_tokens": np.full(3, 32), "output_tokens": np.ones(3, int),
        "block_hashes": [[1, 2], [1, 2], [1, 3]], "hash_block": 16,
    })  # fmt: skip
    assert repr(serving.best_hits(load, 8)) == (
        "<BestHits: 32 of 96 prompt tokens (33.3 %) of 3 requests in 8 blocks of 16>"
    )
