"""One device's part of a training step: events in, messages out, nothing else.

The machine knows no socket, clock or runtime: what computes is handed in, and what is to be sent is
handed out. It ends with the sum of all gradients; whether that is applied is decided outside, once
every device has got so far, so that a step happens everywhere or nowhere.

Messages are handed out as soon as they exist: `advance` stops in front of what is computed next, so
that others need not wait for that. The gradients' sums go on beside it, see `sums`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeAlias

import numpy as np

from tfplus.errors import StepError, TensorError
from tfplus.tensors.slices import Tensors
from tfplus.tiles.exchange import Piece, between
from tfplus.tiles.geometry import Rectangle
from tfplus.tiles.step import moments
from tfplus.tiles.step.compute import Compute
from tfplus.tiles.step.messages import Floats, Gradients, Key, Kind, Message, Send
from tfplus.tiles.step.moments import Moments
from tfplus.tiles.step.place import Place
from tfplus.tiles.step.sums import Sums

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
        # By group: what a batch normalization reads of the pixels that this device owns.
        self._normalized: dict[int, Floats] = {}

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
        groups = self._place.tiling.groups
        kept: list[list[Floats]] = []
        # By index of a map: what this device owns of it, and of its gradient.
        owned: dict[int, Floats] = {}
        for group, tile in enumerate(self._tiles):
            read = [fetched]
            if group:
                if tile.normalizes:
                    yield from self._take_moments(group, owned[self._reads(group)[0][1]])
                maps = [owned[map_] for _, map_ in self._reads(group)]
                read = yield from self._exchange("halo", group, maps)
            kept.append(read)
            owned[groups[group][1]] = self._compute.forward(group, read, self._moments(group))
            self._forget(owned, group + 1)
        delta, tail_gradients = yield from self._rest(owned[groups[-1][1]], targets)
        deltas = {groups[-1][1]: delta}
        self._sum(-1, tail_gradients)
        # What was handed out is on its way before anything else is computed.
        yield ()
        for group in reversed(range(len(self._tiles))):
            taken, delta = self._moments(group), deltas.pop(groups[group][1])
            gradients, parts, slopes = self._compute.backward(group, kept.pop(), delta, taken)
            self._sum(group, parts)
            if gradients is None or not group:
                continue
            given = yield from self._exchange("gradient", group, gradients)
            if taken is not None and slopes is not None:
                own = moments.encoded(slopes.mean, slopes.variance)
                every = yield from self._share("slopes", group, own)
                x = self._normalized.pop(group)
                count = self._count(group)
                given[0] = moments.given_back(given[0], x, taken, every, count)
            for (_, map_), values in zip(self._reads(group), given, strict=True):
                # Groups in their order, so that a step repeats to the last bit.
                deltas[map_] = deltas[map_] + values if map_ in deltas else values

    def _reads(self, group: int) -> list[tuple[int, int]]:
        """Number and map of all that a group reads."""
        every = enumerate(self._place.tiling.reads)
        return [(number, map_) for number, (reader, map_) in every if reader == group]

    def _forget(self, owned: dict[int, Floats], group: int) -> None:
        """Drops maps that no group from this one on reads."""
        later = {map_ for reader, map_ in self._place.tiling.reads if reader >= group}
        last = self._place.tiling.groups[-1][1]
        for map_ in [m for m in owned if m not in later and m != last]:
            del owned[map_]

    def _take_moments(self, group: int, x: Floats) -> _Waiting:
        self._normalized[group] = x
        parts = yield from self._share("moments", group, moments.sums(x))
        self.moments[self._tiles[group].layers[0].name] = moments.of(parts, self._count(group))

    def _moments(self, group: int) -> Moments | None:
        return self.moments.get(self._tiles[group].layers[0].name)

    def _count(self, group: int) -> int:
        return self._place.batch * self._tiles[group].inputs[0].whole.pixels

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
        return [own if key.sender == me else self._taken(key) for key in keys]

    def _exchange(
        self, kind: Kind, group: int, own: Sequence[Floats]
    ) -> Generator[Sequence[Key], None, list[Floats]]:
        """Brings parts of the maps that a group reads from their owners to their readers.

        Gradients go the other way, and are added up. Both by what the group reads: `own` has what
        this device owns of each map, or its gradients of what it fetched.
        """
        place, me, back = self._place, self._place.device, kind == "gradient"
        found: list[Floats] = []
        routes = [(n, map_, between(place.tiling, n)) for n, map_ in self._reads(group)]

        def ends(piece: Piece) -> tuple[int, int]:
            return (piece.reader, piece.owner) if back else (piece.owner, piece.reader)

        frames: list[tuple[Rectangle, Rectangle]] = []
        for (number, map_, pieces), each, values in zip(
            routes, self._tiles[group].inputs, own, strict=True
        ):
            core = self._tiles[place.tiling.maker(map_)].core
            frames.append((each.fetched, core) if back else (core, each.fetched))
            for piece in pieces:
                giver, taker = ends(piece)
                if giver == me != taker:
                    self._send(taker, kind, number, values[piece.part.within(frames[-1][0])])
        waited = [(n, *ends(piece)) for n, _, pieces in routes for piece in pieces]
        yield [Key(kind, n, giver) for n, giver, taker in waited if taker == me != giver]
        for (number, _, pieces), (source, target), values in zip(routes, frames, own, strict=True):
            total = np.zeros((place.batch, *target.shape, values.shape[-1]), np.float32)
            # In the order of devices, so that a step repeats to the last bit.
            for piece in pieces:
                giver, taker = ends(piece)
                if taker == me:
                    total[piece.part.within(target)] += (
                        values[piece.part.within(source)]
                        if giver == me
                        else self._taken(Key(kind, number, giver))
                    )
            found.append(total)
        return found

    def _rest(
        self, output: Floats, targets: Tensors
    ) -> Generator[Sequence[Key], None, tuple[Floats, Gradients]]:
        """The rest of the network: at one device, that gathers all tiles."""
        place, last = self._place, len(self._tiles)
        if place.device != place.tail:
            self._send(place.tail, "output", last, output)
            key = Key("delta", last, place.tail)
            yield [key]
            return self._taken(key), {}
        cores = [tile.core for tile in place.tiling.tiles[-1]]
        yield [Key("output", last, i) for i in range(len(cores)) if i != place.device]
        rows, columns, channels = place.tiling.chain.maps()[-1]
        whole = np.empty((place.batch, rows, columns, channels), np.float32)
        for device, core in enumerate(cores):
            own = device == place.device
            part = output if own else self._taken(Key("output", last, device))
            whole[:, slice(*core.rows), slice(*core.columns)] = part
        self.metrics, delta, gradients = self._compute.tail(whole, targets)
        parts = [delta[:, slice(*core.rows), slice(*core.columns)] for core in cores]
        for device, part in enumerate(parts):
            if device != place.device:
                self._send(device, "delta", last, part)
        return np.ascontiguousarray(parts[place.device]), gradients

    def _sum(self, group: int, found: Gradients) -> None:
        """Gives away the gradients of a group, zeros where this device has none; -1 is the rest."""
        shapes = self._place.trained[group]
        whole = {n: found.get(n, np.zeros(shape, np.float32)) for n, shape in shapes.items()}
        self._out += self._sums.add(whole)

    def _taken(self, key: Key) -> Floats:
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
