"""Training over devices that may go away: epochs, batches, a new plan for who is left."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tfplus.errors import DataError, RemoteError
from tfplus.fleet.clients.tiles_client import TilesClient
from tfplus.fleet.tiles.devices import DevicesLostError, TiledDevices
from tfplus.proto.v1 import tiles_pb2 as pb
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.tiles.step.files import TileFiles
from tfplus.tiles.step.messages import Floats
from tfplus.tiles.step.results import Span

# Of a row that holds no sample.
PADDING = -1


@dataclass(frozen=True)
class Step:
    """A step that was applied everywhere.

    Attributes:
      number: from 1 on, over all epochs.
      epoch: from 1 on.
      metrics: over the samples of the batch.
      valid: samples in it.
      seconds: from the leader's samples to the last commit.
      compute_s: of the slowest device.
      halo_s: of the device that waited longest for maps and gradients.
      reduce_s: likewise, for parts of the sum.
      sent_bytes: by all devices.
      memory_bytes: by device, what its process took at most beyond what it had before the plan.
      start_s: since the first step began.
      spans: by device, what it did, in seconds since it began the step.
    """

    number: int
    epoch: int
    metrics: Mapping[str, float]
    valid: int
    seconds: float
    compute_s: float
    halo_s: float
    reduce_s: float
    sent_bytes: int
    memory_bytes: tuple[int, ...]
    start_s: float
    spans: tuple[tuple[Span, ...], ...]


@dataclass(frozen=True)
class Lost:
    """Devices that went away.

    Attributes:
      step: the step under way.
      addresses: theirs.
      applied: whether that step was applied at all others; else it was computed anew.
      left: devices that went on.
    """

    step: int
    addresses: tuple[str, ...]
    applied: bool
    left: int


@dataclass
class Outcome:
    """What became of a training.

    Attributes:
      steps: in order.
      lost: devices that went away.
      state: every variable behind the last step.
      equal: whether all devices had the same bits in the end.
    """

    steps: list[Step] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    equal: bool = True


@dataclass(frozen=True)
class Samples:
    """What is trained on.

    Attributes:
      take: indices → float32 [n, rows, columns, channels].
      labels: int32 [samples], index of each sample's class.
      target: name of the labels among the targets.
    """

    take: Callable[[npt.NDArray[np.int64]], Floats]
    labels: npt.NDArray[np.int32]
    target: str

    def order(self, epoch: int, seed: int) -> npt.NDArray[np.int64]:
        """Samples of an epoch in the order in which they are trained on."""
        return np.random.default_rng([seed, epoch]).permutation(len(self.labels))

    def batch(self, rows: npt.NDArray[np.int64], size: int) -> tuple[Floats, npt.NDArray[np.int32]]:
        """A batch; behind its samples there are rows of zeros that count for nothing."""
        x = self.take(rows)
        whole = np.zeros((size, *x.shape[1:]), np.float32)
        whole[: len(rows)] = x
        labels = np.full(size, PADDING, np.int32)
        labels[: len(rows)] = self.labels[rows]
        return whole, labels


def train(
    clients: Sequence[TilesClient],
    files: TileFiles,
    samples: Samples,
    *,
    epochs: int,
    seed: int,
    replan: Callable[[int], TileFiles],
    on_step: Callable[[Step], None],
    on_loss: Callable[[Lost], None],
) -> Outcome:
    """Trains; a step under way when a device goes away is discarded everywhere and computed anew.

    Args:
      clients: connected to the devices, by number.
      files: what they run.
      samples: to train on.
      epochs: passes over them.
      seed: of their order.
      replan: makes the files for so many devices.
      on_step: told each step.
      on_loss: told when devices went away.

    Raises:
      DataError: there are fewer samples than a batch of statistics needs.
      RemoteError: no device is left, or one fails in a way that no new plan mends.
    """
    if not files.batches(samples.order(1, seed)):
        raise DataError(
            f"{len(samples.labels)} samples: batch normalization takes whole batches of "
            f"{files.batch}: give more samples, or a smaller --batch-size"
        )
    run = _Run(list(clients), files, replan, on_loss)
    outcome, first = Outcome(lost=run.lost), time.monotonic()
    try:
        for epoch in range(1, epochs + 1):
            order = samples.order(epoch, seed)
            for rows in files.batches(order):
                x, labels = samples.batch(rows, files.batch)
                number, began = len(outcome.steps) + 1, time.monotonic()
                replies = run.step(number, x, {samples.target: labels})
                when = began - first, time.monotonic() - began
                outcome.steps.append(_step(number, epoch, len(rows), when, replies))
                on_step(outcome.steps[-1])
        states = run.states()
        outcome.state = states[0]
        outcome.equal = all(
            np.array_equal(value, other[name])
            for other in states[1:]
            for name, value in states[0].items()
        )
    finally:
        run.close()
    return outcome


class _Run:
    """The devices that are left, under the plan that is theirs."""

    def __init__(
        self,
        clients: list[TilesClient],
        files: TileFiles,
        replan: Callable[[int], TileFiles],
        on_loss: Callable[[Lost], None],
    ) -> None:
        self.lost: list[Lost] = []
        self._left, self._replan, self._on_loss = clients, replan, on_loss
        self._devices = _begin(clients, files, files.values)

    def step(self, number: int, x: Floats, targets: Tensors) -> list[pb.StepReply]:
        """One step, applied at all that are left."""
        while True:
            try:
                return self._devices.step(x, targets)
            except DevicesLostError as error:
                self._go_on(number, error)
                if error.applied is not None:
                    return error.applied

    def states(self) -> list[dict[str, Tensor]]:
        """What each device that is left has."""
        try:
            return self._devices.states()
        except DevicesLostError:
            return [self._devices.state()]

    def close(self) -> None:
        """Ends the threads."""
        self._devices.close()

    def _go_on(self, number: int, error: DevicesLostError) -> None:
        """A new plan for who is left, from the last step that was applied."""
        self._forget(number, error, applied=error.applied is not None)
        state = self._devices.state()
        self._devices.close()
        while True:
            try:
                self._devices = _begin(self._left, self._replan(len(self._left)), state)
                return
            except DevicesLostError as another:
                self._forget(number, another, applied=error.applied is not None)

    def _forget(self, number: int, error: DevicesLostError, *, applied: bool) -> None:
        addresses = tuple(self._left[i].address for i in error.lost)
        self._left = [c for i, c in enumerate(self._left) if i not in error.lost]
        self.lost.append(Lost(number, addresses, applied, len(self._left)))
        self._on_loss(self.lost[-1])
        if not self._left:
            raise RemoteError("no device is left: nothing trains any more")


def _begin(
    clients: Sequence[TilesClient], files: TileFiles, state: Mapping[str, Tensor]
) -> TiledDevices:
    devices = TiledDevices(clients, files, uuid.uuid4().hex)
    devices.load()
    devices.set_state(state)
    return devices


def _step(
    number: int,
    epoch: int,
    valid: int,
    when: tuple[float, float],
    replies: Sequence[pb.StepReply],
) -> Step:
    return Step(
        number,
        epoch,
        {name: value for reply in replies for name, value in reply.metrics.items()},
        valid,
        when[1],
        max(r.compute_s for r in replies),
        max(r.halo_s for r in replies),
        max(r.reduce_s for r in replies),
        sum(r.sent_bytes for r in replies),
        tuple(int(r.peak_memory_bytes - r.base_memory_bytes) for r in replies),
        when[0],
        tuple(tuple(Span(s.name, s.start_s, s.seconds) for s in r.spans) for r in replies),
    )
