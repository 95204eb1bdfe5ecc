"""Which version of a distribution is installed, by the name of the folder that says so.

`importlib.metadata` would read it out of that folder, and bring parsers of mail, CSV and archives
along: a megabyte that a daemon holds for as long as it lives.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

_SEPARATORS = re.compile(r"[-_.]+")
# `ai_edge_litert-2.1.0.dist-info`, or of older tools `tflite_runtime-2.14.0-py3.11.egg-info`.
_FOLDER = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*)(-py[\d.]+)?\.(dist|egg)-info")


def version(name: str, path: Iterable[str] | None = None) -> str | None:
    """The version of a distribution; None where it is not installed.

    Args:
      name: as a package index writes it, such as `ai-edge-litert`.
      path: folders to look in, the first one first; None for those that Python imports from.

    Examples:
      >>> version("numpy") is None, version("no-such-distribution")
      (False, None)
    """
    wanted = _normalized(name)
    for folder in sys.path if path is None else path:
        try:
            entries = sorted(entry.name for entry in Path(folder).iterdir())
        except OSError:
            # What Python may import from need not be there, nor be a folder.
            continue
        for entry in entries:
            found = _FOLDER.fullmatch(entry)
            if found and _normalized(found["name"]) == wanted:
                return found["version"]
    return None


def _normalized(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()
