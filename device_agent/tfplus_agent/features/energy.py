"""Whether a device may talk to a server now: the gates of the battery, as for training."""

from __future__ import annotations

import datetime

from tfplus.errors import BusyError
from tfplus_agent.jobs.limits import gates
from tfplus_agent.telemetry.sampler import read_all
from tfplus_agent.telemetry.sensors.registry import SENSORS


def require(min_battery: float | None, *, only_charging: bool) -> None:
    """Refuses where a gate is closed; one that cannot tell lets everything pass.

    Args:
      min_battery: percent, unless the device is plugged in; None for any.
      only_charging: only while it is plugged in.

    Raises:
      BusyError: a gate is closed; nothing was sent.
    """
    asked = gates.Gates(min_battery_percent=min_battery, only_charging=only_charging)
    if not asked:
        return
    verdict = gates.decide(asked, read_all(SENSORS), datetime.datetime.now().time())
    if not verdict.may_train:
        raise BusyError(
            f"not now: {'; '.join(verdict.closed.values())}: nothing was sent; try again later"
        )
