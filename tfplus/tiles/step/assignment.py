"""What one device is told of a plan, as JSON: its place in it, and who the others are."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from tfplus.errors import DamagedFileError, TensorError, UsageError
from tfplus.system import checked_json
from tfplus.tensors.slices import Tensors
from tfplus.tiles import layers
from tfplus.tiles.grid import Grid, Tiling
from tfplus.tiles.step.place import Place

MAX_PLAN_BYTES = 4 * 1024 * 1024
_MOST_DEVICES = 256
_MOST_NUMBERS = 2**31

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Assignment:
    """One device's part of a plan.

    Attributes:
      run_id: tells the messages of one run from those of another.
      place: what it computes.
      peers: address of each device, `host:port`, by number.
      targets: name → (shape, dtype) of what the tail takes beside the map.
    """

    run_id: str
    place: Place
    peers: tuple[str, ...]
    targets: Mapping[str, tuple[tuple[int, ...], str]]

    def check_targets(self, given: Tensors) -> None:
        """Holds targets to what the tail takes.

        Raises:
          TensorError: a name, shape or dtype differs; or some come where the tail is not.
        """
        expected = self.targets if self.place.device == self.place.tail else {}
        found = {name: (tuple(t.shape), t.dtype.name) for name, t in given.items()}
        if found != dict(expected):
            raise TensorError(f"targets of a step: expected {dict(expected)}, got {found}")

    def encoded(self) -> str:
        """As JSON; `decoded` reads it back."""
        place, tiling = self.place, self.place.tiling
        return json.dumps(
            {
                "run_id": self.run_id,
                "device": place.device,
                "tail": place.tail,
                "batch": place.batch,
                "peers": list(self.peers),
                "rows": list(tiling.grid.rows),
                "columns": list(tiling.grid.columns),
                "groups": [{"start": a, "stop": b} for a, b in tiling.groups],
                "keep": tiling.keep,
                "free": tiling.free,
                "chain": tiling.chain.plain(),
                "trained": [
                    {"weights": [{"name": n, "shape": list(s)} for n, s in group.items()]}
                    for group in place.trained
                ],
                "targets": [
                    {"name": n, "shape": list(s), "dtype": d} for n, (s, d) in self.targets.items()
                ],
            }
        )


def decoded(text: str) -> Assignment:
    """Reads what `Assignment.encoded` wrote.

    Raises:
      UsageError: it is no such plan, or one whose parts do not fit each other.
    """
    if len(text) > MAX_PLAN_BYTES:
        raise UsageError(f"plan of tiles: expected at most {MAX_PLAN_BYTES} bytes")
    try:
        raw = checked_json.parse(text.encode())
    except DamagedFileError as error:
        raise UsageError(f"plan of tiles: {error}") from None
    fields = layers.PlanFields(raw)
    rows, columns = fields.numbers("rows", 0.0), fields.numbers("columns", 0.0)
    if not 1 <= len(rows) * len(columns) <= _MOST_DEVICES:
        raise UsageError(f"plan of tiles: expected 1 to {_MOST_DEVICES} devices")
    groups = tuple((o.integer("start"), o.integer("stop")) for o in fields.objects("groups"))
    chain = layers.from_plain(fields.object("chain"))
    keep, free = (name in fields and fields.boolean(name) for name in ("keep", "free"))
    tiling = Tiling(chain, Grid(rows, columns), groups, keep, free)
    last = tiling.grid.tiles - 1
    trained = tuple(
        {o.text("name"): _shape(o) for o in group.objects("weights")}
        for group in fields.objects("trained")
    )
    if len(trained) != len(groups) + 1:
        raise UsageError(f"plan of tiles: {len(groups)} groups and the rest, but weights of "
                         f"{len(trained)}")  # fmt: skip
    place = Place(
        tiling,
        fields.integer("device", 0, last),
        fields.integer("tail", 0, last),
        fields.integer("batch", 1, 1_000_000),
        trained,
    )
    peers = fields.texts("peers")
    if len(peers) != tiling.grid.tiles:
        raise UsageError(f"plan of tiles: {tiling.grid.tiles} tiles, but {len(peers)} devices")
    # Every group's tiles, now, so that a plan that cannot be is refused before a file is taken.
    _ = tiling.tiles
    targets = {
        o.text("name"): (_shape(o), o.choice("dtype", ("float32", "int32")))
        for o in fields.objects("targets")
    }
    return Assignment(fields.text("run_id"), place, peers, targets)


def _shape(fields: layers.PlanFields) -> tuple[int, ...]:
    shape = fields.integers("shape", 0)
    if math.prod(shape) > _MOST_NUMBERS or len(shape) > 8:
        raise UsageError(f"plan of tiles: shape {list(shape)[:9]} is too large")
    return shape
