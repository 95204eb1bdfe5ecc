"""Energy that processor packages have taken, from /sys/class/powercap (RAPL)."""

from __future__ import annotations

import re
from pathlib import Path

from tfplus_agent.telemetry.sensor import Reading, number_of, text_of

ENERGY = "package_energy_joules"
RANGE = "package_energy_range_joules"
# A package; `intel-rapl:0:0` is a part of it and would count twice.
_ZONE = re.compile(r"^(?:intel|amd)-rapl:\d+$")


class EnergyCounter:
    """Counters that begin anew at their range, which is read beside them."""

    name = "energy_counter"
    quantities: tuple[str, ...] = (ENERGY, RANGE)

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads every package; most systems let root alone read them."""
        directory = root / "sys" / "class" / "powercap"
        found: list[Reading] = []
        refused = ""
        for zone in sorted(directory.glob("*-rapl:*")):
            if not _ZONE.match(zone.name):
                continue
            name = f"{text_of(zone / 'name') or 'package'}-{zone.name.rpartition(':')[2]}"
            for quantity, file in ((ENERGY, "energy_uj"), (RANGE, "max_energy_range_uj")):
                path = zone / file
                raw = text_of(path)
                microjoules = number_of(raw)
                if microjoules is None or microjoules < 0:
                    refused = f"{path}: cannot be read, or holds no energy"
                else:
                    found.append(Reading(quantity, microjoules / 1e6, name, str(path), raw))
        reason = refused or f"{directory}: no counter of energy"
        missing = [q for q in self.quantities if q not in {r.quantity for r in found}]
        return [*found, *(Reading(q, None, absent_reason=reason) for q in missing)]
