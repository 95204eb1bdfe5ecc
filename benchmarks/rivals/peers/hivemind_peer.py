"""A peer of hivemind: its DHT, and one `DecentralizedAverager` whose group is everybody.

As its documentation says: a group size that is a power of two, and a matchmaking time above the
request timeout; both times are its defaults. A round is an all-reduce; the part that a dead peer
was to average stays as it was, and the next round averages it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import hivemind
import numpy as np
import torch
from driven import Options, serve
from hivemind.averaging import DecentralizedAverager

_HERE = ["/ip4/127.0.0.1/tcp/0"]
_MATCHMAKING_S, _REQUEST_S = 5.0, 3.0


class HivemindPeer:
    """One averager; the first peer's DHT is where the others come in."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._averager: DecentralizedAverager | None = None
        self._dht: hivemind.DHT | None = None
        if options.index == 0:
            self._dht = hivemind.DHT(host_maddrs=_HERE, start=True)

    def about(self) -> dict[str, Any]:
        """See `System`."""
        addresses = [str(a) for a in self._dht.get_visible_maddrs()] if self._dht else []
        return {"version": hivemind.__version__, "addresses": addresses}

    def meet(self, others: Sequence[dict[str, Any]]) -> None:
        """See `System`."""
        if self._dht is None:
            first = others[0]["addresses"]
            self._dht = hivemind.DHT(host_maddrs=_HERE, initial_peers=first, start=True)
        self._averager = DecentralizedAverager(
            (torch.zeros(self._options.values),),
            self._dht,
            prefix="rivals",
            target_group_size=self._options.count,
            min_matchmaking_time=_MATCHMAKING_S,
            request_timeout=_REQUEST_S,
            start=True,
        )

    def prepare(self, values: np.ndarray) -> None:
        """See `System`."""
        with self._there().get_tensors() as tensors:
            tensors[0].copy_(torch.from_numpy(values))

    def average(self, told: Callable[[int, np.ndarray], None]) -> np.ndarray:
        """See `System`."""
        averager = self._there()
        found = np.empty(0)
        for round in range(1, self._options.rounds + 1):
            if averager.step(timeout=self._options.patience_s) is None:
                raise RuntimeError("no group was found")
            with averager.get_tensors() as tensors:
                found = tensors[0].numpy().copy()
            told(round, found)
        return found

    def close(self) -> None:
        """See `System`."""
        if self._averager is not None:
            self._averager.shutdown()
        if self._dht is not None:
            self._dht.shutdown()

    def _there(self) -> DecentralizedAverager:
        if self._averager is None:
            raise RuntimeError("the others were not met")
        return self._averager


if __name__ == "__main__":
    serve(HivemindPeer)
