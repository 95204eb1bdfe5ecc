"""A run from its start to what is written of it."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfplus.cli.commands.gossip.models import models_by_name
from tfplus.cli.output import stderr_console

if TYPE_CHECKING:
    from tfplus.fleet.gossip_run import GossipSession
    from tfplus.fleet.run_options import RunOptions


def run(
    session: GossipSession, models: Sequence[str], output: Path, recompose: Path | None
) -> dict[str, Any]:
    """Starts a run, shows it to its end, and writes what came of it.

    Args:
      session: not connected yet.
      models: as `models_by_name` takes them.
      output: directory of the result.
      recompose: the global model; None for none.

    Returns:
      The summary, for `--json`.

    Raises:
      TfplusError: an agent cannot be reached, or refuses.
    """
    from tfplus.cli.text.gossip import GossipTable, compared
    from tfplus.gossip.compression.registry import FLOAT32

    console = stderr_console()
    started_at = time.monotonic()
    session.connect()
    try:
        warnings = session.load(models_by_name(models, session.names))
        session.start()
        console.print(f"run {session.options.run_id} on {len(session.names)} agents", markup=False)
        with GossipTable(session.names, session.options.rounds, console) as table:
            for name, texts in warnings.items():
                table.warn(name, texts)
            for update in session.updates():
                table.show(update)
    except KeyboardInterrupt:
        deaf = session.stop()
        for name, why in deaf.items():
            console.print(f"agent '{name}' could not be told to stop: {why}", markup=False)
        console.print(
            f"stopped; to go on: {_command_to_go_on(session.options)}", markup=False, soft_wrap=True
        )
        raise
    written, kept = _write(session, output, recompose)
    for path in written:
        console.print(f"wrote {path}", markup=False)
    if kept:
        console.print(
            f"no agent holds {len(kept)} weights of {recompose}, such as {kept[0]}: they are as "
            "they were",
            markup=False,
        )
    totals = table.totals
    sent_bytes = sum(t.sent_bytes for t in totals.values())
    as_float32_bytes = sum(t.sent_as_float32_bytes for t in totals.values())
    if session.options.codec != FLOAT32:
        console.print(compared(session.options.codec, sent_bytes, as_float32_bytes), markup=False)
    return {
        "run_id": session.options.run_id,
        "rounds": session.options.rounds,
        "seconds": time.monotonic() - started_at,
        "codec": session.options.codec,
        "bytes_sent": sent_bytes,
        "bytes_sent_as_float32": as_float32_bytes,
        "bytes_received": sum(t.received_bytes for t in totals.values()),
        "files": [str(path) for path in written],
        "agents": {
            name: {
                "address": session.addresses[name],
                "state": end.state,
                "well": end.state == "finished",
                "round": end.round,
                "error": end.error,
                "warnings": list(totals[name].warnings),
                "loss": totals[name].loss,
                "metrics": dict(totals[name].metrics),
                "eval_metrics": dict(totals[name].eval_metrics),
                "bytes_sent": totals[name].sent_bytes,
                "bytes_sent_as_float32": totals[name].sent_as_float32_bytes,
                "bytes_received": totals[name].received_bytes,
            }
            for name, end in ((n, session.ends[n]) for n in session.names)
        },
    }


def _write(
    session: GossipSession, output: Path, model: Path | None
) -> tuple[list[Path], list[str]]:
    from safetensors.numpy import save

    from tfplus.fleet.global_model import write_global
    from tfplus.system.files import write_atomic

    values = session.recompose()
    written = [output / "recomposed.safetensors"]
    write_atomic(written[0], save(values))
    kept: list[str] = []
    if model is not None:
        written.append(output / "recomposed.tflite")
        kept = write_global(model, values, written[1])
    return written, kept


def _command_to_go_on(options: RunOptions) -> str:
    arguments = sys.argv[1:]
    if not options.resume:
        arguments = [*arguments, "--resume", options.run_id]
    return shlex.join(["tfplus", *arguments])
