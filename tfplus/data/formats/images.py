"""A folder of PNG or JPEG images for each class; decoded by Pillow when a batch takes them.

Sizes are read from all headers when the data are opened, pixels when a batch asks for them. Images
are taken as they are: an orientation that a camera noted beside them is not applied.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.data.formats import class_folders, fingerprint, sidecar
from tfplus.data.formats.source import Columns, Format, LazyColumn, Shapes, one_input
from tfplus.errors import DataError, MissingExtraError

_FORM = "a directory with a folder of PNG or JPEG images for each class"
SUFFIXES = (".png", ".jpg", ".jpeg")
# Pillow's name of what a model takes by its number of channels, and what else is just that.
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_SAME = {"L": ("1",), "RGB": ("P",), "RGBA": ()}
# Before an image is decoded to be made smaller: a picture of a camera, not a bomb.
_MAX_PIXELS = 1 << 25


@dataclass(frozen=True)
class _Wanted:
    """Height and width, Pillow's mode, and whether others are made so."""

    size: tuple[int, int]
    mode: str
    resize: bool
    convert: bool


@dataclass(frozen=True)
class ImageSource:
    """Images of 8 bits a channel.

    `dataset.json` may hold `"resize": true`, which brings images to the model's size, and
    `"convert": true`, which brings them to its number of channels.

    Attributes:
      path: the directory.
    """

    path: Path

    def count(self) -> int:
        """See `Source`."""
        if importlib.util.find_spec("PIL") is None:
            raise MissingExtraError.of(f"reading the images in {self.path}", "images")
        return len(class_folders.listed(self.path, SUFFIXES).names)

    def fingerprint(self) -> str:
        """See `Source`."""
        files = class_folders.listed(self.path, SUFFIXES).names
        return fingerprint.of_files(self.path, (self.path / f for f in files), whole=False)

    def open(self, shapes: Shapes) -> Columns:
        """See `Source`."""
        shape = one_input(self.path, _FORM, shapes)
        channels = shape[2] if len(shape) == 3 else 1
        if len(shape) not in (2, 3) or channels not in _MODES:
            raise DataError(
                f"{self.path}: the model takes samples of shape {list(shape)}, which no image has: "
                "expected [height, width] or [height, width, 1, 3 or 4]"
            )
        given = sidecar.options(self.path, ("resize", "convert"))
        wanted = _Wanted(
            (shape[0], shape[1]),
            _MODES[channels],
            "resize" in given and given.boolean("resize"),
            "convert" in given and given.boolean("convert"),
        )
        files = class_folders.listed(self.path, SUFFIXES)
        labels, classes = files.labels()
        for name in files.names:
            with _opened(self.path / name) as image:
                _check(self.path / name, image, wanted)

        def read(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
            pixels = np.empty((len(rows), *shape), np.uint8)
            for place, row in enumerate(rows):
                decoded = _decoded(self.path / files.names[row], wanted)
                pixels[place] = decoded.reshape(shape)
            return pixels

        x = LazyColumn((len(files.names), *shape), np.uint8, read)
        return Columns({"x": x, "y": labels}, classes)


@contextmanager
def _opened(path: Path) -> Generator[Any]:
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError.of(f"reading {path}", "images") from None
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            # Of an image that is too large, which is refused below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=("PNG", "JPEG")) as image:
                yield image
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: expected at most {_MAX_PIXELS} pixels: {error}") from None
    # Whatever a damaged file makes of a decoder.
    except (OSError, SyntaxError, ValueError, EOFError, OverflowError) as error:
        raise DataError(f"{path}: expected a PNG or JPEG image: {error}") from None


def pixels(path: Path) -> npt.NDArray[np.uint8]:
    """Decodes one image as it is: uint8 [height, width, 1, 3 or 4].

    Raises:
      DataError: it is no PNG or JPEG image of 8 bits, damaged or too large.
      MissingExtraError: Pillow is not installed.
    """
    with _opened(path) as image:
        mode = {"1": "L", "P": "RGB"}.get(image.mode, image.mode)
        width, height = image.size
        wanted = _Wanted((height, width), mode if mode in _SAME else "RGB", False, False)
        return _decoded(path, wanted).reshape(height, width, -1)


def _check(path: Path, image: Any, wanted: _Wanted) -> None:
    width, height = image.size
    if width * height > _MAX_PIXELS:
        raise DataError(f"{path}: expected at most {_MAX_PIXELS} pixels, got {width * height}")
    if (height, width) != wanted.size and not wanted.resize:
        raise DataError(
            f"{path}: expected {wanted.size[0]} rows of {wanted.size[1]} pixels, as the model "
            f'takes, got {height} of {width}: resize the images, or write {{"resize": true}} into '
            "dataset.json beside the folders"
        )
    if image.mode.startswith(("I", "F")):
        raise DataError(f"{path}: expected 8 bits a channel, got more (mode {image.mode})")
    if image.mode != wanted.mode and image.mode not in _SAME[wanted.mode] and not wanted.convert:
        raise DataError(
            f"{path}: expected an image of mode {wanted.mode}, as the model takes, got "
            f'{image.mode}: convert the images, or write {{"convert": true}} into dataset.json '
            "beside the folders"
        )


def _decoded(path: Path, wanted: _Wanted) -> npt.NDArray[np.uint8]:
    with _opened(path) as image:
        # The file may be another one than the one that was checked.
        _check(path, image, wanted)
        image.load()
        pixels = image if image.mode == wanted.mode else image.convert(wanted.mode)
        height, width = wanted.size
        if pixels.size != (width, height):
            from PIL import Image

            pixels = pixels.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(pixels, np.uint8)


FORMAT = Format(_FORM, lambda path: class_folders.first_suffix(path) in SUFFIXES, ImageSource)
