"""The faults themselves. Each returns when its cause is over, with the moment when that was."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import numpy as np

from chaos.ledger import Ledger
from chaos.rig import START_TIMEOUT_S, Rig, RigError, wait_until
from chaos.schedule import Fault
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import agent_pb2_grpc
from tfplus.wire.tensors import to_parts

# Told by `tfplus` where something cannot listen; see `tfplus.errors`.
_REMOTE_EXIT_CODE = 5
Strike = Callable[[Rig, Fault, str, Ledger], float]


def _worker(number: signal.Signals) -> Callable[[Rig], int]:
    def send(rig: Rig) -> int:
        pid = rig.worker()
        if pid is None:
            raise RigError("there is no worker in the middle of a job")
        os.kill(pid, number)
        return pid

    return send


def worker_killed(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """SIGKILL, as the kernel sends where memory is short."""
    _worker(signal.SIGKILL)(rig)
    return time.monotonic()


def worker_hangs(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """Stopped for good: no sign of life until the daemon ends it."""
    _worker(signal.SIGSTOP)(rig)
    return time.monotonic()


def worker_stopped(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """Stopped and continued, as by a system that is short of processors."""
    pid = _worker(signal.SIGSTOP)(rig)
    time.sleep(fault.hold_s)
    os.kill(pid, signal.SIGCONT)
    return time.monotonic()


def daemon_stopped(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """Stopped and continued, worker and all others untouched."""
    rig.process.send_signal(signal.SIGSTOP)
    time.sleep(fault.hold_s)
    rig.process.send_signal(signal.SIGCONT)
    return time.monotonic()


def daemon_killed(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """Kill -9, and started again."""
    rig.end(signal.SIGKILL)
    struck = time.monotonic()
    rig.start()
    return struck


def daemon_terminated(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """SIGTERM, and started again."""
    rig.end(signal.SIGTERM)
    struck = time.monotonic()
    code = rig.process.returncode
    ledger.expect(f"an agent that SIGTERM ends has exit code 0, not {code}", not code)
    rig.start()
    return struck


def disk_full(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """No room at all, until the job has met with it; then there is room again."""
    with rig.full_disk(), rig.client() as client:

        def met() -> bool:
            (status,) = [s for s in client.jobs() if s.id == job]
            return status.state != pb.JobStatus.RUNNING

        wait_until("a job that meets with a full disk", met)
    return time.monotonic()


def client_gone(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """Clients that leave in the middle of what they asked for."""
    for _ in range(3):
        with rig.client() as leaver:
            next(iter(leaver.watch_job(job)))
            next(iter(leaver.watch_job(job, 1)))
    return time.monotonic()


def upload_cut(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """Half an upload of weights, and of a model: nothing of either may be taken."""
    with grpc.insecure_channel(rig.address) as channel:
        stub = agent_pb2_grpc.AgentStub(channel)
        parts = list(to_parts({"shared/logits/kernel": np.ones((64, 10), np.float32)}))
        content = np.random.default_rng(fault.seed).bytes(1 << 20)
        header = pb.UploadModelHeader(sha256="ab" * 32, size_bytes=2 << 20)
        for call, sent in (
            (stub.SetWeights, parts[: max(1, int(fault.place * len(parts)))]),
            (
                stub.UploadModel,
                [pb.UploadModelRequest(header=header), pb.UploadModelRequest(chunk=content)],
            ),
        ):
            over = threading.Event()
            under_way = call.future(_then_silence(sent, over))
            time.sleep(fault.hold_s / 4)
            under_way.cancel()
            over.set()
    return time.monotonic()


def clock_moved(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """The wall clock a day ahead, or a day behind; it stays there."""
    rig.move_clock(backwards=fault.backwards)
    return time.monotonic()


def checkpoint_truncated(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """The newest checkpoint cut off, where the agent is down."""

    def cut(content: bytearray) -> bytes:
        return bytes(content[: int(fault.place * len(content))])

    return _damaged(rig, cut)


def checkpoint_flipped(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """One bit of the newest checkpoint turned, where the agent is down."""

    def flip(content: bytearray) -> bytes:
        content[int(fault.place * len(content))] ^= 1 << fault.seed % 8
        return bytes(content)

    return _damaged(rig, flip)


def port_taken(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """The agent has ended, and somebody else has its port when it comes back."""
    rig.end(signal.SIGKILL)
    with socket.create_server(("127.0.0.1", rig.port)):
        refused = rig.spawn()
        refused.communicate(timeout=START_TIMEOUT_S)
        code = refused.returncode
        ledger.expect("an agent whose port is taken says so", code == _REMOTE_EXIT_CODE, code)
        last = rig.last_words()
        ledger.expect("and names the port", f"127.0.0.1:{rig.port}" in last, last)
    struck = time.monotonic()
    rig.start()
    return struck


def link_cut(rig: Rig, fault: Fault, job: str, ledger: Ledger) -> float:
    """Every connection ends, and none can be made for a while."""
    rig.link.cut()
    time.sleep(fault.hold_s)
    rig.link.mend()
    return time.monotonic()


def _damaged(rig: Rig, change: Callable[[bytearray], bytes]) -> float:
    rig.end(signal.SIGKILL)
    path = rig.newest_checkpoint()
    path.write_bytes(change(bytearray(path.read_bytes())))
    struck = time.monotonic()
    rig.start()
    return struck


def _then_silence(parts: list[Any], over: threading.Event) -> Iterator[Any]:
    """Sends what there is, and the rest never comes."""
    yield from parts
    over.wait()


STRIKES: Mapping[str, Strike] = {
    "worker-killed": worker_killed,
    "worker-stopped": worker_stopped,
    "worker-hangs": worker_hangs,
    "daemon-killed": daemon_killed,
    "daemon-terminated": daemon_terminated,
    "daemon-stopped": daemon_stopped,
    "disk-full": disk_full,
    "client-gone": client_gone,
    "upload-cut": upload_cut,
    "clock-moved": clock_moved,
    "checkpoint-truncated": checkpoint_truncated,
    "checkpoint-flipped": checkpoint_flipped,
    "port-taken": port_taken,
    "link-cut": link_cut,
}
# After these the job says that it goes on, and from where.
RESUMES = frozenset(
    {
        "worker-killed",
        "worker-hangs",
        "daemon-killed",
        "daemon-terminated",
        "checkpoint-truncated",
        "checkpoint-flipped",
        "port-taken",
    }
)
# After these it may go back behind a checkpoint that it told of.
MAY_GO_BACK = frozenset({"checkpoint-truncated", "checkpoint-flipped"})
