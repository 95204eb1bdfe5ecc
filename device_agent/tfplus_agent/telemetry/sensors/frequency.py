"""Clock of the cores now, from /sys/devices/system/cpu/cpufreq."""

from __future__ import annotations

from pathlib import Path

from tfplus_agent.telemetry.sensor import Reading, number_of, text_of

FREQUENCY = "processor_frequency_hertz"


class Frequency:
    """The clock that the kernel last asked for, of each group of cores that share one."""

    name = "frequency"
    quantities: tuple[str, ...] = (FREQUENCY,)

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads every group; `instance` is the kernel's name of it, such as `policy0`."""
        directory = root / "sys" / "devices" / "system" / "cpu" / "cpufreq"
        found: list[Reading] = []
        for policy in sorted(directory.glob("policy*")):
            path = policy / "scaling_cur_freq"
            raw = text_of(path)
            khz = number_of(raw)
            if khz is not None and khz > 0:
                found.append(Reading(FREQUENCY, khz * 1e3, policy.name, str(path), raw))
        reason = f"{directory}: no clock that answers"
        return found or [Reading(FREQUENCY, None, source=str(directory), absent_reason=reason)]
