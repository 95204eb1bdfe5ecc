"""How much of the processor a process takes: its class, its cores, its share of the time."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from tfplus.errors import UsageError

PRIORITIES = ("foreground", "background")
_CPUS = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*")
_NICEST = 19
# A pause is taken in pieces, so that whoever wants to stop need not wait for its end.
_PIECE_S = 0.1


@dataclass(frozen=True)
class ProcessorUse:
    """What a process takes; by default what every other takes.

    Attributes:
      background: gives way to whatever else runs: the scheduler's class SCHED_IDLE, and nice 19.
      cpus: numbers of the cores that it may use; empty for all.
      share: of the time in which it computes, above 0; for the rest it pauses between steps.
    """

    background: bool = False
    cpus: tuple[int, ...] = ()
    share: float = 1.0

    @classmethod
    def parse(cls, priority: str, cpus: str | None, share: str | None) -> ProcessorUse:
        """Reads what somebody typed.

        Args:
          priority: `foreground` or `background`.
          cpus: such as `2-3` or `0,2-3`; None for all.
          share: such as `50%`; None for all of the time.

        Raises:
          UsageError: one has another form, or this process may not use such a core.
        """
        if priority not in PRIORITIES:
            raise UsageError(f"--priority '{priority}': expected one of {', '.join(PRIORITIES)}")
        return cls(priority == "background", _cores(cpus), _share(share))

    def apply(self) -> None:
        """Takes no more from now on: this thread, and those that it starts."""
        if self.cpus:
            os.sched_setaffinity(0, self.cpus)
        if self.background:
            os.setpriority(os.PRIO_PROCESS, 0, _NICEST)
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    def paced(
        self,
        stopped: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> Callable[[], bool]:
        """What is to be asked before each step: pauses as long as the share asks for.

        Args:
          stopped: whether to stop; asked during the pause, too.
          clock: seconds that only grow.
          sleep: waits for so many seconds.

        Returns:
          A function that gives what `stopped` gives.
        """
        if self.share >= 1:
            return stopped
        since = clock()

        def ask() -> bool:
            nonlocal since
            until = clock() + (clock() - since) * (1 / self.share - 1)
            while not stopped():
                left = until - clock()
                if left <= 0:
                    since = clock()
                    return False
                sleep(min(left, _PIECE_S))
            return True

        return ask


EVERYTHING = ProcessorUse()


def _cores(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    if not _CPUS.fullmatch(text):
        raise UsageError(f"--cpus '{text}': expected numbers of cores such as 2-3 or 0,2-3")
    spans = [part.partition("-") for part in text.split(",")]
    cores = {n for low, _, high in spans for n in range(int(low), int(high or low) + 1)}
    own = os.sched_getaffinity(0)
    if not cores or not cores <= own:
        raise UsageError(f"--cpus '{text}': expected some of {sorted(own)}, which this process has")
    return tuple(sorted(cores))


def _share(text: str | None) -> float:
    if text is None:
        return 1.0
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", text)
    share = float(match[1]) / 100 if match else 0.0
    if not 0.01 <= share <= 1:
        raise UsageError(f"--cpu-share '{text}': expected 1% to 100%")
    return share
