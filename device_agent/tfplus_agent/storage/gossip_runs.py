"""All gossip runs that a device has on disk: which was the last, which to keep.

    gossip/last         id of the run started last
    gossip/<run id>/    see `gossip_journal`

Of runs that have finished, only the newest are kept; one that can be gone on with stays.
"""

from __future__ import annotations

import logging
from pathlib import Path

from tfplus.errors import DamagedFileError, DataError
from tfplus.system.checked_json import shown
from tfplus.system.files import PRIVATE, write_atomic
from tfplus_agent.storage import state_files
from tfplus_agent.storage.gossip_files import EVENTS, full, has_finished, read_events, read_plan
from tfplus_agent.storage.gossip_journal import RunJournal
from tfplus_agent.storage.run_ids import RUN_ID

_LOG = logging.getLogger(__name__)
_LAST = "last"
_MAX_LAST_BYTES = 256


def set_last(root: Path, run_id: str) -> None:
    """Remembers which run was started last.

    Raises:
      StorageError: the disk is full.
    """
    try:
        write_atomic(root / _LAST, run_id.encode(), mode=PRIVATE)
    except OSError as error:
        raise full(root, error) from None


def read_last(root: Path) -> RunJournal | None:
    """Reads the run that was started last; None where there is none, or it is damaged."""
    run_id = state_files.optional(root / _LAST, _run_id, _MAX_LAST_BYTES)
    if run_id is None:
        return None
    try:
        return RunJournal.read(root, run_id)
    except DataError:
        return None


def _run_id(content: bytes) -> str:
    text = content.decode("ascii", "replace").strip()
    if not RUN_ID.fullmatch(text):
        raise DamagedFileError(f"expected a run id, got {shown(content)}")
    return text


def resumable_models(root: Path) -> set[str] | None:
    """Addresses of the models of runs that can be gone on with; None where one cannot be told."""
    models: set[str] = set()
    try:
        runs = [d for d in root.iterdir() if d.is_dir()]
    except FileNotFoundError:
        return models
    except OSError:
        return None
    for directory in runs:
        try:
            if has_finished(read_events(directory, mend=False)):
                continue
            _, _, model = read_plan(directory)
        except (FileNotFoundError, DamagedFileError):
            # A run that never began, or whose plan is lost: nobody can go on with it.
            continue
        except OSError:
            return None
        if not model:
            return None
        models.add(model)
    return models


def drop_finished(root: Path, keep: int, but: str) -> None:
    """Removes the runs that finished first; never raises.

    Args:
      root: directory of all runs.
      keep: how many of those that have finished are left.
      but: a run that is neither removed nor counted.
    """
    try:
        others = [d for d in root.iterdir() if d.is_dir() and d.name != but]
        ended = [d for d in others if has_finished(read_events(d, mend=False))]
        ended.sort(key=lambda directory: (directory / EVENTS).stat().st_mtime)
        for directory in ended[: max(0, len(ended) - keep)]:
            # The events last: of a run that is removed by half they say that it may be removed.
            for file in sorted(directory.iterdir(), key=lambda file: file.name == EVENTS):
                file.unlink()
            directory.rmdir()
    except OSError as error:
        _LOG.warning("old gossip runs cannot be removed: %s", error)
