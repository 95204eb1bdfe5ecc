"""Pictures of pixels in a page: small PNG files inside it, drawn from arrays."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR = 0, 2
# Ends of the scale of `signed`: below, at and above zero.
_BELOW, _ZERO, _ABOVE = (194, 65, 12), (250, 250, 248), (11, 92, 173)


@dataclass(frozen=True)
class Picture:
    """A picture and what it shows.

    Attributes:
      pixels: uint8 [height, width] or [height, width, 3].
      caption: below it, and for screen readers.
      width: in pixels of a page.
    """

    pixels: Pixels
    caption: str
    width: int = 96


def png(pixels: Pixels) -> bytes:
    """Encodes a picture, grey or in colour; equal pixels give equal bytes.

    Args:
      pixels: uint8 [height, width] or [height, width, 3].
    """
    height, width = pixels.shape[:2]
    kind = _GREY if pixels.ndim == 2 else _COLOUR
    rows = np.ascontiguousarray(pixels).reshape(height, -1)
    # In front of each row stands the number of its filter: none.
    raw = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, content) for name, content in parts)


def grey(values: npt.NDArray[np.floating]) -> Pixels:
    """The least of some values black, the largest white; each colour channel is kept.

    Args:
      values: [height, width] or [height, width, channels]; of other than 3 channels the mean.
    """
    if values.ndim == 3 and values.shape[-1] != 3:
        values = values.mean(axis=-1)
    low, high = float(values.min()), float(values.max())
    return ((values - low) * (255 / (high - low or 1.0))).round().astype(np.uint8)


def signed(values: npt.NDArray[np.floating]) -> Pixels:
    """Colours for values around zero: orange below, blue above.

    Args:
      values: [height, width], at most 1 in size.
    """
    share = np.clip(np.abs(values), 0, 1)[..., None]
    end = np.where(values[..., None] > 0, np.array(_ABOVE), np.array(_BELOW))
    return (np.array(_ZERO) * (1 - share) + end * share).round().astype(np.uint8)


def gallery(pictures: Sequence[Picture]) -> str:
    """Pictures side by side, as markup of a page."""
    cells = "".join(
        f'<figure style="display: inline-block; margin: 4px 8px">'
        f'<img alt="{escape(p.caption)}" src="{_uri(p.pixels)}" width="{p.width}" '
        f'style="image-rendering: pixelated; display: block; max-width: 100%"/>'
        f"<figcaption>{escape(p.caption)}</figcaption></figure>"
        for p in pictures
    )
    return f'<div class="scroll">{cells}</div>'


def _uri(pixels: Pixels) -> str:
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"


def _chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check
