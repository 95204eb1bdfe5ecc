"""The daemon: one gRPC server with the agent, its gossip, health and reflection."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from signal import Signals
from typing import TYPE_CHECKING, Any, cast

import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tfplus.proto.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    benchmark_pb2,
    benchmark_pb2_grpc,
    description_pb2,
    description_pb2_grpc,
    gossip_pb2,
    gossip_pb2_grpc,
    jobs_pb2,
    jobs_pb2_grpc,
    membership_pb2,
    membership_pb2_grpc,
    samples_pb2,
    samples_pb2_grpc,
    telemetry_pb2,
    telemetry_pb2_grpc,
)
from tfplus.wire import listening
from tfplus.wire import tls as wire_tls
from tfplus.wire.tls import TlsFiles
from tfplus_agent.device.config import FEATURES, DeviceConfig
from tfplus_agent.device.device import Device
from tfplus_agent.gossip.gossip_jobs import KEEP_RUNS, GossipJobs
from tfplus_agent.gossip.runner import GossipRunner
from tfplus_agent.jobs.kinds.registry import kinds_of
from tfplus_agent.jobs.queue import JobQueue
from tfplus_agent.server import health
from tfplus_agent.server.agent_service import AgentService
from tfplus_agent.server.benchmark_service import BenchmarkService
from tfplus_agent.server.callers.calls import Calls
from tfplus_agent.server.callers.event_loop import EventLoop
from tfplus_agent.server.callers.idle_streams import Pace
from tfplus_agent.server.callers.permissions import Permissions
from tfplus_agent.server.description_service import DescriptionService
from tfplus_agent.server.first_use import FirstUse
from tfplus_agent.server.jobs_service import JobsService
from tfplus_agent.server.service_manager import ServiceManager
from tfplus_agent.server.signals import StopSignals
from tfplus_agent.server.telemetry_service import TelemetryService

if TYPE_CHECKING:
    from tfplus_agent.server.samples_service import SamplesService

_GRACE_S = 5.0


@dataclass(frozen=True)
class ServerConfig:
    """What the daemon is started with.

    Attributes:
      device: the device behind it.
      listen: `host:port`; port 0 takes a free one.
      tls: own certificate files; None for plaintext.
      insecure: plaintext also where others can listen.
      keep_runs: how many gossip runs that have finished stay on disk when another begins.
      pace: what callers must send, and take, to keep their calls.
      upload_bytes_per_s: at most so much goes to neighbours of a gossip run, all together.
    """

    device: DeviceConfig
    listen: str = "127.0.0.1:50051"
    tls: TlsFiles | None = None
    insecure: bool = False
    keep_runs: int = KEEP_RUNS
    pace: Pace = field(default_factory=Pace)
    upload_bytes_per_s: float | None = None


class AgentServer:
    """A daemon that serves from `start` to `stop`.

    Args:
      config: what it is started with.

    Raises:
      RemoteError: nothing can listen on that address.
      TfplusError: the device cannot be opened.
      UsageError: the address is malformed, or plaintext would leave this machine.
    """

    def __init__(self, config: ServerConfig) -> None:
        host, _ = wire_tls.split_address(config.listen)
        if config.tls is None:
            wire_tls.require_loopback_or_insecure(host, config.insecure)
        self.device = Device(config.device)
        try:
            self._build(config, host)
        except BaseException:
            self.device.close()
            raise

    def _build(self, config: ServerConfig, host: str) -> None:
        self._gossip = gossip = GossipJobs(
            self.device,
            config.tls,
            insecure=config.insecure,
            keep_runs=config.keep_runs,
            upload_bytes_per_s=config.upload_bytes_per_s,
        )
        kinds = (*kinds_of(self.device), gossip)
        self._jobs = JobQueue(self.device, self.device.state_dir / "jobs", kinds)
        self._runner = GossipRunner(gossip, self._jobs)
        services = [
            agent_pb2.DESCRIPTOR.services_by_name["Agent"].full_name,
            gossip_pb2.DESCRIPTOR.services_by_name["Gossip"].full_name,
            membership_pb2.DESCRIPTOR.services_by_name["Membership"].full_name,
            jobs_pb2.DESCRIPTOR.services_by_name["Jobs"].full_name,
            benchmark_pb2.DESCRIPTOR.services_by_name["Benchmarks"].full_name,
            description_pb2.DESCRIPTOR.services_by_name["Description"].full_name,
            samples_pb2.DESCRIPTOR.services_by_name["Samples"].full_name,
            telemetry_pb2.DESCRIPTOR.services_by_name["Telemetry"].full_name,
        ]
        self._health = health.Health(services)
        permissions = Permissions(config.tls.revoked if config.tls else None)
        self._calls = Calls(permissions, pace=config.pace)
        self._loop = EventLoop()
        try:
            self._server, port = self._loop.run(self._served(config, services))
        except BaseException:
            self._loop.close()
            raise
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def _served(self, config: ServerConfig, services: list[str]) -> tuple[Any, int]:
        server: Any = grpc.aio.server(interceptors=[self._calls], options=wire_tls.server_options())
        self._agent = AgentService(self.device, self._runner, self._jobs)
        agent_pb2_grpc.add_AgentServicer_to_server(self._agent, server)
        jobs_pb2_grpc.add_JobsServicer_to_server(JobsService(self._jobs), server)
        samples: Any = FirstUse(self._samples)
        samples_pb2_grpc.add_SamplesServicer_to_server(samples, server)
        contributions: Any = FirstUse(self._runner.servicer)
        gossip_pb2_grpc.add_GossipServicer_to_server(contributions, server)
        members: Any = FirstUse(self._runner.member_servicer)
        membership_pb2_grpc.add_MembershipServicer_to_server(members, server)
        self._benchmarks = BenchmarkService(self.device)
        benchmark_pb2_grpc.add_BenchmarksServicer_to_server(self._benchmarks, server)
        description_pb2_grpc.add_DescriptionServicer_to_server(
            DescriptionService(self.device), server
        )
        telemetry_pb2_grpc.add_TelemetryServicer_to_server(TelemetryService(), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            [*services, health.NAME, reflection.SERVICE_NAME], server
        )
        return server, listening.bind(server, config.listen, config.tls)

    def _samples(self) -> SamplesService:
        # SQLite comes with it.
        from tfplus_agent.server.samples_service import SamplesService

        features = self.device.state_dir / FEATURES
        return SamplesService(self.device.data, features, self.device.owner)

    def start(self) -> None:
        """Goes on with the jobs that an earlier life left, a gossip run among them, and serves."""
        self._jobs.start()
        self._loop.run(self._server.start())
        # Says at once how it stands, and again whenever a worker starts, or does not.
        self.device.on_worker(lambda works: self._loop.soon(self._health.set_serving, works))

    def answer_to(self, manager: ServiceManager) -> None:
        """Tells a service manager that it serves, and from now on that it still answers."""
        # What a peer would ask, without a call around it.
        context = cast("grpc.ServicerContext", None)
        answers = functools.partial(self._agent.GetStatus, agent_pb2.GetStatusRequest(), context)
        self._loop.start(manager.beat(answers))
        manager.tell("READY=1", f"STATUS=agent '{self.device.name}' serves on {self.address}")

    def stop(self) -> None:
        """Ends calls under way, keeps what training learned, ends the worker; then returns."""
        self._loop.soon(self._health.end)
        # All are told before any is waited for.
        self._jobs.stop()
        self._benchmarks.stop()
        self.device.stop()
        self._loop.run(self._server.stop(_GRACE_S))
        self._jobs.close()
        self._gossip.retire()
        self._calls.close()
        self.device.close()
        self._loop.close()


def serve(config: ServerConfig, on_ready: Callable[[AgentServer], None]) -> Signals:
    """Serves until SIGTERM or SIGINT comes, and returns which.

    Args:
      config: what the daemon is started with.
      on_ready: called once it serves.
    """
    manager = ServiceManager()
    with StopSignals() as signals:
        server = AgentServer(config)
        try:
            server.start()
            server.answer_to(manager)
            on_ready(server)
            return signals.wait()
        finally:
            manager.tell("STOPPING=1")
            server.stop()
