"""A repetition in a fresh process of this machine, which shares nothing with those before it.

The process reads the request from its standard input and writes lines of JSON: `{"ms": [...]}` as
iterations come, `{"gates_open": true}` once it begins, and last `{"answer": {...}}` or, with the
reason, `{"failed": "..."}`.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

from tfplus.benchmark.repetition import Answer, Gates, Operation, Request, Told
from tfplus.errors import WorkerError
from tfplus.system import child_process

MODULE = "tfplus_agent.benchmark.process"
# A line holds what came in a second, or the operations of a large model.
_MOST_LINE_BYTES = 1 << 26
_LAST_WORDS_BYTES = 4096


class OwnProcess:
    """One repetition; `run` may be called once, `kill` from any thread at any time.

    Args:
      request: what to run.
      timeout_s: ends it after so long, in seconds, what it waits for gates not counted.
      module: the program.
    """

    def __init__(self, request: Request, timeout_s: float, module: str = MODULE) -> None:
        self._request = request
        self._timeout_s = timeout_s
        self._module = module
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._killed = False

    def kill(self) -> None:
        """Ends the process, and what it started, at once; also one that has not begun yet."""
        with self._lock:
            self._killed = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

    def run(self, told: Told = lambda times: None) -> Answer:
        """Runs it to its end.

        Args:
          told: is given the times as they come.

        Raises:
          WorkerError: it failed, was killed, or took too long.
        """
        late = threading.Event()

        def too_late() -> None:
            late.set()
            self.kill()

        with tempfile.TemporaryFile() as said:
            with self._lock:
                if self._killed:
                    raise WorkerError("it was stopped before it began")
                self._process = process = subprocess.Popen(  # noqa: S603 (this very Python)
                    child_process.command(self._module),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    text=True,
                    errors="replace",
                )
            waits = threading.Timer(self._request.gates.timeout_s + self._timeout_s, too_late)
            runs = threading.Timer(self._timeout_s, too_late)
            times: list[float] = []
            answer: Mapping[str, Any] | None = None
            failed = ""
            waits.start()
            try:
                for line in self._lines(process):
                    if "gates_open" in line:
                        runs.start()
                    elif "ms" in line:
                        times += line["ms"]
                        told(line["ms"])
                    elif "failed" in line:
                        failed = line["failed"]
                    else:
                        answer = line["answer"]
                code = process.wait()
            finally:
                waits.cancel()
                runs.cancel()
                self.kill()
                process.wait()
            if failed and not late.is_set():
                raise WorkerError(failed)
            if answer is None or code:
                raise WorkerError(self._why(code, said, is_late=late.is_set()))
        operations = tuple(Operation(*row) for row in answer["operations"])
        return Answer(
            answer["runtime"],
            tuple(times),
            answer["values"],
            answer["absent"],
            operations,
            answer["model_sha256"],
        )

    def _lines(self, process: subprocess.Popen[str]) -> Any:
        if process.stdin is None or process.stdout is None:
            raise WorkerError("the process has no pipes")
        with process.stdin as asked, process.stdout as told:
            try:
                asked.write(json.dumps(dataclasses.asdict(self._request)))
                asked.close()
            except BrokenPipeError:
                # It died before it read: its exit code says more.
                return
            while line := told.readline(_MOST_LINE_BYTES):
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    # Cut off in the middle of a line.
                    return

    def _why(self, code: int, said: Any, *, is_late: bool) -> str:
        if is_late:
            return f"did not end within {self._timeout_s:g} s"
        said.seek(0, 2)
        said.seek(max(0, said.tell() - _LAST_WORDS_BYTES))
        lines = said.read().decode(errors="replace").strip().splitlines()[-1:]
        if code == -signal.SIGKILL and not lines:
            lines = ["it was stopped, or took more memory than there is"]
        how = child_process.how_it_ended(code)
        return f"the process {how}: {(lines or ['it said nothing'])[0]}"


def measure(request: Request, timeout_s: float) -> Answer:
    """Runs one repetition in a fresh process of this machine.

    Raises:
      WorkerError: it failed, was killed, or took longer than `timeout_s`.
    """
    return OwnProcess(request, timeout_s).run()


def request_of(told: Mapping[str, Any]) -> Request:
    """A request out of what `OwnProcess` writes."""
    fields: dict[str, Any] = {**told, "gates": Gates(**told["gates"])}
    return Request(**fields)
