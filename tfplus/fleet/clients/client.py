"""Talking to an agent: the Agent service as plain Python calls."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfplus.data.scaling import Scaling
from tfplus.fleet.clients.job_calls import JobCalls
from tfplus.model_file import artifact
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import agent_pb2_grpc, description_pb2_grpc, telemetry_pb2_grpc
from tfplus.proto.v1 import description_pb2 as description_pb
from tfplus.proto.v1 import telemetry_pb2 as telemetry_pb
from tfplus.proto.v1 import tensors_pb2 as tensors_pb
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.wire import parts, tensors
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.tls import TlsFiles

# A link slower than this counts as broken when something is sent.
SLOWEST_BYTES_PER_S = 50_000
_SERVICE = f"/{pb.DESCRIPTOR.services_by_name['Agent'].full_name}"


@dataclass(frozen=True)
class WeightsRead:
    """Weights of an agent as they were at one moment.

    Attributes:
      tensors: name → array.
      trained_steps: all steps behind them; 0 also where the agent does not say.
      source: `checkpoint`, `worker`, or `snapshot` of a gossip round; empty where it does not say.
    """

    tensors: dict[str, Tensor]
    trained_steps: int
    source: str


class AgentClient(JobCalls):
    """A connection to one agent; close it, or use it as a context manager.

    Its calls of jobs are those of `JobCalls`; what it is made with is said in `Connection`.
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
        super().__init__(address, tls, insecure=insecure, timeout_s=timeout_s, limits=limits)
        self._stub = agent_pb2_grpc.AgentStub(self._channel)
        self._telemetry = telemetry_pb2_grpc.TelemetryStub(self._channel)
        self._description = description_pb2_grpc.DescriptionStub(self._channel)
        # The generated stub would have protobuf copy every chunk; see `tfplus.wire.parts`.
        self._get_weights = self._channel.unary_stream(
            f"{_SERVICE}/GetWeights",
            request_serializer=pb.GetWeightsRequest.SerializeToString,
            response_deserializer=parts.decoded,
        )
        self._set_weights = self._channel.stream_unary(
            f"{_SERVICE}/SetWeights", response_deserializer=pb.SetWeightsResponse.FromString
        )

    def __enter__(self) -> AgentClient:
        return self

    def status(self) -> pb.AgentStatus:
        """What the agent is and does."""
        with self._errors():
            return self._stub.GetStatus(pb.GetStatusRequest(), timeout=self._timeout_s)

    def sensors(self, quantities: Sequence[str] = ()) -> list[telemetry_pb.SensorReading]:
        """What the device's sensors tell now; one that is absent says why.

        Args:
          quantities: such as `temperature_celsius`; none for all.
        """
        request = telemetry_pb.ReadSensorsRequest(quantities=quantities)
        with self._errors():
            return list(self._telemetry.ReadSensors(request, timeout=self._timeout_s).readings)

    def describe(self, *, measure_speed: bool = False) -> description_pb.TrainingDescription:
        """Data by class, memory, speed if it is asked for, and what does not train."""
        request = description_pb.DescribeRequest(measure_speed=measure_speed)
        with self._errors():
            return self._description.Describe(request, timeout=self._timeout_s)

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
        """Fetches weights as `read_weights` does: name → array."""
        return self.read_weights(
            prefixes, gossip_round=gossip_round, include_optimizer=include_optimizer
        ).tensors

    def read_weights(
        self,
        prefixes: Sequence[str] = (),
        *,
        gossip_round: int | None = None,
        include_optimizer: bool = False,
    ) -> WeightsRead:
        """Fetches weights, also while the agent trains: it then reads between two steps.

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
            call = self._get_weights(request, timeout=self._timeout_s)
            first: parts.Part = next(iter(call), tensors_pb.TensorSetPart())
            values = tensors.from_parts(itertools.chain([first], call), limits=self._limits)
            header = parts.header_of(first)
            return WeightsRead(values, header.trained_steps, header.source)

    def set_weights(self, values: Tensors) -> pb.SetWeightsResponse:
        """Sets some or all weights; they are on the agent's disk when this returns.

        Args:
          values: name → array; a `SliceSet` that several agents get is hashed once.
        """
        messages = tensors.to_messages(values, limits=self._limits)
        # The header is made here: an error inside gRPC's own thread would lose its message.
        stream = itertools.chain([next(messages)], messages)
        timeout_s = self._sending_s(sum(v.nbytes for v in values.values()))
        with self._errors():
            return self._set_weights(stream, timeout=timeout_s)

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

    def admit_to_gossip(self, run_id: str, name: str, address: str) -> pb.GossipPlan:
        """Lets another agent join a run that is under way here; returns the plan to start it with.

        Args:
          run_id: which.
          name: of the agent that joins.
          address: under which the members of the run reach it.
        """
        request = pb.AdmitToGossipRequest(run_id=run_id, name=name, address=address)
        with self._errors():
            return self._stub.AdmitToGossip(request, timeout=self._timeout_s)

    def stop_gossip(self, run_id: str) -> bool:
        """Stops a gossip run; returns whether it was under way."""
        with self._errors():
            request = pb.StopGossipRequest(run_id=run_id)
            return self._stub.StopGossip(request, timeout=self._timeout_s).was_running

    def _sending_s(self, size_bytes: int) -> float:
        return self._timeout_s + size_bytes / SLOWEST_BYTES_PER_S

    def _upload_parts(self, read: artifact.Artifact) -> Iterator[pb.UploadModelRequest]:
        yield pb.UploadModelRequest(
            header=pb.UploadModelHeader(sha256=read.sha256, size_bytes=read.size_bytes)
        )
        with read.path.open("rb") as file:
            while chunk := file.read(self._limits.chunk_bytes):
                yield pb.UploadModelRequest(chunk=chunk)
