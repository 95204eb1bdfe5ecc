"""The Agent service: a thin layer between gRPC and the device."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import grpc

import tfplus
from tfplus.data.scaling import Scaling
from tfplus.errors import ArtifactError, DataError
from tfplus.gossip.compression.choosing import AUTO
from tfplus.gossip.compression.registry import LINK_CODECS
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import agent_pb2_grpc
from tfplus.proto.v1 import tensors_pb2 as tensors_pb
from tfplus.system import cores
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import select
from tfplus.wire import tensors
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.parts import Part
from tfplus.wire.tensor_header import Entry, header_of
from tfplus_agent.device.device import Device
from tfplus_agent.device.incoming import IncomingWeights
from tfplus_agent.jobs import messages
from tfplus_agent.jobs.queue import JobQueue
from tfplus_agent.server import device_status
from tfplus_agent.server.callers.calls import CallContext
from tfplus_agent.server.callers.event_stream import Mailbox
from tfplus_agent.telemetry.sensors.power.power_supply import PowerSupply


class GossipControl(Protocol):
    """What the service asks of the gossip on this device."""

    def start(self, plan: pb.GossipPlan) -> int:
        """Starts a run, or goes on with it, and returns the round that it goes on from."""
        ...

    def watch(
        self, run_id: str, from_round: int, is_active: Callable[[], bool]
    ) -> Iterator[pb.GossipEvent]:
        """Yields the events of a run until it ends or nobody listens."""
        ...

    def wake(self, run_id: str) -> None:
        """Makes those who watch a run ask again whether somebody listens."""
        ...

    def stop(self, run_id: str) -> bool:
        """Stops a run and returns whether it was under way."""
        ...

    def progress(self) -> tuple[str, int, bool]:
        """Returns run id, round and whether it is under way; of the last run, if any."""
        ...

    def members(self) -> list[pb.GossipMember]:
        """All others of the run under way, as they are believed to be."""
        ...

    def admit(self, run_id: str, name: str, address: str) -> pb.GossipPlan:
        """Lets another agent join a run; returns the plan to start it with."""
        ...

    def snapshot(self, round: int) -> SliceSet:
        """Returns the weights as they stood after that round."""
        ...


class AgentService(agent_pb2_grpc.AgentServicer):
    """Answers the calls of the Agent service; `ErrorInterceptor` makes its errors statuses.

    Args:
      device: does the work.
      gossip: the gossip on it.
      jobs: those of the device.
      limits: caps on what comes in.
    """

    def __init__(
        self,
        device: Device,
        gossip: GossipControl,
        jobs: JobQueue,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._device = device
        self._gossip = gossip
        self._jobs = jobs
        self._limits = limits

    def GetStatus(  # noqa: N802
        self, request: pb.GetStatusRequest, context: grpc.ServicerContext
    ) -> pb.AgentStatus:
        """What this agent is and does; never waits for work under way."""
        device = self._device
        run_id, round_number, running = self._gossip.progress()
        return pb.AgentStatus(
            name=device.name,
            version=tfplus.__version__,
            platform=platform.platform(),
            runtime=device.runtime.name,
            runtime_version=device.runtime.version,
            cpu_count=cores.usable(),
            model_sha256=device.model_sha256,
            trained_steps=device.trained_steps,
            train_samples=device.train_samples,
            eval_samples=device.eval_samples,
            memory=messages.memory(device.memory()),
            battery=device_status.battery(PowerSupply().read()),
            incarnation=device.incarnation,
            gossip_run_id=run_id,
            gossip_round=round_number,
            gossip_running=running,
            closed_gates=device.gates.verdict.closed,
            blind_gates=device.gates.verdict.blind,
            running_job=self._jobs.running(),
            processor_use=device_status.processor_use(device.worker_pid(), device.processor_share),
            gossip_codecs=(*LINK_CODECS, AUTO),
            gossip_membership=True,
            gossip_members=self._gossip.members(),
        )

    def FindModel(  # noqa: N802
        self, request: pb.FindModelRequest, context: grpc.ServicerContext
    ) -> pb.FindModelResponse:
        """Whether a model is here."""
        return pb.FindModelResponse(present=request.sha256 in self._device.models)

    def UploadModel(  # noqa: N802
        self, request_iterator: Iterator[pb.UploadModelRequest], context: grpc.ServicerContext
    ) -> pb.UploadModelResponse:
        """Takes in a model in chunks, a header first."""
        first = next(request_iterator, None)
        if first is None or first.WhichOneof("part") != "header":
            raise ArtifactError("upload: expected a header first")
        sha256 = first.header.sha256
        present = sha256 in self._device.models
        if not present:
            self._device.models.add(sha256, first.header.size_bytes, _chunks(request_iterator))
        return pb.UploadModelResponse(sha256=sha256, was_present=present)

    def LoadModel(  # noqa: N802
        self, request: pb.LoadModelRequest, context: grpc.ServicerContext
    ) -> pb.LoadModelResponse:
        """Loads a model and goes on from its checkpoint."""
        step = self._device.load(
            request.sha256,
            threads=request.threads,
            disable_xnnpack=request.disable_xnnpack,
            fresh=request.fresh,
            scaling=Scaling(request.scaling.scale, request.scaling.offset)
            if request.HasField("scaling")
            else None,
        )
        found = self._device.runtime
        accelerator, note = self._device.accelerator
        return pb.LoadModelResponse(
            runtime=found.name,
            runtime_version=found.version,
            resumed_at_step=step,
            accelerator=accelerator,
            accelerator_note=note,
            warnings=self._device.warnings,
        )

    def Train(  # noqa: N802
        self, request: pb.TrainRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.TrainEvent]:
        """Trains and streams the steps; a caller that leaves stops it at the next step."""
        mailbox: Mailbox[pb.TrainEvent] = Mailbox()

        def work() -> pb.TrainEvent:
            summary = self._device.train(
                request.epochs,
                request.seed,
                on_step=lambda step: mailbox.put(pb.TrainEvent(step=messages.step(step))),
                report_every=request.report_every or 1,
                max_steps=request.max_steps,
                cancelled=lambda: not context.is_active(),
            )
            return pb.TrainEvent(summary=messages.trained(summary))

        # In a thread of its own: it must save what it learned even if nobody takes the events.
        threading.Thread(target=mailbox.run, args=(work,), name="train", daemon=True).start()
        yield from mailbox

    def Evaluate(  # noqa: N802
        self, request: pb.EvaluateRequest, context: grpc.ServicerContext
    ) -> pb.EvaluateResponse:
        """Measures accuracy on the device's evaluation data."""
        result = self._device.evaluate()
        if result is None:
            raise DataError("no evaluation data on this agent: start it with --eval-data")
        return messages.evaluated(result)

    def GetWeights(  # noqa: N802
        self, request: pb.GetWeightsRequest, context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        """Streams weights out, as messages that are serialized already."""
        if request.HasField("gossip_round"):
            held = self._gossip.snapshot(request.gossip_round)
            values, steps, source = held.only(select(held, request.prefixes)), 0, "snapshot"
        else:
            found = self._device.weights_to_send(request.prefixes, request.include_optimizer)
            values, steps, source = found.tensors, found.steps, found.source

        def told(header: tensors_pb.TensorSetHeader) -> None:
            header.trained_steps, header.source = steps, source

        if isinstance(values, SliceSet):
            yield from tensors.to_messages(values, limits=self._limits, about=told)
            return
        with values.file as file:
            header = header_of(file.specs, values.hashes)
            told(header)
            size = self._limits.chunk_bytes
            yield from tensors.messages(header, ([block] for block in file.blocks(size)))

    def SetWeights(  # noqa: N802
        self, request_iterator: Iterator[Part], context: grpc.ServicerContext
    ) -> pb.SetWeightsResponse:
        """Takes weights in; answers when they are on disk."""
        with self._device.incoming_weights() as incoming:

            def opened(entries: Sequence[Entry]) -> IncomingWeights:
                incoming.expect({e.name: (e.shape, e.dtype.name) for e in entries})
                return incoming

            _, came = tensors.receive_into(
                opened, request_iterator, limits=self._limits, beside=False
            )
            self._device.set_incoming(incoming, {e.name: e.sha256 for e in came})
        return pb.SetWeightsResponse(tensors=len(came), saved=True)

    def StartGossip(  # noqa: N802
        self, request: pb.GossipPlan, context: grpc.ServicerContext
    ) -> pb.StartGossipResponse:
        """Starts a gossip run, or goes on with an interrupted one."""
        return pb.StartGossipResponse(resumed_at_round=self._gossip.start(request))

    def WatchGossip(  # noqa: N802
        self, request: pb.WatchGossipRequest, context: CallContext
    ) -> Iterator[pb.GossipEvent]:
        """Streams the events of a run."""
        context.add_callback(lambda: self._gossip.wake(request.run_id))
        yield from self._gossip.watch(request.run_id, request.from_round, context.is_active)

    def StopGossip(  # noqa: N802
        self, request: pb.StopGossipRequest, context: grpc.ServicerContext
    ) -> pb.StopGossipResponse:
        """Stops a run."""
        return pb.StopGossipResponse(was_running=self._gossip.stop(request.run_id))

    def AdmitToGossip(  # noqa: N802
        self, request: pb.AdmitToGossipRequest, context: grpc.ServicerContext
    ) -> pb.GossipPlan:
        """Lets another agent join a run that is under way here."""
        return self._gossip.admit(request.run_id, request.name, request.address)

    def SubmitJob(  # noqa: N802
        self, request: pb.SubmitJobRequest, context: grpc.ServicerContext
    ) -> pb.JobStatus:
        """Queues a job; it is on disk when this answers."""
        return self._jobs.submit(request.spec, request.id)

    def ListJobs(  # noqa: N802
        self, request: pb.ListJobsRequest, context: grpc.ServicerContext
    ) -> pb.ListJobsResponse:
        """Jobs that wait, run or have ended."""
        return pb.ListJobsResponse(jobs=self._jobs.statuses())

    def WatchJob(  # noqa: N802
        self, request: pb.WatchJobRequest, context: CallContext
    ) -> Iterator[pb.JobEvent]:
        """Streams the events of a job, from the first or from a number on."""
        context.add_callback(lambda: self._jobs.wake(request.id))
        yield from self._jobs.watch(request.id, request.from_sequence, context.is_active)

    def CancelJob(  # noqa: N802
        self, request: pb.CancelJobRequest, context: grpc.ServicerContext
    ) -> pb.CancelJobResponse:
        """Ends a job."""
        return pb.CancelJobResponse(was_unfinished=self._jobs.cancel(request.id))


def _chunks(requests: Iterator[pb.UploadModelRequest]) -> Iterator[bytes]:
    for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise ArtifactError("upload: expected chunks after the header")
        yield request.chunk
