"""What PyTorch tells of a network, from processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Network:
    """The shape [H, W, C] of an image, the number of classes and of trainable parameters."""

    shape: tuple[int, ...]
    classes: int
    parameters: int


def with_artifacts(name: str, batch: int, folder: Path) -> Network:
    """Has ONNX Runtime's files of a network written into `folder`."""
    return _network(_answer("onnx_files.py", name, str(batch), str(folder)))


def described(name: str) -> tuple[Network, list[list[Any]]]:
    """A network and its layers, as `torch_description.py` has them."""
    found = _answer("torch_description.py", name)
    return _network(found), found["layers"]


def _answer(script: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def _network(found: dict[str, Any]) -> Network:
    return Network(tuple(found["shape"]), found["classes"], found["parameters"])
