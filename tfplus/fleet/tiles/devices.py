"""The devices of a run of tiles as one: a step happens on all of them or on none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any, TypeVar

from tfplus.errors import RemoteError, UnreachableError
from tfplus.fleet.clients.tiles_client import TilesClient
from tfplus.proto.v1 import tiles_pb2 as pb
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.tiles.step.files import TileFiles
from tfplus.tiles.step.in_memory import scatter
from tfplus.tiles.step.messages import Floats

T = TypeVar("T")

# Finishes the sums of the loss, and has all weights as the others do.
TAIL = 0


class DevicesLostError(UnreachableError):
    """Devices went away.

    Attributes:
      lost: index of each.
      applied: what each device told of the step, where it was applied at all others; None where
        it was at none.
    """

    def __init__(self, lost: Sequence[int], why: str) -> None:
        super().__init__(why)
        self.lost = tuple(lost)
        self.applied: list[pb.StepReply] | None = None


class TiledDevices:
    """See the module.

    Args:
      clients: connected to the devices, by number.
      files: what they run.
      run_id: of the run; another one for every plan.
    """

    def __init__(self, clients: Sequence[TilesClient], files: TileFiles, run_id: str) -> None:
        self.files = files
        self._clients, self._run_id = list(clients), run_id
        self._number = 0
        self._pool = ThreadPoolExecutor(max(2 * len(clients), 2), thread_name_prefix="tiles")

    def load(self) -> None:
        """Gives every device its part.

        Raises:
          DevicesLostError: some cannot be reached.
          RemoteError: one refuses.
        """
        peers = [client.address for client in self._clients]

        def one(i: int) -> None:
            given = self.files.assignment(self._run_id, i, peers, TAIL)
            self._clients[i].load(given, self.files.content(i))

        self._all(one)

    def step(self, samples: Floats, targets: Tensors) -> list[pb.StepReply]:
        """One step of all devices, applied everywhere.

        Args:
          samples: float32 [batch, rows, columns, channels].
          targets: of the whole batch.

        Raises:
          DevicesLostError: some went away.
          RemoteError: one failed; the step was applied nowhere.
        """
        self._number += 1
        number, parts = self._number, scatter(self.files.tiling, samples)

        def one(i: int) -> pb.StepReply:
            given = {"x": parts[i], **(targets if i == TAIL else {})}
            return self._clients[i].step(self._run_id, number, given)

        tasks = {self._pool.submit(one, i): i for i in range(len(self._clients))}
        failed: dict[int, RemoteError] = {}
        for task in as_completed(tasks):
            error = task.exception()
            if isinstance(error, RemoteError):
                first = not failed
                failed[tasks[task]] = error
                if first:
                    # The others wait for what will never come.
                    self._discard(number, failed)
            elif error is not None:
                raise error
        if failed:
            raise _lost(failed)
        replies = [task.result() for task in tasks]
        try:
            self._all(lambda i: self._clients[i].commit(self._run_id, number))
        except DevicesLostError as error:
            error.applied = replies
            raise
        return replies

    def state(self) -> dict[str, Tensor]:
        """Every variable, as the last applied step left it: the same at every device.

        Raises:
          RemoteError: no device can be reached.
        """
        last: RemoteError | None = None
        for client in self._clients:
            try:
                return client.state(self._run_id)
            except UnreachableError as error:
                last = error
        raise last or RemoteError("no device is left")

    def states(self) -> list[dict[str, Tensor]]:
        """What each device has, to see that all are equal.

        Raises:
          RemoteError: one cannot be reached.
        """
        return self._all(lambda i: self._clients[i].state(self._run_id))

    def set_state(self, tensors: Tensors) -> None:
        """Sets every variable on every device.

        Raises:
          RemoteError: one cannot be reached, or refuses.
        """
        self._all(lambda i: self._clients[i].set_state(self._run_id, tensors))

    def close(self) -> None:
        """Ends the threads; connections stay."""
        self._pool.shutdown(wait=True)

    def _discard(self, number: int, failed: Mapping[int, RemoteError]) -> None:
        def one(i: int) -> None:
            try:
                self._clients[i].discard(self._run_id, number)
            except RemoteError:
                # Its own call of the step tells what became of it.
                return

        others = [i for i in range(len(self._clients)) if i not in failed]
        for task in [self._pool.submit(one, i) for i in others]:
            task.result()
        for i in failed:
            one(i)

    def _all(self, call: Callable[[int], T]) -> list[T]:
        tasks: list[Future[Any]] = [self._pool.submit(call, i) for i in range(len(self._clients))]
        failed: dict[int, RemoteError] = {}
        for i, task in enumerate(tasks):
            error = task.exception()
            if isinstance(error, RemoteError):
                failed[i] = error
            elif error is not None:
                raise error
        if failed:
            raise _lost(failed)
        return [task.result() for task in tasks]


def _lost(failed: Mapping[int, RemoteError]) -> RemoteError:
    gone = [i for i, error in failed.items() if isinstance(error, UnreachableError)]
    if gone:
        return DevicesLostError(gone, str(failed[gone[0]]))
    # The first that failed: the others were discarded for it.
    return next(iter(failed.values()))
