"""Python's search for cycles of objects, put off during work that makes millions of them."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Generator


@contextlib.contextmanager
def kept() -> Generator[None]:
    """Lets cycles lie while the body runs, if they were searched for before.

    An export makes graphs of a hundred thousand objects that live until its end, and a simulation
    a thousand nodes with all that is on its way; each search goes through all of them again, for a
    third of an export's time. What is in no cycle, as arrays are, is freed at once as ever.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
