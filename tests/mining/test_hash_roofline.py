"""The integer roofline: operations as counted by hand, ports as published."""

import pytest

import tokenroof as tr
from tokenroof import _core, mining
from tokenroof.catalogue.files import table
from tokenroof.mining.hash_roofline import KERNELS, local_core

CORES = [row for row in table("cores")["core"] if "pipes" in row]


def _counted(kernel):
    """Operations by kind of one vector of hashes; kernels may have several side by side."""
    counts = _core.HASH_OPERATIONS[kernel]
    vectors = max(1, 32 * counts["lanes"] // max(int(k.partition("@")[2] or 0) for k in counts))
    return {k.partition("@")[0]: n // vectors for k, n in counts.items() if "@" in k}


def test_operations_of_the_vector_kernels():
    """Folded by hand: 2848 operations a batch for nonces, with three-input logic and rotations."""
    nonce, roll = _counted("avx512_nonce"), _counted("avx512_roll")
    assert nonce == {"add": 1043, "rotate": 1020, "shift": 156, "logic": 628}
    assert roll["rotate"] == 868 and roll["shift"] == 80
    assert sum(roll.values()) <= 2412
    without = _counted("avx2_nonce")  # a rotation is two shifts and a logic operation
    assert without["shift"] == 2 * 1020 + 156
    assert without["add"] == nonce["add"]
    for mode in ("nonce", "roll"):
        assert _counted(f"hybrid_{mode}")["rounds2"] == 8 * 60
        assert _core.HASH_OPERATIONS[f"sha_ni6_{mode}"]["rounds2@128"] == 6 * 61


def test_bounds_of_zen_4():
    """The limits worked out by hand from measured ports, cycles a hash."""

    def roof(backend, mode):
        return mining.hash_roofline("Zen 4", mode, backend)

    assert roof("avx512", "nonce").cycles_per_hash == pytest.approx(89.0, abs=0.1)
    assert roof("avx512", "roll").cycles_per_hash == pytest.approx(75.4, abs=0.8)
    assert roof("avx2", "nonce").cycles_per_hash == pytest.approx(180, abs=0.5)
    hybrid = roof("hybrid", "nonce")
    assert hybrid.cycles_per_hash == pytest.approx(66, abs=2) and hybrid.bound == "shift"
    rolled = roof("hybrid", "roll")
    assert (rolled.cycles_per_hash, rolled.bound) == (60.0, "sha")
    assert mining.hash_roofline("zen4").backend == "hybrid"
    assert mining.hash_roofline("Zen 4", clock_hz=1e9).hashrate == pytest.approx(
        1e9 / hybrid.cycles_per_hash
    )


@pytest.mark.parametrize("core", CORES, ids=lambda row: row["name"])
@pytest.mark.parametrize("mode", ["nonce", "roll"])
def test_every_core_of_the_catalogue(core, mode):
    if "armv8" in core["has"] and f"armv8_{mode}" not in _core.HASH_OPERATIONS:
        pytest.skip("this build counts no ARM kernel")
    roof = mining.hash_roofline(core["name"], mode)
    assert roof.resources[roof.bound] == roof.cycles_per_hash == max(roof.resources.values())
    assert 20 < roof.cycles_per_hash < 400 and roof.hashrate > 0
    assert roof.kind in tr.catalogue.KINDS and roof.source
    scalar = mining.hash_roofline(core["name"], mode, "scalar")
    assert scalar.cycles_per_hash > roof.cycles_per_hash


def test_a_bound_takes_no_rate_from_memory():
    """One SHA unit starts at most one instruction a cycle: where nobody timed it, that is its rate."""
    for core in CORES:
        timed = core["basis"] == "measured" or "timed_golden_cove" in core.get(
            "own_sources", {}
        ).get("pipes_sha", ())
        assert core["pipes"]["sha"] >= 1 or timed or "sha_ni" not in core["has"], core["name"]
    for core in ("Zen 2", "Zen 3"):  # a scan took 105 to 114 cycles on a Zen 3
        assert mining.hash_roofline(core, "roll", "sha_ni").cycles_per_hash < 105


@pytest.mark.parametrize("mode", ["nonce", "roll"])
def test_no_scanner_of_this_machine_beats_its_bound(mode):
    prefix = "roll_" if mode == "roll" else ""
    for name, row in mining.backends().items():
        if row["available"] and row[f"{prefix}bound"] > 0 and name != "cuda":
            # the clock is measured by the same means and may differ by that much between runs
            assert row[f"{prefix}hashrate"] <= 1.03 * row[f"{prefix}bound"], name


def test_modelled_hashrates():
    # 132 multiprocessors, 1.98 GHz, 64 lanes over 2,267 instructions: 7.38 GH/s
    assert mining.hashrate("H100-SXM") == pytest.approx(7.38e9, rel=2e-3)
    roof = mining.hash_roofline("H100-SXM")
    assert roof.bound == "integer" and roof.cycles_per_hash == pytest.approx(2267 / 64)
    assert mining.hashrate("A100-SXM4-80GB") == pytest.approx(4.3e9, rel=0.01)
    assert mining.hashrate("Antminer S21") == tr.miner("Antminer S21").hashrate
    assert mining.hash_roofline("Antminer S21").bound == "catalogue"
    # 96 cores of Zen 4 at 3.7 GHz
    assert mining.hashrate("EPYC 9654") == pytest.approx(96 * 3.7e9 / 67.5, rel=0.02)


def test_bad_input():
    with pytest.raises(KeyError, match="unknown device"):
        mining.hashrate("Antminer S2l9")
    with pytest.raises(ValueError, match="unknown; allowed"):
        mining.hashrate(tr.Device(name="x", memory_bandwidth=1e12, peak={"bf16": 1e15}))
    with pytest.raises(ValueError, match="family of x is .*allowed: Zen 2"):
        mining.hashrate(tr.Device(name="x", kind="cpu", memory_bandwidth=1e12, peak={"fp32": 1e12}))
    with pytest.raises(ValueError, match="backend is 'hybrid'; allowed on Zen 3"):
        mining.hash_roofline("Zen 3", backend="hybrid")
    with pytest.raises(ValueError, match="mode is 'x'; allowed: nonce, roll"):
        mining.hash_roofline("Zen 3", mode="x")
    with pytest.raises(ValueError, match="clock_hz is -1; allowed"):
        mining.hash_roofline("Zen 3", clock_hz=-1)
    with pytest.raises(TypeError):
        mining.hashrate(3)


def test_this_machine_is_below_its_bound():
    core = local_core()
    if core is None:
        pytest.skip("the catalogue lacks this machine's core")
    for name, row in mining.backends().items():
        if row["available"]:
            assert f"{KERNELS.get(name, name)}_nonce" in _core.HASH_OPERATIONS
            assert row["bound"] > 0 and row["binds"]
            # clocks wander between the two measurements
            assert (
                row["hashrate"] < 1.3 * row["bound"]
                and row["roll_hashrate"] < 1.3 * row["roll_bound"]
            )
