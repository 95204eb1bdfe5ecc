"""Ctrl-C while Python imports ends every command with 130, at once and without a word."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Sends SIGINT as the module MODULE is looked for, then runs the command line.
INTERRUPTED = """
import importlib.abc, signal, sys
module = sys.argv.pop(1)
class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == module:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
"""
COMMAND = "from tfplus.cli.entry import main\nmain()\n"
# What `tfplus agent` becomes once its options are read.
DAEMON = (
    "import runpy\nrunpy.run_module('tfplus_agent.daemon', run_name='__main__', alter_sys=True)\n"
)
OPTIONS = {
    **dict.fromkeys(("name", "eval_data", "state_dir", "scale", "offset", "tls_dir", "ready_file")),
    **dict.fromkeys(("metrics", "cpus", "cpu_share")),
    **{"priority": "foreground", "announce": False, "upload_bytes_per_s": None},
    "gates": {"hours": None},
    **{"data": "none.npz", "runtime": "auto", "threads": 0, "accelerator": "auto"},
    **{"loss_every": 1, "gpu_precision": "float32", "listen": "127.0.0.1:0", "insecure": False},
    **{"keep_runs": 1, "keep_models": 1, "feature_cache_mb": 9, "as_json": True},
}
AGENT = "import runpy\nrunpy.run_module('tfplus_agent', run_name='__main__', alter_sys=True)\n"


def run(script: str, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("tfplus.cli.main", ["--version"]),
        ("typer", ["inspect", "none.tflite"]),
        ("rich.panel", ["--help"]),
        ("tfplus.cli.commands.inspect", ["inspect", "none.tflite"]),
        ("numpy", ["inspect", "none.tflite"]),
        ("tfplus_export.cli", ["export", "--help"]),
        ("tfplus_export.pipeline.api", ["export", "zoo:digits", "-o", "model.tflite"]),
        ("tensorflow.python", ["export", "zoo:digits", "-o", "model.tflite"]),
    ],
)
def test_an_import_is_left_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(INTERRUPTED + COMMAND, module, *arguments) == (130, "", "")


def test_the_agents_module_is_left_as_well() -> None:
    assert run(INTERRUPTED + AGENT, "typer", "agent") == (130, "", "")
    assert run(INTERRUPTED + DAEMON, "grpc", json.dumps(OPTIONS)) == (130, "", "")


def test_a_module_that_swallows_every_exception_does_not_swallow_it(tmp_path: Path) -> None:
    (tmp_path / "deaf.py").write_text(
        "import signal\n"
        "try:\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "except BaseException:\n"
        "    print('swallowed')\n"
    )
    script = (
        "import sys\n"
        "from tfplus.cli.entry import interruptible\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "interruptible(lambda: __import__('deaf'))\n"
    )
    assert run(script) == (130, "", "")


def test_outside_of_imports_a_command_answers_it() -> None:
    script = (
        "import signal\n"
        "from tfplus.cli.entry import interruptible\n"
        "def command():\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    except KeyboardInterrupt:\n"
        "        print('put away')\n"
        "        raise\n"
        "interruptible(command)\n"
    )
    assert run(script) == (130, "put away\n", "")


def test_temporary_folders_go_with_it(tmp_path: Path) -> None:
    script = (
        "import sys, tempfile\n"
        "from tfplus.cli.entry import interruptible\n"
        "from tfplus.system import temporary\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "def command():\n"
        "    with temporary.folder('test') as folder:\n"
        "        (folder / 'file').write_text('x')\n"
        "        print(folder.is_dir(), flush=True)\n"
        "        import this_module_is_interrupted\n"
        "interruptible(command)\n"
    )
    found = run(INTERRUPTED + script, "this_module_is_interrupted")
    assert found == (130, "True\n", "")
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_deaf_to_it_stays_so() -> None:
    script = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from tfplus.cli.entry import interruptible\n"
        "interruptible(lambda: signal.raise_signal(signal.SIGINT))\n"
        "print('goes on')\n"
    )
    assert run(script) == (0, "goes on\n", "")


def test_nothing_heavy_is_imported_before_it_is_ready() -> None:
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import tfplus.cli.entry\n"
        "new = set(sys.modules) - before\n"
        "print(sorted(n for n in new if n.partition('.')[0] not in sys.stdlib_module_names))\n"
    )
    _, out, _ = run(script)
    assert out == "['tfplus', 'tfplus.cli', 'tfplus.cli.entry']\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
