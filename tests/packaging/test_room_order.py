"""Rooms lie on floors: a module imports from its own room and from lower ones, never from above.

A room is a folder of a package, or a module at its root. `ORDER` lists the rooms of each package
from the lowest to the highest; one that is missing there is an error: a new room gets a place.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    "tfplus": ROOT / "tfplus",
    "tfplus_agent": ROOT / "device_agent" / "tfplus_agent",
    "tfplus_export": ROOT / "export" / "tfplus_export",
}
ORDER = {
    "tfplus": """
        errors proto proto.v1 system tensors codecs wire pairing tflite model_file data.store
        data.formats data measure runtime features training feature_server.state
        feature_server.state.migrations feature_server.state.migrations.versions feature_server
        profiling report benchmark decoupling tiles tiles.step tiles.planning tiles.calibration
        tiles.transport tiles.process gossip gossip.mixing gossip.core gossip.membership.swim
        gossip.membership gossip.compression gossip.transport gossip.simulation fleet.clients fleet
        fleet.tiles api campaign.planning campaign campaign.figures demo cli cli.text cli.commands
        cli.commands.gossip cli.commands.jobs __main__
    """,
    "tfplus_agent": """
        results storage telemetry telemetry.sensors.power telemetry.sensors install gpu worker
        jobs.limits jobs jobs.kinds benchmark device gossip features doctor server.callers server
        commands commands.features commands.training daemon cli __main__
    """,
    "tfplus_export": """
        tf_types system zoo conversion passes.ir passes.memory passes.rematerialization
        passes.microbatching passes costs targets lowering.kernels regularization tracing
        lowering.engine lowering.ops lowering.ops.elementwise lowering.ops.convolution lowering
        losses optimizers train_step decoupling.structure decoupling sources parity.errors
        parity.samples parity.reference parity variants pipeline.manifest pipeline.stages pipeline
        tuning tiles commands commands.tiles cli
    """,
}


def modules() -> dict[str, Path]:
    """Dotted name → file, of every module but generated ones."""
    found: dict[str, Path] = {}
    for package, folder in SOURCES.items():
        for file in folder.rglob("*.py"):
            parts = (package, *file.relative_to(folder).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = file
    return found


MODULES = modules()


def room_of(module: str) -> tuple[str, str]:
    """Package and room of a module: its folder, or itself at the package's root."""
    package, *_ = module.split(".")
    folder = MODULES[module].parent.relative_to(SOURCES[package])
    if folder.parts:
        return package, ".".join(folder.parts)
    return package, module.partition(".")[2]


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Our own modules that a file imports, also inside functions, with line numbers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in MODULES else node.module), node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno


@pytest.mark.parametrize("package", ORDER)
def test_every_room_has_a_floor(package: str) -> None:
    rooms = {room for p, room in map(room_of, MODULES) if p == package and room}
    known = ORDER[package].split()
    assert sorted(rooms - set(known)) == []
    assert len(set(known)) == len(known)


@pytest.mark.parametrize("package", ORDER)
def test_imports_run_down_between_rooms(package: str) -> None:
    floor = {"": -1, **{room: i for i, room in enumerate(ORDER[package].split())}}
    uphill: list[str] = []
    for module, file in sorted(MODULES.items()):
        own, room = room_of(module)
        if own != package:
            continue
        for name, line in imported(ast.parse(file.read_text("utf-8"))):
            if name not in MODULES or name.partition(".")[0] != package:
                continue
            other = room_of(name)[1]
            # The package itself is below all, for its version, and above all: it offers them.
            if module != package and floor[other] > floor[room]:
                uphill.append(f"{file.relative_to(ROOT)}:{line}: {room} imports {other}")
    assert uphill == []
