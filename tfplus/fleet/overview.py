"""Who the agents of a fleet are and what they do, asked of all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tfplus.errors import TfplusError
from tfplus.fleet.clients.client import AgentClient
from tfplus.fleet.updates import states_of
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1.telemetry_pb2 import SensorReading
from tfplus.wire.tls import TlsFiles

_AT_ONCE = 16


@dataclass(frozen=True)
class SensorValue:
    """What one sensor told, or why it did not.

    Attributes:
      quantity: with its unit.
      value: in that unit; None where there is none.
      instance: which one, where a device has several.
      absent_reason: why `value` is None; empty where it is not.
    """

    quantity: str
    value: float | None
    instance: str = ""
    absent_reason: str = ""

    @classmethod
    def of(cls, message: SensorReading) -> SensorValue:
        """From the wire."""
        value = message.value if message.HasField("value") else None
        return cls(message.quantity, value, message.instance, message.absent_reason)


@dataclass(frozen=True)
class DeviceRow:
    """One agent, as it answered or did not.

    Attributes:
      address: where it was asked.
      error: why it did not answer; empty where it did, and all else holds only then.
      name: its own.
      platform: operating system and architecture.
      runtime: and its version.
      model_sha256: of the loaded model; empty for none.
      trained_steps: of that model.
      train_samples: it has.
      resident_bytes: of daemon and worker together.
      battery_percent: None without a battery.
      plugged_in: None where the device does not say.
      doing: what is under way: a gossip run and its round, a job and its step, or `idle`.
      waits_for: gate → why training waits for it.
      cores: that it has.
      sensors: what it was asked of its sensors, those that are absent with the reason.
    """

    address: str
    error: str = ""
    name: str = ""
    platform: str = ""
    runtime: str = ""
    model_sha256: str = ""
    trained_steps: int = 0
    train_samples: int = 0
    resident_bytes: int = 0
    battery_percent: float | None = None
    plugged_in: bool | None = None
    doing: str = ""
    waits_for: Mapping[str, str] = field(default_factory=dict[str, str])
    cores: int = 0
    sensors: Sequence[SensorValue] = ()


def row_of(
    address: str, status: pb.AgentStatus, sensors: Sequence[SensorReading] = ()
) -> DeviceRow:
    """What an agent's status and its sensors say."""
    battery, memory = status.battery, status.memory
    doing = "idle"
    if status.gossip_running:
        doing = f"gossip {status.gossip_run_id}, round {status.gossip_round}{_members(status)}"
    elif status.HasField("running_job"):
        doing = _doing(status.running_job)
    return DeviceRow(
        address=address,
        name=status.name,
        platform=status.platform,
        runtime=f"{status.runtime} {status.runtime_version}",
        model_sha256=status.model_sha256,
        trained_steps=status.trained_steps,
        train_samples=status.train_samples,
        resident_bytes=memory.daemon_rss_bytes + memory.worker_rss_bytes,
        battery_percent=battery.percent if battery.HasField("percent") else None,
        plugged_in=battery.plugged_in if battery.HasField("plugged_in") else None,
        doing=doing,
        waits_for=dict(status.closed_gates),
        cores=status.cpu_count,
        sensors=tuple(map(SensorValue.of, sensors)),
    )


def _members(status: pb.AgentStatus) -> str:
    states = states_of(status.gossip_members)
    if not states:
        return ""
    away = "".join(f", {name} {state}" for name, state in states.items() if state != "alive")
    there = 1 + sum(state == "alive" for state in states.values())
    return f", {there} of {len(states) + 1} members there{away}"


def _doing(job: pb.JobStatus) -> str:
    work = job.spec.WhichOneof("work") or "unknown work"
    if job.spec.HasField("gossip"):
        work = f"{work}, round {job.rounds_done} of {job.spec.gossip.rounds}"
    paused = "paused " if job.state == pb.JobStatus.PAUSED else ""
    steps = f", step {job.steps_done:,} of {job.steps_total:,}" if job.steps_total else ""
    return f"{paused}job {job.id} ({work}){steps}"


def ask(
    addresses: Sequence[str],
    tls: TlsFiles | None,
    *,
    insecure: bool,
    timeout_s: float,
    quantities: Sequence[str] = (),
) -> list[DeviceRow]:
    """Asks every agent; one that does not answer gets a row that says why.

    Args:
      addresses: `HOST:PORT` of each.
      tls: own certificate; None for plaintext.
      insecure: plaintext also beyond loopback.
      timeout_s: how long an answer may take.
      quantities: of its sensors, such as `temperature_celsius`.

    Returns:
      A row an address, in their order.
    """

    def one(address: str) -> DeviceRow:
        try:
            with AgentClient(address, tls, insecure=insecure, timeout_s=timeout_s) as client:
                client.wait_ready(timeout_s)
                sensors = client.sensors(quantities) if quantities else []
                return row_of(address, client.status(), sensors)
        except TfplusError as error:
            return DeviceRow(address, str(error))

    with ThreadPoolExecutor(max(1, min(_AT_ONCE, len(addresses)))) as pool:
        return list(pool.map(one, addresses))
