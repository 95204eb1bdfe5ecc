"""A process that computes tiles and serves them on a port.

usage: python -m tfplus.tiles.process.serve [--memory BYTES] [--host ADDRESS]

So the processes of `tfplus tile train --local` are started; on a device it is `tfplus agent tiles`.
It prints one line of JSON once it listens: address, and whether the kernel holds it to its memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any, TypeAlias

import grpc

from tfplus.errors import TfplusError
from tfplus.proto.v1 import tiles_pb2_grpc
from tfplus.runtime import interpreter
from tfplus.system import memory
from tfplus.tiles.process.device import Model, TileDevice
from tfplus.tiles.process.tile_model import TileModel
from tfplus.tiles.step.assignment import Assignment
from tfplus.tiles.transport import probe
from tfplus.tiles.transport.outbox import Outbox
from tfplus.tiles.transport.service import TilesService
from tfplus.wire import listening
from tfplus.wire import tls as wire_tls
from tfplus.wire.tls import TlsFiles

# A stream of each other device holds a thread for as long as it lives.
_THREADS = 80
_STACK_BYTES = 2 << 20
# Of an array or of what a pass works with.
_LARGE_BYTES = 1 << 18

Check: TypeAlias = Callable[[str, Any], None]
OpenModel: TypeAlias = Callable[[bytes, Assignment], Model]


class Server:
    """A device that listens; a context manager.

    Args:
      listen: `host:port`; port 0 for a free one.
      open_model: opens a file of tiles, such as `runtime` of some threads.
      tls: own certificate files; None for plaintext, which stays on this machine.
      check: raises where a caller may not call a method, by its full name.

    Raises:
      RemoteError: the address is taken.
      UsageError: plaintext would leave this machine.
    """

    def __init__(
        self,
        listen: str,
        open_model: OpenModel,
        tls: TlsFiles | None = None,
        check: Check = lambda method, auth: None,
    ) -> None:
        host, _ = wire_tls.split_address(listen)

        def open_sender(given: Assignment) -> Outbox:
            return Outbox(given.run_id, given.peers, lambda a: wire_tls.channel(a, tls))

        def probed(address: str, sizes_bytes: Sequence[int]) -> list[float]:
            with wire_tls.channel(address, tls) as channel:
                return probe.seconds(channel, address, sizes_bytes)

        self._device = TileDevice(open_model, open_sender)
        pool = futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="tiles")
        self._server = grpc.server(
            pool, interceptors=[_Checked(check)], options=wire_tls.server_options()
        )
        tiles_pb2_grpc.add_TilesServicer_to_server(TilesService(self._device, probed), self._server)
        if tls is None:
            wire_tls.require_loopback_or_insecure(host, False)
        bound = listening.bind(self._server, listen, tls)
        self.address = f"{host}:{bound}"
        self._server.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends it, and all calls under way: streams of other devices last as long as they do."""
        self._server.stop(None).wait()
        self._device.close()


def limit_memory(size_bytes: int) -> bool:
    """Lets this process take so much more memory than it has; true if the kernel holds it to that.

    The limit is that of private data (`RLIMIT_DATA`), which counts what is allocated, used or not.
    """
    have = memory.data_bytes()
    if not have:
        return False
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (have + size_bytes, have + size_bytes))
    except (OSError, ValueError):
        return False
    return True


def runtime(threads: int) -> OpenModel:
    """Opens files under the installed runtime, which is imported now.

    Args:
      threads: of each interpreter.
    """
    # Before memory is limited: the runtime's own pages are not the model's.
    interpreter.find().warm()
    memory.return_large_blocks(_LARGE_BYTES)

    def open_model(content: bytes, given: Assignment) -> TileModel:
        place = given.place
        part = place.tiling.part(place.device)
        return TileModel(
            content, part, place.shapes, place.batch, threads,
            keep=place.tiling.keep, free=place.tiling.free,
        )  # fmt: skip

    return open_model


class _Checked(grpc.ServerInterceptor):
    """Lets no call through that its caller may not make."""

    def __init__(self, check: Check) -> None:
        self._check = check

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Puts the check around the method's own handler."""
        handler, check = continuation(handler_call_details), self._check
        if handler is None:
            return None
        method = handler_call_details.method
        streams = handler.response_streaming

        def checked(run: Any) -> Any:
            def one(request: Any, context: Any) -> Any:
                _hold(check, method, context)
                return run(request, context)

            def many(request: Any, context: Any) -> Iterator[Any]:
                _hold(check, method, context)
                yield from run(request, context)

            return many if streams else one

        kinds = {
            (False, False): (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
        }
        make, run = kinds[handler.request_streaming, streams]
        return make(checked(run), handler.request_deserializer, handler.response_serializer)


def _hold(check: Check, method: str, context: Any) -> None:
    try:
        check(method, context.auth_context())
    except TfplusError as error:
        context.abort(grpc.StatusCode[error.status], str(error))


def serve(server: Server, memory_bytes: int, told: Callable[[str, bool], None]) -> None:
    """Serves until this process is told to end; for the main thread.

    Args:
      server: made, and listening.
      memory_bytes: that it may take beside what it has; 0 for no limit.
      told: gets the address, and whether the kernel holds it to its memory.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with server:
        told(server.address, bool(memory_bytes) and limit_memory(memory_bytes))
        ended.wait()


def main() -> None:
    """Serves a process of `tfplus tile train --local`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args()
    # A thread's stack counts as data, touched or not.
    threading.stack_size(_STACK_BYTES)

    def told(address: str, enforced: bool) -> None:
        sys.stdout.write(json.dumps({"address": address, "enforced": enforced}) + "\n")
        sys.stdout.flush()

    serve(Server(f"{given.host}:0", runtime(1)), given.memory, told)


if __name__ == "__main__":
    main()
