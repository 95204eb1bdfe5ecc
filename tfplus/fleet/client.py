"""Talking to an agent: the Agent service as plain Python calls."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import grpc

from tfplus.data.scaling import Scaling
from tfplus.errors import RemoteError, UnreachableError
from tfplus.model_file import artifact
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import agent_pb2_grpc
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.wire import tensors
from tfplus.wire import tls as wire_tls
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.tls import TlsFiles

# A link slower than this counts as broken when something is sent.
SLOWEST_BYTES_PER_S = 50_000


class AgentClient:
    """A connection to one agent; close it, or use it as a context manager.

    Args:
      address: `host:port`.
      tls: own certificate files; None for plaintext.
      insecure: allow plaintext to a host that is not loopback.
      timeout_s: of a call, other than training and watching, which take as long as they take.
      limits: caps on what comes in.

    Raises:
      UsageError: the address is malformed, or plaintext would leave this machine.
    """

    def __init__(
        self,
        address: str,
        tls: TlsFiles | None = None,
        *,
        insecure: bool = False,
        timeout_s: float = 120.0,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._limits = limits
        self._channel = wire_tls.channel(address, tls, insecure=insecure, limits=limits)
        self._stub = agent_pb2_grpc.AgentStub(self._channel)

    def __enter__(self) -> AgentClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; calls under way are cancelled."""
        self._channel.close()

    def wait_ready(self, timeout_s: float) -> None:
        """Waits until the agent can be reached.

        Raises:
          UnreachableError: it cannot, within `timeout_s`.
        """
        try:
            grpc.channel_ready_future(self._channel).result(timeout_s)
        except grpc.FutureTimeoutError:
            raise UnreachableError(
                f"agent {self.address}: not reached within {timeout_s:g} s: is it running, and do "
                "both sides use TLS, or neither?"
            ) from None

    def status(self) -> pb.AgentStatus:
        """What the agent is and does."""
        with self._errors():
            return self._stub.GetStatus(pb.GetStatusRequest(), timeout=self._timeout_s)

    def upload(self, path: Path) -> str:
        """Sends an exported file, unless the agent has it already.

        Returns:
          Its address: the SHA-256 of the file.

        Raises:
          ArtifactError: it is no exported file.
          RemoteError: the agent cannot be reached, or refused it.
        """
        read = artifact.read(path)
        with self._errors():
            found = self._stub.FindModel(
                pb.FindModelRequest(sha256=read.sha256), timeout=self._timeout_s
            )
            if not found.present:
                timeout_s = self._sending_s(read.size_bytes)
                self._stub.UploadModel(self._upload_parts(read), timeout=timeout_s)
        return read.sha256

    def load(
        self,
        sha256: str,
        *,
        threads: int = 0,
        disable_xnnpack: bool = False,
        fresh: bool = False,
        scaling: Scaling | None = None,
    ) -> pb.LoadModelResponse:
        """Loads a model that was uploaded; see the proto for the arguments."""
        request = pb.LoadModelRequest(
            sha256=sha256,
            threads=threads,
            disable_xnnpack=disable_xnnpack,
            fresh=fresh,
            scaling=None if scaling is None else pb.Scaling(**vars(scaling)),
        )
        with self._errors():
            return self._stub.LoadModel(request, timeout=self._timeout_s)

    def train(
        self, epochs: int = 1, *, seed: int = 0, report_every: int = 1, max_steps: int = 0
    ) -> Iterator[pb.TrainEvent]:
        """Trains; yields steps and, last, the summary. Closing the iterator stops the training."""
        request = pb.TrainRequest(
            epochs=epochs, seed=seed, report_every=report_every, max_steps=max_steps
        )
        with self._errors():
            call = self._stub.Train(request)
            try:
                yield from call
            finally:
                call.cancel()

    def evaluate(self) -> pb.EvaluateResponse:
        """Metrics on the agent's evaluation data, by name, such as accuracy."""
        with self._errors():
            return self._stub.Evaluate(pb.EvaluateRequest(), timeout=self._timeout_s)

    def weights(
        self,
        prefixes: Sequence[str] = (),
        *,
        gossip_round: int | None = None,
        include_optimizer: bool = False,
    ) -> dict[str, Tensor]:
        """Fetches weights: name → array.

        Args:
          prefixes: such as `shared` or `task/3`; none for all.
          gossip_round: as they stood after that round, where the run keeps snapshots.
          include_optimizer: also the optimizer's state.

        Raises:
          RemoteError: the agent cannot be reached, or refused.
          TensorError: what came does not match its hashes, or passes a cap.
        """
        request = pb.GetWeightsRequest(
            prefixes=prefixes, include_optimizer=include_optimizer, gossip_round=gossip_round
        )
        with self._errors():
            call = self._stub.GetWeights(request, timeout=self._timeout_s)
            return tensors.from_parts(call, limits=self._limits)

    def set_weights(self, values: Tensors) -> pb.SetWeightsResponse:
        """Sets some or all weights; they are on the agent's disk when this returns."""
        parts = tensors.to_parts(values, limits=self._limits)
        # The header is made here: an error inside gRPC's own thread would lose its message.
        stream = itertools.chain([next(parts)], parts)
        timeout_s = self._sending_s(sum(v.nbytes for v in values.values()))
        with self._errors():
            return self._stub.SetWeights(stream, timeout=timeout_s)

    def start_gossip(self, plan: pb.GossipPlan) -> int:
        """Starts a gossip run, or goes on with it; returns the round that it goes on from."""
        with self._errors():
            return self._stub.StartGossip(plan, timeout=self._timeout_s).resumed_at_round

    def watch_gossip(self, run_id: str, from_round: int = 0) -> Iterator[pb.GossipEvent]:
        """Yields the events of a gossip run until it ends."""
        request = pb.WatchGossipRequest(run_id=run_id, from_round=from_round)
        with self._errors():
            call = self._stub.WatchGossip(request)
            try:
                yield from call
            finally:
                call.cancel()

    def stop_gossip(self, run_id: str) -> bool:
        """Stops a gossip run; returns whether it was under way."""
        with self._errors():
            request = pb.StopGossipRequest(run_id=run_id)
            return self._stub.StopGossip(request, timeout=self._timeout_s).was_running

    def submit_job(self, spec: pb.JobSpec, job_id: str = "") -> pb.JobStatus:
        """Puts a job into the agent's queue; it is on the agent's disk when this returns.

        Args:
          spec: what to do with the model that is loaded now.
          job_id: names it, so that the same request twice makes one job; empty for a number.
        """
        with self._errors():
            request = pb.SubmitJobRequest(id=job_id, spec=spec)
            return self._stub.SubmitJob(request, timeout=self._timeout_s)

    def jobs(self) -> list[pb.JobStatus]:
        """The agent's jobs, in the order of submission."""
        with self._errors():
            return list(self._stub.ListJobs(pb.ListJobsRequest(), timeout=self._timeout_s).jobs)

    def watch_job(self, job_id: str, from_sequence: int = 0) -> Iterator[pb.JobEvent]:
        """Yields a job's events from a number on, then what follows, until the job or agent ends.

        To leave stops nothing; `tfplus.fleet.job_events.follow` also comes back.
        """
        request = pb.WatchJobRequest(id=job_id, from_sequence=from_sequence)
        with self._errors():
            call = self._stub.WatchJob(request)
            try:
                yield from call
            finally:
                call.cancel()

    def cancel_job(self, job_id: str) -> bool:
        """Ends a job, keeping what it learned; returns whether it had not ended before."""
        with self._errors():
            request = pb.CancelJobRequest(id=job_id)
            return self._stub.CancelJob(request, timeout=self._timeout_s).was_unfinished

    def _sending_s(self, size_bytes: int) -> float:
        return self._timeout_s + size_bytes / SLOWEST_BYTES_PER_S

    def _upload_parts(self, read: artifact.Artifact) -> Iterator[pb.UploadModelRequest]:
        yield pb.UploadModelRequest(
            header=pb.UploadModelHeader(sha256=read.sha256, size_bytes=read.size_bytes)
        )
        with read.path.open("rb") as file:
            while chunk := file.read(self._limits.chunk_bytes):
                yield pb.UploadModelRequest(chunk=chunk)

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise _remote(self.address, error) from None


def _remote(address: str, error: grpc.RpcError) -> RemoteError:
    if not isinstance(error, grpc.Call):
        return RemoteError(f"agent {address}: {error}")
    code, details = error.code(), error.details() or "no details"
    if code is grpc.StatusCode.UNAVAILABLE:
        return UnreachableError(
            f"agent {address}: cannot be reached, or went away ({details}): is it running, and do "
            "both sides use TLS, or neither?"
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        details = "did not answer in time: is it overloaded, or the link slow?"
    return RemoteError(f"agent {address}: {details}")
