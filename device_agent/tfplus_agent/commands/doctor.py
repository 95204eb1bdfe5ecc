"""The command `tfplus doctor`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from tfplus.cli.output import print_json, stderr_console, stdout_console
from tfplus.errors import MissingExtraError, WorkerError
from tfplus_agent.storage import naming

_BLOCKED_EXIT_CODE = 3


def doctor(
    model: Annotated[
        Path | None,
        typer.Argument(help="Train this exported file, on random samples, not a small model."),
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="State directory of the agent; its default otherwise.")
    ] = None,
    tls_dir: Annotated[
        Path | None, typer.Option(help="Also check the certificates in this directory.")
    ] = None,
    threads: Annotated[
        int, typer.Option(min=0, max=256, help="Of the interpreter; 0 for every core.")
    ] = 0,
    calibrate_battery: Annotated[
        bool,
        typer.Option(
            "--calibrate-battery",
            help="Instead find out unit and sign of the battery's current and power, and keep "
            "that for all that reads them; once per device, with the charger away.",
        ),
    ] = False,
    calibrate_seconds: Annotated[
        float, typer.Option(min=2, max=86_400, help="How long that may take.")
    ] = 300.0,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
) -> None:
    """Say what on this device trains, and computes what it should.

    Each runtime, with XNNPACK and without, and the GPU take training steps in a process of their
    own; a small model's must lead where TensorFlow's lead, another model's where the first CPU's
    lead. `wrong`, `fails` and `absent` accelerators are none that an agent would use.

    \b
    Ends with 0 if an agent can train here, 3 if its state directory or its certificates stand in
    the way (or MODEL is no exported file), 6 without a runtime, 7 if nothing computes rightly.

    \b
    Examples:
      tfplus doctor
      tfplus doctor model.tflite --threads 4
      tfplus doctor --state-dir /srv/tfplus --tls-dir certs/pi-3
      tfplus doctor --calibrate-battery
      tfplus doctor --json | jq '.accelerators[] | select(.status == "right") | .name'
    """
    if calibrate_battery:
        _calibrate(calibrate_seconds, as_json=as_json)
        return
    from tfplus_agent.doctor import examination, patient, text

    trained = patient.of_file(model) if model else patient.probe()
    notes = stderr_console()
    found = examination.examine(
        trained,
        state_dir or naming.default_state_dir(),
        tls_dir,
        threads,
        lambda what: notes.print(f"{what} …", markup=False),
    )
    if as_json:
        print_json(
            {
                **dataclasses.asdict(found),
                "warnings": found.warnings,
                "problems": found.problems,
                "trains": found.trains,
            }
        )
    else:
        text.show(found, stdout_console())
    if not found.runtime_installed:
        raise typer.Exit(MissingExtraError.exit_code)
    if not found.trains:
        raise typer.Exit(WorkerError.exit_code)
    if found.problems:
        raise typer.Exit(_BLOCKED_EXIT_CODE)


def _calibrate(seconds: float, *, as_json: bool) -> None:
    from tfplus_agent.doctor import battery

    notes = stderr_console()
    found, path = battery.calibrate(seconds, lambda text: notes.print(text, markup=False))
    if as_json:
        print_json({**dataclasses.asdict(found), "file": str(path)})
        return
    stdout_console().print(found.described(), markup=False, soft_wrap=True)
    notes.print(f"kept in {path}; the sensors of this device read it from now on", markup=False)
