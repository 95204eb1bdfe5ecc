"""When the next version of the head is trained, and behind which freeze point.

One process trains at a time, by a lock that ends with its holder. Before a training the freeze
points of several files are measured; what it makes may be of another file than the version before
it, so that a decision is on disk with the weights that come of it, or not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from tfplus.errors import TfplusError
from tfplus.feature_server import freeze_points, head
from tfplus.feature_server.freeze_points import Chosen
from tfplus.feature_server.freeze_policy import Policy, one_standard_error
from tfplus.feature_server.publisher import Publisher
from tfplus.feature_server.state.store import Store

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


class Trainer:
    """Trains what is published further, in a thread of its own.

    Args:
      publisher: of the versions.
      store: of the samples.
      policy: when and how.
      choose: which file, of several.
      told: of each version, and of what fails.
    """

    def __init__(
        self,
        publisher: Publisher,
        store: Store,
        policy: TrainingPolicy,
        choose: Policy = one_standard_error,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._publisher, self._store = publisher, store
        self._policy, self._choose, self._told = policy, choose, told
        self._changed, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="head training", daemon=True)

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

    def reconsider(self) -> str:
        """Measures the freeze points of several files, and goes to another where that is better.

        Returns:
          Why the file is published that is; empty where there was no choice.
        """
        if len(self._publisher.files) > 1:
            with self._store.training() as is_mine:
                if is_mine:
                    taken, chosen = self._chosen()
                    if chosen.place != self._publisher.place:
                        self._train(taken, chosen)
                    return chosen.why
        return self._publisher.version.why

    def train_if_due(self) -> bool:
        """Trains and publishes a version where enough samples came; returns whether it did."""
        if not self._is_due():
            return False
        with self._store.training() as is_mine:
            # Another process may have trained on them meanwhile.
            if not is_mine or not self._is_due():
                return False
            self._train(*self._chosen())
            return True

    def _is_due(self) -> bool:
        publisher = self._publisher
        sha256 = publisher.version.model_sha256
        came = (self._store.received(w.maker, w.hyper, sha256) for w in publisher.accepted)
        return sum(came) >= self._policy.every

    def _chosen(self) -> tuple[int, Chosen]:
        """What had arrived before the samples were read, and the freeze point they speak for."""
        taken, policy = self._store.mark(), self._policy
        return taken, freeze_points.choose(
            self._publisher.files,
            self._store,
            self._choose,
            self._publisher.place,
            epochs=policy.epochs,
            threads=policy.threads,
        )

    def _train(self, taken: int, chosen: Chosen) -> None:
        publisher = self._publisher
        before, file = publisher.served, publisher.files[chosen.place]
        wanted, (last, values) = file.wanted, publisher.last_of(file)
        rows, labels = self._store.samples(wanted.maker, wanted.hyper, wanted.shape)
        trained = head.train(
            file.read,
            values,
            rows,
            labels,
            epochs=self._policy.epochs,
            seed=last,
            threads=self._policy.threads,
        )
        number = publisher.publish(
            file,
            trained.values,
            taken=taken,
            samples=len(rows),
            loss=trained.loss,
            why=chosen.why,
        )
        if file is not before:
            self._told(f"freeze point moved from '{before.layer}': {chosen.why}")
        self._told(f"version {number}: trained on {len(rows)} samples, loss {trained.loss:.4f}")

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
