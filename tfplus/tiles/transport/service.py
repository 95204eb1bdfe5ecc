"""The gRPC side of a device of a run: checks what comes, then hands it on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol, cast

import grpc

from tfplus.errors import TensorError, TfplusError, UsageError
from tfplus.proto.v1 import tensors_pb2, tiles_pb2_grpc
from tfplus.proto.v1 import tiles_pb2 as pb
from tfplus.system import memory
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.tiles.step import assignment
from tfplus.tiles.step.assignment import Assignment
from tfplus.tiles.step.messages import Message
from tfplus.tiles.step.results import StepResult
from tfplus.tiles.transport.framing import messages_of
from tfplus.wire.growing import GrowingBuffer
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.tensors import receive, to_parts

_VERSION = "1"
MAX_STEP_S = 3600.0


class Device(Protocol):
    """What carries the calls out; see `process.device.TileDevice`."""

    def load(self, assignment: Assignment, content: bytes) -> None: ...  # noqa: D102
    def deliver(self, run_id: str, message: Message) -> None: ...  # noqa: D102
    def step(  # noqa: D102
        self, run_id: str, number: int, given: Tensors, timeout_s: float
    ) -> StepResult: ...
    def commit(self, run_id: str, number: int) -> None: ...  # noqa: D102
    def discard(self, run_id: str, number: int) -> None: ...  # noqa: D102
    def state(self, run_id: str) -> dict[str, Tensor]: ...  # noqa: D102
    def set_state(self, run_id: str, tensors: Tensors) -> None: ...  # noqa: D102


class TilesService(tiles_pb2_grpc.TilesServicer):
    """Serves a device.

    Args:
      device: carries the calls out.
      probe: times messages of given bytes to an address, such as `probe.seconds`.
      limits: caps on what comes.
    """

    def __init__(
        self,
        device: Device,
        probe: Callable[[str, Sequence[int]], list[float]],
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._device, self._probe, self._limits = device, probe, limits
        self._base_bytes = memory.peak_bytes()

    def Load(  # noqa: N802
        self, request_iterator: Iterator[pb.LoadPart], context: grpc.ServicerContext
    ) -> pb.LoadReply:
        """Takes a part of a plan and its file."""
        with _answering(context):
            first = next(request_iterator, None)
            if first is None or first.WhichOneof("part") != "header":
                raise UsageError("Load: expected a header first")
            given = assignment.decoded(first.header.plan)
            content = self._file(first.header, request_iterator)
            self._device.load(given, content)
        return pb.LoadReply(version=_VERSION)

    def Step(  # noqa: N802
        self, request_iterator: Iterator[pb.StepPart], context: grpc.ServicerContext
    ) -> pb.StepReply:
        """Computes a step up to the sum of all gradients."""
        with _answering(context):
            first = next(request_iterator, None)
            if first is None or first.WhichOneof("part") != "id":
                raise UsageError("Step: expected its number first")
            remaining = cast("float | None", context.time_remaining())
            if remaining is None or remaining > MAX_STEP_S:
                raise UsageError(f"Step: expected a deadline of at most {MAX_STEP_S:g} s")
            given = receive(_tensors(request_iterator), limits=self._limits)
            found = self._device.step(first.id.run_id, first.id.step, given, remaining)
            return pb.StepReply(
                metrics=found.metrics,
                compute_s=found.compute_s,
                halo_s=found.halo_s,
                reduce_s=found.reduce_s,
                sent_bytes=found.sent_bytes,
                peak_memory_bytes=memory.peak_bytes(),
                base_memory_bytes=self._base_bytes,
                spans=[pb.TileSpan(name=n, start_s=s, seconds=d) for n, s, d in found.spans],
            )
        raise AssertionError

    def Commit(  # noqa: N802
        self, request: pb.StepId, context: grpc.ServicerContext
    ) -> pb.TilesAck:
        """Applies the step that was computed."""
        with _answering(context):
            self._device.commit(request.run_id, request.step)
        return pb.TilesAck()

    def Discard(  # noqa: N802
        self, request: pb.StepId, context: grpc.ServicerContext
    ) -> pb.TilesAck:
        """Forgets a step."""
        with _answering(context):
            self._device.discard(request.run_id, request.step)
        return pb.TilesAck()

    def GetState(  # noqa: N802
        self, request: pb.StateRequest, context: grpc.ServicerContext
    ) -> Iterator[tensors_pb2.TensorSetPart]:
        """Sends every variable."""
        with _answering(context):
            yield from to_parts(self._device.state(request.run_id))

    def SetState(  # noqa: N802
        self, request_iterator: Iterator[pb.StatePart], context: grpc.ServicerContext
    ) -> pb.TilesAck:
        """Sets every variable."""
        with _answering(context):
            first = next(request_iterator, None)
            if first is None or first.WhichOneof("part") != "run_id":
                raise UsageError("SetState: expected a run first")
            given = receive(_tensors(request_iterator), limits=self._limits)
            self._device.set_state(first.run_id, given)
        return pb.TilesAck()

    def Deliver(  # noqa: N802
        self, request_iterator: Iterator[pb.DeliverPart], context: grpc.ServicerContext
    ) -> pb.TilesAck:
        """Takes what another device sends, for as long as it lives."""
        with _answering(context):
            for run_id, message in messages_of(request_iterator, self._limits):
                self._device.deliver(run_id, message)
        return pb.TilesAck()

    def Probe(  # noqa: N802
        self, request: pb.ProbeRequest, context: grpc.ServicerContext
    ) -> pb.ProbeReply:
        """Times messages to another device."""
        with _answering(context):
            return pb.ProbeReply(seconds=self._probe(request.address, request.sizes_bytes))
        raise AssertionError

    def _file(self, header: pb.LoadHeader, parts: Iterator[pb.LoadPart]) -> bytes:
        if not 0 < header.size_bytes <= self._limits.model_bytes:
            raise UsageError(f"a file of tiles of {header.size_bytes} bytes: expected 1 to "
                             f"{self._limits.model_bytes}")  # fmt: skip
        buffer = GrowingBuffer(header.size_bytes)
        for part in parts:
            if buffer.filled + len(part.chunk) > buffer.size or not part.chunk:
                raise UsageError("a file of tiles: more came than was announced, or nothing")
            buffer.append(part.chunk)
        content = bytes(buffer.bytes())
        if len(content) != buffer.size or hashlib.sha256(content).hexdigest() != header.sha256:
            raise TensorError("a file of tiles: its bytes are not those that were announced")
        return content


def _tensors(
    parts: Iterator[pb.StepPart] | Iterator[pb.StatePart],
) -> Iterator[tensors_pb2.TensorSetPart]:
    for part in parts:
        if part.WhichOneof("part") != "tensors":
            raise TensorError("expected tensors after the first part")
        yield part.tensors


@contextmanager
def _answering(context: grpc.ServicerContext) -> Generator[None]:
    try:
        yield
    except TfplusError as error:
        _abort(context, error.status, str(error))
    except MemoryError:
        _abort(context, "RESOURCE_EXHAUSTED", "the memory of this device does not suffice")


def _abort(context: Any, code: str, why: str) -> NoReturn:
    context.abort(grpc.StatusCode[code], why)
    raise RuntimeError("a refused call goes on")
