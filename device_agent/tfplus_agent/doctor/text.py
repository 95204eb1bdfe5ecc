"""What `tfplus doctor` found, as a person reads it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfplus_agent.doctor.accelerators import Tried
from tfplus_agent.doctor.examination import Examination
from tfplus_agent.telemetry.processor import Cluster

_STYLES = {"right": "green", "wrong": "red", "fails": "red", "absent": "dim"}


def show(found: Examination, console: Console) -> None:
    """Prints accelerators, facts, warnings and problems."""
    table = Table(
        "accelerator",
        "runtime",
        "result",
        "ms/step",
        "device",
        title_justify="left",
        title=f"Training of {found.model}",
    )
    for tried in found.accelerators:
        table.add_row(
            tried.name,
            tried.runtime,
            Text(tried.status, style=_STYLES[tried.status]),
            "" if tried.step_ms is None else f"{tried.step_ms:.3g}",
            Text(_device(tried)),
        )
    console.print(table)
    facts = Table.grid(padding=(0, 2))
    for label, value in _facts(found).items():
        facts.add_row(Text(label, style="bold"), Text(value))
    console.print(facts)
    for warning in found.warnings:
        console.print(Text(f"warning: {warning}"))
    for problem in found.problems:
        console.print(Text(f"problem: {problem}", style="red"))


def _device(tried: Tried) -> str:
    if not tried.device:
        return tried.says
    driver = f", {tried.driver}" if tried.driver else ""
    software = "; a program on the CPU: --accelerator auto does not take it"
    says = f"; {tried.says}" if tried.says else ""
    return f"{tried.device}{driver}{software if tried.is_software else ''}{says}"


def _facts(found: Examination) -> dict[str, str]:
    memory, battery = found.memory, found.battery
    limit = f", limited to {_mb(memory.limit_bytes)}" if memory.limit_bytes else ""
    level = battery.absent_reason if battery.percent is None else f"{battery.percent:g} %"
    plugged = {True: ", plugged in", False: ", not plugged in", None: ""}[battery.plugged_in]
    heat = found.temperatures
    warm = ", ".join(f"{name} {c:.0f} °C" for name, c in heat.celsius.items())
    facts = {
        "GPUs (Vulkan)": "; ".join(
            f"{g.name}, {g.kind}, {g.driver}, {_mb(g.memory_bytes)}" for g in found.gpus
        )
        or found.gpus_absent_reason,
        "processor": f"{found.processor.name or 'unnamed'}: "
        + (
            "; ".join(_cluster(c) for c in found.processor.clusters)
            or found.processor.absent_reason
        )
        + f"; {found.usable_cores} usable, {found.threads} threads by default",
        "memory": f"{_mb(memory.available_bytes)} of {_mb(memory.total_bytes)} available, "
        f"{_mb(memory.swap_bytes)} of swap{limit}",
        "battery": f"{level}{plugged}",
        "temperatures": warm or heat.absent_reason,
        "state directory": f"{found.storage.path}: "
        + (found.storage.problem or f"writable, {_mb(found.storage.free_bytes)} free"),
    }
    if found.certificates is not None:
        shown = found.certificates
        facts["certificates"] = f"{shown.path}: {shown.problem or f'valid, of {shown.name!r}'}"
    facts["versions"] = ", ".join(f"{n} {v}" for n, v in found.versions.items() if v)
    return facts


def _cluster(cluster: Cluster) -> str:
    speed = f" of {cluster.max_mhz:.0f} MHz" if cluster.max_mhz else ""
    return f"{len(cluster.cores)} cores{speed}"


def _mb(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else f"{size_bytes / 1e6:,.0f} MB"
