"""What a neighbour sends and must not: the event of the round says who it was."""

from __future__ import annotations

import threading
import time

import numpy as np
from gossip_jobs import held_in
from gossip_ring import QUICK, Agent, done, plan_of

from tfplus.gossip.membership.member import Member
from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.transport.protocol import Delivered
from tfplus.gossip.transport.traffic import Traffic
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import schema_hash
from tfplus_agent.gossip.links import Link

TIMEOUT_S = 60.0


def test_a_neighbour_that_sends_nan_is_refused_and_named(agents: dict[str, Agent]) -> None:
    a, b = agents["a"], agents["b"].device
    tensors = SliceSet({n: t * np.float32(np.nan) for n, t in b.values.items()})
    said = RoundContribution(
        "b", 1, 1, 1, tensors, dict.fromkeys(tensors, 1.0), schema_hash(tensors)
    )
    reached, go_on = held_in(a.device, 1)
    a.runner.start(plan_of({"a": a, "b": agents["b"]}, "a", rounds=1, round_timeout_s=0.5))
    assert reached.wait(TIMEOUT_S)
    link = Link(backoff=QUICK).to(
        [Member("a", f"127.0.0.1:{a.port}")], "run", threading.Event(), Traffic()
    )["a"]
    delivery = link.send(said, time.monotonic() + TIMEOUT_S)
    link.close()
    assert delivery.outcome is Delivered.REFUSED
    go_on()
    (round_done,) = done(a.events())
    assert not round_done.counted
    assert "'b' refused: slice" in round_done.error
    assert "NaN" in round_done.error
