"""The processes of one averaging: started, spoken to, killed, ended; see `peers/driven.py`."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rivals.environments import ROOT, python_of
from rivals.systems import Way

PEERS = Path(__file__).parent / "peers"
_LAST_WORDS = 400
_END_S = 10.0


class Group:
    """All peers of one averaging; a context in which they live.

    Args:
      way: what they are.
      count: how many.
      values: length of their vectors.
      folder: for their files; that of all of them is made before they start.
      rounds: at most, where the system has rounds.
      patience_s: how long a peer waits for others, where the system asks for that.

    Attributes:
      rounds: what each peer told of its rounds so far, in order.
      gone: who is not there any more: number → its last words.
    """

    def __init__(
        self, way: Way, count: int, values: int, folder: Path, rounds: int, patience_s: float
    ) -> None:
        self.rounds: dict[int, list[dict[str, Any]]] = {i: [] for i in range(count)}
        self.gone: dict[int, str] = {}
        self._heard: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()
        self._logs = [folder / f"{i}.log" for i in range(count)]
        self._peers: list[subprocess.Popen[str]] = []
        self._listeners: list[threading.Thread] = []
        shared = folder / "shared"
        shared.mkdir(exist_ok=True)
        command = [
            python_of(way.environment), str(PEERS / way.program), "--count", str(count),
            "--values", str(values), "--way", way.way, "--rounds", str(rounds),
            "--patience-s", str(patience_s), "--shared", str(shared),
        ]  # fmt: skip
        for index in range(count):
            own = folder / str(index)
            own.mkdir(exist_ok=True)
            with self._logs[index].open("w") as log:
                peer = subprocess.Popen(
                    [*command, "--index", str(index), "--folder", str(own)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    cwd=own,
                    env=_environment(way, own),
                    # A group of processes, so that what it starts is killed with it.
                    start_new_session=True,
                )
            self._peers.append(peer)
            listener = threading.Thread(target=self._listen, args=(index, peer), daemon=True)
            listener.start()
            self._listeners.append(listener)

    def __enter__(self) -> Group:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        until = time.monotonic() + _END_S
        for index in range(len(self._peers)):
            self._say(index, {"what": "end"})
        for index, peer in enumerate(self._peers):
            with contextlib.suppress(subprocess.TimeoutExpired):
                peer.wait(max(0.1, until - time.monotonic()))
            self._kill(index)
        for listener, peer in zip(self._listeners, self._peers, strict=True):
            listener.join()
            for pipe in (peer.stdin, peer.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()

    @property
    def there(self) -> list[int]:
        """Numbers of those who have not gone."""
        return [i for i in range(len(self._peers)) if i not in self.gone]

    def tell(self, what: str, **more: Any) -> None:
        """Tells all who are there."""
        for index in self.there:
            self._say(index, {"what": what, **more})

    def hear(
        self, what: str, until: float, so_far: Mapping[int, dict[str, Any]] | None = None
    ) -> dict[int, dict[str, Any]]:
        """Waits until all who are there have said something; peer → its message.

        Args:
          what: that they are to say.
          until: when to give up, monotonic seconds; who was silent lacks.
          so_far: what some have said before.
        """
        found = dict(so_far or {})
        while not set(self.there) <= found.keys():
            with contextlib.suppress(queue.Empty):
                index, message = self._heard.get(timeout=max(0.0, until - time.monotonic()))
                if message is None:
                    self._lost(index)
                elif message["what"] == "round":
                    self.rounds[index].append(message)
                elif message["what"] == what:
                    found[index] = message
                continue
            break
        return found

    def kill(self, index: int) -> None:
        """Kills a peer with all that it has started (SIGKILL)."""
        self.gone[index] = "killed"
        self._kill(index)

    def cpu_s(self) -> float:
        """Seconds of processor time of all who are there, with what they have started."""
        ours = {peer.pid for peer in self._peers}
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[2]) in ours:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _kill(self, index: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._peers[index].pid, signal.SIGKILL)
        self._peers[index].wait()

    def _say(self, index: int, message: dict[str, Any]) -> None:
        stdin = self._peers[index].stdin
        with contextlib.suppress(OSError, ValueError):
            if stdin is not None:
                stdin.write(json.dumps(message) + "\n")
                stdin.flush()

    def _listen(self, index: int, peer: subprocess.Popen[str]) -> None:
        for line in peer.stdout or ():
            self._heard.put((index, json.loads(line)))
        self._heard.put((index, None))

    def _lost(self, index: int) -> None:
        if index not in self.gone:
            words = self._logs[index].read_text(errors="replace").strip()
            self.gone[index] = words[-_LAST_WORDS:] or "it ended without a word"


def _environment(way: Way, own: Path) -> dict[str, str]:
    # What would ask something beyond this machine is told that there is nothing.
    told = {**os.environ, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "TMPDIR": str(own)}
    told.pop("PYTHONPATH", None)
    if way.environment is None:
        told["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "device_agent")))
    return told
