"""What every command of the exporter does around its work."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import signal
import tempfile
from collections.abc import Callable, Generator
from types import FrameType

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tfplus.errors import ExportError, MissingExtraError
from tfplus_export.system.quiet import quiet_stderr


@contextlib.contextmanager
def at_work(command: str) -> Generator[Callable[[str], None]]:
    """Shows progress, keeps libraries quiet, leaves nothing behind when it is ended.

    Args:
      command: what is run, for the message when packages are missing.

    Yields:
      What is told each piece of work.

    Raises:
      MissingExtraError: TensorFlow or LiteRT are not installed.
      ExportError: this machine has too little memory.
    """
    missing = [m for m in ("tensorflow", "ai_edge_litert") if importlib.util.find_spec(m) is None]
    if missing:
        raise MissingExtraError.of(command, "export")
    with (
        quiet_stderr() as terminal,
        _progress(Console(file=terminal)) as show,
        _enough_room(),
        _ends_on_sigterm(),
    ):
        show("importing TensorFlow")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        yield show


@contextlib.contextmanager
def _ends_on_sigterm() -> Generator[None]:
    # By default a process ends at once, and what the converter wrote to /tmp stays there.
    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _enough_room() -> Generator[None]:
    try:
        yield
    except Exception as error:
        # TensorFlow has an error class of its own for it, which is not imported out here.
        exhausted = type(error).__name__ == "ResourceExhaustedError"
        if exhausted and "No space left" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), tempfile.gettempdir()) from error
        if exhausted or isinstance(error, MemoryError):
            raise ExportError(
                "not enough memory on this machine: choose a smaller --batch-size, "
                "--input-shape or model"
            ) from error
        raise


@contextlib.contextmanager
def _progress(console: Console) -> Generator[Callable[[str], None]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("")

        def show(text: str) -> None:
            progress.update(task, description=text)

        yield show
