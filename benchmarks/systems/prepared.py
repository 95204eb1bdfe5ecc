"""Has `onnx_files.py` write a network's files, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Network:
    """The shape [H, W, C] of an image, the number of classes and of trainable parameters."""

    shape: tuple[int, ...]
    classes: int
    parameters: int


def prepared(name: str, batch: int, folder: Path, system: str) -> Network:
    """Writes the files of one network for `onnxruntime` or `mnn` into `folder`."""
    script = Path(__file__).with_name("onnx_files.py")
    command = [sys.executable, str(script), name, str(batch), str(folder), system]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(output.splitlines()[-1])
    return Network(tuple(found["shape"]), found["classes"], found["parameters"])
