"""SHA-256 of tensors, beside whatever else is done with them: a hash frees Python's lock."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import numpy as np

from tfplus.system import cores
from tfplus.tensors.slices import Tensor

# Below this much a thread costs more than it saves.
_WORTH_A_THREAD_BYTES = 4 << 20
_THREADS = 4
# Chunks that may wait to be hashed.
_AHEAD = 8
_T = TypeVar("_T")


def tensor_hash(tensor: Tensor) -> bytes:
    """SHA-256 of the raw little-endian bytes."""
    return hashlib.sha256(raw_bytes(tensor)).digest()


def raw_bytes(tensor: Tensor) -> memoryview:
    """The raw little-endian bytes; a copy only where they do not lie so already."""
    little = np.ascontiguousarray(tensor, dtype=tensor.dtype.newbyteorder("<"))
    return memoryview(little.reshape(-1).view(np.uint8).data)


def in_parallel(
    hash_one: Callable[[_T], bytes], items: Sequence[_T], size_bytes: int
) -> list[bytes]:
    """Hashes items, on several cores where that is worth it.

    Args:
      hash_one: gives the hash of one.
      items: what to hash.
      size_bytes: of all of them.

    Returns:
      Their hashes, in order.
    """
    threads = min(_THREADS, cores.usable())
    if threads == 1 or size_bytes < _WORTH_A_THREAD_BYTES:
        return [hash_one(item) for item in items]
    with ThreadPoolExecutor(threads, thread_name_prefix="hash") as pool:
        return list(pool.map(hash_one, items))


class TensorHasher:
    """Hashes tensors that come one after the other, cut into chunks anywhere, and hands them on.

    Large ones in a thread of its own: who takes chunks from a network takes the next one meanwhile.

    Args:
      sizes_bytes: of the tensors, in the order in which they come.
      hand_on: gets each chunk, in order; what it raises, `take` or `digests` raises soon after.
      beside: false where chunks come out of a queue that others fill: then nobody is held up by
        hashing them where they are taken.
    """

    def __init__(
        self,
        sizes_bytes: Sequence[int],
        hand_on: Callable[[bytes | memoryview], object] = lambda _: None,
        *,
        beside: bool = True,
    ) -> None:
        self._rest = list(reversed(sizes_bytes))
        self._hand_on = hand_on
        self._digests: list[bytes] = []
        self._current = hashlib.sha256()
        self._chunks: queue.Queue[bytes | memoryview | None] = queue.Queue(_AHEAD)
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        if beside and sum(sizes_bytes) >= _WORTH_A_THREAD_BYTES:
            self._thread = threading.Thread(target=self._run, name="hash", daemon=True)

    def __enter__(self) -> TensorHasher:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish()

    def take(self, chunk: bytes | memoryview) -> None:
        """Takes the next bytes; at most as many as all tensors have in all."""
        if self._failure is not None:
            raise self._failure
        if self._thread is None:
            self._hash(chunk)
            self._hand_on(chunk)
        else:
            self._chunks.put(chunk)

    def digests(self) -> list[bytes]:
        """The hash of each tensor, once all bytes were taken; they were handed on by then."""
        self._finish()
        if self._failure is not None:
            raise self._failure
        self._hash(b"")
        return self._digests

    def _finish(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._chunks.put(None)
            thread.join()

    def _run(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            # After a failure the rest is taken all the same, so that nobody waits for room.
            if self._failure is None:
                try:
                    self._hash(chunk)
                    self._hand_on(chunk)
                except BaseException as failure:
                    self._failure = failure

    def _hash(self, chunk: bytes | memoryview) -> None:
        view = memoryview(chunk)
        while self._rest and (view or not self._rest[-1]):
            piece, view = view[: self._rest[-1]], view[self._rest[-1] :]
            self._current.update(piece)
            self._rest[-1] -= len(piece)
            if not self._rest[-1]:
                self._rest.pop()
                self._digests.append(self._current.digest())
                self._current = hashlib.sha256()
