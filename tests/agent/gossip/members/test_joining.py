"""What one that joins takes over, from members that may tell it anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from gossip_ring import FakeDevice, manifest_of

from tfplus.errors import DataError, RemoteError
from tfplus.gossip.transport.membership_service import MembershipService
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import membership_pb2_grpc
from tfplus.tensors.slice_set import SliceSet
from tfplus_agent.gossip.joining import join_run
from tfplus_agent.gossip.links import Link
from tfplus_agent.storage.gossip_journal import RunJournal

SHARED, OWN, FOREIGN = "shared/conv/kernel", "task/5/dense/kernel", "task/8/dense/kernel"


class Teller:
    """A member that gives what it is told to."""

    def __init__(self, round: int, slices: Mapping[str, Any]) -> None:
        self._given = round, SliceSet({n: np.asarray(v, np.float32) for n, v in slices.items()})

    def knows(self, member: str) -> bool:
        return member == "e"

    def hear(self, message: object) -> None: ...

    def state(self) -> tuple[int, SliceSet]:
        return self._given


class Newcomer:
    """A device named e, and members: on the ring the last and the first are next to it."""

    def __init__(self, folder: Path, toy: Any) -> None:
        self._folder = folder
        self.device = FakeDevice("e", folder, manifest_of("e", toy.manifest))
        self.servers: list[grpc.Server] = []

    def join(self, *tellers: Teller | None) -> RunJournal:
        plan = pb.GossipPlan(run_id="run", rounds=9, epochs_per_round=1, round_timeout_s=1)
        told = plan.membership
        told.topology, told.period_s, told.joins = "ring", 1.0, True
        for i, teller in enumerate(tellers):
            told.members.add(name=f"m{i}", address=f"127.0.0.1:{self._served(teller)}")
        told.admitted.add(name="e", address="127.0.0.1:1")
        journal = RunJournal.create(
            self._folder / "gossip", plan, self.device.manifest, self.device.settle
        )
        join_run(self.device, journal, Link())  # type: ignore[arg-type]
        return journal

    def _served(self, teller: Teller | None) -> int:
        server = grpc.server(futures.ThreadPoolExecutor(2))
        port = server.add_insecure_port("127.0.0.1:0")
        service = MembershipService(lambda _: teller, require_certificate=False)
        membership_pb2_grpc.add_MembershipServicer_to_server(service, server)
        server.start()
        self.servers.append(server)
        return port


@pytest.fixture
def newcomer(tmp_path: Path, toy: Any) -> Iterator[Newcomer]:
    made = Newcomer(tmp_path, toy)
    yield made
    for server in made.servers:
        server.stop(0).wait()


def six(value: float) -> list[float]:
    return [value] * 6


def test_the_neighbour_gives_all_that_it_has_and_others_what_it_lacks(newcomer: Newcomer) -> None:
    before = dict(newcomer.device.values)
    journal = newcomer.join(
        Teller(4, {SHARED: six(1)}),
        Teller(5, {SHARED: six(2), OWN: six(2), FOREIGN: six(2)}),
        Teller(4, {SHARED: six(3)}),
    )
    after = newcomer.device.values
    # m2 and m0 are next to it.
    np.testing.assert_array_equal(after[SHARED], np.float32(six(3)))
    np.testing.assert_array_equal(after[OWN], np.float32(six(2)))
    assert FOREIGN not in after
    nobodys = "task/0/dense/kernel"
    np.testing.assert_array_equal(after[nobodys], before[nobodys])
    assert journal.joined
    assert journal.last_done == 4
    np.testing.assert_array_equal(journal.snapshot(4)[SHARED], np.float32(six(3)))
    again = RunJournal.read(newcomer.device.state_dir / "gossip", "run")
    assert again is not None
    assert (again.joined, again.last_done) == (True, 4)


@pytest.mark.parametrize(
    "broken", [[1.0, 2.0, 3.0, 4.0, 5.0, float("nan")], six(float("inf")), [1.0] * 5]
)
def test_what_cannot_be_is_left_alone(newcomer: Newcomer, broken: list[float]) -> None:
    newcomer.join(Teller(4, {SHARED: six(1)}), Teller(4, {SHARED: broken}))
    np.testing.assert_array_equal(newcomer.device.values[SHARED], np.float32(six(1)))


def test_no_member_can_say_that_all_is_over(newcomer: Newcomer) -> None:
    names = dict.fromkeys((n for n in newcomer.device.values), six(1))
    liar, honest = Teller(2**31, names), Teller(3, names)
    assert newcomer.join(honest, liar).last_done == 3


def test_members_that_are_gone_are_left_out(newcomer: Newcomer) -> None:
    journal = newcomer.join(Teller(2, {SHARED: six(1)}), None, None)
    assert journal.last_done == 2


def test_where_nobody_answers_it_is_said_what_each_did(newcomer: Newcomer) -> None:
    with pytest.raises(RemoteError, match=r"no member answers: 'm1' at .*NOT_FOUND.*; 'm0' at "):
        newcomer.join(None, None)


def test_where_nobody_has_anything_in_common_it_is_said(newcomer: Newcomer) -> None:
    with pytest.raises(DataError, match="no member gives any slice of the model loaded here"):
        newcomer.join(Teller(2, {FOREIGN: six(1)}))
    with pytest.raises(
        DataError, match=r"'shared/conv/kernel': expected float32\[6\], got .*\[2\]"
    ):
        newcomer.join(Teller(2, {SHARED: [1.0, 2.0]}))
