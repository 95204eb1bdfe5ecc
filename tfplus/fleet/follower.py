"""Follows a run on several agents at once, through their absence."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence

from tfplus.errors import RemoteError, TfplusError
from tfplus.fleet.clients.client import AgentClient
from tfplus.fleet.updates import Ended, Rejoined, Update, from_event
from tfplus.proto.v1 import agent_pb2 as pb

_RETRY_S = 1.0


class Follower:
    """Watches agents, one thread each, and starts those again that died and came back.

    Args:
      names: the agents.
      connect: opens a connection to one.
      plan: what to tell one that is back.
    """

    def __init__(
        self,
        names: Sequence[str],
        connect: Callable[[str], AgentClient],
        plan: Callable[[str], pb.GossipPlan],
    ) -> None:
        self._names = names
        self._connect = connect
        self._plan = plan
        self._updates: queue.SimpleQueue[Update | None] = queue.SimpleQueue()
        self._over = threading.Event()
        self._lock = threading.Lock()
        # Agents that have neither ended nor are lost, and those that are being followed at all.
        self._healthy = set(names)
        self._following = set(names)
        self._clients: dict[str, AgentClient] = {}

    def updates(self) -> Iterator[Update]:
        """Yields what happens until every agent has ended, or only lost ones are left."""
        for name in self._names:
            threading.Thread(target=self._follow, args=(name,), daemon=True).start()
        while (update := self._updates.get()) is not None:
            yield update

    def give_up_lost(self) -> None:
        """Waits for no agent that is lost."""
        self._over.set()

    def close(self) -> None:
        """Ends all watching; the agents go on."""
        self._over.set()
        for client in list(self._clients.values()):
            client.close()

    def _follow(self, name: str) -> None:
        try:
            self._follow_to_end(name)
        except Exception as error:
            self._updates.put(Ended(name, "lost", 0, f"{type(error).__name__}: {error}"))
        self._set_healthy(name, False)
        with self._lock:
            self._following.discard(name)
            if not self._following:
                self._updates.put(None)

    def _follow_to_end(self, name: str) -> None:
        last = 0
        lost = False
        while True:
            try:
                with self._connect(name) as client:
                    self._clients[name] = client
                    if lost:
                        resumed = client.start_gossip(self._plan(name))
                        self._set_healthy(name, True)
                        self._updates.put(Rejoined(name, resumed))
                        lost = False
                    for event in client.watch_gossip(self._plan(name).run_id, last + 1):
                        update = from_event(name, event)
                        self._updates.put(update)
                        if isinstance(update, Ended):
                            return
                        last = update.round
                raise RemoteError(f"agent '{name}' was started anew in mid-run")
            except TfplusError as error:
                if not lost:
                    self._updates.put(Ended(name, "lost", last, str(error)))
                lost = True
                self._set_healthy(name, False)
                if self._over.wait(_RETRY_S):
                    return

    def _set_healthy(self, name: str, healthy: bool) -> None:
        with self._lock:
            if healthy:
                self._healthy.add(name)
            else:
                self._healthy.discard(name)
            if not self._healthy:
                # Only lost agents are left: nobody waits for them.
                self._over.set()
