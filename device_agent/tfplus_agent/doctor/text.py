"""What `tfplus doctor` found, as a person reads it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfplus_agent.doctor.accelerators import Tried
from tfplus_agent.doctor.examination import Examination
from tfplus_agent.telemetry.processor import Cluster
from tfplus_agent.telemetry.sensor import reason_of, value_of
from tfplus_agent.telemetry.sensors import system_memory, thermal
from tfplus_agent.telemetry.sensors.power import power_supply

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
    read = found.readings
    total, available, swap, most = (
        value_of(read, quantity) for quantity in system_memory.SystemMemory.quantities
    )
    limit = f", limited to {_mb(most)}" if most else ""
    charge = value_of(read, power_supply.CHARGE)
    level = reason_of(read, power_supply.CHARGE) if charge is None else f"{charge:g} %"
    plugged_in = value_of(read, power_supply.PLUGGED_IN)
    plugged = {1.0: ", plugged in", 0.0: ", not plugged in", None: ""}[plugged_in]
    warm = ", ".join(
        f"{r.instance} {r.value:.0f} °C"
        for r in read
        if r.quantity == thermal.TEMPERATURE and r.value is not None
    )
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
        "memory": f"{_mb(available)} of {_mb(total)} available, {_mb(swap)} of swap{limit}",
        "battery": f"{level}{plugged}",
        "temperatures": warm or reason_of(read, thermal.TEMPERATURE),
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


def _mb(size_bytes: float | None) -> str:
    return "unknown" if size_bytes is None else f"{size_bytes / 1e6:,.0f} MB"
