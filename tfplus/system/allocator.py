"""What a long-lived process says to glibc's allocator; other C libraries are left as they are.

By itself glibc gives memory back to the kernel whenever a large block is freed at the end of its
heap, and gets it again, page by page, for the next one: for a stream of messages of 1 MiB that
takes longer than copying them. And it keeps a heap for each of several threads, with holes in each.
"""

from __future__ import annotations

import ctypes
import os

# <malloc.h>
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8


def prefer_reuse(held_bytes: int, block_bytes: int) -> bool:
    """Makes one heap serve all threads, and keep what is freed at its end.

    Args:
      held_bytes: how much it may keep there; `give_back` returns that, too.
      block_bytes: larger blocks than this are the kernel's own, and go back to it when freed.

    Returns:
      Whether the C library took it.
    """
    libc = _glibc()
    if libc is None:
        return False
    values = {
        _M_ARENA_MAX: 1,
        _M_TRIM_THRESHOLD: held_bytes,
        # Asked of the kernel beyond what is needed, whenever the heap grows.
        _M_TOP_PAD: 64 << 10,
        _M_MMAP_THRESHOLD: block_bytes,
    }
    return all(libc.mallopt(option, value) for option, value in values.items())


def give_back() -> bool:
    """Returns memory that is free to the kernel; says whether there was any."""
    libc = _glibc()
    return libc is not None and bool(libc.malloc_trim(0))


def _glibc() -> ctypes.CDLL | None:
    try:
        known = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        known = None
    return ctypes.CDLL(None) if known else None
