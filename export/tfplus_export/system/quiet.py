"""Keeps the chatter of TensorFlow's C++ libraries off the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Generator
from typing import TextIO

from tfplus.errors import TfplusError


@contextlib.contextmanager
def quiet_stderr() -> Generator[TextIO]:
    """Redirects file descriptor 2 into a file; yields the real standard error.

    C++ libraries write to the descriptor, past `sys.stderr`. What they wrote is shown only when an
    exception that nobody raised on purpose leaves the block.
    """
    sys.stderr.flush()
    real = os.dup(2)
    try:
        with tempfile.TemporaryFile() as captured, os.fdopen(os.dup(real), "w") as terminal:
            os.dup2(captured.fileno(), 2)
            try:
                yield terminal
            except (TfplusError, OSError, KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                captured.seek(0)
                terminal.write(captured.read().decode(errors="replace"))
                raise
            finally:
                sys.stderr.flush()
                os.dup2(real, 2)
    finally:
        os.close(real)
