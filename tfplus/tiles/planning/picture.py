"""Tiles and halos of a group's input, as text and as SVG."""

from __future__ import annotations

from xml.sax.saxutils import escape

from tfplus.tiles.geometry import Rectangle
from tfplus.tiles.grid import Tiling
from tfplus.tiles.group import whole

_MARKS = "0123456789abcdefghijklmnopqrstuvwxyz"
_MOST_ROWS, _MOST_COLUMNS = 16, 48
_SIZE = 220
_COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#9c755f")


def text(tiling: Tiling, device: int) -> str:
    """The input map of each group: who owns what, and in brackets what a device fetches of it.

    Args:
      tiling: who computes what.
      device: whose halo is shown: its own pixels are `#`, the halo `+`, others the owner's number.
    """
    blocks = [_block(tiling, group, device) for group in range(len(tiling.groups))]
    return "\n\n".join(blocks)


def _block(tiling: Tiling, group: int, device: int) -> str:
    start, stop = tiling.groups[group]
    inputs = tiling.tiles[group][device].inputs
    rows, columns, channels = tiling.chain.maps()[start + inputs[0].map]
    layers = ", ".join(layer.name for layer in tiling.chain.layers[start:stop])
    cores = tiling.grid.cores(rows, columns)
    fetched = inputs[0].fetched
    # A character is higher than it is wide.
    high = min(rows, _MOST_ROWS)
    wide = min(columns, _MOST_COLUMNS)
    lines = [f"group {group + 1} ({layers}) reads {rows}×{columns}×{channels}"
             + "".join(f", and of a branch {_size(each.whole)}×{each.channels}"
                       for each in inputs[1:])]  # fmt: skip
    for i in range(high):
        row = (2 * i + 1) * rows // (2 * high)
        line = ""
        for j in range(wide):
            column = (2 * j + 1) * columns // (2 * wide)
            owner = next(d for d, core in enumerate(cores) if _holds(core, row, column))
            if owner == device:
                line += "#"
            else:
                line += "+" if _holds(fetched, row, column) else _MARKS[owner % len(_MARKS)]
        lines.append(f"  {line}")
    redundant = fetched.pixels / cores[device].pixels - 1
    lines.append(
        f"  device {device}: # its tile, + its halo; it fetches {fetched.rows.size}×"
        f"{fetched.columns.size}, {redundant:.0%} more than its tile"
    )
    return "\n".join(lines)


def svg(tiling: Tiling) -> str:
    """The input map of each group, tiles filled, what each device fetches dashed around them."""
    parts: list[str] = []
    for group, (start, stop) in enumerate(tiling.groups):
        rows, columns, channels = tiling.chain.maps()[start + tiling.tiles[group][0].inputs[0].map]
        scale = _SIZE / max(rows, columns)
        left = group * (_SIZE + 40) + 20
        names = [layer.name for layer in tiling.chain.layers[start:stop]]
        title = f"group {group + 1}: {names[0]}" + (f" to {names[-1]}" if len(names) > 1 else "")
        parts.append(f'<text x="{left}" y="18">{escape(title)}</text>')
        parts.append(f'<text x="{left}" y="34">reads {rows}×{columns}×{channels}</text>')
        for device, core in enumerate(tiling.grid.cores(rows, columns)):
            colour = _COLOURS[device % len(_COLOURS)]
            parts.append(_rectangle(core, left, scale, f'fill="{colour}" fill-opacity="0.35"'))
            x = left + (core.columns.start + core.columns.size / 2) * scale
            y = 44 + (core.rows.start + core.rows.size / 2) * scale
            parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{device}</text>')
        for device, tile in enumerate(tiling.tiles[group]):
            colour = _COLOURS[device % len(_COLOURS)]
            style = f'fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="4 2"'
            parts.append(_rectangle(tile.fetched, left, scale, style))
        parts.append(_rectangle(whole(rows, columns), left, scale, 'fill="none" stroke="#555"'))
    width = len(tiling.groups) * (_SIZE + 40)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_SIZE + 60}" '
        f'font-family="sans-serif" font-size="11">\n{body}\n</svg>\n'
    )


def _rectangle(part: Rectangle, left: float, scale: float, style: str) -> str:
    x, y = left + part.columns.start * scale, 44 + part.rows.start * scale
    size = f'width="{part.columns.size * scale:.1f}" height="{part.rows.size * scale:.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} {style}/>'


def _size(part: Rectangle) -> str:
    return "×".join(map(str, part.shape))


def _holds(part: Rectangle, row: int, column: int) -> bool:
    return part.rows.start <= row < part.rows.stop and (
        part.columns.start <= column < part.columns.stop
    )
