"""Where the console script begins: before anything heavy is imported, Ctrl-C is prepared for.

Python raises KeyboardInterrupt wherever it is. In the middle of an import that is a traceback of
somebody else's module, or nothing at all: extension modules can swallow it.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

INTERRUPT_EXIT_CODE = 128 + 2
_IMPORTING = "<frozen importlib._bootstrap>"
_SHOW_CURSOR = b"\x1b[?25h"


def main() -> None:
    """Entry point of the console script `tfplus`."""
    interruptible(_root_command)


def interruptible(run: Callable[[], object]) -> None:
    """Runs a program; Ctrl-C ends it with exit code 130 and without a traceback, wherever it is.

    Args:
      run: imports what it needs by itself, and answers the KeyboardInterrupt that comes while it
        is not importing.
    """
    # Whoever starts a program in the background may have made it deaf to Ctrl-C.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPT_EXIT_CODE)
    finally:
        if ours:
            # All that is left is to take the interpreter down.
            signal.signal(signal.SIGINT, _leave)


def _root_command() -> None:
    from tfplus.cli.main import main as run

    run()


def _interrupt(number: int, frame: FrameType | None) -> None:
    inner = frame
    while inner is not None:
        if inner.f_code.co_filename == _IMPORTING:
            _leave(number, frame)
        inner = inner.f_back
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> None:
    # Nothing else runs after this: what would outlive the process is put away here.
    temporary = sys.modules.get("tfplus.system.temporary")
    if temporary is not None:
        temporary.remove_ours()
    for terminal in (2, 1):
        if os.isatty(terminal):
            # A progress bar may have hidden it.
            os.write(terminal, _SHOW_CURSOR)
    os._exit(INTERRUPT_EXIT_CODE)
