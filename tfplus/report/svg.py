"""Fits an SVG drawing of matplotlib into a page: size, colours and fonts become the page's own."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tfplus.report.colours import VARIABLES, variable

NAMESPACE = "http://www.w3.org/2000/svg"
_VARIABLE = re.compile(r"var\(--[a-z0-9]+, (#[0-9a-f]{6})\)")
_LINK = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class Mark:
    """What a part of a drawing means.

    Attributes:
      attributes: for whoever reads the SVG, such as `data-series`.
      titles: shown on hovering over each of its points; a single one over the whole part.
    """

    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    titles: Sequence[str] = ()


def embedded(drawing: str, title: str, marks: Mapping[str, Mark]) -> str:
    """The drawing as an element of an HTML page; well-formed XML, with nothing from elsewhere.

    Args:
      drawing: as matplotlib wrote it, text as text.
      title: read out by screen readers.
      marks: by the group ids that its parts were drawn with.
    """
    root = ET.fromstring(drawing)  # noqa: S314 matplotlib has just written it
    _mark(root, marks)
    used = set(re.findall(r"#([A-Za-z][\w.-]*)", _references(root)))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.text = (element.text or "").strip() or None
        element.tail = None
        _clean(element, used)
    # matplotlib's style would hold for the whole page.
    for defs in root.findall("defs"):
        for style in defs.findall("style"):
            defs.remove(style)
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib |= {
        "xmlns": NAMESPACE,
        "viewBox": box,
        "role": "img",
        "style": "stroke-linejoin: round; stroke-linecap: butt",
    }
    said = ET.Element("title")
    said.text = title
    root.insert(0, said)
    return ET.tostring(root, "unicode")


def standalone(drawing: str, font: str = "DejaVu Sans, Helvetica, Arial, sans-serif") -> str:
    """An embedded drawing as a file of its own: with its size, in the light page's colours.

    Args:
      drawing: as `embedded` returned it.
      font: of its text.
    """
    root = ET.fromstring(_VARIABLE.sub(r"\1", drawing))  # noqa: S314 drawn here
    _, _, width, height = root.attrib["viewBox"].split()
    root.attrib |= {"width": width, "height": height, "font-family": font}
    ground = {"width": width, "height": height, "fill": "#ffffff"}
    root.insert(1, ET.Element(f"{{{NAMESPACE}}}rect", ground))
    ET.register_namespace("", NAMESPACE)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, "unicode")}\n'


def _mark(root: ET.Element, marks: Mapping[str, Mark]) -> None:
    for group in root.iter(f"{{{NAMESPACE}}}g"):
        mark = marks.get(group.get("id", ""))
        if mark is None:
            continue
        group.attrib |= mark.attributes
        points = list(group.iter(f"{{{NAMESPACE}}}use"))
        parts = points if len(points) == len(mark.titles) else [group]
        for part, text in zip(parts, mark.titles, strict=False):
            said = ET.Element("title")
            said.text = text
            part.insert(0, said)


def _references(root: ET.Element) -> str:
    return " ".join(
        value
        for element in root.iter()
        for name, value in element.attrib.items()
        if name in (_LINK, "clip-path")
    )


def _clean(element: ET.Element, used: set[str]) -> None:
    attributes = element.attrib
    if attributes.get("id") not in used:
        attributes.pop("id", None)
    if _LINK in attributes:
        attributes["href"] = attributes.pop(_LINK)
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]
    for name in ("d", "x", "y", "transform"):
        if name in attributes:
            attributes[name] = _shortened(attributes[name])
    if "style" in attributes:
        attributes["style"] = _styled(attributes["style"])


def _shortened(text: str) -> str:
    rounded = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.2f}", text)
    return " ".join(rounded.split())


def _styled(style: str) -> str:
    # The page's font.
    style = re.sub(r"font-family:[^;]*;? *", "", style)
    return re.sub("#[0-9a-f]{6}", lambda c: variable(c[0]) if c[0] in VARIABLES else c[0], style)
