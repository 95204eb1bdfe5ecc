"""Starts a gossip run on agents, watches it, and puts the result together.

Agents need none of this once they were started: whoever watches may go away and come back. A run
goes: `connect`, `load`, `start`, `updates` to the end, `recompose`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from tfplus.errors import RemoteError, TfplusError, UsageError
from tfplus.fleet.clients.client import AgentClient
from tfplus.fleet.common_slices import CommonSlices
from tfplus.fleet.follower import Follower
from tfplus.fleet.gossip_plans import plan_of
from tfplus.fleet.run_options import RunOptions
from tfplus.fleet.updates import Ended, Rejoined, Update
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors import slices
from tfplus.tensors.slices import Tensor

_CALL_S = 10.0
# Later than every round: whether a run is known is asked without its events.
_NO_ROUND = 2**31
_T = TypeVar("_T")
_U = TypeVar("_U")


class GossipSession:
    """One run on several agents, as seen by whoever started it; a context manager.

    Args:
      addresses: of the agents, in the order of the topology; they reach each other under the same.
      options: of the run.

    Raises:
      UsageError: an address is malformed or comes twice, or plaintext would leave this machine.
    """

    def __init__(self, addresses: Sequence[str], options: RunOptions) -> None:
        if not addresses:
            raise UsageError("expected at least one agent, got none")
        twice = [a for a in addresses if addresses.count(a) > 1]
        if twice:
            raise UsageError(f"agent {twice[0]} comes twice")
        self.options = options
        self.addresses: dict[str, str] = {}
        self.ends: dict[str, Ended] = {}
        self._closing = ExitStack()
        self._unnamed = list(addresses)
        self._clients: dict[str, AgentClient] = {}
        self._follower: Follower | None = None
        self._slices = CommonSlices()

    def __enter__(self) -> GossipSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The agents in the order of the ring, once connected."""
        return tuple(self.addresses)

    def connect(self) -> dict[str, pb.AgentStatus]:
        """Asks every agent who it is: name → status.

        Raises:
          RemoteError: one cannot be reached.
          UsageError: two have the same name, or one does not know the codec.
        """
        statuses: dict[str, pb.AgentStatus] = {}
        clients = [self._closing.enter_context(self._client(a)) for a in self._unnamed]
        for client, status in zip(clients, self._each(clients, AgentClient.status), strict=True):
            if status.name in statuses:
                raise UsageError(
                    f"agents {self.addresses[status.name]} and {client.address} are both called "
                    f"'{status.name}': start one of them with another --name"
                )
            statuses[status.name] = status
            self.addresses[status.name] = client.address
            self._clients[status.name] = client
            self.options.check_known_to(status)
        return statuses

    def load(self, models: Mapping[str, Path]) -> dict[str, tuple[str, ...]]:
        """Brings every agent its model; one that is in the middle of this run keeps its own.

        Args:
          models: agent → exported file.

        Returns:
          Agent → where its data are not what its model was made for, of those that loaded one.

        Raises:
          ArtifactError: a file is no exported model.
          RemoteError: an agent cannot be reached, or refused.
          UsageError: a run is to be gone on with that no agent knows.
        """
        options = self.options
        if options.resume and not any(self._each(self.names, self._knows_run)):
            last = {self._clients[n].status().gossip_run_id: None for n in self.names}
            known = ", ".join(f"'{run_id}'" for run_id in last if run_id) or "none"
            raise UsageError(
                f"resume: no agent knows a run '{options.run_id}': expected the id that the run "
                f"was started with; the last one that these agents know: {known}"
            )

        warnings: dict[str, tuple[str, ...]] = {}

        def bring(name: str) -> None:
            client, path = self._clients[name], models[name]
            status = client.status()
            if status.gossip_running and status.gossip_run_id == options.run_id:
                self._slices.add(name, path, status.model_sha256)
                return
            sha256 = client.upload(path)
            self._slices.add(name, path, sha256)
            held = options.resume and status.model_sha256 == sha256
            if not held or options.scaling is not None:
                loaded = client.load(sha256, fresh=not options.resume, scaling=options.scaling)
                warnings[name] = tuple(loaded.warnings)

        self._each(self.names, bring)
        return warnings

    def start(self) -> dict[str, int]:
        """Starts the run on all agents; they go on by themselves.

        Returns:
          name → the round that an agent goes on from; 0 where it begins.

        Raises:
          RemoteError: an agent cannot be reached, or refused; those started before are stopped.
          UsageError: the topology cannot be made of so many agents.
        """
        resumed: dict[str, int] = {}
        try:
            for name in self.names:
                resumed[name] = self._clients[name].start_gossip(self.plan(name))
        except TfplusError:
            self.stop(resumed)
            raise
        return resumed

    def plan(self, name: str) -> pb.GossipPlan:
        """What the agent `name` is told."""
        return plan_of(name, self.addresses, self.options, self._slices.to_send)

    def updates(self) -> Iterator[Update]:
        """Yields what happens until every agent has ended; then `ends` holds how.

        An agent that vanishes is reported, and started again as soon as it is back. It is given up
        when all others have ended.
        """
        self._follower = Follower(
            self.names,
            lambda name: self._client(self.addresses[name], timeout_s=_CALL_S),
            self.plan,
        )
        for update in self._follower.updates():
            if isinstance(update, Ended):
                self.ends[update.agent] = update
            elif isinstance(update, Rejoined):
                self.ends.pop(update.agent, None)
            yield update

    def stop(self, names: Sequence[str] | Mapping[str, object] | None = None) -> dict[str, str]:
        """Stops the run on all agents, or on `names`, as far as they can be reached.

        Returns:
          name → why an agent could not be told; empty if all were.
        """
        deaf: dict[str, str] = {}

        def end(name: str) -> None:
            try:
                # A connection of its own: the one before may wait for an agent that went away.
                with self._client(self.addresses[name], timeout_s=_CALL_S) as client:
                    client.stop_gossip(self.options.run_id)
            except TfplusError as error:
                deaf[name] = str(error)

        if self._follower is not None:
            self._follower.give_up_lost()
        self._each(list(self.names if names is None else names), end)
        return deaf

    def weights(self, name: str, gossip_round: int | None = None) -> dict[str, Tensor]:
        """Fetches one agent's weights, of now or after a round; see `AgentClient.weights`."""
        return self._clients[name].weights(gossip_round=gossip_round)

    def recompose(self, gossip_round: int | None = None) -> dict[str, Tensor]:
        """Averages the agents that finished: shared slices over all, task slices over holders.

        Every holder weighs as many samples as stand behind the slice on it.

        Args:
          gossip_round: as they stood after that round, where the run keeps snapshots; now if None,
            and then an agent that vanished since it finished is left out, and `ends` says so.

        Raises:
          RemoteError: no agent has finished and can be reached, or one did not keep that round.
        """
        finished = [n for n, end in self.ends.items() if end.state == "finished"]
        # In the order of the ring, so that equal runs give equal bits.
        finished.sort(key=self.names.index)
        if not finished:
            ends = "; ".join(f"'{e.agent}' {e.state}: {e.error}" for e in self.ends.values())
            raise RemoteError(f"no agent finished the run: there is no result ({ends})")
        fetched = self._each(finished, lambda name: self._weights_or_lost(name, gossip_round))
        contributions = [
            slices.Contribution(tensors, self.ends[name].slice_weights)
            for name, tensors in zip(finished, fetched, strict=True)
            if tensors is not None
        ]
        if not contributions:
            raise RemoteError("no agent that finished the run can be reached any more")
        return slices.average(contributions)

    def _weights_or_lost(self, name: str, gossip_round: int | None) -> dict[str, Tensor] | None:
        try:
            return self.weights(name, gossip_round)
        except RemoteError as error:
            if gossip_round is not None:
                raise
            # It finished, so the others have what it taught them: the result stands without it.
            self.ends[name] = replace(self.ends[name], state="lost", error=str(error))
            return None

    def close(self) -> None:
        """Closes all connections; the agents go on."""
        if self._follower is not None:
            self._follower.close()
        self._closing.close()

    def _knows_run(self, name: str) -> bool:
        client, run_id = self._clients[name], self.options.run_id
        if client.status().gossip_run_id == run_id:
            return True
        try:
            # An older run, which is not under way: what the agent has of it ends at once.
            next(client.watch_gossip(run_id, from_round=_NO_ROUND), None)
        except TfplusError:
            return False
        return True

    def _client(self, address: str, timeout_s: float = 120.0) -> AgentClient:
        options = self.options
        return AgentClient(address, options.tls, insecure=options.insecure, timeout_s=timeout_s)

    def _each(self, items: Sequence[_U], call: Callable[[_U], _T]) -> list[_T]:
        if not items:
            return []
        with ThreadPoolExecutor(min(16, len(items))) as pool:
            return list(pool.map(call, items))
