"""All devices of a step in one process: messages are handed over in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from tfplus.errors import StepError
from tfplus.tensors.slices import Tensors
from tfplus.tiles.grid import Tiling
from tfplus.tiles.step.machine import TileStep
from tfplus.tiles.step.messages import Floats, Send


def scatter(tiling: Tiling, samples: Floats) -> list[Floats]:
    """What each device fetches of the samples, float32 [batch, rows, columns, channels]."""
    parts = [tile.fetched for tile in tiling.tiles[0]]
    return [samples[:, slice(*p.rows), slice(*p.columns)].copy() for p in parts]


def run(
    steps: Sequence[TileStep],
    fetched: Sequence[Floats],
    targets: Tensors,
    tail: int,
    sent: Callable[[int, Send], bool] = lambda sender, send: True,
) -> None:
    """Runs one step of all devices to its end.

    Args:
      steps: one of each device, not begun.
      fetched: what each gets of the samples.
      targets: for the device that computes the tail.
      tail: its number.
      sent: told the sender of every message; false loses it.

    Raises:
      StepError: messages were lost, so that a device waits for ever.
    """
    waiting: deque[Send] = deque()

    def go_on(device: int) -> None:
        while sends := steps[device].advance():
            waiting.extend(send for send in sends if sent(device, send))

    for device, step in enumerate(steps):
        step.begin(fetched[device], targets if device == tail else {})
        go_on(device)
    while waiting:
        to, message = waiting.popleft()
        steps[to].receive(message)
        go_on(to)
    stuck = [i for i, step in enumerate(steps) if not step.done]
    if stuck:
        raise StepError(f"device {stuck[0]} waits for {steps[stuck[0]].awaits}")
