"""Gossip runs as jobs: what tests ask of them, and runs that are held in a round."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from gossip_ring import ACTIVE, FakeDevice, trained

from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs.desk import JobDesk

TIMEOUT_S = 20
Kind, State = pb.JobEvent, pb.JobStatus


def alone(run_id: str = "alone", rounds: int = 4) -> pb.GossipPlan:
    return pb.GossipPlan(
        run_id=run_id, rounds=rounds, epochs_per_round=1, seed=1, round_timeout_s=1
    )


def job_events(jobs: JobDesk, job_id: str, start: int = 0) -> list[pb.JobEvent]:
    return list(jobs.watch(job_id, start, ACTIVE))


def status_of(jobs: JobDesk, job_id: str) -> pb.JobStatus:
    return next(s for s in jobs.statuses() if s.id == job_id)


def undisturbed(device: FakeDevice, rounds: int = 4) -> dict[str, np.ndarray]:
    """What a run of one device alone comes to."""
    values = dict(device.values)
    for round in range(1, rounds + 1):
        values = trained(device.name, 1_000_003 + round, values)
    return values


def assert_holds(device: FakeDevice, expected: dict[str, np.ndarray]) -> None:
    for name, tensor in expected.items():
        np.testing.assert_array_equal(device.values[name], tensor, err_msg=name)


def held_in(device: FakeDevice, round: int) -> tuple[threading.Event, Callable[[], None]]:
    """Makes training wait in a round until it is stopped, or let go on."""
    reached = threading.Event()

    def wait() -> None:
        if len(device.seeds) == round - 1 and not reached.is_set():
            device.hold = threading.Event()
            reached.set()

    def go_on() -> None:
        assert device.hold is not None
        device.hold.set()
        device.hold = None

    device.on_train = wait
    return reached, go_on
