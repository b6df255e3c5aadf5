"""Measured ceilings of a CUDA device: operations, bandwidths, launches, copies, hashes; clock and watts."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tokenroof.cuda import module as compiled
from tokenroof.cuda.module import CudaDevice
from tokenroof.cuda.scan import part
from tokenroof.records.device import Device
from tokenroof.records.provenance import Provenance
from tokenroof.support.arguments import shown
from tokenroof.support.sampling import ProbeError, Progress, Reading, Task, sample

__all__ = ["GROUPS", "CudaMachine", "probe"]

#: Groups of probes, in the order in which they run.
GROUPS = ("flops", "tensor", "integer", "memory", "caches", "launch", "copies", "hash")
_COPY_BYTES, _MOST_BUFFER = 64 << 20, 2 << 30
_HARDEST = (1).to_bytes(32, "little")


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaMachine:
    """What one CUDA device reached.

    Attributes
    ----------
    name : str
        Device, as its driver names it.
    index : int
        Number by which CUDA knows it.
    compute_capability : tuple of int
    sm_count : int
        Multiprocessors.
    readings : dict of str to Reading
        Every probe by name: ``flops.fp32.fma``, ``flops.bf16.wgmma`` and ``.mma`` (tensor cores, dense),
        ``integer.logic32``, ``bandwidth.memory.triad``, ``bandwidth.l2.read``, ``bandwidth.shared.read``,
        ``launch.wait`` and ``launch.row``, ``copy.to_device``, ``copy.to_peer.1``, ``hash.nonce`` ...
    absent : dict of str to str
        Probes that cannot run here, and why.
    clock_hz, watts : float or None
        Median of the multiprocessors' clock, and of the board's power, while it computed; None if the
        driver does not tell [Hz], [W].
    power_limit_w : float or None
        What the board is held to, as the driver enforces it; None if it does not tell [W].
    sensors_note : str
        Where these come from, or why there are none.
    memory_bytes, l2_bytes : float
        [B].
    date : str
        Day of the measurement.
    seconds : float
        Time that it all took [s].
    """

    name: str
    index: int
    compute_capability: tuple[int, int]
    sm_count: int
    readings: dict[str, Reading]
    absent: dict[str, str] = field(default_factory=dict)
    clock_hz: float | None = None
    watts: float | None = None
    power_limit_w: float | None = None
    sensors_note: str = ""
    memory_bytes: float = 0.0
    l2_bytes: float = 0.0
    date: str = ""
    seconds: float = 0.0

    @property
    def peak(self) -> dict[str, float]:
        """The most operations per second by type, of any instruction and repeat [FLOP/s]."""
        peak: dict[str, float] = {}
        for name, reading in self.readings.items():
            if name.startswith("flops."):
                kind = name.split(".")[1]
                peak[kind] = max(peak.get(kind, 0.0), reading.best)
        return peak

    @property
    def memory_bandwidth(self) -> float:
        """The most that any pass over memory moved, read and written [B/s]."""
        return max(r.best for n, r in self.readings.items() if n.startswith("bandwidth.memory."))

    def device(self) -> Device:
        """Return it as a `Device`, usable wherever a catalogue name is.

        Examples
        --------
        >>> from tokenroof import cuda
        >>> not cuda.available() or cuda.probe(seconds=0.1).device().memory_bandwidth > 0
        True
        """
        copies = [r.best for n, r in self.readings.items() if n.startswith("copy.to_device")]
        said = f"tokenroof.cuda.probe on this machine, {self.sensors_note or 'no sensors'}"
        names = ("memory_bandwidth", *(f"peak_{kind}" for kind in self.peak))
        return Device(
            name=f"this machine's {self.name}",
            aliases=(f"cuda:{self.index}",),
            kind="gpu",
            family={9: "Hopper", 8: "Ampere"}.get(self.compute_capability[0], ""),
            release=self.date,
            memory_bandwidth=self.memory_bandwidth,
            memory_bytes=self.memory_bytes or None,
            peak=self.peak,
            l2_bytes=self.l2_bytes or None,
            sm_count=self.sm_count,
            boost_clock_hz=self.clock_hz,
            tdp_w=self.power_limit_w,
            notes=f"measured on {self.date}" + (f"; copies {copies[0]:.3g} B/s" if copies else ""),
            provenance={name: Provenance("measured", said, self.date, "") for name in names},
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as a dict that JSON can hold, what follows from others included."""
        names = [n for n in self.__dataclass_fields__ if n != "readings"]
        return {
            **{name: getattr(self, name) for name in (*names, "peak", "memory_bandwidth")},
            "readings": {name: reading.as_dict() for name, reading in self.readings.items()},
        }


class Sensors:
    """A device's clock and power by NVML, read on a thread of its own while a block runs."""

    def __init__(self, pci_bus: str) -> None:
        self.clocks: list[float] = []
        self.watts: list[float] = []
        self.limit_w: float | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            import pynvml
        except ImportError:
            self.note = "no clock or power: nvidia-ml-py is missing (tokenroof[gpu])"
            return
        try:
            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByPciBusId(pci_bus.encode())
        except Exception as error:  # whatever the driver says
            self.note = f"no clock or power: NVML says {error}"
            return
        self.note = "clock and power by NVML"
        try:
            self.limit_w = 1e-3 * pynvml.nvmlDeviceGetEnforcedPowerLimit(handle)
        except Exception as error:
            self.note += f", no limit: {error}"

        def read() -> None:
            while not self._over.wait(0.02):
                try:
                    clock = pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)
                    self.clocks.append(1e6 * clock)
                    self.watts.append(1e-3 * pynvml.nvmlDeviceGetPowerUsage(handle))
                except Exception as error:
                    self.note = f"NVML stopped: {error}"
                    return

        self._thread = threading.Thread(target=read, daemon=True)

    def __enter__(self) -> Sensors:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def median(self, values: list[float]) -> float | None:
        """Median of what was read, without what is far below its top: the device was idle then."""
        busy = [v for v in values if v > 0.5 * max(values)]
        return statistics.median(busy) if busy else None


def probe(
    device: int = 0,
    seconds: float = 1.0,
    groups: Sequence[str] = GROUPS,
    progress: Progress | None = None,
) -> CudaMachine:
    """Measure ceilings of a CUDA device.

    Parameters
    ----------
    device : int
        Number of the device.
    seconds : float
        Limit of the time for each group [s]; a group ends before it when the intervals of all its
        medians are narrow, and after it only for the first turn of each probe.
    groups : sequence of str
        Of `GROUPS`. "flops": multiply-adds in registers; "tensor": products in tensor cores, dense;
        "integer": operations in registers; "memory": read, write, copy and triad; "caches": L2 and
        shared memory; "launch"; "copies": pinned memory and other devices; "hash": double SHA-256.
    progress : callable, optional
        Called with a probe's name and the share of the whole that is done, some ten times a second.

    Returns
    -------
    CudaMachine

    Raises
    ------
    RuntimeError
        If nothing can run here, or the device fails.
    ValueError, TypeError
        Naming the argument, its value and what is allowed.
    ProbeError
        If a probe's results are not those of the work that it claims.

    Examples
    --------
    >>> from tokenroof import cuda
    >>> not cuda.available() or cuda.probe(0, seconds=0.1).peak["fp32"] > 0
    True
    """
    found = compiled.devices()
    module = compiled.module()
    if isinstance(device, bool) or not isinstance(device, int):
        raise TypeError(f"device is {shown(device)}; allowed: an integer")
    if not 0 <= device < len(found):
        raise ValueError(f"device is {shown(device)}; allowed: 0 to {len(found) - 1}")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"seconds is {shown(seconds)}; allowed: a number > 0")
    if not 0 < seconds < 3600:
        raise ValueError(f"seconds is {shown(seconds)}; allowed: a number > 0, below 3600")
    if isinstance(groups, str) or not all(isinstance(group, str) for group in groups):
        raise TypeError(f"groups is {shown(groups)}; allowed: a sequence of {', '.join(GROUPS)}")
    for group in groups:
        if group not in GROUPS:
            raise ValueError(f"groups has {shown(group)}; allowed: {', '.join(GROUPS)}")
    wanted = [group for group in GROUPS if group in groups]
    if "memory" not in wanted or "flops" not in wanted:
        raise ValueError("groups lacks flops or memory; allowed: both are always needed")

    chosen, began, day = found[device], time.perf_counter(), date.today().isoformat()
    readings: dict[str, Reading] = {}
    maker = _Probes(
        module, chosen, len(found), max(min(seconds / 50, 5e-3), 2e-4), min(seconds / 8, 0.15)
    )
    clocks: list[float] = []
    watts: list[float] = []
    note, limit = "", None
    for i, group in enumerate(wanted):

        def tell(what: str, share: float, i: int = i) -> None:
            assert progress is not None
            progress(what, (i + share) / len(wanted))

        with Sensors(chosen.pci_bus) as sensors:
            readings |= sample(maker.tasks(group), seconds, day, tell if progress else None)
        note, limit = sensors.note, sensors.limit_w
        if group in ("flops", "tensor", "hash"):
            clocks += sensors.clocks
            watts += sensors.watts
    if progress is not None:
        progress("done", 1.0)
    return CudaMachine(
        name=chosen.name, index=device, compute_capability=chosen.compute_capability,
        sm_count=chosen.sm_count, readings=readings, absent=maker.absent,
        clock_hz=sensors.median(clocks) if clocks else None,
        watts=sensors.median(watts) if watts else None, power_limit_w=limit, sensors_note=note,
        memory_bytes=float(chosen.memory_bytes), l2_bytes=float(chosen.l2_bytes), date=day,
        seconds=time.perf_counter() - began,
    )  # fmt: skip


class _Probes:
    """The tasks of a device; `absent` gathers those that cannot run."""

    def __init__(
        self, module: Any, device: CudaDevice, count: int, window: float, scan_s: float
    ) -> None:
        self.module, self.device, self.count = module, device, count
        self.window, self.scan_s = window, scan_s
        self.absent: dict[str, str] = {}

    def tasks(self, group: str) -> list[Task]:
        made: list[Task] = getattr(self, f"_{group}")()
        return made

    def _task(self, name: str, unit: str, call: Callable[[int], Any]) -> Task:
        def run(repeats: int) -> dict[str, list[float]]:
            rates, right, built = call(repeats)
            if not built:
                raise ProbeError(f"{name}: this build has no machine code of it for the device")
            if not right:
                raise ProbeError(
                    f"{name}: its results are not those of its work; was its loop optimised away?"
                )
            return {name: list(rates)}

        return Task((name,), unit, run)

    def _flops(self) -> list[Task]:
        return self._compute("flops.{}.fma", "FLOP/s", ("fp64", "fp32", "fp16"))

    def _integer(self) -> list[Task]:
        return self._compute("integer.{}", "op/s", ("add32", "logic32", "shift32"))

    def _compute(self, name: str, unit: str, kinds: Sequence[str]) -> list[Task]:
        def call(kind: str) -> Callable[[int], Any]:
            return lambda n: self.module.probe_compute(self.device.index, kind, self.window, n)

        return [self._task(name.format(kind), unit, call(kind)) for kind in kinds]

    def _tensor(self) -> list[Task]:
        out = []
        for kind in ("bf16", "fp16", "fp8", "int8"):
            for wgmma in (True, False):
                name = f"flops.{kind}.{'wgmma' if wgmma else 'mma'}"

                def call(n: int, kind: str = kind, wgmma: bool = wgmma) -> Any:
                    return self.module.probe_tensor(self.device.index, kind, wgmma, self.window, n)

                if call(1)[2]:
                    out.append(self._task(name, "FLOP/s", call))
                else:
                    self.absent[name] = "no such instruction for this device in this build"
        return out

    def _passes(self, kinds: dict[str, str], nbytes: int) -> list[Task]:
        def call(kind: str) -> Callable[[int], Any]:
            return lambda n: self.module.probe_pass(self.device.index, kind, nbytes, self.window, n)

        return [self._task(name, "B/s", call(kind)) for name, kind in kinds.items()]

    def _memory(self) -> list[Task]:
        # three buffers, beyond what L2 holds much of
        nbytes = min(_MOST_BUFFER, max(int(self.device.memory_bytes / 16), 1 << 20))
        kinds = ("read", "write", "copy", "triad")
        return self._passes({f"bandwidth.memory.{kind}": kind for kind in kinds}, nbytes)

    def _caches(self) -> list[Task]:
        names = {"bandwidth.l2.read": "l2", "bandwidth.shared.read": "shared"}
        return self._passes(names, max(self.device.l2_bytes // 4, 1 << 16))

    def _launch(self) -> list[Task]:
        def call(waited: bool) -> Callable[[int], Any]:
            return lambda n: self.module.probe_launch(self.device.index, waited, n)

        return [
            self._task("launch.wait", "s", call(True)),
            self._task("launch.row", "s", call(False)),
        ]

    def _copies(self) -> list[Task]:
        me = self.device.index
        nbytes = min(_COPY_BYTES, max(int(self.device.memory_bytes / 16), 1 << 20))

        def call(kind: str, peer: int) -> Callable[[int], Any]:
            return lambda n: self.module.probe_copy(me, kind, peer, nbytes, n)

        out = [self._task(f"copy.{k}", "B/s", call(k, me)) for k in ("to_device", "to_host")]
        for peer in range(self.count):
            if peer != me:
                out.append(self._task(f"copy.to_peer.{peer}", "B/s", call("to_peer", peer)))
        return out

    def _hash(self) -> list[Task]:
        out = []
        # a launch rolls 120 nonces at most: many versions make it long
        for mode, versions in (("nonce", 1), ("roll", 16384)):

            def scan(nonces: int, versions: int = versions, mode: str = mode) -> float:
                # a target of 1 that no hash meets: nothing but scanning is timed
                _, hashes, seconds, _, failure, _ = part(
                    [self.device.index], bytes(80), 0, nonces, _HARDEST, 0, versions, None
                )
                if failure:
                    raise ProbeError(f"hash.{mode}: {failure}")
                return hashes / seconds

            # a scan grows its launches as it goes: it must last long beside that
            nonces = max(2**15 // versions, 2)
            while nonces < 2**31 and nonces * versions / scan(nonces) < self.scan_s:
                nonces *= 2

            def call(n: int, nonces: int = nonces, scan: Any = scan) -> Any:
                return [scan(nonces) for _ in range(n)], True, True

            out.append(self._task(f"hash.{mode}", "hash/s", call))
        return out
