"""A report, and reading what its page shows."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

SVG = "{http://www.w3.org/2000/svg}"


RESULT: dict[str, Any] = {
    "global_accuracy": 0.973,
    "central_accuracy": 0.981,
    "alone_accuracy": [0.49, 0.502],
    "rounds": 3,
    "bytes_sent": 12_345_678,
    "seconds": 41.27,
    "devices": [
        {"name": "north", "classes": [9, 0, 1], "branches": [9, 0, 1, 2], "samples": 561},
        {"name": "south", "classes": [1, 2, 3], "samples": 498},
    ],
    "by_round": [
        {
            "round": r,
            "global_accuracy": 0.5 + 0.1 * r,
            "device_accuracy": [0.3 + 0.05 * r, 0.25 + 0.04 * r],
            "train_loss": [2.0 / r, 1.5 / r],
            "seconds": 1.5 * r,
            "bytes_sent": 1_000_000 + r,
        }
        for r in (1, 2, 3)
    ],
    "seed": 7,
    "versions": {"tfplus": "0.1.0", "python": "3.11.7"},
    "machine": {"cpu": "A <CPU> & more", "memory_gb": None},
    "date": "2024-05-06",
}


def parsed(text: str) -> ET.Element:
    assert text.startswith("<!doctype html>\n")
    return ET.fromstring(text.partition("\n")[2])  # noqa: S314 the text is our own


def words(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def charts(page: ET.Element, title: str) -> list[ET.Element]:
    """The wide and the narrow drawing."""
    drawings = [d for d in page.iter(f"{SVG}svg") if d.findtext(f"{SVG}title") == title]
    assert len(drawings) == 2
    return drawings


def coordinates(path: ET.Element) -> list[tuple[float, float]]:
    numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*", path.attrib["d"])]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def lines(drawing: ET.Element) -> dict[str, list[tuple[float, float]]]:
    """Name of a line → its points, in pixels."""
    return {
        group.attrib["data-series"]: [
            (float(use.attrib["x"]), float(use.attrib["y"])) for use in group.iter(f"{SVG}use")
        ]
        for group in drawing.iter(f"{SVG}g")
        if "data-series" in group.attrib
    }


def texts(drawing: ET.Element) -> dict[str, ET.Element]:
    return {words(t): t for t in drawing.iter(f"{SVG}text")}


def bars(drawing: ET.Element) -> list[tuple[str, float]]:
    """Category and height in pixels of each bar."""
    found = []
    for group in drawing.iter(f"{SVG}g"):
        if "data-bar" in group.attrib:
            ys = [y for _, y in coordinates(group.find(f"{SVG}path"))]  # type: ignore[arg-type]
            found.append((group.attrib["data-bar"], max(ys) - min(ys)))
    return found


def tiles(page: ET.Element) -> dict[str, str]:
    found = {}
    for tile in page.iterfind(".//dl/div"):
        found[tile.findtext("dt")] = (tile.find("dd").text or "").strip()  # type: ignore[union-attr]
    return found
