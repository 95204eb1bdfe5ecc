"""`tfplus certs`: from nothing to files that load, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.wire.tls import TlsFiles


def certs(*arguments: object) -> int:
    return CliRunner().invoke(app, ["certs", *map(str, arguments)]).exit_code


def test_from_nothing_to_files_that_load(tmp_path: Path) -> None:
    ca, device = tmp_path / "ca", tmp_path / "pi1"
    assert certs("init", ca, "--days", 30) == 0
    issue = ["issue", "pi1", "--host", "pi1.local", "--host", "10.0.0.7", "--ca", ca, "-o", device]
    assert certs(*issue) == 0
    assert TlsFiles.load(device).key == device / "key.pem"
    assert certs(*issue) == 2
    assert certs(*issue, "--force") == 0
    assert certs("init", ca) == 2


def test_wrong_use(tmp_path: Path) -> None:
    assert certs("issue", "pi1", "--ca", tmp_path, "-o", tmp_path / "out") == 2
    assert certs("issue", "pi1", "--host", "a", "--ca", tmp_path, "-o", tmp_path / "out") == 2
    assert certs("init", tmp_path / "ca", "--days", 0) == 2


def test_without_cryptography_the_extra_is_named(tmp_path: Path) -> None:
    script = (
        "import sys\nsys.modules['cryptography'] = None\nfrom tfplus.cli.main import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "certs", "init", str(tmp_path / "ca")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 6
    assert "pip install 'tfplus[certs]'" in done.stderr
    assert not (tmp_path / "ca").exists()
