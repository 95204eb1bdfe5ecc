"""`tfplus agent health`, asking a real agent."""

from __future__ import annotations

import datetime
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tfplus.cli.main import app
from tfplus.wire import certs, identity
from tfplus.wire.tls import TlsFiles
from tfplus_agent.doctor import patient


def health(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["agent", "health", *arguments])


def test_an_agent_that_serves_hangs_and_is_gone(start_agent: Callable[..., Any]) -> None:
    agent = start_agent()
    address = agent.ready["address"]
    agent.client.load(agent.client.upload(patient.probe().read.path))
    done = health(address)
    assert (done.exit_code, done.stdout) == (0, "SERVING\n")
    os.kill(agent.process.pid, signal.SIGSTOP)
    done = health(address, "--timeout", "0.5")
    os.kill(agent.process.pid, signal.SIGCONT)
    assert done.exit_code == 5
    assert "no answer (DEADLINE_EXCEEDED)" in done.stderr
    agent.end(signal.SIGKILL)
    assert health(address).exit_code == 5


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A device's certificate, for a host that is not this machine, and a stranger's."""
    now = datetime.datetime.now(datetime.timezone.utc)
    for name in ("own", "strange"):
        certs.create_ca(tmp_path / f"{name}-ca", now)
        certs.issue("a", ["pi-3.local"], tmp_path / f"{name}-ca", tmp_path / name, now)
    return tmp_path / "own", tmp_path / "strange"


def test_with_the_agents_own_certificate(
    start_agent: Callable[..., Any], files: tuple[Path, Path]
) -> None:
    own, strange = files
    assert identity.certified_host(TlsFiles.load(own)) == "pi-3.local"
    agent = start_agent(**{"tls-dir": str(own)})
    assert health(agent.ready["address"], "--tls-dir", str(own)).exit_code == 0
    assert health(agent.ready["address"], "--tls-dir", str(strange)).exit_code == 5
    assert health(agent.ready["address"]).exit_code == 5
