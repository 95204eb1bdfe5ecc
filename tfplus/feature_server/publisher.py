"""Versions of the head: which one is published, and when the next one is trained.

Several processes may publish from one state. A version and its weights are one transaction, which
only the next number passes. One process trains at a time, by a lock that ends with its holder.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tfplus.errors import DataError, StoreError, TfplusError
from tfplus.feature_server import head
from tfplus.feature_server.checking import Wanted
from tfplus.feature_server.state.records import Version
from tfplus.feature_server.state.store import Store
from tfplus.features import signature
from tfplus.model_file import artifact, weights_file
from tfplus.model_file.artifact import Artifact
from tfplus.tensors.slices import Tensor, Tensors

# Also how soon samples that came to another process are noticed.
_WAIT_S = 1.0


@dataclass(frozen=True)
class TrainingPolicy:
    """When and how the head is trained.

    Attributes:
      every: samples that must have come since the last version.
      epochs: passes over everything that was collected.
      threads: of the interpreter; 0 for one on each fast core.
    """

    every: int = 32
    epochs: int = 5
    threads: int = 0


class Publisher:
    """Holds what is published, and trains it further in a thread of its own.

    Args:
      read: the file whose head is trained.
      store: of the samples.
      policy: when and how.
      told: of each version, and of what fails.
      now: seconds since 1970.
      why: this file was chosen, of several; kept with each version.

    Raises:
      DataError: the weights of the newest version are damaged.
      UsageError: the file's head cannot be trained.
    """

    def __init__(
        self,
        read: Artifact,
        store: Store,
        policy: TrainingPolicy,
        told: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.time,
        why: str = "",
    ) -> None:
        head.check(read.manifest)
        self.read, self._store = read, store
        self._policy, self._told, self._now, self._why = policy, told, now, why
        manifest = read.manifest
        self.makers = signature.makers(manifest.features, manifest.preprocessing)
        hyper = signature.hyper_parameters(manifest)
        shape = manifest.features[-1].feature.shape
        self.wanted = Wanted(self.makers[-1], hyper, shape, head.labels_of(manifest))
        self._changed, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="head training", daemon=True)
        while (newest := store.newest()) is None or newest.model_sha256 != read.sha256:
            # Another process may come first, and then with this file, too.
            number = 1 if newest is None else newest.number + 1
            self._publish(number, artifact.initial_values(read), store.mark(), 0, None)

    @property
    def version(self) -> Version:
        """The newest one of this file, whichever process published it.

        Raises:
          StoreError: there is none any more.
        """
        found = self._store.newest(self.read.sha256)
        if found is None:
            raise StoreError("the versions of the server's state are gone: start the server again")
        return found

    def start(self) -> None:
        """Begins to train as samples come."""
        self._thread.start()

    def arrived(self) -> None:
        """Tells that samples came."""
        self._changed.set()

    def stop(self) -> None:
        """Ends; a training under way is waited for."""
        self._stopping.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()

    def weights(self, number: int) -> dict[str, Tensor]:
        """The weights of a version, without the optimizer's state.

        Raises:
          DataError: there is none of that number, or it is damaged.
        """
        expected = self.read.manifest.expected(weights_only=True)
        values = self._values(number)
        return {name: values[name] for name in expected}

    def train_if_due(self) -> bool:
        """Trains and publishes a version where enough samples came; returns whether it did."""
        if not self._is_due():
            return False
        with self._store.training() as is_mine:
            # Another process may have trained on them meanwhile.
            return is_mine and self._is_due() and self._train()

    def _is_due(self) -> bool:
        maker, hyper = self.wanted.maker, self.wanted.hyper
        return self._store.received(maker, hyper, self.read.sha256) >= self._policy.every

    def _train(self) -> bool:
        wanted, taken, before = self.wanted, self._store.mark(), self.version
        rows, labels = self._store.samples(wanted.maker, wanted.hyper, wanted.shape)
        trained = head.train(
            self.read,
            self._values(before.number),
            rows,
            labels,
            epochs=self._policy.epochs,
            seed=before.number,
            threads=self._policy.threads,
        )
        came_of_it = trained.values, taken, len(rows), trained.loss
        while not self._publish(self._last() + 1, *came_of_it):
            # A server of another file took the number in between.
            pass
        self._told(
            f"version {self.version.number}: trained on {len(rows)} samples, "
            f"loss {trained.loss:.4f}"
        )
        return True

    def _last(self) -> int:
        newest = self._store.newest()
        return 0 if newest is None else newest.number

    def _publish(
        self, number: int, values: Tensors, taken: int, samples: int, loss: float | None
    ) -> bool:
        """Publishes weights under a number; returns False where it is taken."""
        about = taken, samples, loss, self._why
        version = Version(number, self.read.sha256, self._now(), *about)
        return self._store.publish(version, weights_file.encode(values))

    def _values(self, number: int) -> dict[str, Tensor]:
        content = self._store.weights(number)
        if content is None:
            raise DataError(f"no version {number} was published: ask what is")
        values = weights_file.decode(content, f"version {number}")
        missing = set(self.read.manifest.expected()) - set(values)
        if missing:
            raise DataError(f"version {number}: is of another model")
        return values

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._changed.wait(_WAIT_S)
            self._changed.clear()
            try:
                while not self._stopping.is_set() and self.train_if_due():
                    pass
            except (TfplusError, OSError) as error:
                # What is published stays; the next batch tries again.
                self._told(f"the head could not be trained: {error}")
                self._changed.wait()
