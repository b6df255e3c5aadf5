"""What the operating system says of this machine: processor, caches, memory, energy counters."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["Energy", "cache_sizes", "memory_bytes", "processor_name"]

_RAPL = Path("/sys/class/powercap")
_HWMON = Path("/sys/class/hwmon")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def processor_name() -> str:
    """The processor, as the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model") and value.strip():
                return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown processor"


def processor_identity() -> str:
    """Name, family, model and stepping: what a stored measurement belongs to."""
    wanted = ("vendor_id", "cpu family", "model", "stepping", "CPU implementer", "CPU part")
    said: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            said.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    return "|".join((processor_name(), platform.machine(), *(said.get(k, "") for k in wanted)))


def cache_sizes() -> dict[str, float]:
    """Bytes of the first processor's data caches by level, "L1" to "L3"; empty if the system does not say."""
    found: dict[str, float] = {}
    for index in _CACHES.glob("index*"):
        try:
            if (index / "type").read_text().strip() == "Instruction":
                continue
            level = int((index / "level").read_text())
            text = (index / "size").read_text().strip()
            unit = {"K": 2**10, "M": 2**20, "G": 2**30}[text[-1]]
            found[f"L{level}"] = float(text[:-1]) * unit
        except (OSError, ValueError, KeyError, IndexError):
            continue
    return dict(sorted(found.items()))


def memory_bytes() -> float | None:
    """Main memory [B]."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return None


class Energy:
    """The processor packages' energy between two moments, by RAPL or a sensor of hwmon.

    Examples
    --------
    >>> watts, note = Energy().watts(1.0)
    >>> watts is None or watts >= 0, bool(note)
    (True, True)
    """

    def __init__(self) -> None:
        self.paths, self.why = self._find()
        self.before = self._read()

    def _find(self) -> tuple[list[Path], str]:
        # packages, not the cores and memory inside them
        zones = [p for p in _RAPL.glob("*-rapl:[0-9]*") if p.name.count(":") == 1]
        paths = [zone / "energy_uj" for zone in zones]
        # amd_energy and others: a sensor per socket
        for sensor in _HWMON.glob("hwmon*/energy*_input") if not paths else ():
            try:
                label = sensor.with_name(sensor.name.replace("_input", "_label")).read_text()
            except OSError:
                continue
            if "socket" in label.lower() or "package" in label.lower():
                paths.append(sensor)
        if not paths:
            absent = [str(p) for p in (_RAPL, _HWMON) if not p.is_dir()]
            gone = f" ({' and '.join(absent)} absent)" if absent else ""
            return (
                [],
                f"unknown: no energy counter of RAPL or hwmon{gone}, as in most virtual machines",
            )
        for path in paths:
            try:
                path.read_text()
            except OSError as error:
                reason = error.strerror or "unreadable"
                counter = f"{path.parent.name}/{path.name}"
                return [], f"unknown: {counter}: {reason.lower()} (root alone may read it)"
        return paths, ""

    def _read(self) -> list[float]:
        try:
            return [int(path.read_text()) * 1e-6 for path in self.paths]
        except (OSError, ValueError):
            return []

    def watts(self, seconds: float) -> tuple[float | None, str]:
        """Mean power since this was made, `seconds` ago [W], or None; and where that comes from."""
        if not self.paths:
            return None, self.why
        after = self._read()
        if not after or not self.before:
            return None, "unknown: the energy counter stopped being readable while measuring"
        if any(b < a for a, b in zip(self.before, after, strict=True)):
            return None, "unknown: the energy counter wrapped around while measuring"
        source = "RAPL" if _RAPL in self.paths[0].parents else "hwmon"
        return (
            (sum(after) - sum(self.before)) / seconds,
            f"measured: {source} energy counters of the processor packages",
        )
