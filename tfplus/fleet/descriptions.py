"""What agents say of their data, their speed and what does not train on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tfplus.decoupling.placement import Device
from tfplus.decoupling.recomposition import Part
from tfplus.errors import DataError
from tfplus.fleet.clients.client import AgentClient
from tfplus.proto.v1 import description_pb2 as pb
from tfplus.wire.limits import DEFAULT_LIMITS
from tfplus.wire.tls import TlsFiles

_AT_ONCE = 16
_MOST_FROZEN = DEFAULT_LIMITS.tensors


def devices(addresses: Sequence[str], tls: TlsFiles | None, *, insecure: bool) -> list[Device]:
    """Asks agents for what decides who trains what; each measures its speed.

    Raises:
      DataError: an agent does not know the classes of its samples, or two have one name.
      RemoteError: one cannot be reached, or refuses.
    """

    def ask(address: str) -> Device:
        with AgentClient(address, tls, insecure=insecure) as client:
            said = client.describe(measure_speed=True)
        if not said.class_samples or not said.flops_per_s > 0:
            why = said.no_class_samples or "it did not say how fast it is"
            raise DataError(
                f"agent '{said.name}' at {address}: {why}: write what is known of it into a file, "
                "and give that as --devices"
            )
        counts = {int(label): int(count) for label, count in said.class_samples.items()}
        return Device(said.name, said.flops_per_s, int(said.memory_bytes), counts)

    with ThreadPoolExecutor(min(_AT_ONCE, len(addresses))) as pool:
        found = list(pool.map(ask, addresses))
    names = [device.name for device in found]
    if len(set(names)) < len(names):
        raise DataError(f"agents {names}: expected a name of its own for each: see --name")
    return found


def part_of(client: AgentClient) -> tuple[Part, str, Mapping[str, str]]:
    """What an agent brings to a recomposition.

    Returns:
      Its weights, by the samples that it trains on; name of its model; and name → SHA-256 (hex) of
      each weight that is frozen there.
    """
    said: pb.TrainingDescription = client.describe()
    frozen = {f.name: f.sha256 for f in said.frozen[:_MOST_FROZEN]}
    weight = float(max(said.train_samples, 1))
    name = f"agent '{said.name}'"
    part = Part(name, client.weights(), weight, frozenset(frozen))
    return part, said.model_name, frozen
