"""Which models stay on a device: the last ones that it used, and those that a run still needs.

A model goes together with its checkpoints: without them it would begin anew, and say nothing.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from tfplus_agent.storage.gossip_runs import resumable_models
from tfplus_agent.storage.job_files import models_in_use
from tfplus_agent.storage.models import ModelStore, is_address

_LOG = logging.getLogger(__name__)
KEEP_MODELS = 10


def checkpoints_of(state_dir: Path, sha256: str) -> Path:
    """The directory of a model's checkpoints."""
    return state_dir / "checkpoints" / sha256


def note_use(models: ModelStore, state_dir: Path, loaded: str, keep: int) -> list[str]:
    """Notes that a model was loaded, and removes those that were used longest ago; never raises.

    Args:
      models: of the device.
      state_dir: of the device.
      loaded: address of the model.
      keep: how many others stay. Those of gossip runs that can be gone on with, and of jobs that
        have not ended, stay besides; where these cannot be told, all do.

    Returns:
      Addresses of what was removed, also logged.
    """
    removed: list[str] = []
    try:
        models.use(loaded)
        of_runs = resumable_models(state_dir / "gossip")
        of_jobs = models_in_use(state_dir / "jobs")
        if of_runs is None or of_jobs is None:
            return removed
        needed = of_runs | of_jobs
        parent = checkpoints_of(state_dir, loaded).parent
        held = {path.name for path in parent.glob("*/") if is_address(path.name)}
        others = {*models.addresses(), *held} - {loaded, *needed}
        for old in sorted(others, key=lambda a: (-models.last_used_ns(a), a))[keep:]:
            # The checkpoints first: a model without them is whole, they without it are no use.
            if old in held:
                shutil.rmtree(checkpoints_of(state_dir, old))
            models.path(old).unlink(missing_ok=True)
            removed.append(old)
            _LOG.warning("model %s: removed with its checkpoints: %d were used since", old, keep)
    except OSError as error:
        _LOG.warning("models that were used long ago cannot be removed: %s", error)
    return removed
