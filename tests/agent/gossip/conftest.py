"""Four real agents, not yet with a model, and their twins in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gossip_processes import write_data

from tfplus.model_file.artifact import Artifact
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.device.device import Device


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Path]:
    return write_data(tmp_path)


@pytest.fixture
def ring_of_agents(
    start_agent: Callable[..., Any], data: dict[str, Path], tmp_path: Path
) -> dict[str, Any]:
    """Four agents by name, not yet with a model."""
    return {
        name: start_agent(**{"name": name, "state-dir": str(tmp_path / name), "data": str(path)})
        for name, path in data.items()
    }


@pytest.fixture
def devices(data: dict[str, Path], model: Artifact, tmp_path: Path) -> Iterator[dict[str, Device]]:
    """The same four devices again, in this process."""
    opened: dict[str, Device] = {}
    for name, path in data.items():
        config = DeviceConfig(name, tmp_path / f"twin-{name}", path, threads=1)
        opened[name] = Device(config)
        content = model.path.read_bytes()
        opened[name].models.add(model.sha256, len(content), [content])
        opened[name].load(model.sha256)
    yield opened
    for device in opened.values():
        device.close()
