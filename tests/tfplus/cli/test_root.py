"""The root command: what is mounted, how fast, and what every kind of error ends with."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
from typer.testing import CliRunner

import tfplus
from tfplus import errors
from tfplus.cli import main, mount
from tfplus.model_file.artifact import Artifact

TFPLUS = [sys.executable, "-c", "from tfplus.cli.main import main; main()"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TFPLUS, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environment,
    )


def root_that_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Any:
    """The root command with one more command, `fail`, that raises `error`."""
    app = typer.Typer()

    @app.command("fail")
    def fail() -> None:
        raise error

    @app.command("pass")
    def succeed() -> None:
        typer.echo("fine")

    monkeypatch.setattr(mount, "installed", lambda: [mount.Mount("fail", "there:app")])
    monkeypatch.setattr(mount, "load", lambda _: dict(typer.main.get_group(app).commands))
    return main.app


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"tfplus {tfplus.__version__}\n")
    assert tfplus.__version__ == importlib.metadata.version("tfplus")


def test_help_names_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in ("agent", "certs", "demo", "export", "gossip", "inspect", "jobs"):
        assert f" {name} " in done.stdout
    assert "cannot be loaded" not in done.stdout


@pytest.mark.parametrize(
    "command", ["agent", "certs", "demo", "export", "gossip", "inspect", "jobs"]
)
def test_every_command_explains_itself_with_examples(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0, done.stderr
    assert ("Commands" if command in ("certs", "jobs") else "Examples:") in done.stdout


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from tfplus.cli.main import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    heavy = {'tensorflow', 'keras', 'grpc', 'ai_edge_litert', 'sklearn', 'cryptography'}\n"
        "    print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_one_command_does_not_import_the_others() -> None:
    script = (
        "import sys\n"
        "from tfplus.cli.main import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    print(sorted(m for m in sys.modules if m.startswith(('tfplus_', 'tfplus.cli.'))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "inspect", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = done.stdout.splitlines()[-1]
    assert "tfplus.cli.commands.inspect" in loaded
    assert "tfplus_export" not in loaded
    assert "tfplus_agent" not in loaded


def test_a_typing_error_is_corrected() -> None:
    done = run("inspct")
    assert done.returncode == 2
    assert "inspect" in done.stderr
    assert done.stdout == ""


TREE = [
    (errors.UsageError, 2),
    (errors.ArtifactError, 3),
    (errors.PlanError, 3),
    (errors.DamagedFileError, 3),
    (errors.DataError, 3),
    (errors.StoreError, 3),
    (errors.TensorError, 3),
    (errors.ExportError, 4),
    (errors.UnsupportedOperationError, 4),
    (errors.UnexpectedExportError, 4),
    (errors.RemoteError, 5),
    (errors.UnreachableError, 5),
    (errors.StepError, 5),
    (errors.PairingError, 5),
    (errors.BusyError, 5),
    (errors.RefusedBatchError, 5),
    (errors.NotPermittedError, 5),
    (errors.MissingExtraError, 6),
    (errors.RuntimeVersionError, 6),
    (errors.WorkerError, 7),
]


def test_the_table_has_every_error() -> None:
    declared = {
        e
        for e in vars(errors).values()
        if isinstance(e, type) and issubclass(e, errors.TfplusError)
    }
    assert declared == {e for e, _ in TREE} | {errors.TfplusError}


@pytest.mark.parametrize(("kind", "code"), TREE)
def test_own_errors(
    monkeypatch: pytest.MonkeyPatch, kind: type[errors.TfplusError], code: int
) -> None:
    root = root_that_raises(monkeypatch, kind("it broke: do this"))
    result = CliRunner().invoke(root, ["fail"])
    assert result.exit_code == code
    assert result.stderr == "error: it broke: do this\n"
    assert result.stdout == ""


def test_messages_from_elsewhere_cannot_drive_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    root = root_that_raises(monkeypatch, errors.RemoteError("peer '\x1b[2J\r' said\nno"))
    assert CliRunner().invoke(root, ["fail"]).stderr == "error: peer '\ufffd[2J\ufffd' said\nno\n"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "some/file: No space left on device; free some space"),
        (errno.EACCES, "some/file: Permission denied; check its permissions"),
        (errno.EIO, "some/file: Input/output error"),
    ],
)
def test_file_errors(monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    error = OSError(number, os.strerror(number), "some/file")
    result = CliRunner().invoke(root_that_raises(monkeypatch, error), ["fail"])
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error: {words}")


def test_calls_that_fail_are_remote_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    import grpc

    with grpc.insecure_channel("127.0.0.1:1") as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/a/b")(b"", timeout=10)
    result = CliRunner().invoke(root_that_raises(monkeypatch, caught.value), ["fail"])
    assert result.exit_code == 5
    assert result.stderr.startswith("error: the call to the agent failed (UNAVAILABLE)")


def test_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(root_that_raises(monkeypatch, KeyboardInterrupt()), ["fail"])
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "")


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(root_that_raises(monkeypatch, ZeroDivisionError()), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)
    assert result.exit_code == 1


def test_debugging_shows_the_traceback(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.tflite")
    assert "Traceback" not in run("inspect", missing).stderr
    assert "Traceback" in run("inspect", missing, TFPLUS_DEBUG="1").stderr


def test_a_broken_component_takes_no_other_away(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [
        mount.Mount("other", "no_such_module:app"),
        mount.Mount("certs", "tfplus.cli.commands.certs:app"),
    ]
    monkeypatch.setattr(mount, "installed", lambda: mounts)
    result = CliRunner().invoke(main.app, ["--help"])
    assert result.exit_code == 0
    assert "certs" in result.stdout
    assert "cannot be loaded" in result.stdout
    result = CliRunner().invoke(main.app, ["other", "--anything", "x"])
    assert result.exit_code == 1
    assert "no_such_module" in result.stderr


def test_a_reader_that_goes_away_is_no_error(toy: Artifact) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*TFPLUS, "inspect", str(toy.path), "--json"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 128 + signal.SIGPIPE


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_behind_standard_output_is_an_error(toy: Artifact) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*TFPLUS, "inspect", str(toy.path), "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 3
    assert (
        done.stderr
        == "error: No space left on device; free some space, or choose another directory\n"
    )
