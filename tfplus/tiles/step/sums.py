"""The sums of all gradients over devices: parts of them, each on a ring of its own.

A part begins as soon as its gradients exist, while those of the layers in front are still computed
(as in Li et al., PyTorch Distributed, 2020, section 3.2.3). When messages come does not matter to
the order of additions, which is that of the ring.
"""

from __future__ import annotations

import threading
from collections.abc import Generator

import numpy as np

from tfplus.errors import StepError
from tfplus.tiles.step import ring
from tfplus.tiles.step.messages import Floats, Gradients, Key, Message, Send
from tfplus.tiles.step.place import Place


class Sums:
    """One device's sums of a step: gradients and messages in, messages out.

    Thread-safe: gradients come from who computes, messages from who listens.
    """

    def __init__(self, place: Place, step: int) -> None:
        self._place, self._step = place, step
        self._devices = place.tiling.grid.tiles
        self._rounds = 2 * (self._devices - 1)
        self._lock = threading.Lock()
        self._given: dict[str, Floats] = {}
        # By part: its ring, and the number of the message that it waits for.
        self._rings: dict[int, Generator[Floats, Floats, Floats]] = {}
        self._awaited: dict[int, int] = {}
        self._inbox: dict[int, Floats] = {}
        self._found: dict[str, Floats] = {}

    @property
    def gradients(self) -> Gradients | None:
        """The sum of all, once it is there."""
        with self._lock:
            return self._found if len(self._found) == len(self._place.shapes) else None

    @property
    def awaits(self) -> tuple[Key, ...]:
        """What has not come yet of what the parts under way need."""
        before = (self._place.device - 1) % self._devices
        with self._lock:
            return tuple(Key("sum", number, before) for number in self._awaited.values())

    def add(self, gradients: Gradients) -> list[Send]:
        """Takes some weights' gradients, each once, and begins the parts that are whole by now.

        Args:
          gradients: name → float32, this device's own.

        Returns:
          What is to be sent now.
        """
        sends: list[Send] = []
        with self._lock:
            self._given |= gradients
            for part, names in enumerate(self._place.parts):
                if part not in self._rings and all(name in self._given for name in names):
                    flat = np.concatenate([np.ravel(self._given.pop(name)) for name in names])
                    self._rings[part] = ring.reduce(flat, self._place.device, self._devices)
                    sends += self._go_on(part, None)
        return sends

    def receive(self, key: Key, values: Floats) -> list[Send]:
        """Takes what came from the device in front, of the shape that the plan says, once.

        Returns:
          What is to be sent now.
        """
        with self._lock:
            self._inbox[key.number] = values
            part = key.number // self._rounds
            if self._awaited.get(part) != key.number:
                return []
            return self._go_on(part, key.number)

    def _go_on(self, part: int, number: int | None) -> list[Send]:
        """Feeds a ring with what has come, from a message on; None begins it."""
        sends: list[Send] = []
        while number is None or number in self._inbox:
            try:
                out = (
                    next(self._rings[part])
                    if number is None
                    else self._rings[part].send(self._inbox.pop(number))
                )
            except StopIteration as stop:
                self._awaited.pop(part, None)
                self._end(part, stop.value)
                return sends
            number = part * self._rounds if number is None else number + 1
            self._awaited[part] = number
            key = Key("sum", number, self._place.device)
            to = (self._place.device + 1) % self._devices
            sends.append(Send(to, Message(self._step, key, out)))
        return sends

    def _end(self, part: int, total: Floats) -> None:
        at = 0
        for name in self._place.parts[part]:
            shape = self._place.shapes[name]
            size = int(np.prod(shape))
            self._found[name] = total[at : at + size].reshape(shape)
            at += size
        if at != len(total):
            raise StepError(f"part {part} of the sum has {len(total)} numbers, expected {at}")
