"""Jobs of real agents in processes of their own: killed, ended, left alone by their clients."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.errors import RemoteError
from tfplus.fleet.clients.client import AgentClient
from tfplus.fleet.job_events import follow
from tfplus.model_file.artifact import Artifact
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.device.device import Device
from tfplus_agent.jobs.kinds.registry import kinds_of
from tfplus_agent.jobs.queue import JobQueue

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow

Start = Callable[..., Any]
TIMEOUT_S = 60
SEED = 7
EPOCHS = 100
STEPS = 10 * EPOCHS
Kind = pb.JobEvent


def training() -> pb.JobSpec:
    """With all that decides about weights: a schedule, measurements, the best of them."""
    stopping = pb.EarlyStopping(patience=1000, restore_best=True)
    return pb.JobSpec(
        train=pb.TrainJob(
            epochs=EPOCHS,
            seed=SEED,
            checkpoint_every=64,
            report_every=10,
            learning_rate=0.02,
            schedule="cosine:to=0.1,warmup=40",
            validate_every_epochs=7,
            early_stopping=stopping,
        )
    )


@pytest.fixture(scope="module")
def undisturbed(
    model: Artifact, train_data: Path, eval_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[pb.JobEvent, Mapping[str, np.ndarray]]:
    """How the training ends where nothing happens, and its weights with the optimizer's state."""
    state = tmp_path_factory.mktemp("state")
    device = Device(DeviceConfig("b", state, train_data, eval_data, threads=1))
    queue = JobQueue(device, state / "jobs", kinds_of(device))
    try:
        content = model.path.read_bytes()
        device.models.add(model.sha256, len(content), [content])
        device.load(model.sha256)
        queue.start()
        job = queue.submit(training())
        *_, end = queue.watch(job.id, 0, lambda: True)
        return end, device.weights(include_optimizer=True)
    finally:
        queue.close()
        device.close()


def loaded(agent: Any, model: Artifact) -> Any:
    agent.client.load(agent.client.upload(model.path))
    return agent


def worker_of(agent: Any) -> int:
    tasks = Path(f"/proc/{agent.process.pid}/task").iterdir()
    (child,) = [pid for task in tasks for pid in (task / "children").read_text().split()]
    return int(child)


def check(
    client: AgentClient,
    events: list[pb.JobEvent],
    undisturbed: tuple[pb.JobEvent, Mapping[str, Any]],
) -> None:
    """Checks that a training came to that end, and to those weights."""
    end, expected = undisturbed
    assert events[-1].kind == Kind.FINISHED, events[-1]
    assert (events[-1].steps_done, events[-1].reason) == (end.steps_done, end.reason)
    assert "the weights are those of step" in end.reason
    numbers = [e.sequence for e in events]
    assert numbers == sorted(set(numbers))
    found = client.weights(include_optimizer=True)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)
    assert list(client.watch_job(client.jobs()[0].id)) == events


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_an_agent_that_ends_takes_its_job_up_and_ends_with_the_same_weights(
    start_agent: Start,
    model: Artifact,
    undisturbed: tuple[pb.JobEvent, Mapping[str, np.ndarray]],
    number: signal.Signals,
) -> None:
    first = loaded(start_agent(), model)
    client = first.client
    job = client.submit_job(training())
    told: list[pb.JobEvent] = []
    lost: list[str] = []
    started: list[threading.Thread] = []
    address = first.ready["address"]
    with AgentClient(address, timeout_s=TIMEOUT_S) as watcher:
        for event in follow(watcher, job.id, on_lost=lost.append, patience_s=TIMEOUT_S):
            told.append(event)
            # Some steps behind a checkpoint, before the next.
            if event.steps_done >= 300 and not started:
                first.process.send_signal(number)
                first.process.wait(TIMEOUT_S)
                again = threading.Thread(target=start_agent, kwargs={"listen": address})
                started.append(again)
                again.start()
        started[0].join(TIMEOUT_S)
        assert len(lost) == 1
        resumed = next(e for e in told if e.kind == Kind.RESUMED)
        assert 256 <= resumed.steps_done < STEPS
        assert "was ended, or killed" in resumed.reason
        check(watcher, told, undisturbed)
        status = watcher.jobs()[0]
    assert (status.state, status.steps_done) == (pb.JobStatus.FINISHED, undisturbed[0].steps_done)


def test_a_job_goes_on_after_its_worker_was_killed_and_its_client_left(
    start_agent: Start,
    model: Artifact,
    undisturbed: tuple[pb.JobEvent, Mapping[str, np.ndarray]],
) -> None:
    agent = loaded(start_agent(), model)
    with AgentClient(agent.ready["address"]) as leaver:
        job = leaver.submit_job(training())
        for event in leaver.watch_job(job.id):
            if event.steps_done >= 200:
                os.kill(worker_of(agent), signal.SIGKILL)
                break
    # While another worker starts.
    assert agent.client.status().running_job.id == job.id
    with pytest.raises(RemoteError, match=f"training cannot begin: job '{job.id}' is under way"):
        list(agent.client.train(1))
    events = list(agent.client.watch_job(job.id))
    resumed = [e.reason for e in events if e.kind == Kind.RESUMED]
    assert len(resumed) == 1
    assert "SIGKILL" in resumed[0]
    check(agent.client, events, undisturbed)
    assert agent.client.jobs()[0].restarts == 1


def run_jobs(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["jobs", *arguments])


def test_the_command_submits_lists_watches_and_cancels(start_agent: Start, model: Artifact) -> None:
    agent = start_agent()
    address = agent.ready["address"]
    done = run_jobs("train", address, "--steps", "20", "--model", str(model.path), "--wait")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "queued"
    assert lines[2].startswith("step 1/20: loss ")
    assert lines[-1].startswith("finished after step 20")
    done = run_jobs("evaluate", address, "--wait", "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found[-1]["kind"] == "finished"
    assert found[-1]["samples"] == 50
    assert found[-1]["metrics"].keys() == {"accuracy"}
    done = run_jobs("train", address, "--epochs", "100000", "--id", "long", "--json")
    assert json.loads(done.stdout)["id"] == "long"
    done = run_jobs("cancel", address, "long")
    assert (done.exit_code, done.stderr) == (0, "job long: cancelled\n")
    done = run_jobs("watch", address, "long", "--from", "2")
    assert done.exit_code == 5
    assert "error: job long was cancelled after" in done.stderr
    listed = json.loads(run_jobs("list", address, "--json").stdout)
    states = [(job["id"], job["work"], job["state"]) for job in listed]
    assert states == [
        ("1", "train", "finished"),
        ("2", "evaluate", "finished"),
        ("long", "train", "cancelled"),
    ]
    shown = run_jobs("list", address)
    assert "long" in shown.stdout
    assert "20/20" in shown.stdout
    for message, arguments in (
        ("give --epochs or --steps", ("train", address)),
        ("job '9' is not known", ("watch", address, "9")),
        ("job '9' is not known", ("cancel", address, "9")),
    ):
        refused = run_jobs(*arguments)
        assert refused.exit_code != 0
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr
