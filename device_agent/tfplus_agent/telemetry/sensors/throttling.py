"""Whether the device slows itself down: a Raspberry Pi's firmware, an x86 package's counter."""

from __future__ import annotations

import re
from pathlib import Path

from tfplus_agent.telemetry.device_tool import ask
from tfplus_agent.telemetry.sensor import Reading, number_of, text_of

THROTTLED = "throttled"
UNDER_VOLTAGE = "under_voltage"
FREQUENCY_CAPPED = "frequency_capped"
HOT = "temperature_limited"
EVENTS = "throttle_events_count"

# Bits of the firmware's word that say what is so now; 16 bits above lies what has been so.
_BITS = {UNDER_VOLTAGE: 0, FREQUENCY_CAPPED: 1, THROTTLED: 2, HOT: 3}
_VCGENCMD = ("usr/bin/vcgencmd", "opt/vc/bin/vcgencmd")
_WORD = re.compile(r"^(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})$")


class Throttling:
    """What a Pi's firmware says now, and how often an x86 package has throttled."""

    name = "throttling"
    quantities: tuple[str, ...] = (*_BITS, EVENTS)

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads the four flags, 1 or 0, and the counter."""
        return [*_firmware(root), *_events(root)]


def _firmware(root: Path) -> list[Reading]:
    # The kernel prints the word as hexadecimal digits, the tool as throttled=0x50005.
    path = root / "sys/devices/platform/soc/soc:firmware/get_throttled"
    source, raw, reason = str(path), text_of(path), ""
    if not raw:
        source, raw, reason = ask(root, _VCGENCMD, "get_throttled")
    match = _WORD.match(raw)
    if match is None:
        why = reason or f"{source}: expected a hexadecimal word, got '{raw[:40]}'"
        return [Reading(q, None, source=source, raw=raw, absent_reason=why) for q in _BITS]
    word = int(match[1], 16)
    return [Reading(q, float(word >> bit & 1), source=source, raw=raw) for q, bit in _BITS.items()]


def _events(root: Path) -> list[Reading]:
    directory = root / "sys/devices/system/cpu"
    counters = sorted(directory.glob("cpu*/thermal_throttle/package_throttle_count"))
    counts = [(n, p) for p in counters if (n := number_of(text_of(p))) is not None and n >= 0]
    if not counts:
        reason = f"{directory}: no package_throttle_count"
        return [Reading(EVENTS, None, source=str(directory), absent_reason=reason)]
    # Every core of a package shows the package's counter.
    count, path = max(counts)
    return [Reading(EVENTS, count, source=str(path), raw=text_of(path))]
