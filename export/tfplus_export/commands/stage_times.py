"""`--timings`: where an export's time goes, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table


class StageTimes:
    """Passes on what is under way, and counts how long each took.

    Args:
      show: told what is under way.
      first: what is under way now.
      clock: monotonic seconds.
    """

    def __init__(
        self, show: Callable[[str], None], first: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show = show
        self._clock = clock
        self._doing, self._since = first, clock()
        self._seconds: dict[str, float] = {}

    def __call__(self, text: str) -> None:
        """Ends what was under way; `text` is now."""
        self._count()
        self._doing = text
        self._show(text)

    def end(self) -> dict[str, float]:
        """What was done → seconds, in the order in which it was first begun."""
        self._count()
        return dict(self._seconds)

    def _count(self) -> None:
        now = self._clock()
        self._seconds[self._doing] = self._seconds.get(self._doing, 0.0) + now - self._since
        self._since = now


def show(console: Console, seconds: dict[str, float]) -> None:
    """Prints a table of what `StageTimes.end` returns, with each one's share of the whole."""
    table = Table("stage", title="Where the time went", title_justify="left")
    for heading in ("s", "%"):
        table.add_column(heading, justify="right")
    whole = sum(seconds.values())
    for doing, taken in (*seconds.items(), ("together", whole)):
        table.add_row(doing, f"{taken:.2f}", f"{100 * taken / whole:.0f}" if whole else "-")
    console.print(table)
