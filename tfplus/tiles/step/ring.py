"""The sum of a vector over devices on a ring, equal to the last bit on each of them.

Each device sends and receives 2·(n − 1)/n of the vector (Patarasuk and Yuan, Bandwidth optimal
all-reduce algorithms for clusters of workstations, 2009): n − 1 rounds in which partial sums travel
once around the ring, and n − 1 in which the finished ones do. Every number is added up by one
device alone, so that all have the same bits.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from tfplus.tiles.step.messages import Floats

# Numbers of a part below which it waits for more: a message costs as much as some bytes.
_LEAST = 1 << 14


def bounds(length: int, devices: int) -> list[int]:
    """Where the chunks of a vector begin, and its length behind them."""
    return [length * i // devices for i in range(devices + 1)]


def parts(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Which groups' gradients are summed together, in the order in which they come to exist.

    The rest of the network has its gradients first, then the last group, and the first group in the
    end. A part ends where it has enough numbers to be worth its messages.

    Args:
      sizes: numbers of each group, and behind them of the rest of the network.

    Returns:
      Indices into `sizes`, by part; every group with numbers is in one.
    """
    found: list[tuple[int, ...]] = []
    waiting: list[int] = []
    for group in (len(sizes) - 1, *reversed(range(len(sizes) - 1))):
        if sizes[group]:
            waiting.append(group)
        if sum(sizes[i] for i in waiting) >= _LEAST:
            found.append(tuple(waiting))
            waiting = []
    return [*found, tuple(waiting)] if waiting else found


def sent_chunk(device: int, round_: int, devices: int) -> int:
    """The chunk that a device sends to the next one in a round."""
    gathering = round_ >= devices - 1
    return (device + 1 - (round_ - devices + 1)) % devices if gathering else (
        device - round_) % devices  # fmt: skip


def reduce(vector: Floats, device: int, devices: int) -> Generator[Floats, Floats, Floats]:
    """Yields what goes to the next device in each round, takes what came from the one before.

    Args:
      vector: float32 [n], the device's own; not changed.
      device: its number.
      devices: how many there are.

    Returns:
      The sum over all devices, float32 [n].
    """
    total = np.array(vector, np.float32)
    # Its memory is wanted while the ring goes round.
    del vector
    edges = bounds(len(total), devices)
    for round_ in range(2 * (devices - 1)):
        outgoing = sent_chunk(device, round_, devices)
        incoming = sent_chunk((device - 1) % devices, round_, devices)
        came = yield total[edges[outgoing] : edges[outgoing + 1]].copy()
        place = slice(edges[incoming], edges[incoming + 1])
        total[place] = came + total[place] if round_ < devices - 1 else came
    return total
