"""Certificate files of two projects."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from tfplus.wire import certs

NOW = datetime.datetime.now(datetime.timezone.utc)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA with the devices `server` and `pi1`."""
    root = tmp_path_factory.mktemp("ours")
    certs.create_ca(root / "ca", NOW)
    certs.issue("server", ["localhost", "127.0.0.1"], root / "ca", root / "server", NOW)
    certs.issue("pi1", ["127.0.0.1"], root / "ca", root / "pi1", NOW)
    certs.issue("elsewhere", ["10.0.0.7"], root / "ca", root / "elsewhere", NOW)
    return root


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another CA, with a device of the same name."""
    root = tmp_path_factory.mktemp("theirs")
    certs.create_ca(root / "ca", NOW)
    certs.issue("pi1", ["127.0.0.1"], root / "ca", root / "pi1", NOW)
    return root
