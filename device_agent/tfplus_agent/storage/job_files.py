"""What a job leaves on the device's disk, so that it goes on after a crash.

    jobs/<id>/job.json        what to do, with which model, and how far it has come
    jobs/<id>/events.jsonl    see `job_events`
    jobs/<id>/result.safetensors    what a prediction came to

How many steps of a training under way are done is not in here: it is what the model's last
checkpoint has more than the model had when the job began, so that the two cannot disagree.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from google.protobuf import json_format

from tfplus.errors import DamagedFileError, UsageError
from tfplus.model_file import weights_file
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.system.aside import sync_directory
from tfplus.system.checked_json import Fields, parse, shown
from tfplus.system.files import PRIVATE, set_aside_name, write_atomic
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensors
from tfplus_agent.storage import state_files
from tfplus_agent.storage.checkpoint_draft import StorageError
from tfplus_agent.storage.checkpoint_file import pieces
from tfplus_agent.storage.directory import LoadedModel, loaded_model
from tfplus_agent.storage.event_lines import message_from
from tfplus_agent.storage.run_ids import RUN_ID

_LOG = logging.getLogger(__name__)
JOB = "job.json"
RESULT = "result.safetensors"
UNFINISHED = (pb.JobStatus.QUEUED, pb.JobStatus.RUNNING, pb.JobStatus.PAUSED)
_MAX_ERROR_CHARS = 2000


@dataclass(frozen=True)
class JobRecord:
    """A job as it is on disk.

    Attributes:
      id: names it.
      number: orders jobs by when they were submitted.
      spec: what to do.
      model: with which one, and how it is loaded.
      state: a JobStatus.State.
      submitted_s: seconds since 1970, like the next two; 0 for what has not come yet.
      started_s: when it began first.
      ended_s: when it ended.
      first_step: steps that stood behind the weights when a training began; None before.
      samples: that the training began with.
      data: fingerprint of the data set that they are of; empty where it is not known.
      steps_total: that the training takes; 0 before it began.
      steps_done: of the training when it ended; 0 before.
      rounds_done: of a gossip run when it ended; 0 before.
      restarts: how often its worker died and it went on.
      error: why it failed.
      cancel_asked: whether it is to end as soon as it can.
      pause_asked: whether it is to be held until it is resumed.
      kept: numbers that its kind keeps across restarts, by name.
      note: why it finished before its end.
    """

    id: str
    number: int
    spec: pb.JobSpec
    model: LoadedModel
    state: int = pb.JobStatus.QUEUED
    submitted_s: float = 0.0
    started_s: float = 0.0
    ended_s: float = 0.0
    first_step: int | None = None
    samples: int = 0
    data: str = ""
    steps_total: int = 0
    steps_done: int = 0
    restarts: int = 0
    error: str = ""
    cancel_asked: bool = False
    pause_asked: bool = False
    kept: Mapping[str, float] = field(default_factory=dict[str, float])
    note: str = ""
    rounds_done: int = 0

    @property
    def unfinished(self) -> bool:
        """Whether there is something left to do."""
        return self.state in UNFINISHED

    @property
    def begun(self) -> bool:
        """Whether it was begun, also in an earlier life of the agent."""
        return self.started_s > 0


def write(root: Path, record: JobRecord) -> None:
    """Writes a job; it is on disk when this returns.

    Raises:
      StorageError: the disk is full.
    """
    directory = root / record.id
    content = {
        **asdict(record),
        "spec": json_format.MessageToDict(record.spec),
        "state": pb.JobStatus.State.Name(record.state),
        "error": record.error[:_MAX_ERROR_CHARS],
        "note": record.note[:_MAX_ERROR_CHARS],
    }
    try:
        if not directory.is_dir():
            directory.mkdir(parents=True)
            sync_directory(root)
        write_atomic(directory / JOB, json.dumps(content, indent=1).encode(), mode=PRIVATE)
    except OSError as error:
        raise StorageError(
            f"{directory}: cannot be written: {error.strerror or error}: free some space"
        ) from None


def read_all(root: Path) -> list[JobRecord]:
    """Reads every job, in the order of submission.

    One that is damaged is set aside and left out, and so is one that cannot be read now.
    """
    found = (state_files.optional(d / JOB, lambda c, d=d: _record(c, d.name)) for d in _all(root))
    return sorted((r for r in found if r is not None), key=lambda record: record.number)


def models_in_use(root: Path) -> set[str] | None:
    """Addresses of the models of jobs that are not finished; None where one cannot be told."""
    models: set[str] = set()
    for directory in _all(root):
        try:
            record = state_files.read(
                directory / JOB, lambda content, d=directory: _record(content, d.name)
            )
        except (FileNotFoundError, DamagedFileError):
            continue
        except OSError:
            return None
        if record.unfinished:
            models.add(record.model.sha256)
    return models


def write_result(root: Path, job_id: str, tensors: Tensors) -> None:
    """Writes what a job leaves; it is on disk when this returns.

    Raises:
      StorageError: the disk is full.
    """
    path = root / job_id / RESULT
    try:
        write_atomic(path, pieces(SliceSet.of(tensors), {}), mode=PRIVATE)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written: {error.strerror or error}: free some space"
        ) from None


def result(root: Path, job_id: str) -> Tensors:
    """Reads what a job left.

    Raises:
      DamagedFileError: its file is damaged.
      UsageError: it left nothing.
    """
    path = root / job_id / RESULT
    if not path.exists():
        raise UsageError(f"job '{job_id}' has no result: only a prediction that finished has one")
    return weights_file.read(path)


def remove(root: Path, job_id: str) -> None:
    """Removes a job; never raises."""
    try:
        # The job first: what is left by a crash is then known to be of none.
        (root / job_id / JOB).unlink(missing_ok=True)
        shutil.rmtree(root / job_id)
    except OSError as error:
        _LOG.warning("job '%s' cannot be removed: %s", job_id, error)


def sweep(root: Path) -> None:
    """Removes what is left of jobs that were removed, or never acknowledged; never raises."""
    for directory in _all(root):
        file = directory / JOB
        if not file.exists() and not set_aside_name(file).exists():
            remove(root, directory.name)


def taken_ids(root: Path) -> set[str]:
    """Ids that have something on disk, also where it is damaged."""
    return {directory.name for directory in _all(root)}


def _all(root: Path) -> list[Path]:
    try:
        return [d for d in root.iterdir() if d.is_dir() and RUN_ID.fullmatch(d.name)]
    except OSError:
        return []


def _record(content: bytes, job_id: str) -> JobRecord:
    fields = Fields(parse(content))
    if fields.text("id") != job_id:
        raise DamagedFileError(f"id: expected '{job_id}', got {shown(fields.text('id'))}")
    times = {name: fields.number(name) for name in ("submitted_s", "started_s", "ended_s")}
    if any(t < 0 for t in times.values()):
        raise DamagedFileError(f"expected times since 1970, got {times}")
    return JobRecord(
        id=job_id,
        number=fields.integer("number"),
        spec=message_from(fields.mapping("spec"), pb.JobSpec()),
        model=loaded_model(fields.object("model")),
        state=pb.JobStatus.State.Value(fields.choice("state", pb.JobStatus.State.keys())),
        **times,
        first_step=fields.integer_or_none("first_step"),
        samples=fields.integer("samples"),
        data=fields.text("data") if "data" in fields else "",
        steps_total=fields.integer("steps_total"),
        steps_done=fields.integer("steps_done"),
        restarts=fields.integer("restarts"),
        error=fields.text("error"),
        cancel_asked=fields.boolean("cancel_asked"),
        pause_asked="pause_asked" in fields and fields.boolean("pause_asked"),
        kept=_kept(fields) if "kept" in fields else {},
        note=fields.text("note") if "note" in fields else "",
        rounds_done=fields.integer("rounds_done") if "rounds_done" in fields else 0,
    )


def _kept(fields: Fields) -> dict[str, float]:
    found = fields.object("kept")
    return {name: found.number(name) for name in fields.mapping("kept")}
