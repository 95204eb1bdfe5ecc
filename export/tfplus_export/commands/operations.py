"""`--verbose`: which operations have a lowering rule, for who writes a layer of his own."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from tfplus.errors import UnsupportedOperationError


@contextlib.contextmanager
def listed(*, verbose: bool) -> Generator[None]:
    """Adds the list to what is said of an operation without a rule, where it is asked for.

    Raises:
      UnsupportedOperationError: the one that was raised, with the list behind its message.
    """
    try:
        yield
    except UnsupportedOperationError as error:
        if not verbose:
            raise
        raise UnsupportedOperationError(f"{error}\n{with_rules()}") from error


def with_rules() -> str:
    """A sentence that names every operation that has a rule."""
    from tfplus_export.lowering.table import RULES

    return (
        f"operations that have a rule: {', '.join(sorted(RULES))}; others are added under "
        "tfplus_export/lowering"
    )
