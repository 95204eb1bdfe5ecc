"""What a contribution costs on its way to a neighbour, beside a bare gRPC stream of as many bytes.

usage: python benchmarks/gossip/exchange.py [--megabytes 100] [--rounds 7] [--write docs/gossip.md]

Two processes on loopback, in plaintext and with mutual TLS, in turn. The bare stream's ends hash
nothing and keep nothing. An exchange is a `PeerLink` and the agents' door with `GossipService`,
`Mailbox` and the core behind it: slices that changed are hashed at both ends, checked for NaN and
kept, and the answer of the core has come back when the time ends. "Hashed before" is what a second
neighbour of a round gets.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "device_agent"), str(ROOT / "benchmarks")]

from support.agent_processes import BARE, cpu_s, random_chunks, running, sent  # noqa: E402
from support.documents import insert  # noqa: E402

from tfplus.gossip.core.machine import step  # noqa: E402
from tfplus.gossip.core.state import NodeConfig, initial_state  # noqa: E402
from tfplus.gossip.messages import Answer, Received, RoundContribution, Started  # noqa: E402
from tfplus.gossip.transport.grpc_link import Backoff, PeerLink  # noqa: E402
from tfplus.gossip.transport.grpc_service import GossipService  # noqa: E402
from tfplus.gossip.transport.mailbox import Mailbox  # noqa: E402
from tfplus.gossip.transport.protocol import Delivered  # noqa: E402
from tfplus.gossip.transport.traffic import Traffic  # noqa: E402
from tfplus.measure import environment  # noqa: E402
from tfplus.proto.v1 import gossip_pb2_grpc  # noqa: E402
from tfplus.tensors.slice_set import SliceSet  # noqa: E402
from tfplus.wire.certs import create_ca, issue  # noqa: E402
from tfplus.wire.limits import MIB  # noqa: E402
from tfplus.wire.tls import TlsFiles, channel, server_credentials, server_options  # noqa: E402
from tfplus_agent.server.callers.calls import Calls  # noqa: E402
from tfplus_agent.server.callers.event_loop import EventLoop  # noqa: E402
from tfplus_agent.server.callers.permissions import Permissions  # noqa: E402

RUN, SENDER, RECEIVER = "run", "peer-a", "peer-b"
SLICE_VALUES = 2_500_000
MOST_ROUNDS = 1_000_000
HASHED = ", hashed before"


class Node:
    """The core of a receiver that stays in its first round, and so keeps nothing."""

    def __init__(self) -> None:
        config = NodeConfig(RECEIVER, 1, (SENDER,), MOST_ROUNDS, 60.0, {})
        self._state, _ = step(initial_state(config), Started(0.0))

    def take(self, contribution: RoundContribution) -> Answer:
        """What the core says of a contribution."""
        _, effects = step(self._state, Received(0.0, contribution))
        (answer,) = effects
        if not isinstance(answer, Answer):
            raise SystemExit(f"not answered: {answer}")
        return answer


def serve(folder: Path) -> None:
    """Serves bare streams and exchanges, each in plaintext and with TLS, until it is ended."""
    tls, loop, calls = TlsFiles.load(folder / RECEIVER), EventLoop(), Calls(Permissions(None))
    bare = grpc.server(futures.ThreadPoolExecutor(4), options=server_options())
    handler = grpc.stream_unary_rpc_method_handler(_sink)
    bare.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(BARE.strip("/"), {"In": handler}),)
    )
    local, credentials = "127.0.0.1:0", server_credentials(tls)
    ports = {"bare": bare.add_insecure_port(local), "exchange": 0}
    ports["bare, TLS"] = bare.add_secure_port(local, credentials)
    bare.start()

    async def door() -> Any:
        server: Any = grpc.aio.server(interceptors=[calls], options=server_options())
        mailbox = Mailbox((SENDER,), Node().take, Traffic())
        service = GossipService(lambda _: mailbox, require_certificate=False)
        gossip_pb2_grpc.add_GossipServicer_to_server(service, server)
        ports["exchange"] = server.add_insecure_port(local)
        ports["exchange, TLS"] = server.add_secure_port(local, credentials)
        await server.start()
        return server

    # A server that nobody holds is gone.
    _door = loop.run(door())
    print(json.dumps({"pid": os.getpid(), "ports": ports}), flush=True)
    threading.Event().wait()


def _sink(requests: Iterator[bytes], _: object) -> bytes:
    return str(sum(len(part) for part in requests)).encode()


class Exchanges:
    """Sends one contribution after the other, each of values of its own.

    Args:
      address: of the receiver's door.
      tls: own certificate; None for plaintext.
      values: float32 values of a contribution.
      hashed: whether its slices were hashed before, as behind the first of several neighbours.
    """

    def __init__(self, address: str, tls: TlsFiles | None, values: int, hashed: bool) -> None:
        self._link = PeerLink(
            RUN, RECEIVER, address, tls=tls, insecure=False, backoff=Backoff(),
            cancelled=threading.Event(), traffic=Traffic(),
        )  # fmt: skip
        rng = np.random.default_rng(0)
        count = -(-values // SLICE_VALUES)
        self._slices = {
            f"shared/{i}": rng.random(values // count, dtype=np.float32) for i in range(count)
        }
        self._hashed = hashed
        self._round = 0
        self._next: RoundContribution | None = None

    def prepare(self) -> None:
        """Makes the next one; of the arrays that the last one had, which is answered."""
        self._round += 1
        for values in self._slices.values():
            values[0] += 1
        tensors = SliceSet(self._slices)
        if self._hashed:
            tensors.hashes()
        weights = dict.fromkeys(tensors, 1.0)
        schema = tensors.schema_hash()
        self._next = RoundContribution(SENDER, 1, self._round, 1, tensors, weights, schema)

    def send(self) -> None:
        """Sends it, until it is answered."""
        if self._next is None:
            raise SystemExit("nothing was prepared")
        delivery = self._link.send(self._next, time.monotonic() + 60)
        if delivery.outcome is not Delivered.ACCEPTED:
            raise SystemExit(f"not accepted: {delivery}")


def nothing() -> None:
    """What a bare stream needs before it begins."""


def measured(folder: Path, megabytes: int, rounds: int) -> str:
    """A table of rates, in turn."""
    size = megabytes * 1_000_000
    with running([sys.executable, __file__, "--serve", str(folder)]) as ready:
        pid = int(ready["pid"])
        ways: dict[str, tuple[Callable[[], None], Callable[[], object]]] = {}
        chunks = random_chunks()
        for name, port in ready["ports"].items():
            address = f"127.0.0.1:{port}"
            tls = TlsFiles.load(folder / SENDER) if name.endswith("TLS") else None
            if name.startswith("bare"):
                put = channel(address, tls).stream_unary(f"{BARE}In")
                ways[name] = nothing, lambda put=put: put(sent(chunks, size // MIB))
                continue
            for hashed in (False, True):
                exchanges = Exchanges(address, tls, size // 4, hashed)
                ways[f"{name}{HASHED * hashed}"] = exchanges.prepare, exchanges.send
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        used: dict[str, float] = dict.fromkeys(ways, 0.0)
        for turn in range(rounds + 1):
            for name in ways:
                prepare, send = ways[name]
                prepare()
                began = cpu_s(pid) + time.process_time()
                started = time.perf_counter()
                send()
                took = time.perf_counter() - started
                # The first round warms up connections and caches.
                if turn:
                    seconds[name].append(took)
                    used[name] += cpu_s(pid) + time.process_time() - began
    return table(size, rounds, seconds, used)


def table(size: int, rounds: int, seconds: dict[str, list[float]], used: dict[str, float]) -> str:
    """Markdown: rates, shares of the bare stream, processor time."""
    about = environment.read()
    lines = [
        f"{size / 1e6:.0f} MB of slices on {about.cpu_model}, {about.cores} cores; {rounds} "
        "rounds, in turn.",
        "",
        "| | MB/s, median (lowest to highest) | of the bare stream | processor, ms per 100 MB |",
        "|---|---:|---:|---:|",
    ]
    for name, took in seconds.items():
        rates = [size / 1e6 / s for s in took]
        spread = f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})"
        share = ""
        if name.startswith("exchange"):
            base = seconds["bare, TLS" if "TLS" in name else "bare"]
            ratios = [b / s for b, s in zip(base, took, strict=True)]
            share = f"{statistics.median(ratios):.0%} ({min(ratios):.0%} to {max(ratios):.0%})"
        lines.append(
            f"| {name} | {spread} | {share} | {used[name] * 1e3 / rounds / (size / 1e8):.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    with tempfile.TemporaryDirectory(prefix="tfplus-benchmark-") as name:
        folder, now = Path(name), datetime.datetime.now(datetime.timezone.utc)
        create_ca(folder / "ca", now)
        for peer in (SENDER, RECEIVER):
            issue(peer, ["127.0.0.1"], folder / "ca", folder / peer, now, role="peer")
        found = measured(folder, given.megabytes, given.rounds)
    print(found)
    if given.write:
        document = insert(given.write.read_text("utf-8"), found, "gossip/exchange")
        given.write.write_text(document, "utf-8")


if __name__ == "__main__":
    main()
