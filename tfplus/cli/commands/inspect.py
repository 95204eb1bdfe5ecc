"""`tfplus inspect`: what an exported file contains, without TensorFlow or a runtime.

With `--delegates` it asks the runtime how it divides the graph.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfplus.cli.output import print_json, stdout_console
from tfplus.cli.text import data as data_text
from tfplus.cli.text import delegates as delegates_text
from tfplus.cli.text import parity as parity_text

if TYPE_CHECKING:
    from tfplus.model_file.manifest import (
        Lowering,
        Manifest,
        Output,
        Signature,
        TensorInfo,
        Variable,
    )

app = typer.Typer()


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A .tflite file written by `tfplus export`.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, for scripts.")
    ] = False,
    delegates: Annotated[
        bool,
        typer.Option(
            "--delegates", help="Ask LiteRT what XNNPACK takes, and what splits its part."
        ),
    ] = False,
) -> None:
    """Shows what an exported model holds: signatures, variables, operators, parity.

    The file is checked on the way: its manifest, and the hash of its graph. With --delegates, train
    and infer run once each on this machine's LiteRT, and what XNNPACK runs is shown instead: its
    partitions, and every operator outside of them with its layer and the reason.

    \b
    Examples:
      tfplus inspect lenet.tflite
      tfplus inspect lenet.tflite --json | jq .operators
      tfplus inspect lenet.tflite --delegates
      tfplus inspect lenet.tflite --delegates --json | jq '.delegates[].outside'
    """
    from tfplus.model_file import artifact

    found = artifact.read(file)
    asked = delegates_text.ask(found) if delegates else []
    if as_json:
        described = report(found.manifest, found.sha256, found.size_bytes)
        print_json(described | {"delegates": asked} if delegates else described)
    elif delegates:
        delegates_text.show(asked, stdout_console())
    else:
        _show(found.manifest, found.sha256, found.size_bytes, stdout_console())


def report(manifest: Manifest, sha256: str, size_bytes: int) -> dict[str, Any]:
    """Builds the JSON form: the whole manifest, with the file's own hash and size.

    Args:
      manifest: of the file.
      sha256: of the whole file (hex).
      size_bytes: of the whole file.
    """
    return {
        **dataclasses.asdict(manifest),
        "sha256": sha256,
        "size_bytes": size_bytes,
    }


def _show(manifest: Manifest, sha256: str, size_bytes: int, console: Console) -> None:
    facts = Table.grid(padding=(0, 2))
    rows = {
        "model": manifest.name,
        "sha256": sha256,
        "size": f"{size_bytes:,} bytes (graph {manifest.flatbuffer_bytes:,})",
        "parameters": f"{manifest.parameters:,}",
        "input": ", ".join(
            f"{name}: {info.dtype}{list(info.shape)}" for name, info in manifest.inputs.items()
        )
        + " a sample",
        **_features(manifest),
        "data": data_text.lines(manifest.preprocessing),
        "classes": " ".join(str(c) for c in manifest.classes) or "none",
        "batch size": f"{manifest.batch_size} to train, {manifest.infer_batch_size} to infer",
        "loss": "\n".join(_loss(output) for output in manifest.outputs),
        "optimizer": _pairs(manifest.optimizer),
        "FLOPs per step": f"{manifest.flops_per_step:,}",
        "frozen": ", ".join(f.name for f in manifest.frozen) or "nothing",
        "checked for": _targets(manifest) or "nothing",
        "architecture": manifest.architecture_hash,
        "exported by": f"tfplus {manifest.tfplus_version} (schema {manifest.schema_version})",
        "flex operators": " ".join(manifest.flex_operators) or "none",
        "accelerators": ", ".join(
            f"{graph.accelerator} ({graph.size_bytes:,} bytes, checked by {graph.checked_by})"
            for graph in manifest.accelerated
        )
        or "none",
        "parity": parity_text.lines(manifest.parity),
    }
    for label, value in rows.items():
        facts.add_row(Text(label, style="bold"), Text(value))
    console.print(facts)
    for table in (
        _signatures(manifest.signatures),
        _variables(manifest.variables),
        _operators(manifest.operators),
        *([_lowerings(manifest.lowerings)] if manifest.lowerings else []),
    ):
        console.print()
        console.print(table)


def _features(manifest: Manifest) -> dict[str, str]:
    """What is made of samples before the file takes it; nothing where it takes samples."""
    if not manifest.features:
        return {}
    first, *_ = manifest.features
    layers = "' and then '".join(graph.layer for graph in manifest.features)
    size_bytes = sum(graph.size_bytes for graph in manifest.features)
    number = f"{len(manifest.features)} graphs" if len(manifest.features) > 1 else "a graph"
    return {
        "features": f"the input is what '{layers}' makes of a sample "
        f"{first.sample.dtype}{list(first.sample.shape)}; {number} of {size_bytes:,} bytes, "
        f"{first.batch_size} samples at once"
    }


def _signatures(signatures: dict[str, Signature]) -> Table:
    table = Table("signature", "inputs", "outputs", title="Signatures", title_justify="left")
    for name, signature in sorted(signatures.items()):
        shown = (signature.inputs, signature.outputs)
        # `save` and `restore` name every variable, which the table of variables shows already.
        short = name in ("save", "restore")
        table.add_row(Text(name), *(_tensors(tensors, short=short) for tensors in shown))
    return table


def _loss(output: Output) -> str:
    parameters = {k: v for k, v in output.loss.items() if k != "name"}
    weight = f", weight {output.loss_weight:.3g}" if output.loss_weight != 1.0 else ""
    beside = f", its logits in {output.logits}" if output.logits else ""
    return (
        f"{output.name} ({output.kind}{beside}): {output.loss.get('name')} with {output.target} "
        f"({output.targets}; {_pairs(parameters)}){weight}; padding {output.padding:.3g}"
    )


def _variables(variables: tuple[Variable, ...]) -> Table:
    table = Table("variable", "shape", "dtype", "role", title="Variables", title_justify="left")
    for variable in variables:
        role = variable.role if variable.trainable or variable.role != "weight" else "weight, fixed"
        shape = "×".join(str(d) for d in variable.shape) or "scalar"
        table.add_row(Text(variable.name), shape, variable.dtype, role)
    return table


def _operators(operators: dict[str, int]) -> Table:
    table = Table("operator", title="Operators", title_justify="left")
    table.add_column("count", justify="right")
    for name, count in sorted(operators.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(Text(name), str(count))
    return table


def _lowerings(lowerings: tuple[Lowering, ...]) -> Table:
    table = Table("layer", "operation", "lowering", title="Lowerings", title_justify="left")
    for lowering in lowerings:
        table.add_row(Text(lowering.layer), Text(lowering.problem), Text(lowering.name))
    return table


def _tensors(tensors: dict[str, TensorInfo], *, short: bool) -> Text:
    if short and len(tensors) > 4:
        return Text(f"{len(tensors)} variables")
    return Text("\n".join(f"{n}: {t.dtype}{list(t.shape)}" for n, t in tensors.items()) or "none")


def _targets(manifest: Manifest) -> str:
    return "\n".join(
        f"{t.name}, {t.runtime} {t.runtime_version}: about {t.peak_memory_bytes / 1e6:.0f} MB at "
        "the peak of training"
        for t in manifest.targets
    )


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{k}={_short(v)}" for k, v in values.items()) or "none"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
