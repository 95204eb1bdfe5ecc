"""Curves on disk, one file a system: a run that was ended goes on where it was."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from papers.learning import Curve
from tfplus.system.files import write_atomic


class OutOfTimeError(Exception):
    """A system is to be learned, and the time of this call is over."""


class Results:
    """What systems came to, by seed, name and what else they depend on.

    Args:
      folder: of the files.
      setting: what all curves depend on; another one finds none of them.
      seconds: after which nothing new is begun.
    """

    def __init__(self, folder: Path, setting: Mapping[str, Any], seconds: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._setting = dict(setting)
        self._until = time.monotonic() + seconds

    def of(
        self, seed: int, name: str, depends: Mapping[str, Any], learned: Callable[[], Curve]
    ) -> Curve:
        """The curve of a system, as it is on disk, or as it is learned now.

        Args:
          seed: of all of it.
          name: of the system.
          depends: what else it depends on, such as the classes of its devices.
          learned: learns it.

        Raises:
          OutOfTimeError: it would have to be learned, and there is no time.
        """
        told = digest({**self._setting, **depends})
        path = self._folder / f"{seed}-{name}-{told}.json"
        if not path.exists():
            if time.monotonic() > self._until:
                raise OutOfTimeError
            curve = learned()
            write_atomic(path, json.dumps(asdict(curve)).encode())
        found = json.loads(path.read_text("utf-8"))
        found["whole"], found["local"] = tuple(found["whole"]), tuple(found["local"])
        return Curve(**found)


def digest(setting: Mapping[str, Any]) -> str:
    """A short hash of a setting, for the name of what depends on it."""
    described = json.dumps(setting, sort_keys=True, default=str).encode()
    return hashlib.sha256(described).hexdigest()[:12]
