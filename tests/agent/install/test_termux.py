"""The script for Termux:Boot, run by a shell among stand-ins for Termux's own programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tfplus_agent.install import termux

TIMEOUT_S = 30
# The distribution's exit codes, one a start.
PROOT = """#!/bin/sh
printf '%s\\n' "$@" >>"$HOME/started"
echo "it says something"
code=$(head -n 1 "$HOME/codes")
sed -i 1d "$HOME/codes"
exit "$code"
"""


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    for name, text in {
        "proot-distro": PROOT,
        "termux-wake-lock": '#!/bin/sh\necho locked >>"$HOME/wake"\n',
        "termux-wake-unlock": '#!/bin/sh\necho unlocked >>"$HOME/wake"\n',
        "sleep": '#!/bin/sh\necho "$1" >>"$HOME/slept"\n',
    }.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def boot(phone: Path, *codes: int, command: tuple[str, ...] = ("tfplus", "agent")) -> None:
    (phone / "codes").write_text("".join(f"{code}\n" for code in codes))
    script = phone / "script"
    script.write_text(termux.script("pi", command, "debian"))
    subprocess.run(
        ["sh", str(script)],
        env={"HOME": str(phone), "PATH": f"{phone / 'bin'}:{os.environ['PATH']}"},
        check=True,
        timeout=TIMEOUT_S,
    )


def test_it_starts_the_agent_again_when_it_fails(phone: Path) -> None:
    command = ("/opt/tfplus/bin/tfplus", "agent", "--data", "/root/my data.npz", "--name", "$x")
    boot(phone, 137, 7, 0, command=command)
    started = (phone / "started").read_text().splitlines()
    assert started == ["login", "debian", "--", *command] * 3
    assert (phone / "slept").read_text() == "10\n10\n"
    assert (phone / "wake").read_text() == "locked\nunlocked\n"
    log = (phone / "pi.log").read_text()
    assert log.count("it says something") == 3
    assert "ended with 137" in log


@pytest.mark.parametrize("code", [0, 130, 2, 6])
def test_what_does_not_mend_is_not_started_again(phone: Path, code: int) -> None:
    boot(phone, code)
    assert (phone / "started").read_text().count("login") == 1
    assert not (phone / "slept").exists()


def test_the_log_does_not_grow_for_ever(phone: Path) -> None:
    (phone / "pi.log").write_bytes(b"x" * 1_000_001)
    boot(phone, 0)
    assert (phone / "pi.log").read_text() == "it says something\n"


def test_one_at_a_time(phone: Path) -> None:
    flock = shutil.which("flock")
    if flock is None:
        pytest.skip("flock is not installed")
    (phone / "codes").write_text("0\n")
    script = phone / "script"
    script.write_text(termux.script("pi", ("tfplus",), "debian"))
    subprocess.run(
        [flock, str(phone / ".pi.lock"), "sh", str(script)],
        env={"HOME": str(phone), "PATH": f"{phone / 'bin'}:{os.environ['PATH']}"},
        check=True,
        timeout=TIMEOUT_S,
    )
    assert not (phone / "wake").exists()
