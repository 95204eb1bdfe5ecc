"""`tfplus server`: collects features of devices, trains the head, publishes it."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from tfplus.cli import encryption
from tfplus.cli.output import stderr_console
from tfplus.errors import MissingExtraError, UsageError

app = typer.Typer(add_completion=False)


@app.command()
def server(
    model: Annotated[
        list[Path],
        typer.Argument(
            help="A .tflite file of `tfplus export --split` or --cached; several of one model, "
            "each cut once more, to have the freeze point chosen."
        ),
    ],
    state_dir: Annotated[
        Path | None, typer.Option(help="Where samples' features and versions are kept (SQLite).")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="TFPLUS_DATABASE",
            show_envvar=True,
            help="postgresql://USER:PASSWORD@HOST/NAME, in place of --state-dir.",
        ),
    ] = None,
    listen: Annotated[
        str, typer.Option(help="HOST:PORT to serve on; port 0 takes a free one.")
    ] = "127.0.0.1:50061",
    every: Annotated[
        int, typer.Option(min=1, help="Train once so many samples came since the last version.")
    ] = 32,
    epochs: Annotated[
        int, typer.Option(min=1, max=10_000, help="Passes over all samples in a training.")
    ] = 5,
    threads: Annotated[
        int, typer.Option(min=0, max=256, help="Of the interpreter; 0 for one on each fast core.")
    ] = 0,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The address as one line of JSON once it serves.")
    ] = False,
) -> None:
    """Collect features with labels that devices send, train the head on them, publish versions.

    Devices send with `tfplus features flush` and fetch with `tfplus features pull`. It serves until
    Ctrl-C or SIGTERM; what was acknowledged is on disk. Several servers of one machine may share
    --state-dir, and several of any machines a data base of PostgreSQL; TFPLUS_DATABASE holds its
    URL where other users of this machine must not see the password.

    Of several files it serves the one whose freeze point is the cheapest of those that are good, by
    a training of each head on what was collected, when it starts and before each version; it tells
    the reason. Devices get another file by their next pull.

    \b
    Examples:
      tfplus server head.tflite --state-dir hub/ --every 16 --epochs 10
      tfplus server head.tflite --state-dir hub/ --listen 0.0.0.0:50061 --tls-dir certs/hub
      tfplus server early.tflite late.tflite --state-dir hub/
      tfplus server head.tflite --database 'postgresql://hub:secret@db.local/hub'
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    state = state_dir if database is None else database
    if state is None or (state_dir is not None and database is not None):
        raise UsageError(
            "expected --state-dir FOLDER, or --database URL (or TFPLUS_DATABASE): one of them"
        )
    if not all(map(importlib.util.find_spec, ("alembic", "pg8000", "sqlalchemy"))):
        raise MissingExtraError.of("tfplus server", "server")
    from tfplus.feature_server.serving import FeatureServer, ServerConfig
    from tfplus.feature_server.trainer import TrainingPolicy

    tls = encryption.tls_files(tls_dir, insecure=insecure)
    policy = TrainingPolicy(every, epochs, threads)
    # Samples' features are nobody else's business.
    os.umask(0o077)
    console, one_at_a_time = stderr_console(), threading.Lock()

    def told(text: str) -> None:
        with one_at_a_time:
            console.print(text, markup=False, soft_wrap=True)

    file, *others = model
    config = ServerConfig(file, state, listen, tls, insecure, policy, tuple(others))
    ends = {signal.SIGTERM, signal.SIGINT}
    # Threads inherit it: the signal waits for `sigwait`, whoever it was sent to.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        serving = FeatureServer(config, told)
        serving.start()
        version, why = serving.publisher.version.number, serving.why
        if why:
            told(f"freeze point {why}")
        if as_json:
            import json

            about = {"address": serving.address, "version": version, "pid": os.getpid(), "why": why}
            print(json.dumps(about), flush=True)  # noqa: T201 (the command's own output)
        else:
            told(f"serves version {version} on {serving.address}; Ctrl-C ends it")
        number = signal.sigwait(ends)
        serving.stop()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
