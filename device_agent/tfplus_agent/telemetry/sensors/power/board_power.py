"""Power of a Raspberry Pi 5, rail by rail from its power management chip."""

from __future__ import annotations

import re
from pathlib import Path

from tfplus_agent.telemetry.device_tool import ask
from tfplus_agent.telemetry.sensor import Reading, number_of

BOARD_POWER = "board_power_watts"
_VCGENCMD = ("usr/bin/vcgencmd", "opt/vc/bin/vcgencmd")
# `VDD_CORE_A current(7)=2.63310800A` and `VDD_CORE_V volt(15)=0.72162530V`.
_LINE = re.compile(r"^\s*(\w+)_([AV]) (?:current|volt)\(\d+\)=([0-9.]+)[AV]\s*$", re.MULTILINE)


class BoardPower:
    """The sum over the rails whose voltage and current are both told.

    That is less than what the board takes: neither what its converters lose nor what it hands to
    USB devices is in it.
    """

    name = "board_power"
    quantities: tuple[str, ...] = (BOARD_POWER,)

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads the sum."""
        source, text, reason = ask(root, _VCGENCMD, "pmic_read_adc")
        rails: dict[str, dict[str, float]] = {}
        for name, unit, digits in _LINE.findall(text):
            value = number_of(digits)
            if value is not None:
                rails.setdefault(name, {})[unit] = value
        whole = {name: v for name, v in rails.items() if len(v) == 2}
        if not whole:
            why = reason or f"{source}: no rail with voltage and current"
            return [Reading(BOARD_POWER, None, source=source, absent_reason=why)]
        watts = sum(v["A"] * v["V"] for v in whole.values())
        raw = "; ".join(f"{n} {v['V']} V {v['A']} A" for n, v in sorted(whole.items()))
        return [Reading(BOARD_POWER, watts, source=source, raw=raw)]
