"""Writes what ONNX Runtime trains a network of `torch_models.py` from.

usage: onnx_files.py NAME BATCH FOLDER

Prints one JSON line: the shape of an image, the classes, and the trainable parameters. It runs in
a process of its own, so that PyTorch's memory is not counted as the measured system's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import nn
from torch_models import NETWORKS

# The newest that ONNX Runtime 1.19 trains.
OPSET = 15


def write_onnx(model: nn.Module, image: torch.Tensor, path: Path) -> None:
    """Writes `model` with inputs `x` and outputs `logits`, its parameters as initializers."""
    torch.onnx.export(
        model,
        (image,),
        str(path),
        input_names=["x"],
        output_names=["logits"],
        opset_version=OPSET,
        training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False,
        dynamo=False,
    )


def write_artifacts(model: nn.Module, onnx_path: Path, folder: Path) -> None:
    """Writes ONNX Runtime's gradient graph, optimizer and checkpoint."""
    import onnx
    from onnxruntime.training import artifacts

    graph = onnx.load(str(onnx_path))
    trainable = [name for name, _ in model.named_parameters()]
    artifacts.generate_artifacts(
        graph,
        requires_grad=trainable,
        frozen_params=[i.name for i in graph.graph.initializer if i.name not in trainable],
        loss=artifacts.LossType.CrossEntropyLoss,
        optimizer=artifacts.OptimType.SGD,
        artifact_directory=str(folder),
    )


def main() -> None:
    """Writes and prints."""
    name, batch, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    model, shape, classes = NETWORKS[name]()
    height, width, channels = shape
    image = torch.zeros(batch, channels, height, width)
    onnx_path = folder / "model.onnx"
    write_onnx(model.train(), image, onnx_path)
    write_artifacts(model, onnx_path, folder)
    count = sum(p.numel() for p in model.parameters())
    print(json.dumps({"shape": shape, "classes": classes, "parameters": count}))


if __name__ == "__main__":
    main()
