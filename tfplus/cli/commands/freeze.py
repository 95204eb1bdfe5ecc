"""`tfplus freeze`: a trained model as a plain one for inference, without TensorFlow."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tfplus.cli.output import print_json, stderr_console, stdout_console

app = typer.Typer()


@app.command()
def freeze(
    model: Annotated[
        Path, typer.Argument(help="A .tflite file written by `tfplus export --freezable`.")
    ],
    checkpoint: Annotated[
        Path, typer.Argument(help="Its trained weights by name, as .safetensors.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .tflite file to write.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a model for inference alone, with trained weights as its constants.

    It has one signature, infer, and runs as fast as a model that was never trainable: constant
    weights are packed once, and batch normalization is taken into the filters. It needs LiteRT or
    tflite-runtime, so a device can do it with what its agent has. The result is compared with the
    infer of the trainable model before it is written.

    \b
    Examples:
      tfplus freeze lenet.tflite checkpoint-12.safetensors -o lenet-infer.tflite
      tfplus freeze lenet.tflite checkpoint-12.safetensors -o lenet-infer.tflite --json
    """
    from tfplus.model_file import artifact, baked_model

    with stderr_console().status("writing weights into the graph of inference"):
        found = baked_model.freeze(artifact.read(model), checkpoint, output)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    stdout_console().print(
        Text(
            f"{found.path}: {found.size_bytes / 1e6:.2f} MB, one signature infer, batch "
            f"{found.batch_size}; outputs equal the trainable model's to {found.difference:.0e}"
        )
    )
