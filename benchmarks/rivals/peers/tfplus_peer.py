"""A peer of tfplus: the agents' core, links and door, and a vector in place of training.

What an agent of a gossip run does, less its model: `Calls` takes callers as the daemon's door
does, `GossipService`, `Mailbox`, `Outbox` and `PeerLink` carry contributions over mutual TLS, and
the core decides. `way` is a topology, or `parts`, for which the vector is cut into a slice for each
peer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import grpc.aio
import numpy as np
from driven import Options, serve

import tfplus
from tfplus.gossip.core import machine
from tfplus.gossip.core.state import NodeConfig, initial_state
from tfplus.gossip.links import Schedule, linked
from tfplus.gossip.membership.parts import by_parts
from tfplus.gossip.membership.registry import schedules
from tfplus.gossip.messages import (
    Answer,
    Effect,
    Event,
    Finished,
    LinksChanged,
    LocalDone,
    Look,
    PeerFinished,
    PeerUnreachable,
    Received,
    RoundContribution,
    RoundDone,
    Send,
    Started,
    Tick,
    TrainLocally,
)
from tfplus.gossip.mixing.registry import METROPOLIS
from tfplus.gossip.mixing.uniform import Uniform
from tfplus.gossip.transport.grpc_link import Backoff, PeerLink
from tfplus.gossip.transport.grpc_service import GossipService
from tfplus.gossip.transport.mailbox import Mailbox
from tfplus.gossip.transport.outbox import Outbox
from tfplus.gossip.transport.protocol import Delivered, Delivery
from tfplus.gossip.transport.traffic import Traffic
from tfplus.proto.v1 import gossip_pb2_grpc
from tfplus.tensors.slice_set import SliceSet
from tfplus.wire.tls import TlsFiles, server_credentials, server_options
from tfplus_agent.server.callers.calls import Calls
from tfplus_agent.server.callers.event_loop import EventLoop
from tfplus_agent.server.callers.permissions import Permissions

SLICE = "shared/vector"
PARTS = "parts"


class Run:
    """One gossip run of one node; the thread that carries it out owns nothing but its effects.

    Args:
      config: of the node.
      run_id: which run.
      addresses: name → where a node serves.
      tls: own certificate.
      relinked: the node's links among those who are left, where they are made anew without who is
        gone; by each node on its own evidence, from the next round in which nobody adopts.
    """

    def __init__(
        self,
        config: NodeConfig,
        run_id: str,
        addresses: dict[str, str],
        tls: TlsFiles,
        relinked: Callable[[frozenset[str]], Schedule] | None = None,
    ) -> None:
        self._relinked = relinked
        self._gone: set[str] = set()
        self._timeout_s = config.round_timeout_s
        self._rounds = config.rounds
        self._traffic = Traffic()
        self._cancelled = threading.Event()
        self._changed = threading.Condition()
        self._todo: deque[Effect] = deque()
        self._state = initial_state(config)
        self.mailbox = Mailbox(linked(config.schedule), self._deliver, self._traffic)
        self._links = {
            name: PeerLink(
                run_id,
                name,
                addresses[name],
                tls=tls,
                insecure=False,
                backoff=Backoff(),
                cancelled=self._cancelled,
                traffic=self._traffic,
            )
            for name in linked(config.schedule)
        }
        self._outbox = Outbox(self._links, self._cancelled, self._report)

    def carry_out(self, tensors: SliceSet, told: Callable[[int, SliceSet], None]) -> SliceSet:
        """Runs all rounds from these weights, tells of each; returns the last average."""
        weights = dict.fromkeys(tensors, 1.0)
        self._feed(Started(time.monotonic()))
        while True:
            match self._next_effect():
                case TrainLocally(round=round):
                    self._relink()
                    self._feed(LocalDone(time.monotonic(), round, tensors, weights))
                case Send(contribution=contribution, to=to):
                    self._outbox.put(contribution, time.monotonic() + self._timeout_s, to)
                case Look(peers=peers):
                    self._outbox.look(peers)
                case RoundDone() as done:
                    tensors = done.tensors
                    told(done.round, tensors)
                case Finished():
                    return tensors
                case _:
                    pass

    def close(self) -> None:
        """Lets neighbours have what was sent, and ends."""
        self._outbox.drain(self._timeout_s)
        self._outbox.close()

    def _relink(self) -> None:
        if self._relinked is not None and self._gone and not self._state.links.adopts:
            schedule = self._relinked(frozenset(self._gone))
            if schedule != self._state.schedule:
                self._feed(LinksChanged(time.monotonic(), schedule))

    def _deliver(self, contribution: RoundContribution) -> Answer:
        answer = self._feed(Received(time.monotonic(), contribution))
        if answer is None:
            raise RuntimeError("the core gave no answer")
        return answer

    def _report(self, peer: str, delivery: Delivery) -> None:
        if delivery.outcome is Delivered.UNREACHABLE:
            self._gone.add(peer)
            self._feed(PeerUnreachable(time.monotonic(), peer))
        elif delivery.round > self._rounds:
            self._feed(PeerFinished(time.monotonic(), peer))

    def _feed(self, event: Event) -> Answer | None:
        with self._changed:
            self._state, effects = machine.step(self._state, event)
            answer = next((e for e in effects if isinstance(e, Answer)), None)
            self._todo.extend(e for e in effects if not isinstance(e, Answer))
            self._changed.notify_all()
            return answer

    def _next_effect(self) -> Effect:
        while True:
            with self._changed:
                if self._todo:
                    return self._todo.popleft()
                deadline, now = self._state.deadline, time.monotonic()
                if deadline is None or now < deadline:
                    self._changed.wait(None if deadline is None else deadline - now)
                    continue
            self._feed(Tick(time.monotonic()))


class TfplusPeer:
    """One node behind the agents' door."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._names = [f"peer-{i}" for i in range(options.count)]
        self._tls = TlsFiles.load(options.shared / self._names[options.index])
        self._run: Run | None = None
        self._runs: dict[str, Mailbox] = {}
        self._addresses: dict[str, str] = {}
        self._tensors = SliceSet({})
        self._found = np.empty(0, np.float32)
        self._calls = Calls(Permissions(self._tls.revoked))
        self._loop = EventLoop()
        self._server, self._port = self._loop.run(self._served())

    async def _served(self) -> tuple[Any, int]:
        server: Any = grpc.aio.server(interceptors=[self._calls], options=server_options())
        service = GossipService(self._runs.get, require_certificate=True)
        gossip_pb2_grpc.add_GossipServicer_to_server(service, server)
        port = server.add_secure_port("127.0.0.1:0", server_credentials(self._tls))
        await server.start()
        return server, port

    def about(self) -> dict[str, Any]:
        """See `System`."""
        return {"version": tfplus.__version__, "address": f"127.0.0.1:{self._port}"}

    def meet(self, others: Sequence[dict[str, Any]]) -> None:
        """See `System`."""
        self._addresses = {n: o["address"] for n, o in zip(self._names, others, strict=True)}

    def prepare(self, values: np.ndarray) -> None:
        """See `System`; the run before it ends here, since neighbours want its last answers."""
        if self._run is not None:
            self._run.close()
        in_parts = self._options.way == PARTS
        pieces = np.array_split(values, self._options.count if in_parts else 1)
        self._tensors = SliceSet({f"{SLICE}/{i}": piece for i, piece in enumerate(pieces)})
        # Where the result is put together, as the weights of a model that is there.
        self._found = values.copy()
        name = self._names[self._options.index]
        sizes = {n: self._tensors[n].nbytes for n in self._tensors}

        def among(gone: frozenset[str]) -> Schedule:
            return by_parts([n for n in self._names if n not in gone], sizes)[name]

        nobody = frozenset[str]()
        schedule = among(nobody) if in_parts else schedules(self._options.way, self._names)[name]
        config = NodeConfig(
            name=name,
            incarnation=1,
            neighbours=linked(schedule),
            rounds=self._options.rounds,
            round_timeout_s=self._options.patience_s,
            schema=self._tensors.layouts(),
            schedule=schedule,
            # An owner averages those who are there; else as agents do.
            mixing=Uniform() if in_parts else METROPOLIS,
            looks=True,
        )
        run_id = f"run-{len(self._runs)}"
        relinked = among if in_parts else None
        self._run = Run(config, run_id, self._addresses, self._tls, relinked)
        self._runs[run_id] = self._run.mailbox

    def average(self, told: Callable[[int, np.ndarray], None]) -> np.ndarray:
        """See `System`."""
        if self._run is None:
            raise RuntimeError("nothing was prepared")
        every = 2 if self._options.way == PARTS else 1

        def round_done(round: int, tensors: SliceSet) -> None:
            if round % every == 0:
                told(round // every, self._whole(tensors))

        return self._whole(self._run.carry_out(self._tensors, round_done))

    def _whole(self, tensors: SliceSet) -> np.ndarray:
        if len(tensors) == 1:
            return np.asarray(next(iter(tensors.values())))
        return np.concatenate([*tensors.values()], out=self._found)

    def close(self) -> None:
        """See `System`."""
        if self._run is not None:
            self._run.close()
        self._loop.run(self._server.stop(0))
        self._calls.close()
        self._loop.close()


if __name__ == "__main__":
    serve(TfplusPeer)
