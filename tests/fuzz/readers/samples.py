"""Data of users: arrays, images, sounds, tables."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from readers.frames import joined, split
from readers.target import Target
from tfplus.data.formats import registry


def _opened(path: Path, shapes: dict[str, tuple[int, ...]]) -> object:
    source = registry.source(path)
    count = source.count()
    columns = source.open(shapes)
    for column in columns.arrays.values():
        first = column[np.arange(min(2, len(column)))]
        assert len(first) == min(2, len(column))
    return count


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _archive_seeds(folder: Path) -> list[bytes]:
    x, y = np.ones((4, 2), np.float32), np.arange(4)
    made: list[bytes] = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        write: Callable[..., None] = save
        write(file, x=x, y=y)
        made.append(file.getvalue())
    return made


def _read_archive(content: bytes, folder: Path) -> object:
    (folder / "d.npz").write_bytes(content)
    return _opened(folder / "d.npz", {"x": (2,), "y": ()})


def _read_arrays(content: bytes, folder: Path) -> object:
    for name, part in zip(("x.npy", "y.npy"), [*split(content), b"", b""], strict=False):
        (folder / name).write_bytes(part)
    return _opened(folder, {"x": (2,), "y": ()})


def _image_seeds(folder: Path) -> list[bytes]:
    from PIL import Image

    made: list[bytes] = []
    for form in ("PNG", "JPEG", "BMP"):
        file = io.BytesIO()
        Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(file, form)
        made.append(file.getvalue())
    return made


def _read_image(content: bytes, folder: Path) -> object:
    suffix = ".png" if content.startswith(b"\x89") else ".jpg"
    for name in ("a", "b"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / f"0{suffix}").write_bytes(content)
    return _opened(folder, {"x": (4, 4, 3), "y": ()})


def _sound_seeds(folder: Path) -> list[bytes]:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(40))
    return [file.getvalue()]


def _read_sound(content: bytes, folder: Path) -> object:
    for name in ("a", "b"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "0.wav").write_bytes(content)
    return _opened(folder, {"x": (20,), "y": ()})


def _table_seeds(folder: Path) -> list[bytes]:
    rows = b"t,a,label,b\n0,1,x,10\n1,2,x,20\n2,3,y,30\n3,4,y,40\n"
    options = json.dumps({"columns": ["a", "b"], "window": 2, "stride": 1}).encode()
    return [joined([rows, options]), joined([rows, b"{}"])]


def _read_table(content: bytes, folder: Path) -> object:
    rows, options = (*split(content), b"", b"")[:2]
    (folder / "d.csv").write_bytes(rows)
    (folder / "d.dataset.json").write_bytes(options)
    return _opened(folder / "d.csv", {"x": (2, 2), "y": ()})


TARGETS = (
    Target("npz", _archive_seeds, _read_archive),
    Target(
        "npy",
        lambda _: [joined([_npy(np.ones((4, 2), np.float32)), _npy(np.arange(4))])],
        _read_arrays,
    ),
    Target("image", _image_seeds, _read_image),
    Target("wav", _sound_seeds, _read_sound),
    Target("csv", _table_seeds, _read_table),
)
