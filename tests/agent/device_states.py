"""What the tests of devices look at, and do to them."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np

from tfplus_agent.device.device import Device

Open = Callable[..., Device]
KERNEL = "task/3/logit/kernel"
RATE = "optimizer/learning_rate"


def equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[n], b[n]) for n in a)


def all_values(device: Device) -> dict[str, Any]:
    return dict(device.weights(include_optimizer=True))


def full_disk(handle: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def kill_worker(device: Device) -> None:
    session = device._slot.session
    assert session is not None
    assert session.supervisor.worker_pid is not None
    os.kill(session.supervisor.worker_pid, signal.SIGKILL)
