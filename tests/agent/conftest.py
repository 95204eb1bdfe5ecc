from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfplus.fleet.clients.client import AgentClient
from tfplus.model_file.artifact import Artifact
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.device.device import Device

# Helpers lie beside the tests.
sys.path.insert(0, str(Path(__file__).parent))
from gossip_ring import NAMES, Agent, manifest_of

_TIMEOUT_S = 60

MakeData = Callable[..., Path]


def samples(count: int, *, seed: int, shape: tuple[int, ...] = (8, 8, 1)) -> tuple[Any, Any]:
    """uint8 samples of ten classes that differ in mean pattern, and their labels."""
    patterns = np.random.default_rng(0).integers(0, 17, (10, *shape))
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(count) % 10)
    noise = rng.integers(-2, 3, (count, *shape))
    return np.clip(patterns[y] + noise, 0, 16).astype(np.uint8), y


@pytest.fixture(scope="session")
def make_data(tmp_path_factory: pytest.TempPathFactory) -> MakeData:
    """Writes a data set of `count` samples, with x or y replaced by keyword."""

    def make(count: int = 20, *, seed: int = 0, **changes: Any) -> Path:
        x, y = samples(count, seed=seed)
        path = tmp_path_factory.mktemp("data") / "data.npz"
        np.savez(path, **{"x": x, "y": y, **changes})
        return path

    return make


@pytest.fixture(scope="session")
def train_data(make_data: MakeData) -> Path:
    """150 samples: nine full batches of 16, and one of 6."""
    return make_data(150, seed=1)


@pytest.fixture(scope="session")
def eval_data(make_data: MakeData) -> Path:
    return make_data(50, seed=2)


@pytest.fixture
def open_device(
    tmp_path: Path, model: Artifact, train_data: Path, eval_data: Path
) -> Iterator[Callable[..., Device]]:
    """Opens devices on one state directory, with the model loaded, and closes them at the end."""
    opened: list[Device] = []

    def start(*, load: Artifact | None = model, **changes: Any) -> Device:
        fields = {"name": "a", "state_dir": tmp_path / "state", "data": train_data}
        device = Device(DeviceConfig(**{**fields, "eval_data": eval_data, "threads": 1, **changes}))
        opened.append(device)
        if load is not None:
            content = load.path.read_bytes()
            device.models.add(load.sha256, len(content), [content])
            device.load(load.sha256)
        return device

    yield start
    for device in opened:
        device.close()


class AgentProcess:
    """A real agent in a process of its own, on a free port of loopback."""

    def __init__(self, *arguments: str) -> None:
        command = "from tfplus.cli.main import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", command, "agent", "--json", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.ready = self._ready()
        self.client = AgentClient(self.ready["address"], timeout_s=_TIMEOUT_S)

    def _ready(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, error = self.process.communicate(timeout=_TIMEOUT_S)
            raise AssertionError(f"the agent ended with {self.process.returncode}: {error}")
        return json.loads(line)

    def end(self, number: signal.Signals | None = None) -> int:
        """Sends a signal, if any, waits for the end and returns the exit code."""
        self.client.close()
        if number is not None and self.process.poll() is None:
            self.process.send_signal(number)
        self.process.communicate(timeout=_TIMEOUT_S)
        return self.process.returncode


@pytest.fixture
def start_agent(
    tmp_path: Path, train_data: Path, eval_data: Path
) -> Iterator[Callable[..., AgentProcess]]:
    """Starts agents on one state directory; ends what is left of them."""
    started: list[AgentProcess] = []

    def start(**changes: str | None) -> AgentProcess:
        options = {
            "data": str(train_data),
            "eval-data": str(eval_data),
            "name": "a",
            "listen": "127.0.0.1:0",
            "state-dir": str(tmp_path / "state"),
            "threads": "1",
            **changes,
        }
        given = {k: v for k, v in options.items() if v is not None}
        agent = AgentProcess(*(text for k, v in given.items() for text in (f"--{k}", v)))
        started.append(agent)
        return agent

    yield start
    for agent in started:
        agent.end(signal.SIGKILL)


@pytest.fixture
def agents(tmp_path: Path, toy: Any) -> Iterator[dict[str, Agent]]:
    """A ring of four, with servers of their own."""
    agents = {n: Agent(n, tmp_path / n, manifest_of(n, toy.manifest)) for n in NAMES}
    yield agents
    for agent in agents.values():
        agent.down()
