"""Time in which work stood still for want of something, from /proc/pressure (PSI)."""

from __future__ import annotations

import re
from pathlib import Path

from tfplus_agent.telemetry.sensor import Reading, number_of, text_of

STALLED = "pressure_stalled_seconds"
_RESOURCES = ("cpu", "io", "memory")
_LINE = re.compile(r"^(some|full) .*\btotal=(\d+)$")


class Pressure:
    """Counters: `memory-full` is how long everything waited for memory, `-some` at least one."""

    name = "pressure"
    quantities: tuple[str, ...] = (STALLED,)

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads every resource; `instance` is `cpu-some`, `memory-full` and so on."""
        directory = root / "proc" / "pressure"
        found: list[Reading] = []
        for resource in _RESOURCES:
            path = directory / resource
            kinds = {m[1]: m for line in text_of(path).splitlines() if (m := _LINE.match(line))}
            for kind, match in sorted(kinds.items()):
                microseconds = number_of(match[2])
                if microseconds is not None:
                    instance = f"{resource}-{kind}"
                    seconds = microseconds / 1e6
                    found.append(Reading(STALLED, seconds, instance, str(path), match[0]))
        reason = f"{directory}: this kernel does not tell"
        return found or [Reading(STALLED, None, source=str(directory), absent_reason=reason)]
