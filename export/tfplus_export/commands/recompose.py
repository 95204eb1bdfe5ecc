"""`tfplus recompose`: the whole model of a plan from what devices made of their parts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.text import Text

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stdout_console
from tfplus.errors import UsageError
from tfplus_export.commands import arguments, neighbours, outputs
from tfplus_export.commands.terminal import at_work

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfplus.decoupling.recomposition import Part
    from tfplus.tensors.slices import Tensors
    from tfplus_export.decoupling.calibrated import Calibrated

EXAMPLES = """
Examples:

  tfplus recompose plan a.tflite b.tflite -o global.keras

  tfplus recompose plan run/recomposed.safetensors -o global.keras -o global.tflite

  tfplus recompose plan run/recomposed.safetensors --calibrate desk.npz -o global.keras

  tfplus recompose plan --agent pi-1.local:50051 --agent pi-2.local:50051 --tls-dir certs/desk \
    -o global.keras
"""

_KINDS = (".keras", ".tflite", ".safetensors")


def recompose(
    plan: Annotated[Path, typer.Argument(help="The folder that `tfplus decouple` wrote.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Files of devices: exported .tflite, or weights as .safetensors."),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output", "-o", help="What to write: a .keras, .tflite or .safetensors. Repeatable."
        ),
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST:PORT",
            help="An agent, whose weights count by the samples that it trains on. Repeatable.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.tflite",
            help="The exported whole, of which the .tflite becomes a copy; exported anew with the "
            "defaults if not given.",
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Samples of every class, as arrays x and y: scale and shift each class's logit so "
            "that branches that trained apart answer on one scale.",
        ),
    ] = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    trust_code: arguments.TrustCode = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Put the whole model of a plan together from files or agents.

    The branch of a class is averaged over those that hold it, the shared layers over all. Where a
    class is held by nobody, the command says which and writes nothing. Devices compare their own
    classes alone; --calibrate brings the branches to one scale.
    """
    given, agents, written = files or [], agent or [], output or []
    if not written:
        raise UsageError("no --output: expected one or more, such as -o global.keras")
    for path in written:
        if path.suffix not in _KINDS:
            raise UsageError(f"--output {path}: expected a file that ends in {', '.join(_KINDS)}")
        outputs.check(path, [*given, *(p for p in (model, calibrate) if p)])
    if not given and not agents:
        raise UsageError("nothing to put together: expected files of devices, or --agent HOST:PORT")
    # What is wrong with a plan or a file is said before TensorFlow is imported.
    from tfplus.decoupling import device_parts, plan_folder, recomposition

    read = plan_folder.read(plan)
    if calibrate is not None and read.activation == "sigmoid":
        raise UsageError(
            f"--calibrate: the classes of {plan} are told by a sigmoid each: expected a plan whose "
            "classes are told apart by a softmax"
        )
    parts: list[Part] = [device_parts.of_file(read, path) for path in given]
    tls = encryption.tls_files(tls_dir, insecure=insecure)
    parts += neighbours.of_agents(read, agents, tls, insecure=insecure)
    whole = recomposition.recompose(read, parts)
    weights: Tensors = whole.weights
    calibrated: Calibrated | None = None
    with at_work("tfplus recompose") as show:
        if calibrate is not None:
            from tfplus_export.decoupling import calibrated as calibration
            from tfplus_export.decoupling import samples

            show(f"calibrating on {calibrate}")
            loaded = arguments.ModelArguments(str(plan), None, None, trust_code).load()
            shape = loaded.model.inputs[0].shape
            taken = samples.load(calibrate, shape, read.classes, loaded.preprocessing, None)
            weights, calibrated = calibration.calibrate(read, loaded.model, weights, taken)
        show("writing the whole model")
        # An export can fail, and nothing else is written then.
        for path in sorted(written, key=lambda p: p.suffix != ".tflite"):
            _write(path, plan, weights, model, show, trust_code=trust_code)
    if json_output:
        told = {"files": written, "holders": whole.holders, "kept": whole.kept}
        print_json(told | {"calibrated": calibrated and asdict(calibrated)})
        return
    console = stdout_console()
    for label, names in whole.holders.items():
        console.print(Text(f"class {label}: {', '.join(names)}"))
    if whole.kept:
        console.print(
            Text(f"{len(whole.kept)} slices are those of the plan, such as {whole.kept[0]}")
        )
    if calibrated is not None:
        console.print(
            Text(
                f"calibrated on {calibrated.samples} samples of {calibrate}: right before "
                f"{calibrated.before:.1%}, after {calibrated.after:.1%}"
            )
        )
    for path in written:
        console.print(Text(f"wrote {path}"))


def _write(
    path: Path,
    plan: Path,
    weights: Tensors,
    exported: Path | None,
    show: Callable[[str], None],
    *,
    trust_code: bool,
) -> None:
    from safetensors.numpy import save

    from tfplus.fleet.global_model import write_global
    from tfplus.system.files import write_atomic

    if path.suffix == ".safetensors":
        write_atomic(path, save({n: np.ascontiguousarray(v) for n, v in weights.items()}))
        return
    if path.suffix == ".tflite" and exported is not None:
        write_global(exported, weights, path)
        return
    from tfplus_export.decoupling import whole_model
    from tfplus_export.pipeline import api
    from tfplus_export.pipeline.stages.options import Options

    model = arguments.ModelArguments(str(plan), None, None, trust_code)
    loaded = model.load()
    whole_model.put(loaded.model, weights)
    if path.suffix == ".tflite":
        api.export(loaded, path, Options(), show)
    else:
        whole_model.save(loaded.model, path)
