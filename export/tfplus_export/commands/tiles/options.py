"""Options that say what a plan of tiles is made for."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from tfplus.errors import UsageError
from tfplus.system import sizes
from tfplus.tiles.grid import Grid
from tfplus.tiles.layers import Chain
from tfplus.tiles.planning import choice, grids, written
from tfplus.tiles.planning.choice import Choice
from tfplus.tiles.planning.cluster import Cluster, Speed
from tfplus.tiles.planning.job import Job

_RATES = {"bit": 1.0, "kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9}
MOST_DEVICES = 64
_LEAST_GMACS = 1e-3

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
        help="Share of each row of tiles, such as 2,1; by the devices' speeds if not given.",
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
Gmacs = Annotated[
    str,
    typer.Option(
        metavar="N|A,B,...",
        help="GMAC a second that a device does, or each of them: a faster one gets a larger tile.",
    ),
]
KEEP: dict[str, tuple[bool, ...]] = {
    "recompute": (False,),
    "keep": (True,),
    "auto": (False, True),
}
Activations = Annotated[
    str,
    typer.Option(
        metavar="recompute|keep|auto",
        help="What layers make is computed again for the gradients, or kept, which takes memory; "
        "auto: what is faster within --memory.",
    ),
]
ARENAS = ("keep", "free", "auto")
Arenas = Annotated[
    str,
    typer.Option(
        metavar="keep|free|auto",
        help="What a pass works with is kept for the next step, or given back, for which the "
        "runtime is opened for each pass; auto: given back where --memory needs it.",
    ),
]


@dataclass(frozen=True)
class Wanted:
    """What the user asked for.

    Attributes:
      devices: how many.
      grid: a certain one; None for the best.
      groups: certain ones, as `written.parse` reads them; None for the best.
      cluster: what devices and links are assumed to be.
      balance: whether tiles may be cut by the devices' speeds.
      keep: whether what layers make may stay between the passes, see `Tiling`.
      arenas: whether passes keep their memory; one of `ARENAS`.
    """

    devices: int
    grid: Grid | None
    groups: str | None
    cluster: Cluster
    balance: bool = True
    keep: tuple[bool, ...] = KEEP["recompute"]
    arenas: str = "auto"

    @classmethod
    def read(
        cls,
        devices: int,
        grid: str | None,
        rows: str | None,
        columns: str | None,
        groups: str | None,
        activations: str,
        arenas: str,
        cluster: Cluster,
    ) -> Wanted:
        """Reads what the user wrote, before TensorFlow is imported.

        Raises:
          UsageError: it is not understood, or does not fit together.
        """
        keep = KEEP.get(activations)
        if keep is None:
            raise UsageError(f"--activations '{activations}': expected one of {', '.join(KEEP)}")
        if arenas not in ARENAS:
            raise UsageError(f"--arenas '{arenas}': expected one of {', '.join(ARENAS)}")
        if grid is None:
            if rows or columns:
                raise UsageError("--row-shares and --column-shares: expected --grid with them")
            return cls(devices, None, groups, cluster, True, keep, arenas)
        even = Grid.parse(grid)
        chosen = Grid(
            _shares("--row-shares", rows, even.rows),
            _shares("--column-shares", columns, even.columns),
        )
        if chosen.tiles != devices:
            raise UsageError(f"--grid {grid}: has {chosen.tiles} tiles, but there are {devices} "
                             "devices")  # fmt: skip
        return cls(devices, chosen, groups, cluster, not (rows or columns), keep, arenas)

    def choose(self, chain: Chain, job: Job) -> Choice:
        """The plan.

        Raises:
          UsageError: no plan works; the message has the nearest that does.
        """
        cuts = [self.grid] if self.grid is not None else grids.grids_of(self.devices)
        groups = None if self.groups is None else written.parse(self.groups, len(chain.layers))

        def best(free: bool) -> Choice:
            return choice.choose(
                chain, cuts, job, self.cluster, groups, balance=self.balance, keep=self.keep,
                free=free,
            )  # fmt: skip

        if self.arenas != "auto":
            return best(self.arenas == "free")
        try:
            return best(False)
        except UsageError:
            if self.cluster.memory_bytes is None:
                raise
            return best(True)

    def with_cluster(self, cluster: Cluster) -> Wanted:
        """The same under other assumptions."""
        return dataclasses.replace(self, cluster=cluster)

    def of_left(self, left: Sequence[int]) -> Wanted:
        """The same for the devices that are left, by number, where grid and groups are free."""
        speeds = tuple(self.cluster.speeds[i] for i in left if self.cluster.speeds)
        cluster = dataclasses.replace(self.cluster, speeds=speeds)
        return Wanted(len(left), None, None, cluster, True, self.keep, self.arenas)


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


def cluster(memory: str | None, link: str, latency_ms: float, gmacs: str, devices: int) -> Cluster:
    """What devices and links are assumed to be.

    Raises:
      UsageError: an option is not understood, or tells speeds of another number of devices.
    """
    limit = None if memory is None else sizes.parse("--memory", memory)
    given = _numbers(gmacs)
    if len(given) not in (1, devices) or min(given, default=0.0) < _LEAST_GMACS:
        raise UsageError(
            f"--gmacs '{gmacs}': expected GMAC a second of all devices, or of each of the "
            f"{devices} with commas, {_LEAST_GMACS:g} at least"
        )
    speeds = tuple(Speed(n * 1e9) for n in given) if len(given) > 1 else ()
    return Cluster(min(given) * 1e9, _rate(link), latency_ms / 1e3, limit, speeds)


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
    shares = _numbers(text)
    if len(shares) != len(even) or min(shares) <= 0:
        raise UsageError(f"{option} '{text}': expected {len(even)} numbers above 0 with commas")
    return shares


def _numbers(text: str) -> tuple[float, ...]:
    """Finite numbers with commas between them; none where it is something else."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        return ()
    return found if all(math.isfinite(n) for n in found) else ()
