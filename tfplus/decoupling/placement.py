"""Which device trains which classes: from speed, memory and data, for a ring or a mesh.

A class can go to devices that have samples of it. Each is to have as many holders as are wanted,
as far as data and memory allow, so that the slowest device of a round is as fast as it can be: the
least time is found by bisection, and for each time whether there is an assignment by augmenting
paths (a bipartite matching with capacities), so that both are exact. What room is left lets pairs
of classes meet: a device that holds both learns what tells one from the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Topology = Literal["ring", "mesh"]
Holdings = Mapping[str, tuple[int, ...]]
# All orders of so many devices are tried, of more some.
_MOST_TRIED = 8


@dataclass(frozen=True)
class Device:
    """What is known of a device.

    Attributes:
      name: its own.
      flops_per_s: of a training step, as measured.
      memory_bytes: for weights, gradients and optimizer; None for any number.
      samples: class → how many samples it has.
    """

    name: str
    flops_per_s: float
    memory_bytes: int | None
    samples: Mapping[int, int]


@dataclass(frozen=True)
class Work:
    """What a sub-model costs.

    Attributes:
      shared_flops: of a training step of one sample; 0 where features are kept.
      branch_flops: likewise of one branch, the largest.
      shared_bytes: of its weights with gradients and optimizer.
      branch_bytes: likewise of one branch.
    """

    shared_flops: float
    branch_flops: float
    shared_bytes: int
    branch_bytes: int


@dataclass(frozen=True)
class Proposal:
    """Who trains what.

    Attributes:
      classes: device → classes, ascending.
      order: the devices in the order of the ring, or as given for a mesh.
      epoch_s: device → seconds of an epoch over all its samples.
      alone: classes with one holder.
      nobody: classes without one.
      apart: pairs of classes that meet on no device.
      cut: classes whose holders are not connected through devices that hold them.
    """

    classes: Holdings
    order: tuple[str, ...]
    epoch_s: Mapping[str, float]
    alone: tuple[int, ...]
    nobody: tuple[int, ...]
    apart: tuple[tuple[int, int], ...]
    cut: tuple[int, ...]


def propose(
    devices: Sequence[Device],
    classes: Sequence[int],
    work: Work,
    *,
    holders: int = 2,
    topology: Topology = "ring",
) -> Proposal:
    """Proposes who trains what.

    Args:
      devices: with distinct names.
      classes: of the plan.
      work: what a sub-model costs.
      holders: wanted of each class.
      topology: who exchanges with whom.
    """
    room = {d.name: _room(d, work, math.inf, len(classes)) for d in devices}
    held = _matched(devices, classes, room, dict.fromkeys(classes, holders))
    wanted = {c: sum(c in owned for owned in held.values()) for c in classes}
    times = sorted(
        {0.0, *(_epoch_s(d, work, k) for d in devices for k in range(1, room[d.name] + 1))}
    )
    low, high = 0, len(times) - 1
    while low < high:
        middle = (low + high) // 2
        room = {d.name: _room(d, work, times[middle], len(classes)) for d in devices}
        found = _matched(devices, classes, room, wanted)
        if sum(map(len, found.values())) == sum(wanted.values()):
            high = middle
        else:
            low = middle + 1
    room = {d.name: _room(d, work, times[high], len(classes)) for d in devices}
    held = _matched(devices, classes, room, wanted)
    _let_meet(devices, classes, room, held)
    return judge(devices, classes, work, {n: tuple(sorted(c)) for n, c in held.items()}, topology)


def judge(
    devices: Sequence[Device],
    classes: Sequence[int],
    work: Work,
    held: Holdings,
    topology: Topology,
) -> Proposal:
    """What an assignment comes to.

    Args:
      devices: all of them.
      classes: of the plan.
      work: what a sub-model costs.
      held: device → classes.
      topology: who exchanges with whom; on a ring the best order is looked for.
    """
    names = [d.name for d in devices]
    counts = {c: sum(c in owned for owned in held.values()) for c in classes}
    order = ring_order(names, held) if topology == "ring" else tuple(names)
    met = {p for owned in held.values() for p in itertools.combinations(owned, 2)}
    known = sorted(c for c in classes if counts[c])
    cut = cut_classes(order, held, classes) if topology == "ring" else ()
    return Proposal(
        held,
        order,
        {d.name: _epoch_s(d, work, len(held[d.name])) for d in devices},
        tuple(c for c in classes if counts[c] == 1),
        tuple(c for c in classes if not counts[c]),
        tuple(p for p in itertools.combinations(known, 2) if p not in met),
        cut,
    )


def cut_classes(order: Sequence[str], held: Holdings, classes: Collection[int]) -> tuple[int, ...]:
    """The classes whose holders on a ring are apart: a branch travels through its holders alone."""
    found: list[int] = []
    for label in classes:
        holds = [label in held[name] for name in order]
        # Where a run of holders begins, going around.
        begins = sum(now and not holds[i - 1] for i, now in enumerate(holds))
        if begins > 1:
            found.append(label)
    return tuple(found)


def ring_order(names: Sequence[str], held: Holdings) -> tuple[str, ...]:
    """An order in which as few classes as possible are cut, and neighbours share most.

    Exact for up to 8 devices; of more, the best that swaps of two find.
    """
    classes = sorted({c for owned in held.values() for c in owned})

    def badness(order: Sequence[str]) -> tuple[int, int]:
        shared = sum(
            len(set(held[a]) & set(held[b]))
            for a, b in zip(order, [*order[1:], order[0]], strict=True)
        )
        return len(cut_classes(order, held, classes)), -shared

    if len(names) <= _MOST_TRIED:
        first, rest = names[:1], names[1:]
        return min(((*first, *others) for others in itertools.permutations(rest)), key=badness)
    order, best = list(names), badness(names)
    improved = True
    while improved:
        improved = False
        for i, j in itertools.combinations(range(1, len(order)), 2):
            order[i], order[j] = order[j], order[i]
            if (now := badness(order)) < best:
                best, improved = now, True
            else:
                order[i], order[j] = order[j], order[i]
    return tuple(order)


def _epoch_s(device: Device, work: Work, count: int) -> float:
    if not count:
        return 0.0
    flops = work.shared_flops + count * work.branch_flops
    return sum(device.samples.values()) * flops / device.flops_per_s


def _room(device: Device, work: Work, limit_s: float, most: int) -> int:
    """How many branches fit its memory, and its time of an epoch."""
    memory = math.inf if device.memory_bytes is None else device.memory_bytes
    fits = 0
    for count in range(1, most + 1):
        if work.shared_bytes + count * work.branch_bytes > memory:
            break
        if _epoch_s(device, work, count) > limit_s:
            break
        fits = count
    return fits


def _matched(
    devices: Sequence[Device],
    classes: Sequence[int],
    room: Mapping[str, int],
    wanted: Mapping[int, int],
) -> dict[str, set[int]]:
    """Gives classes to devices: every class one holder, then the second, as far as it goes."""
    held: dict[str, set[int]] = {d.name: set() for d in devices}
    # Who has most of a class comes first.
    candidates = {
        c: [
            d.name
            for d in sorted(devices, key=lambda d: -d.samples.get(c, 0))
            if d.samples.get(c, 0) > 0
        ]
        for c in classes
    }

    def place(label: int, tried: set[str]) -> bool:
        for name in candidates[label]:
            if name in tried or label in held[name]:
                continue
            tried.add(name)
            if len(held[name]) < room[name]:
                held[name].add(label)
                return True
            for other in sorted(held[name]):
                # It gives one of its own to somebody else, and takes this one.
                if place(other, tried):
                    held[name].remove(other)
                    held[name].add(label)
                    return True
        return False

    for turn in range(1, max(wanted.values(), default=0) + 1):
        for label in classes:
            if wanted[label] >= turn:
                place(label, set())
    return held


def _let_meet(
    devices: Sequence[Device],
    classes: Sequence[int],
    room: Mapping[str, int],
    held: dict[str, set[int]],
) -> None:
    """Adds classes where there is room left, so that more pairs meet."""
    pairs = [frozenset(p) for p in itertools.combinations(classes, 2)]
    while True:
        met = {p for p in pairs for owned in held.values() if p <= owned}
        gains = [
            (sum(frozenset((c, o)) not in met for o in held[d.name]), -place, -c, d.name, c)
            for place, d in enumerate(devices)
            if len(held[d.name]) < room[d.name]
            for c in classes
            if c not in held[d.name] and d.samples.get(c, 0) > 0
        ]
        best = max(gains, default=None)
        if best is None or best[0] == 0:
            return
        held[best[3]].add(best[4])
