"""A gossip run is a job: seen, waited for, cancelled, held."""

from __future__ import annotations

import pytest
from gossip_jobs import (
    TIMEOUT_S,
    Kind,
    State,
    alone,
    assert_holds,
    held_in,
    job_events,
    status_of,
    undisturbed,
)
from gossip_ring import ACTIVE, Agent, done, start_all

from tfplus.errors import BusyError, UsageError
from tfplus.proto.v1 import agent_pb2 as pb


def test_it_is_seen_like_any_job_and_its_events_come_again(agents: dict[str, Agent]) -> None:
    start_all(agents)
    for agent in agents.values():
        agent.events()
    events = job_events(agents["a"].jobs, "run")
    rounds = [e for e in events if e.kind == Kind.ROUND]
    kinds = [e.kind for e in events]
    assert kinds == [Kind.QUEUED, Kind.STARTED, *[Kind.ROUND] * 4, Kind.FINISHED]
    assert [e.rounds_done for e in rounds] == [1, 2, 3, 4]
    assert [e.steps_done for e in rounds] == [3, 6, 9, 12]
    assert [list(e.gossip.responders) for e in rounds] == [["b", "d"]] * 4
    assert [e.gossip for e in events if e.HasField("gossip")] == agents["a"].events()
    status = status_of(agents["a"].jobs, "run")
    assert (status.state, status.rounds_done, status.spec.gossip.rounds) == (State.FINISHED, 4, 4)
    agents["a"].down()
    agents["a"].boot()
    assert job_events(agents["a"].jobs, "run") == events
    assert job_events(agents["a"].jobs, "run", events[3].sequence) == events[3:]
    assert status_of(agents["a"].jobs, "run") == status
    assert agents["a"].events() == [e.gossip for e in events if e.HasField("gossip")]


def test_one_that_is_submitted_waits_and_one_that_is_started_goes_first_or_is_refused(
    agents: dict[str, Agent],
) -> None:
    a = agents["a"]
    with a.device.owner.operation("training", changes=True, long=True):
        a.jobs.submit(pb.JobSpec(gossip=alone("waits")), "waits")
        assert status_of(a.jobs, "waits").state == State.QUEUED
        with pytest.raises(BusyError, match="'now' cannot begin: training is under way"):
            a.runner.start(alone("now"))
        # Held, so that it does not begin at the moment that the device is free.
        a.jobs.pause("waits")
    reached, go_on = held_in(a.device, 1)
    assert a.runner.start(alone("now")) == 0
    a.jobs.resume("waits")
    assert reached.wait(TIMEOUT_S)
    owner = a.device.owner
    with owner._changed:
        assert owner._changed.wait_for(lambda: bool(owner._use.waiting), TIMEOUT_S)
        assert [ask.what for ask in owner._use.waiting] == ["gossip run 'waits'"]
    assert status_of(a.jobs, "waits").state == State.QUEUED
    assert a.runner.progress() == ("now", 1, True)
    assert [s.id for s in a.jobs.statuses()] == ["waits", "now"], "a refused run is no job"
    go_on()
    assert job_events(a.jobs, "waits")[-1].kind == Kind.FINISHED
    ends = {s.id: s.ended_s for s in a.jobs.statuses()}
    assert 0 < ends["now"] <= ends["waits"]


def test_a_run_that_waits_can_be_watched_and_started_once_more(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    with a.device.owner.operation("training", changes=True, long=True):
        a.jobs.submit(pb.JobSpec(gossip=alone()), "7")
        assert a.runner.start(alone()) == 0
        watched = a.runner.watch("alone", 0, ACTIVE)
    assert [e.round for e in done(list(watched))] == [1, 2, 3, 4]
    assert [s.id for s in a.jobs.statuses()] == ["7"]


def test_a_plan_that_makes_no_sense_is_not_queued(agents: dict[str, Agent]) -> None:
    with pytest.raises(UsageError, match="rounds: expected 1"):
        agents["a"].jobs.submit(pb.JobSpec(gossip=alone(rounds=0)))
    assert not agents["a"].jobs.statuses()


def test_cancelling_the_job_stops_the_run_which_another_job_goes_on_with(
    agents: dict[str, Agent],
) -> None:
    a, expected = agents["a"], undisturbed(agents["a"].device)
    reached, _ = held_in(a.device, 3)
    a.runner.start(alone())
    assert reached.wait(TIMEOUT_S)
    assert a.jobs.cancel("alone")
    assert a.events("alone")[-1].state == pb.GossipEvent.STOPPED
    assert [e.round for e in done(a.events("alone"))] == [1, 2]
    first = status_of(a.jobs, "alone")
    assert (first.state, first.rounds_done) == (State.CANCELLED, 2)
    a.device.hold = None
    assert a.runner.start(alone()) == 3
    # The id of the run stands for its newest job.
    rounds = [e.gossip.round for e in job_events(a.jobs, "alone") if e.kind == Kind.ROUND]
    assert rounds == [1, 2, 3, 4]
    assert [s.id for s in a.jobs.statuses()] == ["alone", "alone-2"]
    assert_holds(a.device, expected)


def test_a_run_that_is_held_ends_as_one_that_was_not(agents: dict[str, Agent]) -> None:
    a, expected = agents["a"], undisturbed(agents["a"].device)
    reached, _ = held_in(a.device, 2)
    a.runner.start(alone())
    assert reached.wait(TIMEOUT_S)
    events = a.jobs.watch("alone", 0, ACTIVE)
    assert a.jobs.pause("alone")
    assert next(e for e in events if e.kind == Kind.PAUSED).rounds_done == 1
    assert a.runner.progress() == ("alone", 2, False)
    with pytest.raises(BusyError, match="gossip run 'alone' is under way"):
        a.device.set_weights(a.device.values, step=None)
    a.device.hold = None
    a.jobs.resume("alone")
    assert [e.kind for e in events] == [Kind.RESUMED, *[Kind.ROUND] * 3, Kind.FINISHED]
    assert_holds(a.device, expected)


def test_neighbours_that_moved_are_no_reason_for_another_job(agents: dict[str, Agent]) -> None:
    a, expected = agents["a"], undisturbed(agents["a"].device)
    plan = alone()
    plan.neighbours.add(name="b", address="127.0.0.1:9")
    reached, _ = held_in(a.device, 2)
    a.runner.start(plan)
    assert reached.wait(TIMEOUT_S)
    plan.neighbours[0].address = "127.0.0.1:10"
    a.device.on_train = lambda: setattr(a.device, "hold", None)
    assert a.runner.start(plan) == 2
    events = job_events(a.jobs, "alone")
    assert [e.reason for e in events if e.kind == Kind.RESUMED] == [
        "its neighbours have new addresses"
    ]
    assert status_of(a.jobs, "alone").spec.gossip == plan
    assert_holds(a.device, expected)
