"""One device's part of a training step: events in, messages out, nothing else.

The machine knows no socket, clock or runtime: what computes is handed in, and what is to be sent is
handed out. It ends with the sum of all gradients; whether that is applied is decided outside, once
every device has got so far, so that a step happens everywhere or nowhere.

Messages are handed out as soon as they exist: `advance` stops in front of what is computed next, so
that others need not wait for that. The gradients' sums go on beside it, see `sums`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol, TypeAlias

import numpy as np

from tfplus.errors import StepError, TensorError
from tfplus.tensors.slices import Tensors
from tfplus.tiles.exchange import Piece, between
from tfplus.tiles.step import moments
from tfplus.tiles.step.messages import Floats, Gradients, Key, Kind, Message, Send
from tfplus.tiles.step.moments import Moments
from tfplus.tiles.step.place import Place
from tfplus.tiles.step.sums import Sums


class Compute(Protocol):
    """What computes a device's tiles, such as a runtime."""

    def forward(self, group: int, fetched: Floats, moments: Moments | None) -> Floats:
        """The tile's core of a group's output, of what the tile fetched of its input.

        `moments` are those of the whole map where the group begins with a batch normalization.
        """
        ...

    def backward(
        self, group: int, fetched: Floats, delta: Floats, moments: Moments | None
    ) -> tuple[Floats | None, Gradients, Moments | None]:
        """The gradient of what was fetched, None for the first group; of weights; of moments."""
        ...

    def tail(self, output: Floats, targets: Tensors) -> tuple[dict[str, float], Floats, Gradients]:
        """Of the whole output of the last group: metrics, its gradient, gradients of weights."""
        ...


_Waiting: TypeAlias = Generator[Sequence[Key], None, None]


class TileStep:
    """A step of one device; see the module. Not thread-safe, but for `receive_sum`."""

    def __init__(self, place: Place, compute: Compute, step: int) -> None:
        self.step = step
        self.metrics: dict[str, float] = {}
        # Name of a batch normalization → what it took.
        self.moments: dict[str, Moments] = {}
        self._place, self._compute = place, compute
        self._tiles = place.tiling.part(place.device)
        self._channels = [c for _, _, c in place.tiling.chain.maps()]
        self._inbox: dict[Key, Floats] = {}
        self._used: set[Key] = set()
        self._out: list[Send] = []
        self._running: _Waiting | None = None
        self._awaited: Sequence[Key] = ()
        self._expected = self._place.expected()
        self._sums = Sums(place, step)

    @property
    def gradients(self) -> Gradients | None:
        """The sum over all devices of each weight's gradient, once it is there."""
        return self._sums.gradients

    @property
    def done(self) -> bool:
        """Whether the sum of all gradients is there, and all was handed out."""
        return self._running is None and not self._out and self.gradients is not None

    @property
    def awaits(self) -> tuple[Key, ...]:
        """What has not come yet of what is needed to go on; nothing while something computes."""
        if self._running is None:
            return self._sums.awaits
        return tuple(key for key in self._awaited if key not in self._inbox)

    def begin(self, fetched: Floats, targets: Tensors) -> None:
        """Takes the samples; messages of faster devices may have come before.

        Args:
          fetched: float32 [batch, rows, columns, channels], the tile's part of the samples.
          targets: of the whole batch, where this device computes the tail; else empty.

        Raises:
          TensorError: the samples are not of the tile's shape.
        """
        shape = (self._place.batch, *self._tiles[0].fetched.shape, self._channels[0])
        _check("the samples of a tile", fetched, shape)
        self._running = self._run(fetched, targets)

    def receive(self, message: Message) -> None:
        """Takes a message of this step.

        Raises:
          StepError: nobody sends this device such a message, or not twice.
          TensorError: its values are not of the shape that the plan says.
        """
        if message.key.kind == "sum":
            self._out += self.receive_sum(message)
            return
        self._check(message)
        self._inbox[message.key] = message.values

    def receive_sum(self, message: Message) -> list[Send]:
        """Takes a part of a sum, from any thread, also while a pass computes.

        Returns:
          What is to be sent now.

        Raises:
          StepError: as for `receive`.
          TensorError: as for `receive`.
        """
        self._check(message)
        self._used.add(message.key)
        return self._sums.receive(message.key, message.values)

    def advance(self) -> list[Send]:
        """Computes until there is something to send, which it returns; nothing where it waits."""
        while self._running is not None and not self._out and not self.awaits:
            try:
                self._awaited = next(self._running)
            except StopIteration:
                self._running, self._awaited = None, ()
        out, self._out = self._out, []
        return out

    def _check(self, message: Message) -> None:
        key = message.key
        if message.step != self.step or key not in self._expected:
            raise StepError(f"step {self.step}: unexpected {key} of step {message.step}")
        if key in self._inbox or key in self._used:
            raise StepError(f"step {self.step}: {key} came twice")
        _check(f"{key.kind} {key.number} of device {key.sender}", message.values,
               self._expected[key])  # fmt: skip

    def _run(self, fetched: Floats, targets: Tensors) -> _Waiting:
        kept: list[Floats] = []
        owned: dict[int, Floats] = {}
        output = np.zeros(0, np.float32)
        for group, tile in enumerate(self._tiles):
            if group:
                if tile.normalizes:
                    owned[group] = output
                    parts = yield from self._share("moments", group, moments.sums(output))
                    self.moments[tile.layers[0].name] = moments.of(parts, self._count(group))
                fetched = yield from self._collect(group, output)
            kept.append(fetched)
            output = self._compute.forward(group, fetched, self._moments(group))
        delta, tail_gradients = yield from self._rest(output, targets)
        self._sum(-1, tail_gradients)
        # What was handed out is on its way before anything else is computed.
        yield ()
        for group in reversed(range(len(self._tiles))):
            taken = self._moments(group)
            gradient, parts, slopes = self._compute.backward(group, kept.pop(), delta, taken)
            self._sum(group, parts)
            if gradient is not None and group:
                delta = yield from self._give_back(group, gradient)
                if taken is not None and slopes is not None:
                    own = moments.encoded(slopes.mean, slopes.variance)
                    every = yield from self._share("slopes", group, own)
                    x = owned.pop(group)
                    delta = moments.given_back(delta, x, taken, every, self._count(group))

    def _moments(self, group: int) -> Moments | None:
        return self.moments.get(self._tiles[group].layers[0].name)

    def _count(self, group: int) -> int:
        return self._place.batch * self._tiles[group].input_map.pixels

    def _share(
        self, kind: Kind, group: int, own: Floats
    ) -> Generator[Sequence[Key], None, list[Floats]]:
        """What every device has of something, in their order."""
        me, devices = self._place.device, range(self._place.tiling.grid.tiles)
        for device in devices:
            if device != me:
                self._send(device, kind, group, own)
        keys = [Key(kind, group, device) for device in devices]
        yield [key for key in keys if key.sender != me]
        self._used.update(keys)
        return [own if key.sender == me else self._inbox.pop(key) for key in keys]

    def _collect(self, group: int, output: Floats) -> Generator[Sequence[Key], None, Floats]:
        """Sends parts of the last group's output to who needs them, and gets what is needed."""
        me, core, tile = self._place.device, self._tiles[group - 1].core, self._tiles[group]
        whole = np.empty((self._place.batch, *tile.fetched.shape, output.shape[-1]), np.float32)
        mine = between(self._place.tiling, group)
        for piece in mine:
            if piece.owner == me != piece.reader:
                self._send(piece.reader, "halo", group, output[piece.part.within(core)])
        waited = [p for p in mine if p.reader == me]
        keys = [Key("halo", group, p.owner) for p in waited if p.owner != me]
        yield keys
        for piece in waited:
            own = piece.owner == me
            part = output[piece.part.within(core)] if own else self._take("halo", group, piece)
            whole[piece.part.within(tile.fetched)] = part
        return whole

    def _rest(
        self, output: Floats, targets: Tensors
    ) -> Generator[Sequence[Key], None, tuple[Floats, Gradients]]:
        """The rest of the network: at one device, that gathers all tiles."""
        place, last = self._place, len(self._tiles)
        if place.device != place.tail:
            self._send(place.tail, "output", last, output)
            key = Key("delta", last, place.tail)
            yield [key]
            self._used.add(key)
            return self._inbox.pop(key), {}
        cores = [tile.core for tile in place.tiling.tiles[-1]]
        yield [Key("output", last, i) for i in range(len(cores)) if i != place.device]
        rows, columns, channels = place.tiling.chain.maps()[-1]
        whole = np.empty((place.batch, rows, columns, channels), np.float32)
        for device, core in enumerate(cores):
            key = Key("output", last, device)
            self._used.add(key)
            part = output if device == place.device else self._inbox.pop(key)
            whole[:, slice(*core.rows), slice(*core.columns)] = part
        self.metrics, delta, gradients = self._compute.tail(whole, targets)
        parts = [delta[:, slice(*core.rows), slice(*core.columns)] for core in cores]
        for device, part in enumerate(parts):
            if device != place.device:
                self._send(device, "delta", last, part)
        return np.ascontiguousarray(parts[place.device]), gradients

    def _give_back(self, group: int, gradient: Floats) -> Generator[Sequence[Key], None, Floats]:
        """Brings parts of a gradient to the owners of their pixels, who add them up."""
        me, core, tile = self._place.device, self._tiles[group - 1].core, self._tiles[group]
        mine = between(self._place.tiling, group)
        for piece in mine:
            if piece.reader == me != piece.owner:
                self._send(piece.owner, "gradient", group,
                           gradient[piece.part.within(tile.fetched)])  # fmt: skip
        # In the order of devices, so that a step repeats to the last bit.
        waited = [p for p in mine if p.owner == me]
        yield [Key("gradient", group, p.reader) for p in waited if p.reader != me]
        total = np.zeros((self._place.batch, *core.shape, gradient.shape[-1]), np.float32)
        for piece in waited:
            own = piece.reader == me
            part = (
                gradient[piece.part.within(tile.fetched)]
                if own
                else self._take("gradient", group, piece)
            )
            total[piece.part.within(core)] += part
        return total

    def _sum(self, group: int, found: Gradients) -> None:
        """Gives away the gradients of a group, zeros where this device has none; -1 is the rest."""
        shapes = self._place.trained[group]
        whole = {n: found.get(n, np.zeros(shape, np.float32)) for n, shape in shapes.items()}
        self._out += self._sums.add(whole)

    def _take(self, kind: Kind, group: int, piece: Piece) -> Floats:
        key = Key(kind, group, piece.owner if kind == "halo" else piece.reader)
        self._used.add(key)
        return self._inbox.pop(key)

    def _send(self, to: int, kind: Kind, number: int, values: Floats) -> None:
        key = Key(kind, number, self._place.device)
        self._out.append(Send(to, Message(self.step, key, np.ascontiguousarray(values))))


def _check(what: str, values: Floats, shape: tuple[int, ...]) -> None:
    if values.shape != shape or values.dtype != np.float32:
        raise TensorError(
            f"{what}: expected float32 {list(shape)}, got {values.dtype} {list(values.shape)}"
        )
