"""The systemd unit: what systemd itself thinks of it, and what it holds."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tfplus.errors import UsageError
from tfplus_agent.install.unit import Service

UNIT = "tfplus-agent.service"
# Some program that is there wherever these tests lie: a service cannot run one below /tmp.
PROGRAM = "/usr/bin/env"
STATE = Path("/var/lib/tfplus/pi-3")
HIGHEST_EXPOSURE = 2.0


def service(**changes: object) -> Service:
    fields = {
        "command": [PROGRAM, "-m", "tfplus", "agent", "--data", "/srv/d.npz"],
        "state_dir": STATE,
        "reads": [Path("/srv/d.npz")],
        "run_as": "daemon",
        "memory_max": "50%",
    }
    return Service(**{**fields, **changes})  # pyright: ignore[reportArgumentType]


def settings(made: Service) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in made.text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def systemd_analyze(runtime_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(
        [program, *arguments],
        env=os.environ | {"XDG_RUNTIME_DIR": str(runtime_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("run_as", ["daemon", ""], ids=["system", "user"])
def test_systemd_finds_nothing_wrong(tmp_path: Path, run_as: str) -> None:
    made = service(run_as=run_as)
    (tmp_path / UNIT).write_text(made.text())
    scope = [] if run_as else ["--user"]
    done = systemd_analyze(tmp_path, *scope, "verify", str(tmp_path / UNIT))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_finds_it_little_exposed(tmp_path: Path) -> None:
    made = service()
    (tmp_path / UNIT).write_text(made.text())
    done = systemd_analyze(tmp_path, "security", "--offline=yes", str(tmp_path / UNIT))
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze is older than 250: it judges running services alone")
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stdout + done.stderr
    assert float(exposure[1]) <= HIGHEST_EXPOSURE


def test_a_service_of_the_system_writes_to_its_state_alone() -> None:
    made = settings(service())
    assert made["ProtectSystem"] == ["strict"]
    assert made["StateDirectory"] == ["tfplus/pi-3"]
    assert made["ProtectHome"] == ["yes"]
    assert made["User"] == ["daemon"]
    assert made["MemoryMax"] == ["50%"]
    assert made["WantedBy"] == ["multi-user.target"]
    assert "ReadWritePaths" not in made


def test_a_service_of_a_user_reads_the_home_and_writes_to_its_state_alone() -> None:
    state = Path.home() / ".local/state/tfplus/a"
    made = settings(service(run_as="", state_dir=state, memory_max=""))
    assert made["ReadWritePaths"] == [str(state)]
    assert made["ProtectHome"] == ["read-only"]
    assert made["PrivateUsers"] == ["yes"]
    assert made["WantedBy"] == ["default.target"]
    assert not made.keys() & {"User", "MemoryMax", "StateDirectory", "CapabilityBoundingSet"}


def test_it_is_watched_and_a_killed_worker_does_not_end_it() -> None:
    made = settings(service(watchdog_s=17))
    assert made["Type"] == ["notify"]
    assert made["WatchdogSec"] == ["17"]
    assert made["Restart"] == ["on-failure"]
    assert made["OOMPolicy"] == ["continue"]
    assert made["KillMode"] == ["mixed"]


def test_arguments_stay_what_they_are() -> None:
    odd = ["/opt/a b/python", "100%", "$HOME", 'say "x"', "back\\slash"]
    (line,) = settings(service(command=odd))["ExecStart"]
    # systemd reads quotes and backslashes as a shell does, and doubles mean one.
    read = [a.replace("%%", "%").replace("$$", "$") for a in shlex.split(line)]
    assert read == odd


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory_max": "much"}, "--memory-max 'much'"),
        ({"reads": [Path("/", "tmp", "d.npz")]}, "d.npz: a service has a /tmp"),
        ({"state_dir": Path("/var", "tmp", "state")}, "state: a service has a /tmp"),
    ],
)
def test_what_it_refuses(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        service(**changes)
