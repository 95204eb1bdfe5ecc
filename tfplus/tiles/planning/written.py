"""Groups of layers as people write them: `1-3 4 5-6`, layers counted from 1."""

from __future__ import annotations

from typing import TypeAlias

from tfplus.errors import UsageError

Grouping: TypeAlias = tuple[tuple[int, int], ...]


def shown(groups: Grouping) -> str:
    """A grouping as `parse` reads it."""
    return " ".join(f"{a + 1}-{b}" if b > a + 1 else f"{b}" for a, b in groups)


def parse(text: str, count: int) -> Grouping:
    """Reads what `shown` writes.

    Args:
      text: such as `1-3 4 5-6`, or with commas.
      count: layers that it must cover.

    Raises:
      UsageError: it is no grouping of so many layers.
    """
    found: list[tuple[int, int]] = []
    for part in text.replace(",", " ").split():
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            break
        found.append((int(first) - 1, int(last or first)))
    edges = [0, *(stop for _, stop in found)]
    follow = all(a == edge < b for (a, b), edge in zip(found, edges, strict=False))
    if not follow or edges[-1] != count:
        raise UsageError(
            f"--groups '{text}': expected groups of layers 1 to {count} that follow each other, "
            f"such as '1-{max(count - 1, 1)} {count}'"
        )
    return tuple(found)
