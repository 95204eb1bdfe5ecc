"""The next batch is put together while a step runs: the runtime lets other threads run then."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


def ahead(items: Iterator[_T]) -> Generator[_T]:
    """Yields what an iterator yields, asking it for one item more than was taken.

    The iterator runs in a thread of its own; what it raises is raised here, in its place. Close the
    generator, or use it up: until then the thread lives.

    Args:
      items: none of them None.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as thread:
        upcoming = thread.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = thread.submit(next, items, None)
            yield item
