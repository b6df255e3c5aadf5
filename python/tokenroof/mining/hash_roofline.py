"""The integer roofline of SHA-256d: operations of a double hash over what a core starts in a cycle."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenroof import _core
from tokenroof.catalogue.files import table
from tokenroof.support.arguments import finite_number, shown
from tokenroof.support.equality import by_value
from tokenroof.support.names import among, normalise

if TYPE_CHECKING:
    from tokenroof.records.device import Device
    from tokenroof.records.miner import Miner

__all__ = ["HashRoofline", "hash_roofline", "hashrate", "local_core"]

MODES = ("nonce", "roll")
# Kernels as the generator names them; the SHA-NI backends differ in how many hashes they interleave.
KERNELS = {"sha_ni": "sha_ni6", "sha_ni_4": "sha_ni4", "sha_ni_2": "sha_ni2"}
_NEEDS = {
    "hybrid": {"avx512", "sha_ni"}, "avx512": {"avx512"}, "sha_ni": {"sha_ni"},
    "sha_ni_4": {"sha_ni"}, "sha_ni_2": {"sha_ni"}, "avx2": {"avx2"}, "armv8": {"armv8"},
    "scalar": set(),
}  # fmt: skip
_SHA_KINDS = {"rounds2": "rounds", "rounds4": "rounds", "message1": "message1",
              "message2": "message2"}  # fmt: skip


@by_value
@dataclass(frozen=True)
class HashRoofline:
    """An upper bound on double hashes per second, and what sets it.

    Attributes
    ----------
    hashrate : float
        Of the whole device [hash/s].
    bound : str
        The resource that binds: "vector", "shift" or "sha" pipes, "scalar", "scalar_shift",
        "issue", "integer" or "multiply_add" pipes of a GPU; "catalogue" for a miner.
    cycles_per_hash : float
        Of one core or multiprocessor [cycle]; NaN for a miner.
    resources : dict of str to float
        Cycles per hash by resource; the largest binds.
    backend, mode, core : str
        Scanner and its mode, and the core or instruction counts that were used.
    kind, source : str
        Where the core's rates come from, as in the catalogue.
    """

    hashrate: float
    bound: str
    cycles_per_hash: float = math.nan
    resources: dict[str, float] = field(default_factory=dict)
    backend: str = ""
    mode: str = ""
    core: str = ""
    kind: str = ""
    source: str = ""


@cache
def _cores() -> dict[str, dict[str, Any]]:
    file = table("cores")
    found = {}
    for row in file["core"]:
        text = "; ".join(file["sources"][key] for key in row["sources"])
        for name in (row["name"], *row["families"]):
            found[normalise(name)] = {**row, "source": text}
    return found


def core_cycles(core: dict[str, Any], backend: str, mode: str) -> dict[str, float]:
    """Cycles of one double hash by resource, on a row of ``cores.toml``."""
    counts = _core.HASH_OPERATIONS[f"{KERNELS.get(backend, backend)}_{mode}"]
    pipes, slot_bits = core["pipes"], core.get("slot_bits", 128)
    used = dict.fromkeys(("vector", "shift", "sha", "scalar", "scalar_shift", "issue"), 0.0)
    for key, count in counts.items():
        kind, _, width = key.partition("@")
        if not width:
            continue
        bits = int(width)
        if bits == 32:
            used["scalar"] += count / pipes["scalar"]
            if kind in ("rotate", "shift"):
                used["scalar_shift"] += count / pipes["scalar_shift"]
            continue
        slots = max(1.0, bits / slot_bits)
        narrow = bits <= 256
        vector = core.get("narrow_vector", pipes["vector"]) if narrow else pipes["vector"]
        shift = core.get("narrow_shift", pipes["shift"]) if narrow else pipes["shift"]
        if kind in _SHA_KINDS:
            part = _SHA_KINDS[kind]
            if not pipes["sha"]:
                raise ValueError(f"{core['name']} has no SHA unit; allowed: another backend")
            used["vector"] += count * core["sha_slots"][part] / vector
            used["sha"] += count * core["sha_cycles"][part] / pipes["sha"]
            if core["shared"] and part == "rounds":
                used["shift"] += count / shift
        else:
            used["vector"] += count * slots / vector
            if kind in ("rotate", "shift") or (kind == "shuffle" and core["shared"]):
                used["shift"] += count * slots / shift
    used["issue"] = counts.get("instructions", 0) / pipes["issue"]
    return {name: cycles / counts["lanes"] for name, cycles in used.items() if cycles}


def _of_core(
    core: dict[str, Any], backend: str | None, mode: str, clock_hz: float, units: float
) -> HashRoofline:
    can = [name for name, needs in _NEEDS.items() if needs <= set(core["has"])]
    if backend is not None and backend not in can:
        raise ValueError(
            f"backend is {shown(backend)}; allowed on {core['name']}: {', '.join(can)}"
        )
    rows = {
        name: core_cycles(core, name, mode)
        for name in ([backend] if backend else can)
        if f"{KERNELS.get(name, name)}_{mode}" in _core.HASH_OPERATIONS
    }
    best = min(rows, key=lambda name: max(rows[name].values()))
    cycles = max(rows[best].values())
    binds = max(rows[best], key=rows[best].__getitem__)
    return HashRoofline(
        clock_hz * units / cycles, binds, cycles, rows[best], best, mode, core["name"],
        core["basis"], core["source"],
    )  # fmt: skip


def _gpu_cycles(n: dict[str, int], lanes: float) -> dict[str, float]:
    """Cycles of one double hash on a multiprocessor by resource, from instructions by kind."""
    return {
        "integer": (n["shift"] + n["logic"] + n["add"]) / lanes,
        # the multiply-add pipe has as many lanes, four schedulers of 32 issue to all
        "multiply_add": n["add_fma"] / lanes,
        "issue": sum(n.values()) / 128,
    }


def cuda_cycles(capability: tuple[int, int], mode: str) -> dict[str, float]:
    """Cycles of one double hash by resource on a multiprocessor of a compute capability.

    Of the two kernels that a scan chooses from (sums by additions, or by multiply-adds) the one with the
    lower bound.

    Examples
    --------
    >>> used = cuda_cycles((9, 0), "nonce")
    >>> max(used, key=used.get), round(max(used.values()), 1)
    ('integer', 28.4)
    """
    row = _cores()["sm90" if capability >= (9, 0) else "sm80"]
    lanes = (
        128.0 if capability[0] >= 12 else 64.0
    )  # CUDA C++ Programming Guide, arithmetic instructions
    kind = "instructions" if mode == "nonce" else "roll_instructions"
    kernels = [_gpu_cycles(row[name], lanes) for name in (kind, f"mad_{kind}")]
    return min(kernels, key=lambda used: max(used.values()))


def _of_gpu(device: Device, mode: str, clock_hz: float | None) -> HashRoofline:
    for name in ("sm_count", "boost_clock_hz", "int32_ops_per_clock_per_sm"):
        if not getattr(device, name) and not (clock_hz and name == "boost_clock_hz"):
            raise ValueError(f"{name} of {device.name} is unknown; allowed: a number > 0")
    core = _cores().get(normalise(device.family or "-"))
    known = core is not None and "instructions" in core
    row = core if known and core else _cores()["sm90"]
    n = row["instructions" if mode == "nonce" else "roll_instructions"]
    used = _gpu_cycles(n, float(device.int32_ops_per_clock_per_sm or 0))
    binds = max(used, key=used.__getitem__)
    clock = clock_hz or float(device.boost_clock_hz or 0)
    rate = float(device.sm_count or 0) * clock / used[binds]
    return HashRoofline(
        rate, binds, used[binds], used, "cuda", mode, row["name"],
        row["basis"] if known else "estimate", row["source"],
    )  # fmt: skip


def hash_roofline(
    device: str | Device | Miner,
    mode: str = "nonce",
    backend: str | None = None,
    clock_hz: float | None = None,
) -> HashRoofline:
    """Bound on the double hashes per second of a device, and what sets it.

    Operations of one hash as the scanners' generator counts them (for GPUs: instructions of a scan
    as compiled for sm_90 or sm_80) over the operations that the core's pipes start in a cycle. GPUs: of the
    kernel whose sums are additions; a scan may take that of multiply-adds, whose bound is higher. An H200
    reached 98 % of it by nonces and 103 % by versions.

    Parameters
    ----------
    device : str, Device or Miner
        A name of the catalogue, a record, or a core's name such as "Zen 4": one core then.
    mode : {"nonce", "roll"}
        What a scanner varies; a miner has one rate for both.
    backend : str, optional
        A processor's scanner; by default that with the highest bound. GPUs have "cuda" alone, miners none.
    clock_hz : float, optional
        Instead of the catalogue's clock of a processor or GPU; the rate of a miner is at its own [Hz].

    Returns
    -------
    HashRoofline
        The bound [hash/s], and the cycles of a hash on each pipe.

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError
        If the core, its clock or its integer units are not known; for a backend that the device lacks, or the
        clock of a miner.

    References
    ----------
    Williams, Waterman, Patterson, Roofline, CACM 52(4), 2009, with integer operations.

    Examples
    --------
    >>> roof = hash_roofline("Zen 4", mode="roll", backend="hybrid")
    >>> roof.bound, round(roof.cycles_per_hash)
    ('sha', 60)
    """
    from tokenroof.catalogue.lookup import device as find_device
    from tokenroof.catalogue.lookup import miner as find_miner
    from tokenroof.records.device import Device
    from tokenroof.records.miner import Miner

    if not among(mode, MODES):
        raise ValueError(f"mode is {shown(mode)}; allowed: {', '.join(MODES)}")
    if clock_hz is not None:
        clock_hz = finite_number("clock_hz", clock_hz, above=True)
    if isinstance(device, str):
        core = _cores().get(normalise(device))
        if core is not None and "pipes" in core:
            return _of_core(core, backend, mode, clock_hz or core["clock_hz"], 1)
        try:
            machine = find_miner(device)
        except KeyError:
            device = find_device(device)
        else:
            device = machine
    if isinstance(device, Miner):
        for name, value in (("backend", backend), ("clock_hz", clock_hz)):
            if value is not None:
                raise ValueError(
                    f"{name} is {shown(value)}; allowed with the miner {device.name}: None"
                )
        return HashRoofline(float(device.hashrate), "catalogue", core=device.name)
    if not isinstance(device, Device):
        raise TypeError(f"device is {shown(device)}; allowed: a name, a Device or a Miner")
    if device.kind != "cpu":
        if backend is not None and not among(backend, ("cuda",)):
            raise ValueError(f"backend is {shown(backend)}; allowed on {device.name}: cuda")
        return _of_gpu(device, mode, clock_hz)
    core = _cores().get(normalise(device.family or "-"))
    if core is None or "pipes" not in core:
        raise ValueError(
            f"family of {device.name} is {shown(device.family)}; allowed: "
            + ", ".join(row["name"] for row in table("cores")["core"] if "pipes" in row)
        )
    for name in ("sm_count", "boost_clock_hz"):
        if not getattr(device, name) and not (clock_hz and name == "boost_clock_hz"):
            raise ValueError(f"{name} of {device.name} is unknown; allowed: a number > 0")
    clock = clock_hz or float(device.boost_clock_hz or 0)
    return _of_core(core, backend, mode, clock, float(device.sm_count or 1))


def hashrate(device: str | Device | Miner, mode: str = "nonce") -> float:
    """Hashes per second of a device: the catalogue's for a miner, modelled for any other.

    The model is the integer roofline; `hash_roofline` tells what binds, and what was measured beside it.
    Power limits take more. A measured device (``tr.device("local")``) has what each of its cores
    reached, times its cores, instead.

    Parameters
    ----------
    device : str, Device or Miner
    mode : {"nonce", "roll"}
        What a scan varies: the nonce alone, or the version with it (BIP 320). Miners have one rate.

    Returns
    -------
    float
        [hash/s].

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError
        For an unknown mode, or if the device's clock or integer units are not known.

    Examples
    --------
    >>> round(hashrate("H100-SXM") / 1e9, 1)
    7.4
    """
    from tokenroof.records.device import Device

    if not among(mode, MODES):
        raise ValueError(f"mode is {shown(mode)}; allowed: {', '.join(MODES)}")
    if isinstance(device, str) and normalise(device) == "local":
        from tokenroof.catalogue.lookup import device as find_device

        device = find_device(device)
    reading = "hash.roll" if mode == "roll" else "hash.core"
    if isinstance(device, Device) and reading in device.measured:
        return device.measured[reading] * float(device.sm_count or 1)
    return hash_roofline(device, mode).hashrate


@cache
def local_core() -> dict[str, Any] | None:
    """The row of this machine's core in ``cores.toml``; None if it has none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    said: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        said.setdefault(key.strip(), value.strip())
    try:
        if "CPU implementer" in said:
            vendor, family, model = "ARM", int(said["CPU implementer"], 0), int(said["CPU part"], 0)
        else:
            vendor = said["vendor_id"]
            family, model = int(said["cpu family"]), int(said["model"])
    except (KeyError, ValueError):
        return None
    for row in table("cores")["core"]:
        for number, low, high in row.get("cpuid", ()):
            if row["vendor"] == vendor and number == family and low <= model <= high:
                return _cores()[normalise(row["name"])]
    return None
