"""Reads on what is measured: the machine, its system, and the software.

Files are read below a root that can be replaced, so that the tree of any machine tests this. What
cannot be read is None with a reason.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path

import tfplus
from tfplus.measure import checkout
from tfplus.measure.result import Environment

Reading = tuple[str | None, str]
"""What was read, or None and why."""

# Of implementer 0x41, which is Arm: what /proc/cpuinfo has no name for.
_ARM_PARTS = {
    "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55", "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72", "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75", "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1", "0xd0d": "Cortex-A77", "0xd40": "Neoverse-V1", "0xd41": "Cortex-A78",
    "0xd44": "Cortex-X1", "0xd46": "Cortex-A510", "0xd47": "Cortex-A710", "0xd48": "Cortex-X2",
    "0xd49": "Neoverse-N2", "0xd4d": "Cortex-A715", "0xd4e": "Cortex-X3", "0xd80": "Cortex-A520",
    "0xd81": "Cortex-A720", "0xd82": "Cortex-X4",
}  # fmt: skip
_MOST_BYTES = 1 << 20


def read(
    root: Path = Path("/"),
    *,
    cores: Iterable[int] | None = None,
    commit: Callable[[], Reading] = checkout.commit,
) -> Environment:
    """The environment of this process.

    Args:
      root: where `proc`, `sys` and `etc` are.
      cores: numbers of those that may be used; None for this process'.
      commit: reads the commit of the sources.
    """
    numbers = sorted(os.sched_getaffinity(0) if cores is None else cores)
    readings = {
        "device": _device(root),
        "os": _os(root),
        "cpu_model": cpu_model(root),
        "governor": _governor(root, numbers),
        "tfplus_commit": commit(),
    }
    memory_bytes, no_memory = _memory_bytes(root)
    absent = {name: why for name, (value, why) in readings.items() if value is None}
    kernel, _ = _text(root / "proc/sys/kernel/osrelease")
    return Environment(
        device=readings["device"][0],
        architecture=platform.machine(),
        os=readings["os"][0],
        kernel=kernel or platform.release(),
        cpu_model=readings["cpu_model"][0],
        cores=len(numbers),
        governor=readings["governor"][0],
        memory_bytes=memory_bytes,
        python=platform.python_version(),
        tfplus_version=tfplus.__version__,
        tfplus_commit=readings["tfplus_commit"][0],
        absent=absent if memory_bytes is not None else absent | {"memory_bytes": no_memory},
    )


def _device(root: Path) -> Reading:
    # A board says what it is in the device tree, a PC in its firmware's tables.
    name, why = _text(root / "proc/device-tree/model")
    if name:
        return name, ""
    vendor, _ = _text(root / "sys/class/dmi/id/sys_vendor")
    product, _ = _text(root / "sys/class/dmi/id/product_name")
    known = " ".join(part for part in (vendor, product) if part)
    return (known, "") if known else (None, why)


def _os(root: Path) -> Reading:
    text, why = _text(root / "etc/os-release")
    for line in (text or "").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip("\"'"), ""
    return None, why or "/etc/os-release: no PRETTY_NAME"


def cpu_model(root: Path = Path("/")) -> Reading:
    """The processor's name, or None and why; of several kinds of cores all names."""
    text, why = _text(root / "proc/cpuinfo")
    if text is None:
        return None, why
    pairs = [
        (key.strip(), value.strip())
        for key, _, value in (line.partition(":") for line in text.splitlines())
    ]
    named = [value for key, value in pairs if key == "model name"]
    if named:
        return _joined(named), ""
    implementers = [value for key, value in pairs if key == "CPU implementer"]
    parts = [value for key, value in pairs if key == "CPU part"]
    found = [
        (_ARM_PARTS.get(part) if maker == "0x41" else None) or f"implementer {maker} part {part}"
        for maker, part in zip(implementers, parts, strict=False)
    ]
    return (_joined(found), "") if found else (None, "/proc/cpuinfo: neither model name nor part")


def _governor(root: Path, cores: Iterable[int]) -> Reading:
    found: list[str] = []
    why = "no core may be used"
    for core in cores:
        value, why = _text(root / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor")
        if value is None:
            return None, why
        found.append(value)
    return (_joined(found), "") if found else (None, why)


def _memory_bytes(root: Path) -> tuple[int | None, str]:
    text, why = _text(root / "proc/meminfo")
    for line in (text or "").splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "MemTotal:" and words[1].isdigit():
            return int(words[1]) * 1024, ""
    return None, why or "/proc/meminfo: no MemTotal"


def _joined(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _text(path: Path) -> Reading:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
    except OSError as error:
        return None, f"{path}: {error.strerror}"
    # The device tree ends its texts with a zero byte.
    return content.decode("utf-8", "replace").strip("\0 \n"), ""
