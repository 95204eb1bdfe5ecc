"""What a rule raises names the layer and the operation, whatever it is."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from tfplus.errors import ExportError
from tfplus_export.system.user_code import first_line
from tfplus_export.tf_types import Op


@contextlib.contextmanager
def of_rule(layer: str, op: Op) -> Generator[None]:
    """Runs a rule's code.

    Args:
      layer: as a message names it.
      op: what the rule is for.

    Raises:
      ExportError: the rule refuses the operation, or failed on it.
    """
    try:
        yield
    except ExportError as error:
        raise ExportError(f"{layer}, operation {op.type}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:
        raise ExportError(
            f"{layer}, operation {op.type}: its rule does not take it "
            f"({type(error).__name__}: {first_line(error)})"
        ) from error
