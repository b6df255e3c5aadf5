"""Records from files of the caller's own: a path goes wherever a name does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.catalogue.own import read

CARD = """
name = "my card"
vendor = "NVIDIA"
family = "Hopper"
memory_bandwidth = 4e12  # B/s
memory_bytes = 96e9
tdp_w = 600
link_bandwidth = 4.5e11
link_domain_size = 8
aliases = ["card"]

[peak]
bf16 = 9e14
fp8 = 1.8e15
"""
LLAMA = {
    "model_type": "llama", "hidden_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 8,
    "num_key_value_heads": 2, "intermediate_size": 4096, "vocab_size": 32000,
}  # fmt: skip


@pytest.fixture
def card(tmp_path: Path) -> Path:
    file = tmp_path / "card.toml"
    file.write_text(CARD)
    return file


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    file = tmp_path / "tiny" / "config.json"
    file.parent.mkdir()
    file.write_text(json.dumps(LLAMA))
    return file


def test_a_path_goes_wherever_a_name_does(card, llama):
    device = tr.device(card)
    assert device.name == "my card" and device.peak["fp8"] == 1.8e15 and device.aliases == ("card",)
    model = tr.model(str(llama))
    assert model.hidden == 1024
    assert (
        tr.model(llama.parent) == tr.model(f"{llama.parent}") == model and tr.model(model) is model
    )
    step = tr.decode(card, llama, tr.Plan(tp=2), batch=[1, 8])
    assert np.array_equal(step.time_s, tr.decode(device, model, tr.Plan(tp=2), batch=[1, 8]).time_s)
    assert tr.serving.curve(str(card), str(llama), concurrency=[4]).fits.all()
    front = tr.serving.frontier(card, llama)
    assert front.attrs["device"] == "my card"
    assert list(tr.sweep(card, llama).device.values) == ["my card"]
    assert tr.roofline.ridge(card) == 225.0
    assert tr.operators.gemm(card, 16, 1024, 1024).time_s > 0
    assert len(tr.plot.roofline([card, "H100-SXM"]).data) == 2


def test_other_forms(tmp_path):
    (tmp_path / "rack.toml").write_text(
        "[[device]]\nmemory_bandwidth = 1e12\npeak = { bf16 = 1e14 }\n"
    )
    assert tr.device(str(tmp_path / "rack.toml")).name == "rack"
    (tmp_path / "rack.JSON").write_text('{"memory_bandwidth": 1e12, "peak": {"bf16": 1e14}}')
    assert tr.device(str(tmp_path / "rack.JSON")).memory_bandwidth == 1e12
    shape = "hidden = 64\nvocab = 100\nlayers = 2\nheads = 4\nffn = 256\n"
    (tmp_path / "tiny.toml").write_text(shape)
    assert tr.model(tmp_path / "tiny.toml").parameters == 144192
    as_toml = "\n".join(f"{k} = {json.dumps(v)}" for k, v in LLAMA.items())
    (tmp_path / "llama.toml").write_text(as_toml)
    assert tr.model(tmp_path / "llama.toml") == tr.Model.from_config(LLAMA)
    (tmp_path / "box.toml").write_text("hashrate = 200e12\npower = 3500\n")
    assert tr.miner(tmp_path / "box.toml").efficiency == 17.5


BAD = [
    ("device", "a.toml", b"memory_bandwidth = ", ValueError, "a.toml: the file is not TOML"),
    ("device", "a.toml", b"\xff\xfe", ValueError, "the file is not TOML"),
    ("device", "a.json", b"[" * 10**5, ValueError, "the file is not JSON"),
    ("device", "a.json", b"3", TypeError, "the file holds a int; allowed"),
    ("device", "a.toml", b"name = 'x'", ValueError, "memory_bandwidth is missing; allowed"),
    ("device", "a.toml", b"memory_bandwith = 1e12", ValueError, "did you mean 'memory_bandwidth'"),
    ("device", "a.toml", b"memory_bandwidth = 1e12\npeak = 3", TypeError, "peak must be a dict"),
    ("device", "a.toml", b"memory_bandwidth = 1e12\nvendor = 3\n[peak]\nbf16 = 1e14", TypeError,
     "vendor is 3; allowed: text"),
    ("device", "a.toml", b"provenance = {}", ValueError, "unknown field 'provenance'"),
    ("device", "a.toml", b"[[device]]\n[[device]]\n", ValueError, "device has 2 entries; allowed: one"),
    ("device", "a.toml", b"memory_bandwidth = 6\n[peak]\nbf16 = 1e14", ValueError, "B/s"),
    ("model", "config.json", b"{}", ValueError, "config.json: model_type is missing"),
    ("model", "config.json", b'{"model_type": "llamma"}', ValueError, "model_type is 'llamma'"),
    ("model", "m.toml", b"hidden = 64\nvocab = 8\nlayers = -1", ValueError, "layers"),
    ("miner", "m.toml", b"power = 3000", ValueError, "hashrate is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "content", "error", "said"), BAD)
def test_a_file_that_is_none_is_named(kind, name, content, error, said, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=said):
        getattr(tr, kind)(str(tmp_path / name))


@pytest.mark.parametrize("kind", ["device", "miner", "model"])
def test_a_file_that_is_not_there(kind, tmp_path):
    with pytest.raises(FileNotFoundError):
        getattr(tr, kind)(tmp_path / "nothing.toml")
    with pytest.raises(FileNotFoundError):
        getattr(tr, kind)("nothing.json")


@pytest.mark.parametrize("kind,fields,message", [
    ("device", {"memory_bandwidth": None, "peak": {"bf16": 1e14}}, "memory_bandwidth is null; allowed: a device with"),
    ("device", {"memory_bandwidth": 1e12, "peak": {"bf16": None}}, "peak.bf16 is null; allowed: a value, or to leave"),
    ("device", {"memory_bandwidth": 1e12, "peak": {"bf16": 1e14}, "kind": None}, "kind is null; allowed: a value, or"),
    ("miner", {"hashrate": None}, "hashrate is null; allowed: a miner with hashrate"),
    ("model", {"hidden": 64, "vocab": 9, "layers": 2, "ffn": None}, "ffn is null; allowed: a value, or to leave it"),
    ("model", {"hidden": 64, "vocab": None, "layers": 2}, "vocab is null; allowed: a model with hidden, vocab, layers"),
])  # fmt: skip
def test_a_null_is_called_one(kind, fields, message, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(fields))
    with pytest.raises((ValueError, TypeError), match=f"mine.json: {message}"):
        read(kind, file)


def test_a_null_where_nothing_is_known_leaves_a_field_out(tmp_path):
    file = tmp_path / "mine.json"
    fields = {"memory_bandwidth": 1e12, "peak": {"bf16": 1e14}}
    file.write_text(json.dumps(fields | {"tdp_w": None}))
    assert read("device", file) == tr.Device(name="mine", **fields)
