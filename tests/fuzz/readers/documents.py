"""Text on disk: jobs and their events, journals of gossip, plans, campaigns."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from google.protobuf import json_format

from readers.frames import joined, split
from readers.target import Target
from tfplus.campaign.planning import plan_file
from tfplus.decoupling import plan_folder
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs.job import Job
from tfplus_agent.storage import directory, gossip_files, job_files
from tfplus_agent.storage.directory import LoadedModel
from tfplus_agent.storage.job_events import EVENTS, JobEvents
from tfplus_agent.storage.job_files import JOB, JobRecord

_LOADED = json.dumps(asdict(LoadedModel("a" * 64, 1, False))).encode()
_CAMPAIGN = b"""name = "sweep"
threads = [1, 2]
batch_sizes = [8, 16]
[[models]]
family = "fc"
depth = [1, 2]
width = [64, 128]
[[models]]
name = "lenet"
input_shape = [32, 32, 3]
"""
_FILES = (
    plan_folder.PLAN_NAME,
    plan_folder.MODEL_NAME,
    plan_folder.ASSIGNMENT_NAME,
    plan_folder.WEIGHTS_NAME,
)


def _job_seeds(folder: Path) -> list[bytes]:
    spec = pb.JobSpec(train=pb.TrainJob(epochs=2, seed=3))
    model = LoadedModel("a" * 64, 1, False)
    record = JobRecord("1", 1, spec, model, submitted_s=1.0)
    job_files.write(folder, record)
    events = JobEvents(folder / "1")
    for kind in (pb.JobEvent.QUEUED, pb.JobEvent.STARTED, pb.JobEvent.CHECKPOINT):
        events.append(pb.JobEvent(kind=kind, time_s=2.0, steps_done=1))
    return [joined((folder / "1" / name).read_bytes() for name in (JOB, EVENTS))]


def _read_job(content: bytes, folder: Path) -> object:
    (folder / "1").mkdir(exist_ok=True)
    for name, part in zip((JOB, EVENTS), [*split(content), b"", b""], strict=False):
        (folder / "1" / name).write_bytes(part)
    # What an agent does at its start, before it serves anybody.
    jobs = [Job(folder, record, resumed=True) for record in job_files.read_all(folder)]
    job_files.models_in_use(folder)
    for job in jobs:
        if job.record.unfinished:
            job.end(pb.JobEvent.FAILED, reason="x")
        list(job.watch(0, lambda: True))
        job.status().SerializeToString()
    return jobs


def _run_seeds(folder: Path) -> list[bytes]:
    plan = pb.GossipPlan(run_id=folder.name, rounds=2, seed=1)
    text = json_format.MessageToDict(plan)
    about = {"plan": text, "architecture_hash": "ab", "model_sha256": "a" * 64}
    for number in (1, 2):
        event = pb.GossipEvent(state=pb.GossipEvent.ROUND_DONE, round=number, train_loss=0.5)
        gossip_files.append_event(folder, event)
    return [joined([json.dumps(about).encode(), (folder / gossip_files.EVENTS).read_bytes()])]


def _read_run(content: bytes, folder: Path) -> object:
    plan, events = (*split(content), b"", b"")[:2]
    (folder / gossip_files.PLAN).write_bytes(plan)
    (folder / gossip_files.EVENTS).write_bytes(events)
    found = gossip_files.read_events(folder, mend=True)
    assert gossip_files.read_events(folder, mend=True) == found
    return gossip_files.read_plan(folder), found


def _plan_seeds(folder: Path) -> list[bytes]:
    from tfplus.decoupling.plan import Accuracy, Cost, Costs, DecoupledLayer, Plan

    cost = Cost(100, 300, 10)
    values = np.ones((2, 8), np.float32)
    layer = DecoupledLayer("conv", values, np.arange(4, dtype=np.int32).reshape(2, 2))
    plan = Plan(
        plan_id="",
        source="m.keras",
        classes=(1, 2),
        share=0.25,
        overlap=False,
        shared_layer="first",
        classifier="logits",
        activation="linear",
        output="logits",
        layers=(layer,),
        scale=1.0,
        offset=0.0,
        scales_floats=False,
        accuracy=Accuracy("d.npz", 60, 0.9, 0.3, 0.6, None),
        costs=Costs(cost, cost, Cost(None, None, 5), dict.fromkeys((1, 2), cost)),
        weights={"shared/first/kernel": values},
    )
    plan_folder.write(folder / "plan", plan, lambda file: file.write_bytes(b"model"))
    return [joined((folder / "plan" / name).read_bytes() for name in _FILES)]


def _read_plan(content: bytes, folder: Path) -> object:
    for name, part in zip(_FILES, [*split(content), *[b""] * 4], strict=False):
        (folder / name).write_bytes(part)
    return plan_folder.read(folder)


def _read_campaign(content: bytes, folder: Path) -> object:
    path = folder / "campaign.toml"
    path.write_bytes(content)
    return plan_file.read(path)


def _read_state(content: bytes, folder: Path) -> object:
    for name, part in zip(("incarnation", "loaded.json"), [*split(content), b""], strict=False):
        (folder / name).write_bytes(part)
    state = directory.StateDirectory(folder)
    try:
        return state.next_incarnation(), state.loaded()
    finally:
        state.release()


TARGETS = (
    Target("job", _job_seeds, _read_job),
    Target("run", _run_seeds, _read_run),
    Target("state", lambda _: [joined([b"3", _LOADED])], _read_state),
    Target("campaign", lambda _: [_CAMPAIGN], _read_campaign),
    Target("decoupling-plan", _plan_seeds, _read_plan),
)
