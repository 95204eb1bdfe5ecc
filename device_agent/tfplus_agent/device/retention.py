"""Which models stay on a device: the last ones that it used, and those that a run still needs.

A model goes together with its checkpoints: without them it would begin anew, and say nothing.
Models that have none, such as those that a campaign sent to be measured, are counted apart from
those that learned: however many there are, they push none of those out.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from tfplus.wire.limits import MIB
from tfplus_agent.storage.gossip_runs import resumable_models
from tfplus_agent.storage.job_files import models_in_use
from tfplus_agent.storage.models import ModelStore, is_address

_LOG = logging.getLogger(__name__)
KEEP_MODELS = 10
# A sweep comes back to each of its models in every block: what went is sent again.
KEEP_MEASURED, MEASURED_BYTES = 50, 2048 * MIB


def checkpoints_of(state_dir: Path, sha256: str) -> Path:
    """The directory of a model's checkpoints."""
    return state_dir / "checkpoints" / sha256


def note_use(models: ModelStore, state_dir: Path, loaded: str, keep: int) -> list[str]:
    """Notes that a model was loaded, and removes those that were used longest ago; never raises.

    Args:
      models: of the device.
      state_dir: of the device.
      loaded: address of the model.
      keep: how many others stay, and how many of those without checkpoints. Those of gossip runs
        that can be gone on with, and of jobs that have not ended, stay besides; where these cannot
        be told, all do.

    Returns:
      Addresses of what was removed, also logged.
    """
    removed: list[str] = []
    try:
        models.use(loaded)
        needed = _needed(state_dir)
        if needed is None:
            return removed
        held = _with_checkpoints(state_dir)
        for old in _by_use(models, held - {loaded, *needed})[keep:]:
            # The checkpoints first: a model without them is whole, they without it are no use.
            shutil.rmtree(checkpoints_of(state_dir, old))
            models.path(old).unlink(missing_ok=True)
            removed.append(old)
            _LOG.warning("model %s: removed with its checkpoints: %d were used since", old, keep)
        bare = _by_use(models, {*models.addresses()} - held - {loaded, *needed})
        removed += _remove_bare(models, bare[keep:])
    except OSError as error:
        _LOG.warning("models that were used long ago cannot be removed: %s", error)
    return removed


def note_measured(
    models: ModelStore,
    state_dir: Path,
    measured: str,
    loaded: str,
    most: int = KEEP_MEASURED,
    most_bytes: int = MEASURED_BYTES,
) -> list[str]:
    """Notes that a model is measured, and removes such that were used longest ago; never raises.

    Only models without checkpoints go, and neither the one that is loaded nor one that a run or a
    job needs.

    Args:
      models: of the device.
      state_dir: of the device.
      measured: address of the model; it stays.
      loaded: address of the loaded model; empty where none is.
      most: how many such models stay, the measured one counted.
      most_bytes: of their files together; the measured one stays whatever its size.

    Returns:
      Addresses of what was removed, also logged.
    """
    try:
        models.use(measured)
        needed = _needed(state_dir)
        if needed is None:
            return []
        others = {*models.addresses()} - _with_checkpoints(state_dir)
        others -= {measured, loaded, *needed}
        left = most_bytes - models.path(measured).stat().st_size
        ordered = _by_use(models, others)
        for place, address in enumerate(ordered, 1):
            left -= models.path(address).stat().st_size
            if left < 0 or place >= most:
                return _remove_bare(models, ordered[place - 1 :])
    except OSError as error:
        _LOG.warning("models that were measured long ago cannot be removed: %s", error)
    return []


def _needed(state_dir: Path) -> set[str] | None:
    """Models that a run or a job goes on with; None where this cannot be told."""
    of_runs = resumable_models(state_dir / "gossip")
    of_jobs = models_in_use(state_dir / "jobs")
    return None if of_runs is None or of_jobs is None else {*of_runs, *of_jobs}


def _with_checkpoints(state_dir: Path) -> set[str]:
    parent = state_dir / "checkpoints"
    return {path.name for path in parent.glob("*/") if is_address(path.name)}


def _by_use(models: ModelStore, addresses: Iterable[str]) -> list[str]:
    """The one used last first."""
    return sorted(addresses, key=lambda a: (-models.last_used_ns(a), a))


def _remove_bare(models: ModelStore, addresses: Iterable[str]) -> list[str]:
    removed: list[str] = []
    for address in addresses:
        models.path(address).unlink(missing_ok=True)
        removed.append(address)
        _LOG.warning("model %s: removed: it has learned nothing; others were used since", address)
    return removed
