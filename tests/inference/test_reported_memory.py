"""Devices without a table of their own read their memory as fast as their boards were reported to."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import _core
from tokenroof.catalogue import all_devices
from tokenroof.catalogue.decodes import Decode, beside_s, codes_left, decodes, reached
from tokenroof.catalogue.files import table
from tokenroof.catalogue.fits import fits
from tokenroof.inference.constants import find
from tokenroof.inference.reported_memory import elementwise_share, memory_ratio
from tokenroof.records.provenance import Provenance

SHARES = ("gemm", "attention_decode", "attention_prefill", "experts")
BOARDS = {row.device: row for row in decodes()}
KNOWN = {device.name for device in all_devices()} & BOARDS.keys()
NOWHERE = Provenance("measured", "a test", "2026", "token/s")


def memory(operator, device):
    device = tr.device(device) if isinstance(device, str) else device
    return find(operator, device, "vllm", "bf16").constants["memory"]


def board(share, beside, bandwidth=1e12, codes=False, small=None):
    """A board whose memory and time beside are known."""
    model = table("decodes")["model"]

    def rates(weights, reached):
        return tuple(
            1.0 / ((weights + model["context_bytes"] * n / 2) / (reached * bandwidth) + beside)
            for n in model["tokens"]
        )

    f16, q4 = rates(model["f16_bytes"], share), rates(model["q4_bytes"], small or share)
    return Decode("mine", "ada", "AD102", "GDDR6", codes, bandwidth, f16, q4, NOWHERE)


@pytest.mark.parametrize("share", [0.5, 0.85, 1.0])
@pytest.mark.parametrize("beside", [0.0, 1e-3, 4e-3])
@pytest.mark.parametrize("bandwidth", [3e11, 1.8e12])
def test_two_files_of_a_model_tell_the_memory_from_the_rest(share, beside, bandwidth):
    made = board(share, beside, bandwidth)
    assert made.beside_s == pytest.approx(beside, abs=1e-12)
    assert made.share(beside) == pytest.approx(share, rel=1e-9)


def test_bytes_are_those_of_the_model():
    """16-bit weights but the embedding, and the keys and values of half of what is generated."""
    model = tr.model("Llama-3.1-8B")  # whose shapes are Llama 3's
    weights = 2.0 * (model.parameters - model.embedding_parameters)
    moved = BOARDS["L40S"].bytes_of("f16")
    cache = model.kv_bytes_per_token("bf16")
    assert moved == pytest.approx([weights + cache * n / 2 for n in (512, 1024)], rel=1e-4)
    assert np.diff(BOARDS["L40S"].bytes_of("q4")) == np.diff(moved)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_boards_are_those_of_the_catalogue(name):
    device, row = tr.device(name), BOARDS[name]
    assert device.memory_bandwidth == row.bytes_per_s
    assert row.codes == ("inline ECC" in device.memory_type)
    assert device.memory_type.startswith(row.memory) and row.generation in device.family.lower()


def test_codes_cost_a_tenth_on_every_pair_of_one_chip():
    """A sixteenth is too little even if a token took no time beside its bytes: pairs are alike to 1 %."""
    found, least = [], []
    for with_codes, without in [
        ("L40S", "RTX 6000 Ada"),
        ("L40S", "RTX 5000 Ada"),
        ("A40", "RTX A6000"),
    ]:
        one, other = BOARDS[with_codes], BOARDS[without]
        assert (one.chip, one.memory, one.codes) == (other.chip, other.memory, not other.codes)
        found.append(reached()[without] / reached()[with_codes])
        least.append(other.share(0.0) / one.share(0.0))
    assert max(found) / min(found) < 1.01 and min(found) > 1.09
    assert 1.0 / codes_left() == pytest.approx(np.exp(np.mean(np.log(found))), rel=1e-12)
    assert min(least) > 16.0 / 15.0


def test_of_a_generation_the_median_board_says_what_is_beside():
    for generation in ("ada", "ampere"):
        own = [row.beside_s for row in decodes() if row.generation == generation]
        assert beside_s(generation) == np.median(own)
        assert min(own) > 2e-3 and max(own) < 3.5e-3


def test_both_lengths_say_the_same():
    for row in decodes():
        left = 1.0 / np.array(row.f16) - beside_s(row.generation)
        shares = row.bytes_of("f16") / left / row.bytes_per_s
        assert np.ptp(np.log(shares)) < 0.025, row.device
        assert np.exp(np.log(shares).mean()) == pytest.approx(reached()[row.device], rel=1e-12)


@pytest.mark.parametrize("operator", SHARES)
def test_a_reported_board_has_its_share_of_the_measured_ones(operator):
    for name in ("RTX 4090", "RTX 6000 Ada"):
        want = memory(operator, "L40S") * reached()[name] / reached()["L40S"]
        assert memory(operator, name) == pytest.approx(want, rel=1e-12)
        origin = find(operator, tr.device(name), "vllm", "bf16").origin
        assert origin.startswith(
            f"{_rows(operator, 'L40S')} measured rows of L40S (vllm bf16), memory as of reported"
        )
    assert memory("gemm", "RTX 4090") == pytest.approx(0.884, abs=0.001)
    plain = find(operator, tr.device("L40S"), "vllm", "bf16").origin
    assert (
        "reported" not in plain
        and "decodes" not in find("gemm", tr.device("L4"), "vllm", "bf16").origin
    )


def _rows(operator, device):
    return sum(r["rows"] for r in fits(operator)
               if (r["device"], r["engine"], r.get("dtype")) == (device, "vllm", "bf16"))  # fmt: skip


def test_of_several_measured_boards_each_has_its_own_ratio():
    device = tr.device("RTX A6000")
    ada, blackwell = (tr.device(n) for n in ("L40S", "RTX PRO 6000 Blackwell Server"))
    assert memory_ratio(device, blackwell) == 1.0  # not reported, and no codes in either
    shares = [memory("gemm", d) * memory_ratio(device, d) for d in (ada, blackwell)]
    assert memory("gemm", device) == pytest.approx(np.sqrt(np.prod(shares)), rel=1e-12)


def test_what_is_reported_with_codes_says_nothing_of_a_memory_without():
    """An RTX 4090 whose owner has codes on is one that nobody reported."""
    mine = tr.device("RTX 4090").replace(memory_type="GDDR6X, inline ECC")
    assert memory("gemm", mine) == memory("gemm", "L40S")
    bare = tr.device("L40").replace(memory_type="GDDR6")
    assert memory("gemm", bare) == pytest.approx(memory("gemm", "L40S") / codes_left(), rel=1e-12)


def test_measured_tables_agree_better_than_with_a_sixteenth():
    """The two measured boards with GDDR, of which one holds codes: nothing of this went into the rule."""
    off = {}
    for operator in SHARES:
        ratio = memory(operator, "RTX PRO 6000 Blackwell Server") / memory(operator, "L40S")
        off[operator] = [np.log(ratio / rule) for rule in (1.0 / codes_left(), 16.0 / 15.0)]
    new, old = np.abs(np.array(list(off.values()))).T
    assert (new < old).all()
    assert (
        memory_ratio(tr.device("RTX PRO 6000 Blackwell Server"), tr.device("L40S"))
        == 1.0 / codes_left()
    )


@pytest.mark.parametrize(("name", "share"), [("RTX 4090", 0.9), ("L40S", 0.9), ("H100-SXM", 0.6)])
def test_kernels_without_work_read_gddr_as_fast_as_boards_were_measured_to(name, share):
    """Rotation, norms and the activation of a prompt move so many bytes of a dense model's tokens."""
    model, device = tr.model("Llama-3.1-8B"), tr.device(name)
    heads, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    norms = 8 * model.hidden * (2 * model.layers + 1)
    each = 4 * (heads + keys) + 2 * keys * 4 + 3 * model.ffn * 2
    # without an L2, where the kernel in front has left some of it
    step = tr.prefill(device.replace(l2_bytes=None), model, tr.Plan(weights="bf16"), tokens=512)
    moved = (
        step.fields[_core.STEP_FIELDS.index("elementwise_s")]
        * elementwise_share(device)
        * device.memory_bandwidth
    )
    assert elementwise_share(device) == share
    assert moved == pytest.approx(512 * (norms + model.layers * each), rel=1e-6)
