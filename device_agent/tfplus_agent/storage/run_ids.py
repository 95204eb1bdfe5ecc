"""What runs and jobs may be called: their ids are names of folders."""

from __future__ import annotations

import re

from tfplus.errors import UsageError

RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def valid_run_id(run_id: str) -> str:
    """Returns a run id that is safe as a file name.

    Raises:
      UsageError: it is not.
    """
    if not RUN_ID.fullmatch(run_id):
        raise UsageError(
            f"run id {run_id[:80]!r}: expected 1 to 64 letters, digits, '_' or '-', and no more"
        )
    return run_id
