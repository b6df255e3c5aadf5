"""SHA-256d mining: really hashing, Bitcoin's rules in exact integers, and what mining earns."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from tokenroof import _core
from tokenroof._attacks import (
    confirmations_needed,
    double_spend_probability,
    selfish_mining_revenue,
    selfish_mining_threshold,
)
from tokenroof._bitcoin import (
    BLOCK_SECONDS,
    COIN,
    DIFFICULTY_ONE,
    RETARGET_BLOCKS,
    RETARGET_SECONDS,
    TARGET_LIMIT,
    bits_from_target,
    checked_target,
    difficulty,
    retarget,
    target_from_bits,
    whole_number,
    work,
)
from tokenroof._chain import Chain, subsidy, supply
from tokenroof._curtailment import Curtailment, curtailment
from tokenroof._difficulty_path import DifficultyPath, difficulty_path
from tokenroof._equilibrium import Equilibrium, Tranche, cost_curve, equilibrium
from tokenroof._generations import Race, generations_race
from tokenroof._margins import (
    break_even_difficulty,
    break_even_efficiency,
    break_even_power_price,
    margin_per_day,
    shutdown_hashprice,
    shutdown_price,
)
from tokenroof._market import CBECI_POWER_PRICE, MarketHistory, market_history
from tokenroof._network import (
    HashrateEstimate,
    block_probability,
    expected_time_to_block,
    hashprice,
    hashrate_from_blocks,
    network_hashrate,
    time_to_block_quantile,
)
from tokenroof._network_power import CBECI_PUE, NetworkPower, network_power
from tokenroof._payback import Payback, payback
from tokenroof._pool_simulation import PoolSimulation, simulate_pool
from tokenroof._pools import SCHEMES, PoolIncome, pool_income

if TYPE_CHECKING:
    from tokenroof.device import Device
    from tokenroof.miner import Miner

__all__ = [
    "BLOCK_SECONDS",
    "CBECI_POWER_PRICE",
    "CBECI_PUE",
    "COIN",
    "DIFFICULTY_ONE",
    "RETARGET_BLOCKS",
    "RETARGET_SECONDS",
    "SCHEMES",
    "TARGET_LIMIT",
    "Chain",
    "Curtailment",
    "DifficultyPath",
    "Equilibrium",
    "HashrateEstimate",
    "MarketHistory",
    "NetworkPower",
    "Payback",
    "PoolIncome",
    "PoolSimulation",
    "Race",
    "ScanResult",
    "Tranche",
    "backends",
    "bits_from_target",
    "block_probability",
    "break_even_difficulty",
    "break_even_efficiency",
    "break_even_power_price",
    "confirmations_needed",
    "cost_curve",
    "curtailment",
    "difficulty",
    "difficulty_path",
    "double_spend_probability",
    "equilibrium",
    "expected_time_to_block",
    "generations_race",
    "hashprice",
    "hashrate",
    "hashrate_from_blocks",
    "header_bytes",
    "margin_per_day",
    "market_history",
    "network_hashrate",
    "network_power",
    "payback",
    "pool_income",
    "retarget",
    "scan",
    "selfish_mining_revenue",
    "selfish_mining_threshold",
    "shutdown_hashprice",
    "shutdown_price",
    "simulate_pool",
    "subsidy",
    "supply",
    "target_from_bits",
    "time_to_block_quantile",
    "work",
]  # fmt: skip

# Integer instructions of one double hash on the pipe that binds, as compiled for CUDA's sm_90: 1175
# shifts and rotates, 634 logic, 458 adds (the other adds run beside, on the multiply pipe).
_GPU_OPS_PER_HASH = 2267
# Vector operations per batch of the plain lanes, and batches per cycle that two full-width (or four
# half-width) pipes allow: the bounds that `backends` quotes.
_LANE_OPS = {"x86_64_v4": (2848, 2.0), "x86_64_v3": (5752, 4.0), "generic": (5752, 4.0)}


# --- modelled ------------------------------------------------------------------------------------------


def hashrate(device: str | Device | Miner) -> float:
    """Hashes per second of a device: the catalogue's for a miner, modelled for any other.

    The model is an integer roofline: multiprocessors x clock x 32-bit operations per clock over the
    operations of one double hash as a CUDA compiler emits it. It is an upper bound on such a kernel;
    good ones come within a tenth of it, power limits take more.

    Raises
    ------
    KeyError
        For an unknown name, with near matches.
    ValueError
        If the device's clock or integer units are not known.

    References
    ----------
    Instruction counts of a header scan compiled for sm_90.

    Examples
    --------
    >>> round(hashrate("H100-SXM") / 1e9, 1)
    7.4
    """
    from tokenroof.device import Device
    from tokenroof.device import device as find_device
    from tokenroof.miner import Miner
    from tokenroof.miner import miner as find_miner

    if isinstance(device, str):
        try:
            return float(find_miner(device).hashrate)
        except KeyError:
            device = find_device(device)
    if isinstance(device, Miner):
        return float(device.hashrate)
    if not isinstance(device, Device):
        raise TypeError(f"device is {device!r}; allowed: a name, a Device or a Miner")
    for name in ("sm_count", "boost_clock_hz", "int32_ops_per_clock_per_sm"):
        if not getattr(device, name):
            raise ValueError(f"{name} of {device.name} is unknown; allowed: a number > 0")
    rate = device.sm_count * device.boost_clock_hz * device.int32_ops_per_clock_per_sm  # type: ignore[operator]
    return float(rate) / _GPU_OPS_PER_HASH


# --- hashing -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScanResult:
    """What a scan found.

    Attributes
    ----------
    hits : list of (nonce, version)
        In order of version, then nonce.
    hashes : int
        Headers hashed.
    seconds, cpu_seconds : float
        Wall time, and processor time of all threads [s].
    backend : str
        The scanner that ran.
    """

    hits: list[tuple[int, int]]
    hashes: int
    seconds: float
    cpu_seconds: float
    backend: str

    @property
    def hashrate(self) -> float:
        """Hashes per second of wall time [hash/s]."""
        return self.hashes / self.seconds if self.seconds > 0 else 0.0


def header_bytes(header: bytes | bytearray | memoryview | str) -> bytes:
    """The 80 bytes of a block header, from bytes or hexadecimal digits.

    Raises
    ------
    ValueError, TypeError
        If there are not 80 bytes, or a digit is not hexadecimal.
    """
    if isinstance(header, str):
        try:
            raw = bytes.fromhex(header.strip())
        except ValueError:
            raise ValueError(
                f"header is {header[:20]!r}...; allowed: 160 hexadecimal digits"
            ) from None
    elif isinstance(header, (bytes, bytearray, memoryview)):
        raw = bytes(header)
    else:
        raise TypeError(f"header is {type(header).__name__}; allowed: bytes or hexadecimal text")
    if len(raw) != 80:
        raise ValueError(f"header has {len(raw)} bytes; allowed: 80")
    return raw


def _default_threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def scan(
    header: bytes | str,
    start: int = 0,
    count: int = 2**24,
    target: int | None = None,
    versions: int = 1,
    threads: int | None = None,
    backend: str | None = None,
    progress: Callable[[int, int], Any] | None = None,
) -> ScanResult:
    """Hash a header with `count` nonces and return those that meet the target.

    Runs without the GIL; Ctrl-C stops it within 50 ms.

    Parameters
    ----------
    header : bytes or str
        80 bytes, or their hexadecimal digits. The nonce in it is ignored.
    start, count : int
        Nonces to try: ``start <= nonce < start + count <= 2**32``.
    target : int, optional
        Hashes at or below it are hits; by default what the header's nBits say.
    versions : int
        Versions to try with each nonce, rolled in the bits of BIP 320 from the header's on (1 to
        65536).
    threads : int, optional
        By default one for each processor that this process may use.
    backend : str, optional
        A name of `backends`; by default the fastest here, or ``TOKENROOF_HASH_BACKEND``.
    progress : callable, optional
        Called with hashes done and in all, some ten times a second.

    Returns
    -------
    ScanResult

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and what is allowed.

    References
    ----------
    FIPS 180-4; BIP 320.

    Examples
    --------
    >>> genesis = ("01000000" + "00" * 32 + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa"
    ...            "4b1e5e4a29ab5f49ffff001d00000000")
    >>> scan(genesis, start=2083236893 - 1000, count=2000).hits
    [(2083236893, 1)]
    """
    raw = header_bytes(header)
    first, number = whole_number("start", start, 0), whole_number("count", count, 0)
    if first >= 2**32 or first + number > 2**32:
        raise ValueError(f"start + count is {first} + {number}; allowed: at most 2**32")
    if target is None:
        target = target_from_bits(int.from_bytes(raw[72:76], "little"))
    rolled = whole_number("versions", versions, 1)
    if rolled > 65536:
        raise ValueError(f"versions is {rolled}; allowed: 1 to 65536, the 16 bits of BIP 320")
    workers = _default_threads() if threads is None else whole_number("threads", threads, 1)
    if workers > 1024:
        raise ValueError(f"threads is {workers}; allowed: 1 to 1024")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {progress!r}; allowed: a callable")
    name = backend or os.environ.get("TOKENROOF_HASH_BACKEND") or _fastest()
    if name not in _core.HASH_BACKENDS:
        raise ValueError(f"backend is {name!r}; allowed here: {', '.join(_core.HASH_BACKENDS)}")
    hits, hashes, seconds, cpu = _core.scan(
        raw,
        first,
        number,
        checked_target(target).to_bytes(32, "little"),
        rolled,
        workers,
        name,
        progress,
    )
    return ScanResult(hits, hashes, seconds, cpu, name)


_measuring = threading.Lock()


@cache
def _measured() -> dict[str, float]:
    """Hashes per second of one thread by backend, from two short runs each."""
    header = bytes(80)
    rates = {}
    for name in _core.HASH_BACKENDS:
        best = 0.0
        for count in (2**13, 2**15, 2**15):
            _, hashes, _, cpu = _core.scan(
                header, 0, count, (1).to_bytes(32, "little"), 1, 1, name, None
            )
            best = max(best, hashes / cpu if cpu > 0 else 0.0)
        rates[name] = best
    return rates


def _fastest() -> str:
    with _measuring:
        rates = _measured()
    return max(rates, key=rates.__getitem__)


def backends() -> dict[str, dict[str, Any]]:
    """The header scanners of this machine.

    Returns
    -------
    dict
        Name to ``lanes``, ``available``, ``hashrate`` (measured, one thread, once per process)
        [hash/s] and ``bound`` (vector operations over what two full-width or four half-width pipes
        do at the measured clock; an estimate) [hash/s].

    Examples
    --------
    >>> backends()["generic"]["available"]
    True
    """
    with _measuring:
        rates = _measured()
    clock = _core.measured_clock_hz()
    out = {}
    for name, lanes in _core.HASH_BACKENDS.items():
        operations, per_cycle = _LANE_OPS.get(name, (float("nan"), float("nan")))
        out[name] = {
            "lanes": lanes,
            "available": True,
            "hashrate": rates[name],
            "bound": lanes * per_cycle * clock / operations,
        }
    return out
