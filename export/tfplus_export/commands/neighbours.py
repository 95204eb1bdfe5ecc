"""What devices made of their parts of a plan, from files and from agents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfplus.errors import UsageError

if TYPE_CHECKING:
    from tfplus.decoupling.plan import Plan
    from tfplus.decoupling.recomposition import Part, Recomposed
    from tfplus.wire.tls import TlsFiles


def of_agents(
    plan: Plan, agents: Sequence[str], tls: TlsFiles | None, *, insecure: bool
) -> list[Part]:
    """Asks agents for their weights.

    Args:
      plan: what their sub-models were exported from.
      agents: their addresses.
      tls: own certificate files; None for plaintext.
      insecure: allow plaintext to a host that is not loopback.

    Raises:
      PlanError: one holds a sub-model of another plan, or frozen layers that are not the plan's.
      RemoteError: one cannot be reached, or has no model.
    """
    from tfplus.decoupling import device_parts
    from tfplus.fleet import descriptions
    from tfplus.fleet.clients.client import AgentClient

    found: list[Part] = []
    for address in agents:
        with AgentClient(address, tls, insecure=insecure) as client:
            part, model, frozen = descriptions.part_of(client)
            device_parts.check_origin(plan, part.name, model, frozen)
            found.append(part)
    return found


def newest(
    source: str, given: Sequence[str], tls: TlsFiles | None, *, insecure: bool
) -> Recomposed:
    """The plan's weights, with the newest slices of neighbours in their place.

    Args:
      source: folder of the plan.
      given: files of devices, or addresses of agents.
      tls: own certificate files; None for plaintext.
      insecure: allow plaintext to a host that is not loopback.

    Raises:
      PlanError: see `of_agents`.
      UsageError: the source is no plan.
    """
    from tfplus.decoupling import device_parts, plan_folder, recomposition

    if not plan_folder.is_plan(Path(source)):
        raise UsageError(f"--neighbour: {source} is no plan: expected the folder of one")
    plan = plan_folder.read(Path(source))
    files = [Path(text) for text in given if _is_file(text)]
    parts = [device_parts.of_file(plan, path) for path in files]
    agents = [text for text in given if not _is_file(text)]
    parts += of_agents(plan, agents, tls, insecure=insecure)
    return recomposition.recompose(plan, parts, whole=False)


def _is_file(text: str) -> bool:
    return Path(text).suffix in (".tflite", ".safetensors") or Path(text).exists()
