"""What an agent's status says of its members, in a line."""

from __future__ import annotations

from tfplus.fleet.overview import row_of
from tfplus.proto.v1 import agent_pb2 as pb


def status(**states: pb.GossipMember.State) -> pb.AgentStatus:
    members = [pb.GossipMember(name=n, state=s) for n, s in states.items()]
    return pb.AgentStatus(
        name="a", gossip_run_id="r", gossip_round=7, gossip_running=True, gossip_members=members
    )


def test_who_is_there_stands_beside_the_round() -> None:
    there = status(b=pb.GossipMember.ALIVE, c=pb.GossipMember.DEAD, d=pb.GossipMember.SUSPECT)
    doing = "gossip r, round 7, 2 of 4 members there, c dead, d suspect"
    assert row_of("h:1", there).doing == doing


def test_a_run_whose_neighbours_stay_has_none() -> None:
    assert row_of("h:1", status()).doing == "gossip r, round 7"
