"""The book that an agent is held to notices whatever does not agree with it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from chaos.ledger import Kind, Ledger

from tfplus.proto.v1 import agent_pb2 as pb


def event(sequence: int, kind: pb.JobEvent.Kind, steps: int = 0) -> pb.JobEvent:
    return pb.JobEvent(sequence=sequence, kind=kind, steps_done=steps)


ENDED = pb.JobStatus(id="1", state=pb.JobStatus.FINISHED, steps_done=100)
VALUE = np.array([1.0, -0.0], np.float32)


def honest() -> Ledger:
    ledger = Ledger()
    ledger.told("1", event(1, Kind.QUEUED))
    ledger.told("1", event(2, Kind.CHECKPOINT, 50))
    ledger.told("1", event(300, Kind.RESUMED, 50))
    ledger.told("1", event(301, Kind.FINISHED, 100))
    ledger.ended(ENDED)
    return ledger


def test_an_honest_agent_has_no_violation() -> None:
    ledger = honest()
    ledger.reread("1", list(ledger.seen("1")))
    ledger.listed([ENDED], keep=100)
    ledger.equal("weights", {"a": VALUE}, {"a": VALUE.copy()})
    assert ledger.violations == []
    assert ledger.checked > 5


@pytest.mark.parametrize(
    "wrong",
    [
        lambda book: book.told("1", event(302, Kind.STEP)),
        lambda book: book.told("2", event(1, Kind.QUEUED)) or book.told("2", event(1, Kind.STEP)),
        lambda book: (
            book.told("2", event(1, Kind.CHECKPOINT, 50))
            or book.told("2", event(2, Kind.RESUMED, 49))
        ),
        lambda book: book.reread("1", list(book.seen("1"))[:-1]),
        lambda book: book.listed([], keep=100),
        lambda book: book.listed(
            [pb.JobStatus(id="1", state=pb.JobStatus.RUNNING, steps_done=100)], keep=100
        ),
        lambda book: book.listed(
            [pb.JobStatus(id="1", state=pb.JobStatus.FINISHED, steps_done=99)], keep=100
        ),
        lambda book: book.equal("weights", {"a": -VALUE}, {"a": VALUE}),
        # Equal as numbers, and not bit by bit.
        lambda book: book.equal("weights", {"a": np.abs(VALUE)}, {"a": VALUE}),
        lambda book: book.equal("weights", {}, {"a": VALUE}),
    ],
)
def test_what_does_not_agree_is_a_violation(wrong: Callable[[Ledger], object]) -> None:
    ledger = honest()
    wrong(ledger)
    assert len(ledger.violations) >= 1


def test_behind_a_damaged_checkpoint_a_job_may_go() -> None:
    ledger = Ledger()
    ledger.told("1", event(1, Kind.CHECKPOINT, 50))
    ledger.told("1", event(2, Kind.RESUMED, 0), may_go_back=True)
    assert ledger.violations == []
