"""The environment of machines that are not this one, from trees of their files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tfplus.measure import checkout, environment

PI = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/sys/kernel/osrelease": "6.6.31+rpt-rpi-2712\n",
    "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\n"
    "processor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n",
    "proc/meminfo": "MemTotal:        8245412 kB\nMemFree:  5 kB\n",
    "etc/os-release": 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance\n",
}


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def nowhere() -> tuple[None, str]:
    return None, "no clone"


def test_a_board(tmp_path: Path) -> None:
    found = environment.read(tree(tmp_path, PI), cores=[0, 1], commit=lambda: ("abc", ""))
    assert found.device == "Raspberry Pi 5 Model B Rev 1.0"
    assert found.os == "Debian GNU/Linux 12 (bookworm)"
    assert found.kernel == "6.6.31+rpt-rpi-2712"
    assert found.cpu_model == "Cortex-A76"
    assert found.cores == 2
    assert found.governor == "ondemand, performance"
    assert found.memory_bytes == 8245412 * 1024
    assert found.tfplus_commit == "abc"
    assert found.absent == {}


def test_a_machine_of_several_kinds_of_cores(tmp_path: Path) -> None:
    cores = (("0x41", "0xd05"), ("0x41", "0xd05"), ("0x51", "0x804"))
    text = "".join(f"CPU implementer : {a}\nCPU part : {b}\n" for a, b in cores)
    root = tree(tmp_path, PI | {"proc/cpuinfo": text})
    found = environment.read(root, cores=[0], commit=nowhere)
    assert found.cpu_model == "Cortex-A55, implementer 0x51 part 0x804"
    assert found.governor == "ondemand"


def test_a_pc(tmp_path: Path) -> None:
    files = {
        "proc/cpuinfo": "model name\t: Some CPU @ 2.0GHz\nmodel name\t: Some CPU @ 2.0GHz\n",
        "sys/class/dmi/id/sys_vendor": "Acme\n",
        "sys/class/dmi/id/product_name": "Box 3\n",
    }
    found = environment.read(tree(tmp_path, files), cores=[0], commit=nowhere)
    assert (found.device, found.cpu_model) == ("Acme Box 3", "Some CPU @ 2.0GHz")
    assert str(found).startswith("Some CPU @ 2.0GHz, 1 cores, Linux ")


def test_what_cannot_be_read_is_none_with_a_reason(tmp_path: Path) -> None:
    found = environment.read(tmp_path, cores=[0, 1], commit=nowhere)
    missing = ("device", "os", "cpu_model", "governor", "memory_bytes", "tfplus_commit")
    assert [getattr(found, name) for name in missing] == [None] * 6
    assert set(found.absent) == set(missing)
    assert found.absent["governor"].endswith(
        "cpu0/cpufreq/scaling_governor: No such file or directory"
    )
    assert found.absent["tfplus_commit"] == "no clone"
    # What Python itself knows is always there.
    assert found.architecture
    assert found.kernel


def test_the_commit_of_a_clone(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=n", "-c", "user.email=e")
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    assert checkout.commit(tmp_path) == (None, "the git clone has no commit")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "first")
    head = git("rev-parse", "HEAD")
    assert checkout.commit(tmp_path) == (head, "")
    (tmp_path / "a").write_text("2")
    assert checkout.commit(tmp_path) == (f"{head}-modified", "")
    # Packages of an environment inside of a clone are not of the clone's commit.
    (tmp_path / "inner").mkdir()
    assert checkout.commit(tmp_path / "inner")[0] is None


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert checkout.commit() == (None, "git is not installed")
