"""Folders of processes that were killed are removed, and those in use are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tfplus.system import temporary

CHILD = """
import sys, tempfile
from tfplus.system import temporary
tempfile.tempdir = sys.argv[1]
with temporary.folder("test") as folder:
    (folder / "saved").mkdir()
    (folder / "saved" / "weights").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_removed_with_what_is_in_it(there: Path) -> None:
    with temporary.folder("test") as folder:
        assert folder.parent == there
        (folder / "file").write_text("x")
    assert list(there.iterdir()) == []
    with pytest.raises(RuntimeError), temporary.folder("test"):
        raise RuntimeError
    assert list(there.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(there: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(there)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    left = Path(child.stdout.readline().strip())
    temporary.remove_stale()
    with temporary.folder("test"):
        assert (left / "saved" / "weights").exists()
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    assert (left / "saved" / "weights").exists()
    with temporary.folder("test") as own:
        assert list(there.iterdir()) == [own]
        temporary.remove_stale()
        assert own.is_dir()


def test_the_next_command_removes_it(there: Path) -> None:
    stale = there / "tfplus-temporary.export.abcd_123"
    stale.mkdir()
    script = "from tfplus.cli.entry import main\nmain()\n"
    environment = {**os.environ, "TMPDIR": str(there)}
    command = [sys.executable, "-c", script, "inspect", "none.tflite"]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
    assert done.returncode == 3
    assert not stale.exists()


def test_nothing_of_another_name_or_kind_is_touched(there: Path) -> None:
    names = [
        "tfplus-export-20260101",
        "tfplus-temporary.export",
        "x.tfplus-temporary.export.abcd_123",
    ]
    for name in names:
        (there / name).mkdir()
    elsewhere = there / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("x")
    (there / "tfplus-temporary.export.abcd_123").symlink_to(elsewhere)
    (there / "tfplus-temporary.export.abcd_124").write_text("x")
    before = sorted(there.rglob("*"))
    temporary.remove_stale()
    assert sorted(there.rglob("*")) == before


def test_one_that_another_process_took_for_stale_is_made_anew(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tempfile.mkdtemp
    made: list[str] = []

    def mkdtemp(**arguments: str) -> str:
        made.append(real(**arguments))
        if len(made) == 1:
            Path(made[0]).rmdir()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with temporary.folder("test") as folder:
        assert [str(folder)] == made[1:]
        assert folder.is_dir()
