"""What is published: versions of the head, each of one of the server's files.

Several processes may publish from one state. A version and its weights are one transaction, which
only the next number passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tfplus.errors import DataError, StoreError, UsageError
from tfplus.feature_server import candidates
from tfplus.feature_server.candidates import Candidate
from tfplus.feature_server.checking import Wanted
from tfplus.feature_server.state.records import Version
from tfplus.feature_server.state.store import Store
from tfplus.model_file import artifact, weights_file
from tfplus.model_file.artifact import Artifact
from tfplus.tensors.slices import Tensor, Tensors


class Publisher:
    """Holds what is published: of several files, the one of the newest version.

    Args:
      files: of one model, each cut once more than another; see `candidates`.
      store: of the samples.
      now: seconds since 1970.

    Raises:
      DataError: the weights of the newest version are damaged.
      UsageError: a file's head cannot be trained, or the files do not go together.

    Attributes:
      files: the one that is cut first before the others.
    """

    def __init__(
        self, files: Sequence[Artifact], store: Store, now: Callable[[], float] = time.time
    ) -> None:
        self.files, self._store, self._now = candidates.of(files), store, now
        self._by_hash = {file.read.sha256: file for file in self.files}
        first = self.files[0].read
        while (newest := store.newest()) is None or newest.model_sha256 not in self._by_hash:
            # Another process may come first, and then with this file, too.
            number = 1 if newest is None else newest.number + 1
            self._publish(number, first, artifact.initial_values(first), store.mark(), 0, None, "")

    @property
    def version(self) -> Version:
        """The newest one of these files, whichever process published it.

        Raises:
          StoreError: there is none any more.
        """
        found = self._store.newest(*self._by_hash)
        if found is None:
            raise StoreError("the versions of the server's state are gone: start the server again")
        return found

    @property
    def place(self) -> int:
        """Of the newest version's file."""
        return self.files.index(self.served)

    @property
    def served(self) -> Candidate:
        """The file of the newest version."""
        return self._by_hash[self.version.model_sha256]

    @property
    def accepted(self) -> tuple[Wanted, ...]:
        """What batches may be: behind an earlier freeze point they are computed on; last: now's."""
        return tuple(file.wanted for file in self.files[: self.place + 1])

    def file(self, sha256: str) -> Candidate:
        """A file that is or was published here.

        Raises:
          UsageError: there is none of that hash.
        """
        if sha256 not in self._by_hash:
            raise UsageError(f"no model {sha256[:8]}: ask what is published")
        return self._by_hash[sha256]

    def weights(self, number: int) -> dict[str, Tensor]:
        """The weights of a version, without the optimizer's state.

        Raises:
          DataError: there is none of that number, or it is damaged.
        """
        version = self._store.version(number)
        if version is None or version.model_sha256 not in self._by_hash:
            raise DataError(f"no version {number} was published: ask what is")
        read = self._by_hash[version.model_sha256].read
        values = self._values(number, read)
        return {name: values[name] for name in read.manifest.expected(weights_only=True)}

    def last_of(self, file: Candidate) -> tuple[int, dict[str, Tensor]]:
        """Number and variables of a file's newest version; 0 and the file's own without one.

        Raises:
          DataError: it is damaged.
        """
        last = self._store.newest(file.read.sha256)
        if last is None:
            return 0, dict(artifact.initial_values(file.read))
        return last.number, self._values(last.number, file.read)

    def publish(
        self,
        file: Candidate,
        values: Tensors,
        *,
        taken: int,
        samples: int,
        loss: float | None,
        why: str,
    ) -> int:
        """Publishes weights as the next version; returns its number.

        Args:
          file: that they belong to.
          values: every variable by name.
          taken: see `Version`, as for the others.
          samples: that they were trained on.
          loss: of the training.
          why: this file.
        """
        while True:
            # A server of another file may take the number in between.
            newest = self._store.newest()
            number = 1 if newest is None else newest.number + 1
            if self._publish(number, file.read, values, taken, samples, loss, why):
                return number

    def _publish(
        self,
        number: int,
        read: Artifact,
        values: Tensors,
        taken: int,
        samples: int,
        loss: float | None,
        why: str,
    ) -> bool:
        """Publishes weights under a number; returns False where it is taken."""
        version = Version(number, read.sha256, self._now(), taken, samples, loss, why)
        return self._store.publish(version, weights_file.encode(values))

    def _values(self, number: int, read: Artifact) -> dict[str, Tensor]:
        content = self._store.weights(number)
        if content is None:
            raise DataError(f"no version {number} was published: ask what is")
        values = weights_file.decode(content, f"version {number}")
        if set(read.manifest.expected()) - set(values):
            raise DataError(f"version {number}: is of another model")
        return values
