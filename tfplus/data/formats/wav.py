"""A folder of WAV files for each class: 16-bit PCM, by the standard library's reader.

Lengths and rates are read from all headers when the data are opened, sound when a batch asks.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tfplus.data.formats import class_folders, fingerprint, sidecar
from tfplus.data.formats.source import Columns, Format, LazyColumn, Shapes, one_input
from tfplus.errors import DataError

if TYPE_CHECKING:
    import wave

_FORM = "a directory with a folder of WAV files for each class"
_SUFFIXES = (".wav",)
_LENGTHS = ("exact", "cut", "pad", "cut-or-pad")


@dataclass(frozen=True)
class _Wanted:
    """Frames and channels that the model takes, the rate if it is known, and what may be done."""

    frames: int
    channels: int
    rate: int | None
    length: str


@dataclass(frozen=True)
class WavSource:
    """Sound of one sample rate.

    `dataset.json` may hold `"sample_rate"`, in Hz, and `"length"`: `"exact"`, the default, `"cut"`
    of what is longer than the model takes, `"pad"` with zeros what is shorter, or `"cut-or-pad"`.

    Attributes:
      path: the directory.
    """

    path: Path

    def count(self) -> int:
        """See `Source`."""
        return len(class_folders.listed(self.path, _SUFFIXES).names)

    def fingerprint(self) -> str:
        """See `Source`."""
        files = class_folders.listed(self.path, _SUFFIXES).names
        return fingerprint.of_files(self.path, (self.path / f for f in files), whole=False)

    def open(self, shapes: Shapes) -> Columns:
        """See `Source`."""
        shape = one_input(self.path, _FORM, shapes)
        if len(shape) not in (1, 2):
            raise DataError(
                f"{self.path}: the model takes samples of shape {list(shape)}, which no sound has: "
                "expected [frames] or [frames, channels]"
            )
        wanted = self._wanted(shape)
        files = class_folders.listed(self.path, _SUFFIXES)
        labels, classes = files.labels()
        rate, first = wanted.rate, ""
        for name in files.names:
            with _opened(self.path / name, wanted) as sound:
                got = sound.getframerate()
            if rate is None:
                rate, first = got, f", as {name} has"
            if got != rate:
                raise DataError(f"{self.path / name}: expected {rate} Hz{first}, got {got} Hz")

        def read(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int16]:
            values = np.zeros((len(rows), wanted.frames, wanted.channels), np.int16)
            for place, row in enumerate(rows):
                frames = _frames(self.path / files.names[row], wanted)
                values[place, : len(frames)] = frames
            return values.reshape(len(rows), *shape)

        x = LazyColumn((len(files.names), *shape), np.int16, read)
        return Columns({"x": x, "y": labels}, classes)

    def _wanted(self, shape: tuple[int, ...]) -> _Wanted:
        given = sidecar.options(self.path, ("sample_rate", "length"))
        return _Wanted(
            shape[0],
            shape[1] if len(shape) == 2 else 1,
            given.integer("sample_rate", 1) if "sample_rate" in given else None,
            given.choice("length", _LENGTHS) if "length" in given else "exact",
        )


@contextmanager
def _opened(path: Path, wanted: _Wanted) -> Generator[wave.Wave_read]:
    import wave

    try:
        with path.open("rb") as file, wave.open(file, "rb") as sound:
            # The reader stops where the frames begin.
            here = path.stat().st_size - file.tell()
            _check(path, sound, here, wanted)
            yield sound
    except (wave.Error, EOFError, ValueError, RuntimeError, OSError) as error:
        reason = str(error) or "it ends too early"
        raise DataError(f"{path}: expected a WAV file of 16-bit PCM: {reason}") from None


def _check(path: Path, sound: wave.Wave_read, bytes_here: int, wanted: _Wanted) -> None:
    if sound.getsampwidth() != 2:
        raise DataError(f"{path}: expected 16 bits a sample, got {sound.getsampwidth() * 8}")
    if sound.getnchannels() != wanted.channels:
        raise DataError(
            f"{path}: expected {wanted.channels} channels, as the model takes, got "
            f"{sound.getnchannels()}"
        )
    frames = sound.getnframes()
    if frames < 1:
        raise DataError(f"{path}: expected sound, got none")
    if frames * wanted.channels * 2 > bytes_here:
        raise DataError(
            f"{path}: its header announces {frames} frames, but {bytes_here} bytes are there: the "
            "file was truncated"
        )
    allowed = ["exact"]
    if frames > wanted.frames:
        allowed = ["cut", "cut-or-pad"]
    elif frames < wanted.frames:
        allowed = ["pad", "cut-or-pad"]
    if frames != wanted.frames and wanted.length not in allowed:
        raise DataError(
            f"{path}: expected {wanted.frames} frames, as the model takes, got {frames}: write "
            f'{{"length": "{allowed[0]}"}} or {{"length": "cut-or-pad"}} into dataset.json beside '
            "the folders"
        )


def _frames(path: Path, wanted: _Wanted) -> npt.NDArray[np.int16]:
    with _opened(path, wanted) as sound:
        content = sound.readframes(min(wanted.frames, sound.getnframes()))
    return np.frombuffer(content, "<i2").reshape(-1, wanted.channels)


FORMAT = Format(_FORM, lambda path: class_folders.first_suffix(path) in _SUFFIXES, WavSource)
