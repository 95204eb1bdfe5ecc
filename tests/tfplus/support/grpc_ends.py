"""Two ends of the gossip transport."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent import futures

import grpc
import numpy as np

from tfplus.gossip.messages import Answer, Outcome, RoundContribution
from tfplus.gossip.transport.grpc_link import Backoff, PeerLink
from tfplus.gossip.transport.grpc_service import GossipService
from tfplus.gossip.transport.mailbox import Mailbox
from tfplus.gossip.transport.traffic import Traffic
from tfplus.gossip.transport.upload_cap import UploadCap
from tfplus.proto.v1 import gossip_pb2_grpc
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import schema_hash
from tfplus.wire.limits import Limits
from tfplus.wire.tls import TlsFiles, server_credentials, server_options

RUN = "run-1"


QUICK = Backoff(first_s=0.01, longest_s=0.04, attempts=4)


def tensors(**values: float) -> SliceSet:
    return SliceSet({f"shared/{n}": np.full(1000, v, np.float32) for n, v in values.items()})


def contribution(
    round: int = 1, held: Mapping[str, np.ndarray] | None = None, peer: str = "a"
) -> RoundContribution:
    held = tensors(k=1.0, b=2.0) if held is None else SliceSet.of(held)
    return RoundContribution(peer, 7, round, 2, held, dict.fromkeys(held, 3.0), schema_hash(held))


class Receiver:
    """A server whose answers are scripted; keeps what the core would have got."""

    def __init__(self, tls: TlsFiles | None = None, limits: Limits | None = None) -> None:
        self.got: list[RoundContribution] = []
        self.answer = Answer(Outcome.ACCEPTED, 5)
        self.started = True
        self.arrived = threading.Event()
        self.release: threading.Event | None = None
        self.traffic = Traffic()
        self.mailbox = Mailbox(("a", "b"), self._deliver, self.traffic)
        self.asked = threading.Semaphore(0)
        self._tls = tls
        self._limits = limits or Limits()
        self.port = 0
        self.serve()

    def serve(self) -> None:
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8), options=server_options(self._limits)
        )
        service = GossipService(
            self._find, require_certificate=self._tls is not None, limits=self._limits
        )
        gossip_pb2_grpc.add_GossipServicer_to_server(service, self._server)
        address = f"127.0.0.1:{self.port}"
        if self._tls is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, server_credentials(self._tls))
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _find(self, run_id: str) -> Mailbox | None:
        self.asked.release()
        return self.mailbox if self.started and run_id == RUN else None

    def _deliver(self, contribution: RoundContribution) -> Answer:
        self.got.append(contribution)
        self.arrived.set()
        if self.release is not None:
            self.release.wait(10)
        return self.answer


class Sender:
    def __init__(
        self, address: str, tls: TlsFiles | None = None, cap: UploadCap | None = None
    ) -> None:
        self.traffic = Traffic()
        self.cancelled = threading.Event()
        self.link = PeerLink(
            RUN,
            "server",
            address,
            tls=tls,
            insecure=False,
            backoff=QUICK,
            cancelled=self.cancelled,
            traffic=self.traffic,
            cap=cap,
        )

    def send(self, what: RoundContribution, within_s: float = 10.0):
        return self.link.send(what, time.monotonic() + within_s)
