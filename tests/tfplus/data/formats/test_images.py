from __future__ import annotations

import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tfplus.data import device_data
from tfplus.errors import DataError, MissingExtraError

COLOURS = np.random.default_rng(1).integers(0, 256, (6, 5, 3)).astype(np.uint8)


def folder(path: Path, *pictures: Image.Image, suffix: str = ".png") -> Path:
    for at, picture in enumerate(pictures):
        (path / f"c{at % 3}").mkdir(exist_ok=True)
        picture.save(path / f"c{at % 3}" / f"{at}{suffix}")
    for name in ("c0", "c1", "c2"):
        (path / name).mkdir(exist_ok=True)
    return path


def first(path: Path, model: Any) -> Any:
    loaded = device_data.load(path, model, for_training=True)
    return next(device_data.batches(loaded, model, 1)).inputs["x"][0]


def colour() -> Image.Image:
    return Image.fromarray(COLOURS)


@pytest.mark.parametrize(("shape", "mode"), [((6, 5, 3), "RGB"), ((6, 5, 4), "RGBA")])
def test_pixels_come_as_pillow_decodes_them(
    tmp_path: Path, made_for: Any, shape: tuple[int, ...], mode: str
) -> None:
    picture = colour().convert(mode)
    got = first(folder(tmp_path, picture), made_for(shape))
    np.testing.assert_array_equal(got, np.asarray(picture))


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1)])
def test_one_channel_is_grey_with_or_without_an_axis(
    tmp_path: Path, made_for: Any, shape: tuple[int, ...]
) -> None:
    got = first(folder(tmp_path, Image.fromarray(COLOURS[:, :, 0])), made_for(shape))
    np.testing.assert_array_equal(got, COLOURS[:, :, 0].reshape(shape))


def test_a_palette_is_only_another_way_to_store_colours(tmp_path: Path, made_for: Any) -> None:
    picture = colour().quantize(16)
    got = first(folder(tmp_path, picture), made_for((6, 5, 3)))
    np.testing.assert_array_equal(got, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_jpeg(tmp_path: Path, made_for: Any, suffix: str) -> None:
    path = folder(tmp_path, colour(), suffix=suffix)
    with Image.open(path / "c0" / f"0{suffix}") as picture:
        want = np.asarray(picture)
    np.testing.assert_array_equal(first(path, made_for((6, 5, 3))), want)


def test_another_size_is_refused_or_resized(tmp_path: Path, made_for: Any) -> None:
    path, model = folder(tmp_path, colour()), made_for((3, 4, 3))
    with pytest.raises(DataError, match=r"c0/0\.png: expected 3 rows of 4 pixels.*got 6 of 5"):
        first(path, model)
    (path / "dataset.json").write_text('{"resize": true}')
    want = np.asarray(colour().resize((4, 3), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(first(path, model), want)


def test_other_channels_are_refused_or_converted(tmp_path: Path, made_for: Any) -> None:
    path, model = folder(tmp_path, colour()), made_for((6, 5, 1))
    with pytest.raises(DataError, match=r"c0/0\.png: expected an image of mode L.*got RGB"):
        first(path, model)
    (path / "dataset.json").write_text('{"convert": true}')
    want = np.asarray(colour().convert("L"))[:, :, None]
    np.testing.assert_array_equal(first(path, model), want)


def test_one_image_of_another_size_is_named(tmp_path: Path, made_for: Any) -> None:
    path = folder(tmp_path, colour(), colour(), colour().resize((7, 6)))
    with pytest.raises(DataError, match=r"c2/2\.png: expected 6 rows of 5 pixels.*got 6 of 7"):
        device_data.load(path, made_for((6, 5, 3)), for_training=True)


def test_more_bits_than_eight_are_refused(tmp_path: Path, made_for: Any) -> None:
    deep = Image.fromarray(np.full((6, 5), 60000, np.uint16))
    with pytest.raises(DataError, match=r"0\.png: expected 8 bits a channel"):
        first(folder(tmp_path, deep), made_for((6, 5)))


@pytest.mark.parametrize("side", [8000, 60000])
def test_a_header_that_announces_much_is_refused_before_it_is_decoded(
    tmp_path: Path, made_for: Any, side: int
) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        size, check = struct.pack(">I", len(data)), struct.pack(">I", zlib.crc32(kind + data))
        return size + kind + data + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1 << 16)))
    path = folder(tmp_path)
    (path / "c0" / "bomb.png").write_bytes(bomb + chunk(b"IEND", b""))
    (path / "dataset.json").write_text('{"resize": true}')
    with pytest.raises(DataError, match=r"bomb\.png: expected at most 33554432 pixels"):
        first(path, made_for((6, 5)))


def test_pixels_are_decoded_when_a_batch_takes_them(tmp_path: Path, made_for: Any) -> None:
    path, model = folder(tmp_path, colour(), colour()), made_for((6, 5, 3))
    loaded = device_data.load(path, model, for_training=True)
    changed = COLOURS[::-1].copy()
    Image.fromarray(changed).save(path / "c1" / "1.png")
    np.testing.assert_array_equal(loaded.inputs["x"][1:2][0], changed)
    (path / "c1" / "1.png").unlink()
    with pytest.raises(DataError, match=r"c1/1\.png"):
        list(device_data.batches(loaded, model, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resise": True}, "no option 'resise' here: expected convert, resize"),
        ({"resize": 1}, "resize: expected true or false"),
    ],
)
def test_options_that_are_none_are_refused(
    tmp_path: Path, made_for: Any, options: dict[str, Any], message: str
) -> None:
    path = folder(tmp_path, colour())
    (path / "dataset.json").write_text(json.dumps(options))
    with pytest.raises(DataError, match=rf"dataset\.json: {message}"):
        first(path, made_for((6, 5, 3)))


@pytest.mark.parametrize("shape", [(6,), (6, 5, 2), (6, 5, 3, 1)])
def test_what_no_image_can_be_is_said(
    tmp_path: Path, made_for: Any, shape: tuple[int, ...]
) -> None:
    with pytest.raises(DataError, match="which no image has"):
        first(folder(tmp_path, colour()), made_for(shape))


def test_without_pillow_the_extra_is_named(
    tmp_path: Path, made_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path, colour())
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tfplus\[images\]'"):
        first(path, made_for((6, 5, 3)))
    with pytest.raises(MissingExtraError, match=r"pip install 'tfplus\[images\]'"):
        device_data.inspect(path)
