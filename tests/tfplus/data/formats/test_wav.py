from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfplus.data import device_data
from tfplus.errors import DataError

SOUND = np.random.default_rng(2).integers(-(2**15), 2**15, (3, 20), np.int16)


def write(path: Path, frames: Any, rate: int = 8000, channels: int = 1, width: int = 2) -> None:
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.asarray(frames).astype("<i2").tobytes())


def folder(path: Path, *options: dict[str, Any]) -> Path:
    for at, frames in enumerate(SOUND):
        write(path / f"c{at}" / "a.wav", frames)
    for given in options:
        (path / "dataset.json").write_text(json.dumps(given))
    return path


def samples(path: Path, model: Any) -> Any:
    return device_data.load(path, model, for_training=True).inputs["x"][:]


@pytest.mark.parametrize("shape", [(20,), (20, 1), (10, 2)])
def test_frames_come_as_they_were_written(tmp_path: Path, made_for: Any, shape: Any) -> None:
    for at, frames in enumerate(SOUND):
        write(tmp_path / f"c{at}" / "a.wav", frames, channels=(*shape, 1)[1])
    got = samples(tmp_path, made_for(shape))
    assert got.dtype == np.int16
    np.testing.assert_array_equal(got, SOUND.reshape(3, *shape))


@pytest.mark.parametrize(("length", "said"), [(20, "exact"), (12, "cut"), (31, "pad")])
def test_other_lengths_are_cut_or_padded_where_that_was_said(
    tmp_path: Path, made_for: Any, length: int, said: str
) -> None:
    want = np.zeros((3, length), np.int16)
    want[:, :20] = SOUND[:, :length]
    for option in (said, "cut-or-pad"):
        folder(tmp_path, {"length": option})
        np.testing.assert_array_equal(samples(tmp_path, made_for((length,))), want)
    if said != "exact":
        for option in {"exact", "cut", "pad"} - {said}:
            folder(tmp_path, {"length": option})
            with pytest.raises(DataError, match=rf"a\.wav: expected {length} .*got 20.*{said}"):
                samples(tmp_path, made_for((length,)))


def test_a_rate_that_differs_is_named(tmp_path: Path, made_for: Any) -> None:
    write(folder(tmp_path) / "c1" / "b.wav", SOUND[0], rate=16000)
    with pytest.raises(DataError, match=r"c1/b\.wav: expected 8000 Hz, as c0/a\.wav has, got 160"):
        samples(tmp_path, made_for((20,)))
    folder(tmp_path, {"sample_rate": 16000})
    with pytest.raises(DataError, match=r"c0/a\.wav: expected 16000 Hz, got 8000 Hz"):
        samples(tmp_path, made_for((20,)))


@pytest.mark.parametrize(
    ("channels", "width", "message"),
    [(2, 2, "expected 1 channels, as the model takes, got 2"), (1, 1, "expected 16 bits.*got 8")],
)
def test_other_forms_of_sound_are_refused(
    tmp_path: Path, made_for: Any, channels: int, width: int, message: str
) -> None:
    write(folder(tmp_path) / "c2" / "b.wav", SOUND[0], channels=channels, width=width)
    with pytest.raises(DataError, match=rf"c2/b\.wav: {message}"):
        samples(tmp_path, made_for((20,)))


def test_a_header_that_announces_more_than_there_is(tmp_path: Path, made_for: Any) -> None:
    file = folder(tmp_path, {"length": "cut"}) / "c1" / "a.wav"
    content = bytearray(file.read_bytes())
    content[40:44] = (2**31 - 2).to_bytes(4, "little")
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"c1/a\.wav: .*announces 1073741823 frames.*truncated"):
        samples(tmp_path, made_for((20,)))


def test_no_frames_are_no_sample(tmp_path: Path, made_for: Any) -> None:
    write(folder(tmp_path, {"length": "pad"}) / "c1" / "a.wav", [])
    with pytest.raises(DataError, match=r"c1/a\.wav: expected sound, got none"):
        samples(tmp_path, made_for((20,)))
