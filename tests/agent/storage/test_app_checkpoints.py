"""Checkpoints between an app and the agent: the file of docs/android.md, read and written anew."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from tfplus.runtime import interpreter
from tfplus_agent.doctor import patient

DTYPES = {"F32": "<f4", "I32": "<i4"}


def read_as_an_app(path: Path) -> dict[str, Any]:
    """What the document's Kotlin does, and no more."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    data = content[8 + length :]
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], DTYPES[entry["dtype"]]).reshape(
            entry["shape"]
        )
        for name, entry in header.items()
    }


def write_as_an_app(path: Path, values: dict[str, Any]) -> None:
    header, data = {}, b""
    for name, value in values.items():
        start = len(data)
        data += value.astype("<f4").tobytes()
        offsets = [start, len(data)]
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_there_and_back(tmp_path: Path, start_agent: Callable[..., Any]) -> None:
    subject = patient.probe()
    client = start_agent().client
    client.load(client.upload(subject.read.path))
    list(client.train(epochs=1))
    learned = client.weights(include_optimizer=True)
    (checkpoint,) = (tmp_path / "state" / "checkpoints").glob("*/*.safetensors")

    app = interpreter.find().open(subject.read.path, subject.read.manifest, threads=1, xnnpack=True)
    app.restore(read_as_an_app(checkpoint))
    assert all(np.array_equal(v, learned[n]) for n, v in app.save().items())

    app.step(subject.batch)
    write_as_an_app(tmp_path / "app.safetensors", app.save())
    client.set_weights(load_file(tmp_path / "app.safetensors"))
    after = client.weights(include_optimizer=True)
    assert not np.array_equal(after["shared/conv/kernel"], learned["shared/conv/kernel"])
    assert all(np.array_equal(v, after[n]) for n, v in app.save().items())
