"""A stage of an export ends with a result or with an error that a user can read."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from tfplus.errors import TfplusError, UnexpectedExportError
from tfplus_export.system.user_code import first_line

# TensorFlow's error of too little memory or disk, which the command line has words for.
_EXHAUSTED = "ResourceExhaustedError"


@contextlib.contextmanager
def guarded(doing: str) -> Generator[None]:
    """Runs part of an export.

    Args:
      doing: what it does, such as `tracing the training step`.

    Raises:
      UnexpectedExportError: it failed with an exception that is none of ours.
    """
    try:
        yield
    except (TfplusError, OSError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == _EXHAUSTED:
            raise
        raise UnexpectedExportError(
            f"{doing} failed ({type(error).__name__}: {first_line(error)}): a bug worth reporting; "
            "TFPLUS_DEBUG=1 shows where"
        ) from error
