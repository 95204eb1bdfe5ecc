"""A device of tiles that kills itself (SIGKILL) within a step: what `kills.py` starts.

usage: python mortal_tiles.py APPLIED FRACTION REPORT

It serves as `tfplus.tiles.process.serve` does, with the same runtime and wire. In the step behind
APPLIED applied ones it dies at one of the step's points: in front of each pass of a group, of each
message, of the update, and behind the update. FRACTION says which, of as many as the step before
had. It writes the point and the time to REPORT first.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn
from unittest import mock

sys.path[:0] = [str(Path(__file__).parents[2])]

from tfplus.tensors.slices import Tensor, Tensors  # noqa: E402
from tfplus.tiles.process import serve  # noqa: E402
from tfplus.tiles.process.device import Model, Sender  # noqa: E402
from tfplus.tiles.step.assignment import Assignment  # noqa: E402
from tfplus.tiles.step.messages import Floats, Gradients, Send  # noqa: E402
from tfplus.tiles.step.moments import Moments  # noqa: E402


class Fate:
    """Counts points and applied steps, and ends the process.

    Args:
      applied: steps, behind which it dies.
      fraction: of the points of a step, 0 to 1.
      report: file that is told.
    """

    def __init__(self, applied: int, fraction: float, report: Path) -> None:
        self._dies_behind, self._fraction, self._report = applied, fraction, report
        self._applied, self._points, self._before = 0, 0, 0
        self._lock = threading.Lock()

    def point(self, name: str) -> None:
        """A point of a step, at which it may be over."""
        with self._lock:
            if self._applied == self._dies_behind and self._points == int(
                self._fraction * self._before
            ):
                self._die(name)
            self._points += 1

    def applied(self) -> None:
        """A step was applied."""
        self.point("updated")
        with self._lock:
            self._applied += 1
            self._before, self._points = self._points, 0

    def loaded(self) -> None:
        """Another plan: what was computed of a step does not count."""
        with self._lock:
            self._points = 0

    def _die(self, name: str) -> NoReturn:
        self._report.write_text(json.dumps({"point": name, "at_s": time.monotonic()}))
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process goes on")


class MortalModel:
    """A model in front of whose passes the process may end."""

    def __init__(self, model: Model, fate: Fate) -> None:
        self._model, self._fate = model, fate
        fate.loaded()

    def forward(self, group: int, fetched: Sequence[Floats], moments: Moments | None) -> Floats:
        """See `Compute`."""
        self._fate.point(f"forward {group + 1}")
        return self._model.forward(group, fetched, moments)

    def backward(
        self, group: int, fetched: Sequence[Floats], delta: Floats, moments: Moments | None
    ) -> tuple[Sequence[Floats] | None, Gradients, Moments | None]:
        """See `Compute`."""
        self._fate.point(f"backward {group + 1}")
        return self._model.backward(group, fetched, delta, moments)

    def tail(self, output: Floats, targets: Tensors) -> tuple[dict[str, float], Floats, Gradients]:
        """See `Compute`."""
        self._fate.point("tail")
        return self._model.tail(output, targets)

    def update(self, gradients: Gradients, moments: Mapping[str, Moments]) -> None:
        """See `Model`."""
        self._fate.point("update")
        self._model.update(gradients, moments)
        self._fate.applied()

    def save(self) -> dict[str, Tensor]:
        """See `Model`."""
        return self._model.save()

    def restore(self, tensors: Tensors) -> None:
        """See `Model`."""
        self._model.restore(tensors)


class MortalSender:
    """An outbox in front of whose messages the process may end."""

    def __init__(self, sender: Sender, fate: Fate) -> None:
        self._sender, self._fate = sender, fate

    def put(self, sends: Sequence[Send]) -> None:
        """See `Sender`."""
        for send in sends:
            self._fate.point(f"send {send.message.key.kind}")
            self._sender.put([send])

    def close(self) -> None:
        """See `Sender`."""
        self._sender.close()


def main() -> None:
    """Serves until it dies."""
    applied, fraction, report = sys.argv[1:]
    fate = Fate(int(applied), float(fraction), Path(report))
    open_model, outbox = serve.runtime(1), serve.Outbox

    def mortal(content: bytes, given: Assignment) -> MortalModel:
        return MortalModel(open_model(content, given), fate)

    def told(address: str, enforced: bool) -> None:
        print(json.dumps({"address": address, "enforced": enforced}), flush=True)

    with mock.patch.object(serve, "Outbox", lambda *a: MortalSender(outbox(*a), fate)):
        serve.serve(serve.Server("127.0.0.1:0", mortal), 0, told)


if __name__ == "__main__":
    main()
