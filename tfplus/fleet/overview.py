"""Who the agents of a fleet are and what they do, asked of all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tfplus.errors import TfplusError
from tfplus.fleet.client import AgentClient
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.wire.tls import TlsFiles

_AT_ONCE = 16


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


def row_of(address: str, status: pb.AgentStatus) -> DeviceRow:
    """What an agent's status says."""
    battery, memory = status.battery, status.memory
    doing = "idle"
    if status.gossip_running:
        doing = f"gossip {status.gossip_run_id}, round {status.gossip_round}"
    elif status.HasField("running_job"):
        job = status.running_job
        doing = f"job {job.id}, step {job.steps_done:,} of {job.steps_total:,}"
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
    )


def ask(
    addresses: Sequence[str], tls: TlsFiles | None, *, insecure: bool, timeout_s: float
) -> list[DeviceRow]:
    """Asks every agent; one that does not answer gets a row that says why.

    Args:
      addresses: `HOST:PORT` of each.
      tls: own certificate; None for plaintext.
      insecure: plaintext also beyond loopback.
      timeout_s: how long an answer may take.

    Returns:
      A row an address, in their order.
    """

    def one(address: str) -> DeviceRow:
        try:
            with AgentClient(address, tls, insecure=insecure, timeout_s=timeout_s) as client:
                client.wait_ready(timeout_s)
                return row_of(address, client.status())
        except TfplusError as error:
            return DeviceRow(address, str(error))

    with ThreadPoolExecutor(max(1, min(_AT_ONCE, len(addresses)))) as pool:
        return list(pool.map(one, addresses))
