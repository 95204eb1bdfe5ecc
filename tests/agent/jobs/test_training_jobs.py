"""What jobs of training decide by themselves, over a device whose training is a known function."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from job_fakes import (
    TIMEOUT_S,
    FakeDevice,
    Kind,
    Opener,
    State,
    events_of,
    held_at,
    killed,
    kinds,
    status_of,
    training,
)

from tfplus.errors import UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.training.schedule import Rates, parse
from tfplus_agent.jobs.kinds.registry import kinds_of
from tfplus_agent.jobs.queue import JobQueue

STOPPING = pb.EarlyStopping(patience=2, restore_best=True)


def valley(step: int) -> float:
    """A loss that is best after 35 steps, of which the first stand behind the model already."""
    return abs(step - 5 - 30) / 10


def with_valley(saved: int = 5) -> FakeDevice:
    device = FakeDevice(saved)
    device.loss_at = valley
    return device


def validated(events: list[pb.JobEvent]) -> list[tuple[int, float]]:
    return [(e.steps_done, e.evaluated.losses["loss"]) for e in events if e.kind == Kind.VALIDATED]


def test_it_measures_stops_early_and_ends_with_the_best(opened: Opener) -> None:
    device = with_valley()
    queue = opened(device)
    queue.submit(training(epochs=10, validate_every_epochs=1, early_stopping=STOPPING))
    events = events_of(queue, "1")
    assert validated(events) == [(s, abs(s - 30) / 10) for s in (10, 20, 30, 40, 50)]
    end = events[-1]
    assert (end.kind, end.steps_done, device.saved) == (Kind.FINISHED, 30, 35)
    assert end.reason == (
        "stopped early after step 50: loss did not get better than 0, as after step 30, in 2 "
        "measurements; the weights are those of step 30"
    )
    status = status_of(queue, "1")
    assert (status.state, status.note, status.error) == (State.FINISHED, end.reason, "")
    # Nothing stays behind that only the job needed.
    queue.close()
    assert sorted(f.name for f in (opened.root / "1").iterdir()) == ["events.jsonl", "job.json"]


@pytest.mark.parametrize("step", [4, 15, 33, 41, 49])
def test_a_death_changes_neither_measurements_nor_end(opened: Opener, step: int) -> None:
    device = with_valley()
    reached, go_on = held_at(device, step)
    first = JobQueue(device, opened.root, kinds_of(device))
    device.folder = opened.root.parent
    first.start()
    spec = training(epochs=10, validate_every_epochs=1, early_stopping=STOPPING, checkpoint_every=4)
    first.submit(spec)
    assert reached.wait(TIMEOUT_S)
    again = killed(device)
    again.loss_at = valley
    queue = opened(again)
    events = events_of(queue, "1")
    assert validated(events) == [(s, abs(s - 30) / 10) for s in (10, 20, 30, 40, 50)]
    assert (events[-1].steps_done, again.saved) == (30, 35)
    assert events[-1].reason.startswith("stopped early after step 50")
    del go_on


def test_a_death_after_the_weights_went_back_ends_it_all_the_same(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = with_valley()
    back, never = threading.Event(), threading.Event()
    go_back = device.go_back

    def and_die(file: object) -> int:
        go_back(file)  # type: ignore[arg-type] # a path
        back.set()
        never.wait()
        return 0

    monkeypatch.setattr(device, "go_back", and_die)
    first = JobQueue(device, opened.root, kinds_of(device))
    device.folder = opened.root.parent
    first.start()
    first.submit(training(epochs=10, validate_every_epochs=1, early_stopping=STOPPING))
    assert back.wait(TIMEOUT_S)
    again = killed(device)
    end = events_of(opened(again), "1")[-1]
    assert (end.kind, end.steps_done, again.saved, again.calls) == (Kind.FINISHED, 30, 35, [])
    assert "the weights are those of step 30" in end.reason
    never.set()


def test_rates_follow_from_the_step_also_over_a_death(opened: Opener) -> None:
    device = FakeDevice()
    reached, go_on = held_at(device, 23)
    first = JobQueue(device, opened.root, kinds_of(device))
    first.start()
    first.submit(training(epochs=4, schedule="cosine:to=0.1,warmup=5", checkpoint_every=7))
    assert reached.wait(TIMEOUT_S)
    again = killed(device)
    queue = opened(again)
    assert events_of(queue, "1")[-1].kind == Kind.FINISHED
    # The base is what the model had when the job began.
    expected = Rates(parse("cosine:to=0.1,warmup=5"), 0.5)
    assert again.rates == [(s, expected.at(s, 10, 40)) for s in range(21, 40)]
    assert device.rates[:22] == [(s, expected.at(s, 10, 40)) for s in range(22)]
    del go_on


@pytest.mark.parametrize("seconds", [1e-9, 0.05])
def test_a_budget_of_time_ends_it_with_what_it_has(opened: Opener, seconds: float) -> None:
    device = FakeDevice()
    spent = threading.Event()
    device.before_step = lambda step: spent.wait(0.002)
    queue = opened(device)
    spec = training(epochs=100_000)
    spec.max_seconds = seconds
    queue.submit(spec)
    end = events_of(queue, "1")[-1]
    assert end.kind == Kind.FINISHED
    assert end.reason == f"its budget of {seconds:g} s is used up"
    assert end.steps_done == device.saved == end.trained.steps < 1_000_000
    assert end.report.seconds >= seconds
    assert status_of(queue, "1").note == end.reason


def test_the_report_at_the_end_is_of_the_whole_job(opened: Opener) -> None:
    device = FakeDevice()
    reached, go_on = held_at(device, 27)
    first = JobQueue(device, opened.root, kinds_of(device))
    first.start()
    first.submit(training(epochs=4, checkpoint_every=8))
    assert reached.wait(TIMEOUT_S)
    again = killed(device)
    events = events_of(opened(again), "1")
    report, trained = events[-1].report, events[-1].trained
    # 26 steps were taken, 24 of them are in a checkpoint; the loss of a step is its number.
    assert (report.steps, report.samples, report.redone_steps) == (40, 600, 2)
    assert report.means["loss"] == pytest.approx(sum(range(1, 41)) / 40)
    assert report.means["accuracy"] == pytest.approx(0.5)
    # What was spent since the last checkpoint died with the process.
    assert report.phase_seconds["train"] == pytest.approx(40 * 2e-3)
    assert (report.first_step_milliseconds, report.mean_step_milliseconds) == (2.0, 2.0)
    assert (trained.steps, trained.samples, trained.redone_steps) == (40, 600, 2)
    assert trained.mean_loss == pytest.approx(report.means["loss"])
    epochs = {e.steps_done: e.report for e in events if e.kind == Kind.EPOCH}
    assert sorted(epochs) == [10, 20, 30, 40]
    for last, epoch in epochs.items():
        assert (epoch.first_step, epoch.steps) == (last - 10, 10)
        assert epoch.means["loss"] == pytest.approx(sum(range(last - 9, last + 1)) / 10)
    assert report.worker_peak_rss_bytes == 3
    assert report.energy_absent_reason
    del go_on


def test_the_epochs_of_a_long_job_share_reports(opened: Opener) -> None:
    queue = opened(FakeDevice())
    queue.submit(training(epochs=2500, checkpoint_every=10_000))
    epochs = [e.report for e in events_of(queue, "1") if e.kind == Kind.EPOCH]
    assert [e.first_step for e in epochs] == list(range(0, 25_000, 30))
    assert sum(e.steps for e in epochs) == 25_000


def test_predictions_are_left_and_benchmarks_told(opened: Opener) -> None:
    queue = opened(FakeDevice())
    asked = pb.JobSpec(predict=pb.PredictJob(training_data=True))
    assert events_of(queue, queue.submit(asked, "p").id)[-1].kind == Kind.FINISHED
    assert queue.result("p")["out"].tolist() == [[1.0, 1.0]] * 3
    spec = pb.JobSpec(benchmark=pb.BenchmarkJob(steps=5))
    end = events_of(queue, queue.submit(spec, "b").id)[-1]
    found = end.benchmarked
    assert (found.first_train_milliseconds, found.median_train_milliseconds) == (1.0, 3.5)
    assert (found.first_infer_milliseconds, found.median_infer_milliseconds) == (6.0, 8.5)
    assert kinds(events_of(queue, "b"))[-1] == Kind.FINISHED
    for job_id in ("b", "x"):
        with pytest.raises(UsageError):
            queue.result(job_id)


def asks(change: Callable[[pb.JobSpec], object], **fields: object) -> pb.JobSpec:
    spec = training(**fields)
    change(spec)
    return spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (training(schedule="sine"), "schedule 'sine'"),
        (training(learning_rate=math.nan), "learning rate"),
        (training(early_stopping=STOPPING), "needs measurements"),
        (
            training(validate_every_epochs=1, early_stopping=pb.EarlyStopping(monitor="auc")),
            "watches 'auc'",
        ),
        (asks(lambda s: setattr(s, "max_seconds", -1)), "max_seconds"),
        (pb.JobSpec(benchmark=pb.BenchmarkJob(steps=10**6)), "at most"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(
    opened: Opener, spec: pb.JobSpec, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        opened(FakeDevice(), start=False).submit(spec)


def test_what_the_device_or_its_model_lacks_is_refused(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = FakeDevice()
    device.result = None
    queue = opened(device, start=False)
    for spec in (training(validate_every_steps=5), pb.JobSpec(predict=pb.PredictJob())):
        with pytest.raises(UsageError, match="--eval-data"):
            queue.submit(spec)
    fixed = SimpleNamespace(name="fixed", outputs=[], expected=lambda: {})
    monkeypatch.setattr(FakeDevice, "manifest", fixed)
    with pytest.raises(UsageError, match="learning rate cannot be changed"):
        queue.submit(training(schedule="cosine"))
