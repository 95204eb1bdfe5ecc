"""Options that say what a plan of tiles is made for."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Annotated

import typer

from tfplus.errors import UsageError
from tfplus.system import sizes
from tfplus.tiles import cost, planning
from tfplus.tiles.cluster import Cluster
from tfplus.tiles.cost import Job
from tfplus.tiles.grid import Grid, Tiling
from tfplus.tiles.layers import Chain
from tfplus.tiles.planning import Candidate, Choice

_RATES = {"bit": 1.0, "kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9}
MOST_DEVICES = 64

GridOption = Annotated[
    str | None,
    typer.Option(
        "--grid",
        metavar="RxC",
        help="Rows by columns of tiles, such as 2x2; the best if not given.",
    ),
]
RowShares = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="Share of each row of tiles, such as 2,1: a faster device gets a larger tile.",
    ),
]
ColumnShares = Annotated[
    str | None, typer.Option(metavar="A,B,...", help="Share of each column of tiles.")
]
Layers = Annotated[
    int | None,
    typer.Option(min=1, help="Layers that are tiled; as many as can be if not given."),
]
Groups = Annotated[
    str | None,
    typer.Option(
        metavar="GROUPS",
        help="Fused layers, counted from 1, such as '1-3 4-6'; the best if not given.",
    ),
]
Memory = Annotated[
    str | None, typer.Option(metavar="SIZE", help="That tiles may take on a device, such as 200MB.")
]
Link = Annotated[
    str, typer.Option(metavar="RATE", help="Of each device's link, such as 100Mbit or 1Gbit.")
]
Latency = Annotated[float, typer.Option(min=0.0, help="Milliseconds of a message.")]
Speed = Annotated[
    float,
    typer.Option(min=1e-3, help="GMAC a second that a device does; the times scale with it."),
]


@dataclass(frozen=True)
class Wanted:
    """What the user asked for.

    Attributes:
      devices: how many.
      grid: a certain one; None for the best.
      groups: certain ones, as `planning.parse` reads them; None for the best.
      cluster: what devices and links are assumed to be.
    """

    devices: int
    grid: Grid | None
    groups: str | None
    cluster: Cluster

    @classmethod
    def read(
        cls,
        devices: int,
        grid: str | None,
        rows: str | None,
        columns: str | None,
        groups: str | None,
        cluster: Cluster,
    ) -> Wanted:
        """Reads what the user wrote, before TensorFlow is imported.

        Raises:
          UsageError: it is not understood, or does not fit together.
        """
        if grid is None:
            if rows or columns:
                raise UsageError("--row-shares and --column-shares: expected --grid with them")
            return cls(devices, None, groups, cluster)
        even = Grid.parse(grid)
        chosen = Grid(
            _shares("--row-shares", rows, even.rows),
            _shares("--column-shares", columns, even.columns),
        )
        if chosen.tiles != devices:
            raise UsageError(f"--grid {grid}: has {chosen.tiles} tiles, but there are {devices} "
                             "devices")  # fmt: skip
        return cls(devices, chosen, groups, cluster)

    def choose(self, chain: Chain, job: Job) -> Choice:
        """The plan.

        Raises:
          UsageError: no plan works; the message has the nearest that does.
        """
        grids = [self.grid] if self.grid is not None else planning.grids_of(self.devices)
        found = planning.choose(chain, grids, job, self.cluster) if self.groups is None else None
        if found is not None:
            return found
        groups = planning.parse(self.groups or "", len(chain.layers))
        made = [Tiling(chain, grid, groups) for grid in grids]
        return planning.fastest(
            [Candidate(t, cost.of_step(t, job, self.cluster)) for t in made], chain, job,
            self.cluster,
        )  # fmt: skip

    def with_cluster(self, cluster: Cluster) -> Wanted:
        """The same under other assumptions."""
        return dataclasses.replace(self, cluster=cluster)

    def of_left(self, devices: int) -> Wanted:
        """The same for fewer devices, where grid and groups are free."""
        return Wanted(devices, None, None, self.cluster)


def measured_devices(devices: int | None, measure: str | None) -> tuple[int, list[str]]:
    """How many devices, and their addresses where they are to be measured.

    Raises:
      UsageError: neither says how many, or they differ.
    """
    addresses = [a.strip() for a in (measure or "").split(",") if a.strip()]
    if devices is None and not addresses:
        raise UsageError("expected --devices N, or --measure HOST:PORT,... to measure real ones")
    if len(addresses) > MOST_DEVICES:
        raise UsageError(f"--measure: got {len(addresses)} devices, expected {MOST_DEVICES} at "
                         "most")  # fmt: skip
    if devices is not None and addresses and devices != len(addresses):
        raise UsageError(
            f"--devices {devices}: --measure has {len(addresses)} addresses: leave out --devices"
        )
    return devices or len(addresses), addresses


def cluster(memory: str | None, link: str, latency_ms: float, gmacs: float) -> Cluster:
    """What devices and links are assumed to be.

    Raises:
      UsageError: an option is not understood.
    """
    limit = None if memory is None else sizes.parse("--memory", memory)
    return Cluster(gmacs * 1e9, _rate(link), latency_ms / 1e3, limit)


def _rate(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    unit = None if match is None else _RATES.get(match[2].removesuffix("/s"))
    rate = float(match[1]) * unit if match and unit else 0.0
    if not rate:
        raise UsageError(f"--link '{text}': expected a rate such as 100Mbit or 1Gbit")
    return rate


def _shares(option: str, text: str | None, even: tuple[float, ...]) -> tuple[float, ...]:
    if text is None:
        return even
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if len(shares) != len(even) or not all(0 < s < float("inf") for s in shares):
        raise UsageError(f"{option} '{text}': expected {len(even)} numbers above 0 with commas")
    return shares
