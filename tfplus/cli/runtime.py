"""Whether the runtime that can profile is installed."""

from __future__ import annotations

import importlib.metadata

from tfplus.errors import MissingExtraError

_RUNTIME = "ai-edge-litert"


def installed_runtime(command: str) -> str:
    """Name and version of LiteRT.

    Args:
      command: that needs it, for the error.

    Raises:
      MissingExtraError: it is not installed.
    """
    try:
        return f"{_RUNTIME} {importlib.metadata.version(_RUNTIME)}"
    except importlib.metadata.PackageNotFoundError:
        raise MissingExtraError.of(command, "agent") from None
