"""One device of a run of tiles, from outside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from tfplus.fleet.clients.connection import Connection
from tfplus.proto.v1 import tiles_pb2 as pb
from tfplus.proto.v1 import tiles_pb2_grpc
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.tiles.step.assignment import Assignment
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.tensors import from_parts, to_parts
from tfplus.wire.tls import TlsFiles


class TilesClient(Connection):
    """A device that serves tiles; for what it is made with see `Connection`.

    Raises:
      RemoteError: in every method: the device cannot be reached, or refused.
    """

    def __init__(
        self,
        address: str,
        tls: TlsFiles | None = None,
        *,
        timeout_s: float = 120.0,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(address, tls, timeout_s=timeout_s, limits=limits)
        self._stub = tiles_pb2_grpc.TilesStub(self._channel)

    def __enter__(self) -> TilesClient:
        return self

    def load(self, given: Assignment, content: bytes) -> None:
        """Gives the device its part of a plan and the file that computes it."""
        with self._errors():
            self._stub.Load(self._file(given, content), timeout=self._timeout_s)

    def step(self, run_id: str, number: int, tensors: Tensors) -> pb.StepReply:
        """Has a step computed, and waits until the sum of all gradients is there."""

        def parts() -> Iterator[pb.StepPart]:
            yield pb.StepPart(id=pb.StepId(run_id=run_id, step=number))
            for part in to_parts(tensors, limits=self._limits):
                yield pb.StepPart(tensors=part)

        with self._errors():
            return self._stub.Step(parts(), timeout=self._timeout_s)

    def commit(self, run_id: str, number: int) -> None:
        """Has the step applied that was computed."""
        with self._errors():
            self._stub.Commit(pb.StepId(run_id=run_id, step=number), timeout=self._timeout_s)

    def discard(self, run_id: str, number: int) -> None:
        """Has a step forgotten."""
        with self._errors():
            self._stub.Discard(pb.StepId(run_id=run_id, step=number), timeout=self._timeout_s)

    def state(self, run_id: str) -> dict[str, Tensor]:
        """Every variable of the model and its optimizer, by name."""
        with self._errors():
            call = self._stub.GetState(pb.StateRequest(run_id=run_id), timeout=self._timeout_s)
            return from_parts(call, limits=self._limits)

    def set_state(self, run_id: str, tensors: Tensors) -> None:
        """Sets every variable."""

        def parts() -> Iterator[pb.StatePart]:
            yield pb.StatePart(run_id=run_id)
            for part in to_parts(tensors, limits=self._limits):
                yield pb.StatePart(tensors=part)

        with self._errors():
            self._stub.SetState(parts(), timeout=self._timeout_s)

    def probe(self, address: str, sizes_bytes: Sequence[int]) -> list[float]:
        """Seconds of messages of so many bytes from this device to another one and back."""
        request = pb.ProbeRequest(address=address, sizes_bytes=sizes_bytes)
        with self._errors():
            return list(self._stub.Probe(request, timeout=self._timeout_s).seconds)

    def _file(self, given: Assignment, content: bytes) -> Iterator[pb.LoadPart]:
        digest, size = hashlib.sha256(content).hexdigest(), len(content)
        header = pb.LoadHeader(plan=given.encoded(), sha256=digest, size_bytes=size)
        yield pb.LoadPart(header=header)
        for at in range(0, size, self._limits.chunk_bytes):
            yield pb.LoadPart(chunk=content[at : at + self._limits.chunk_bytes])
