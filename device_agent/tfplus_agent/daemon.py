"""The daemon as a process of its own: what `tfplus agent` turns into once its options are read.

usage: python -m tfplus_agent.daemon OPTIONS, a JSON object

The command line's packages hold 15 MB that a daemon never uses again; starting Python anew in the
same process, with the same id, is the way to give them back.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tfplus.errors import MissingExtraError, TfplusError
from tfplus.system import allocator
from tfplus.system.files import write_atomic

if TYPE_CHECKING:
    from tfplus_agent.server.agent_server import AgentServer

# Messages of a transfer that are under way at once, and the longest of them.
_HELD_BYTES = 16 << 20
_BLOCK_BYTES = 8 << 20


def become(options: dict[str, Any]) -> NoReturn:
    """Makes the daemon of this process; does not return.

    Args:
      options: as `run` takes them.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    # Without the columns of every instruction, which only mark places in tracebacks.
    lean = ("-X", "no_debug_ranges")
    module = ("-m", "tfplus_agent.daemon")
    command = [sys.executable, *lean, *module, json.dumps(options, default=str)]
    os.execv(sys.executable, command)  # noqa: S606 (this very Python)


def run(
    *,
    name: str | None,
    data: str,
    eval_data: str | None,
    state_dir: str | None,
    runtime: str,
    threads: int,
    accelerator: str,
    loss_every: int,
    gpu_precision: str,
    scale: str | None,
    offset: str | None,
    listen: str,
    tls_dir: str | None,
    insecure: bool,
    keep_runs: int,
    keep_models: int,
    feature_cache_mb: int,
    gates: dict[str, Any],
    priority: str,
    cpus: str | None,
    cpu_share: str | None,
    upload_bytes_per_s: float | None,
    metrics: str | None,
    announce: bool,
    ready_file: str | None,
    as_json: bool,
) -> None:
    """Serves until SIGTERM or SIGINT comes; the options are those of `tfplus agent`.

    Raises:
      KeyboardInterrupt: SIGINT came.
      TfplusError: it cannot serve.
    """
    allocator.prefer_reuse(_HELD_BYTES, _BLOCK_BYTES)
    # gRPC's C core would write its own line about a port in use beside the error message.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from tfplus.runtime import accelerators
        from tfplus_agent.server import agent_server
        from tfplus_agent.storage import naming
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tfplus"):
            raise
        raise MissingExtraError.of("tfplus agent", "agent") from error
    from tfplus.data import scaling
    from tfplus.runtime.gpu import precision_named
    from tfplus.system.processor_use import ProcessorUse
    from tfplus.wire.tls import TlsFiles
    from tfplus_agent.device.config import DeviceConfig
    from tfplus_agent.jobs.limits.gates import Gates, Hours

    # Whatever is written from now on is the owner's alone.
    os.umask(0o077)
    hours = gates.pop("hours")
    accelerators.check_name(accelerator)
    tls = TlsFiles.load(Path(tls_dir)) if tls_dir else None
    name = naming.own_name(name, tls)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    config = agent_server.ServerConfig(
        DeviceConfig(
            name,
            Path(state_dir) if state_dir else naming.default_state_dir(name),
            Path(data),
            Path(eval_data) if eval_data else None,
            runtime,
            threads,
            accelerator,
            loss_every,
            precision_named(gpu_precision),
            keep_models,
            scaling.parse(scale, offset),
            Gates(**gates, hours=Hours.parse(hours) if hours else None),
            feature_cache_mb * 1_000_000,
            ProcessorUse.parse(priority, cpus, cpu_share),
        ),
        listen,
        tls,
        insecure,
        keep_runs,
        upload_bytes_per_s=upload_bytes_per_s,
    )

    def on_ready(serving: AgentServer) -> None:
        about = {"address": serving.address, "name": name, "pid": os.getpid()}
        if metrics is not None:
            from tfplus_agent.server.metrics import MetricsPage
            from tfplus_agent.telemetry.sensors.registry import SENSORS

            about["metrics"] = MetricsPage(
                metrics,
                SENSORS,
                lambda: {"trained_steps": float(serving.device.trained_steps)},
                tls,
                insecure,
            ).address
        line = json.dumps(about)
        if ready_file is not None:
            write_atomic(Path(ready_file), f"{line}\n".encode())
        found = serving.device.runtime
        page = f", metrics on {about['metrics']}" if metrics else ""
        text = (
            f"agent '{name}' serves on {serving.address} ({found.name} {found.version}, "
            f"{serving.device.train_samples} samples){page}; Ctrl-C ends it"
        )
        # What imports needed for a moment.
        allocator.give_back()
        # Flushed, so that a reader of a pipe sees the line at once.
        print(line if as_json else text, flush=True)  # noqa: T201 (the command's own output)

        if announce:
            at_the_end.enter_context(announcing.announced(name, serving.address, tls))

    if announce:
        from tfplus_agent.server import announcing

        announcing.check(listen)
    with contextlib.ExitStack() as at_the_end:
        if agent_server.serve(config, on_ready) == signal.SIGINT:
            raise KeyboardInterrupt


def main() -> None:
    """Runs with the options that the command line gives."""
    try:
        run(**json.loads(sys.argv[1]))
    except (TfplusError, OSError, KeyboardInterrupt) as error:
        from tfplus.cli.main import answer

        sys.exit(answer(error))


if __name__ == "__main__":
    from tfplus.cli.entry import interruptible

    interruptible(main)
