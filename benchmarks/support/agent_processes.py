"""Processes that `agent.py` measures: an agent, and a server of bare streams; what they use."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from tfplus.wire.limits import MIB
from tfplus.wire.tls import server_options

BARE = "/benchmark.Bare/"
# Bytes that lie in many places, as weights do: one chunk again and again would never leave a
# processor's cache.
CHUNKS = 128
COMMAND = "from tfplus.cli.main import main; main()"


@dataclass(frozen=True)
class Served:
    """A process that serves on loopback.

    Attributes:
      address: where.
      pid: of the process.
    """

    address: str
    pid: int


@contextlib.contextmanager
def agent(data: Path, state_dir: Path, *more: str) -> Generator[Served]:
    """A daemon of its own."""
    arguments = [
        "--data",
        str(data),
        "--state-dir",
        str(state_dir),
        "--listen",
        "127.0.0.1:0",
        *more,
    ]
    command = [sys.executable, "-c", COMMAND, "agent", "--json", "--name", "a", *arguments]
    with running(command) as ready:
        yield Served(ready["address"], ready["pid"])


@contextlib.contextmanager
def bare() -> Generator[Served]:
    """A server that streams chunks, and nothing else."""
    with running([sys.executable, __file__]) as ready:
        yield Served(ready["address"], ready["pid"])


@contextlib.contextmanager
def running(command: list[str]) -> Generator[dict[str, Any]]:
    """A process that prints one line of JSON when it serves."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads((process.stdout or sys.stdin).readline())
        finally:
            process.terminate()


def random_chunks() -> list[bytes]:
    """Chunks that are all different."""
    return [os.urandom(MIB) for _ in range(CHUNKS)]


def sent(chunks: list[bytes], count: int) -> Iterator[bytes]:
    """So many messages, each made anew of what lies in memory, which no stream goes without."""
    for number in range(count):
        yield b"".join((memoryview(chunks[number % CHUNKS])[:-1], b"."))


def serve_bare() -> None:
    """Serves streams of chunks until it is ended."""
    chunks = random_chunks()

    def out(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from sent(chunks, int(request))

    def into(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return str(sum(len(part) for part in requests)).encode()

    server = grpc.server(futures.ThreadPoolExecutor(4), options=server_options())
    handlers = {
        "Out": grpc.unary_stream_rpc_method_handler(out),
        "In": grpc.stream_unary_rpc_method_handler(into),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(BARE.strip("/"), handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}", "pid": os.getpid()}), flush=True)
    server.wait_for_termination()


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    return _status_mib(pid, "VmRSS:")


def peak_mib(pid: int) -> float:
    """The most resident memory that a process ever had, in MiB."""
    return _status_mib(pid, "VmHWM:")


def _status_mib(pid: int, field: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text().split(field)[1]
    return int(status.split()[0]) / 1024


if __name__ == "__main__":
    serve_bare()
