"""How far a training is, on standard error: a bar with the time left, or a line an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tfplus.cli.output import stderr_console


class TrainingProgress:
    """Shows steps and epochs; a context manager."""

    def __init__(self) -> None:
        self._console = stderr_console()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=None)

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def step(self, step: int, total: int, loss: float) -> None:
        """A step was taken."""
        self._bar.update(
            self._task, completed=step, total=total, description=f"training, loss {loss:.4f}"
        )

    def epoch(self, number: int, epochs: int, logs: Mapping[str, float]) -> None:
        """An epoch, counted from 1, is over."""
        self.note(f"epoch {number}/{epochs} - {_shown(logs)}")

    def measured(self, step: int, values: Mapping[str, float]) -> None:
        """The model was measured in the middle of an epoch."""
        self.note(f"step {step} - {_shown(values)}")

    def note(self, text: str) -> None:
        """Something else to tell."""
        self._console.print(text, markup=False, soft_wrap=True)


def _shown(values: Mapping[str, float]) -> str:
    return " - ".join(f"{name}: {value:.4f}" for name, value in values.items())
