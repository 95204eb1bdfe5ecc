"""The table that `tfplus gossip` shows: live on a terminal, else line by line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tfplus.fleet.updates import Ended, Rejoined, Round, Update

_STYLES = {"finished": "green", "running": "", "stopped": "yellow", "failed": "red", "lost": "red"}

_ACCURACY = "accuracy"


@dataclass
class Totals:
    """One agent, as far as it has come."""

    state: str = "running"
    round: int = 0
    loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    eval_metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    sent_bytes: int = 0
    sent_as_float32_bytes: int = 0
    received_bytes: int = 0
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    members: Mapping[str, str] = field(default_factory=dict[str, str])


class GossipTable:
    """Shows updates as they come; a context manager.

    Attributes:
      totals: agent → what was shown of it last.

    Args:
      names: the agents, in the order of the rows.
      rounds: of the run.
      console: where to.
    """

    def __init__(self, names: Sequence[str], rounds: int, console: Console) -> None:
        self.totals = {name: Totals() for name in names}
        self._rounds = rounds
        self._console = console
        self._note = ""
        self._live = (
            Live(self._table(), console=console, refresh_per_second=4)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> GossipTable:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, update: Update) -> None:
        """Takes an update in and shows it."""
        totals = self.totals[update.agent]
        match update:
            case Round():
                totals.state = "running"
                totals.round = update.round
                totals.loss, totals.metrics = update.loss, update.metrics
                totals.eval_metrics = update.eval_metrics
                totals.missing = update.missing
                totals.members = update.members
            case Ended():
                totals.state = update.state
                totals.round = max(totals.round, update.round)
                totals.eval_metrics = update.eval_metrics or totals.eval_metrics
            case Rejoined():
                totals.state = "running"
        if isinstance(update, (Round, Ended)):
            totals.sent_bytes += update.sent_bytes
            totals.sent_as_float32_bytes += update.sent_as_float32_bytes
            totals.received_bytes += update.received_bytes
        if self._live is None:
            self._print(self._line(update))
        else:
            if not isinstance(update, Round):
                self._print(self._line(update))
            self._live.update(self._table())
        if isinstance(update, Round) and update.note:
            self._print(f"{update.agent}: {update.note}")
        if isinstance(update, Round):
            for text in update.member_news:
                self._print(f"{update.agent}: {text}")
            self.warn(update.agent, update.warnings)

    def warn(self, agent: str, warnings: Iterable[str]) -> None:
        """Shows what is to be told of an agent's data, once."""
        totals = self.totals[agent]
        for text in warnings:
            if text not in totals.warnings:
                totals.warnings = (*totals.warnings, text)
                self._print(f"{agent}: warning: {text}")

    def note(self, text: str) -> None:
        """Shows a line about the run as a whole: below the table, or by itself."""
        self._note = text
        if self._live is None:
            self._print(text)
        else:
            self._live.update(self._table())

    def _print(self, text: str) -> None:
        # Names and reasons come from agents: nothing of them is markup or steers the terminal.
        safe = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
        self._console.print(safe, markup=False, soft_wrap=True)

    def _line(self, update: Update) -> str:
        name = update.agent
        match update:
            case Round():
                return f"{name}: {round_line(update, self._rounds)}"
            case Ended():
                return f"{name}: {update.state}" + (f": {update.error}" if update.error else "")
            case Rejoined():
                return f"{name}: is back, goes on with round {update.round}"

    def _table(self) -> Table:
        table = Table(caption=self._note or None)
        table.add_column("agent")
        # Beside what was sent, where a codec made it another number.
        coded = any(t.sent_as_float32_bytes != t.sent_bytes for t in self.totals.values())
        for heading in (
            "round",
            "loss",
            _heading(self.totals.values()),
            "evaluated",
            "sent",
            *(["as float32"] if coded else []),
            "received",
        ):
            table.add_column(heading, justify="right")
        table.add_column("without")
        # Of runs whose members come and go.
        counted = any(t.members for t in self.totals.values())
        if counted:
            table.add_column("members")
        table.add_column("state")
        for name, totals in self.totals.items():
            table.add_row(
                Text(name),
                f"{totals.round}/{self._rounds}",
                _number(totals.loss, 4),
                Text(_metrics(totals.metrics)),
                Text(_metrics(totals.eval_metrics)),
                _size(totals.sent_bytes),
                *([_size(totals.sent_as_float32_bytes)] if coded else []),
                _size(totals.received_bytes),
                Text(", ".join(totals.missing)),
                *([Text(_there(totals.members))] if counted else []),
                Text(totals.state, style=_STYLES[totals.state]),
            )
        return table


def round_line(update: Round, rounds: int = 0) -> str:
    """A round that is done, of so many if that is known, in a line."""
    trained = "".join(f", {n} {v:.3f}" for n, v in update.metrics.items())
    found = _metrics(update.eval_metrics)
    evaluated = f", evaluated {found}" if found else ""
    missing = f", without {', '.join(update.missing)}" if update.missing else ""
    of = f"/{rounds}" if rounds else ""
    away = absent(update.members)
    members = f", {away}" if away else ""
    return f"round {update.round}{of}, loss {update.loss:.4f}{trained}{evaluated}{missing}{members}"


def absent(members: Mapping[str, str]) -> str:
    """Members that are not alive, by their state, in a line; empty where all are."""
    states = dict.fromkeys(state for state in members.values() if state != "alive")
    return "; ".join(
        f"{state}: {', '.join(n for n, s in members.items() if s == state)}" for state in states
    )


def _there(members: Mapping[str, str]) -> str:
    alive = sum(state == "alive" for state in members.values())
    away = absent(members)
    return f"{alive + 1} of {len(members) + 1} there" + (f"; {away}" if away else "")


def compared(codec: str, sent_bytes: int, as_float32_bytes: int) -> str:
    """What a codec came to in a whole run, in a line."""
    share = f", {sent_bytes / as_float32_bytes:.0%} of it" if as_float32_bytes else ""
    return (
        f"sent between agents: {_size(sent_bytes)} with {codec}; float32 would have been "
        f"{_size(as_float32_bytes)}{share}"
    )


def _heading(agents: Iterable[Totals]) -> str:
    named = {name for totals in agents for name in totals.metrics}
    return "metrics" if named - {_ACCURACY} else _ACCURACY


def _metrics(values: Mapping[str, float]) -> str:
    """The accuracy alone as a number; anything else with its name."""
    return ", ".join(
        f"{value:.3f}" if set(values) == {_ACCURACY} else f"{name} {value:.3f}"
        for name, value in sorted(values.items())
    )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _size(size_bytes: int) -> str:
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1000:.1f} kB"
    return f"{size_bytes / 1_000_000:.1f} MB"
