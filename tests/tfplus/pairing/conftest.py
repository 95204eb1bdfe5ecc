"""A device that waits to be paired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting_device import NOW, Device, terms

from tfplus.errors import PairingError, UnreachableError
from tfplus.pairing import desk
from tfplus.pairing.device import ATTEMPTS
from tfplus.wire import certs


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pairing") / "ca"
    certs.create_ca(directory, NOW)
    certs.issue("desk", ["localhost"], directory, directory.parent / "desk", NOW)
    return directory


@pytest.fixture
def device(tmp_path: Path, ca: Path) -> Iterator[Callable[..., Device]]:
    started: list[Device] = []

    def start(**options: Any) -> Device:
        started.append(Device(tmp_path / "device", **options))
        return started[-1]

    yield start
    for each in started:
        if not each.result.done():
            # It has nothing to wait for any more: wrong codes end it.
            for _ in range(ATTEMPTS):
                with pytest.raises((PairingError, UnreachableError)):
                    desk.pair(each.address, "0000-0000", terms(ca), NOW)
        each.close()
