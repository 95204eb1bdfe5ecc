from __future__ import annotations

from typing import Any

import pytest

from tfplus.errors import UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.gossip.plans import check_plan, held_there, plan_to_join, with_admitted
from tfplus_agent.storage.gossip_files import keeping_admitted, without_addresses, without_hints

NAMES = ("a", "b", "c", "d")


def plan(**changes: Any) -> pb.GossipPlan:
    members = [{"name": n, "address": f"127.0.0.1:{i + 1}"} for i, n in enumerate(NAMES)]
    membership = {"members": members, "topology": "ring", "period_s": 1.0, **changes}
    fields: dict[str, Any] = {"run_id": "run", "rounds": 3, "epochs_per_round": 1}
    return pb.GossipPlan(**fields, round_timeout_s=1, membership=membership)


def test_a_membership_that_makes_sense_is_taken() -> None:
    check_plan(plan(), "a")
    check_plan(plan(topology="random-regular", degree=2), "d")


@pytest.mark.parametrize(
    ("changes", "own", "says"),
    [
        ({}, "z", "expected this agent, 'z', among the members"),
        ({"members": []}, "a", "expected 1 to 256 members, got 0"),
        ({"members": [{"name": "a"}] * 2}, "a", "each name once"),
        ({"members": [{"name": "a"}, {"name": "\x1b"}]}, "a", "printable"),
        ({"members": [{"name": f"m{i}"} for i in range(257)]}, "m1", "got 257"),
        ({"topology": "torus"}, "a", "topology 'torus': expected one of ring"),
        ({"topology": "one-peer-exponential"}, "a", "stay the same from round to round"),
        ({"topology": "random-regular", "degree": 1}, "a", "at least 2 neighbours"),
        ({"topology": "exponential", "admitted": [{"name": "z"}]}, "a", "can join where"),
        ({"period_s": 0.0}, "a", "period_s: expected 0.05 to 60"),
        ({"period_s": float("nan")}, "a", "period_s"),
        ({"admitted": [{"name": "a"}]}, "a", "each name once"),
    ],
)
def test_one_that_makes_none_is_refused(changes: Any, own: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_plan(plan(**changes), own)


def test_fixed_neighbours_have_no_place_beside_it() -> None:
    both = plan()
    both.neighbours.add(name="b", address="127.0.0.1:2")
    with pytest.raises(UsageError, match="expected none beside a membership"):
        check_plan(both, "a")


def test_who_was_admitted_is_no_other_plan_and_is_not_lost() -> None:
    first = plan()
    grown = with_admitted(with_admitted(first, "z", "127.0.0.1:9"), "k", "127.0.0.1:8")
    assert [one.name for one in grown.membership.admitted] == ["k", "z"]
    assert with_admitted(grown, "z", "127.0.0.1:7") == grown
    assert without_hints(grown) == without_hints(first)
    assert without_addresses(grown) == without_addresses(first)
    moved = plan()
    moved.membership.members[1].address = "127.0.0.1:99"
    assert without_hints(moved) != without_hints(first)
    kept = keeping_admitted(moved, grown)
    assert kept.membership.admitted == grown.membership.admitted
    assert kept.membership.members == moved.membership.members
    # Of a run whose neighbours stay nothing of this is left behind.
    fixed = pb.GossipPlan(run_id="run")
    assert not keeping_admitted(fixed, grown).HasField("membership")
    assert not without_hints(fixed).HasField("membership")


def test_what_one_that_joins_is_told() -> None:
    whole = plan()
    whole.membership.members[1].slices.append("shared/k")
    told = plan_to_join(whole, "z", "127.0.0.1:9")
    assert told.membership.joins
    assert held_there(whole) == {"b": frozenset({"shared/k"})}
    # What others hold of the slices of the one that was asked says nothing of those of 'z'.
    assert held_there(told) == {}
    check_plan(told, "z")
