"""docs/gpu.md: a head, and sections that separate commands write anew."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "gpu.md"
HEAD = """# The GPU delegate

Written by `scripts/test-gpu` with `--table`, `--zoo` or `--half`, a section each; do not edit.
"""
ORDER = ("Models", "Arithmetic of 16 bits", "Operations")


def software() -> str:
    """The runtime and the driver that a section was made with."""
    version = importlib.metadata.version("ai-edge-litert")
    driver = os.environ.get("VK_ICD_FILENAMES", "the system's").rpartition("/")[2]
    return f"ai-edge-litert {version}, Vulkan driver `{driver}`"


def shown(error: float) -> str:
    """A relative error: its order is what it tells."""
    return f"{error:.0e}" if error else "0"


def write(title: str, text: str) -> None:
    """Puts a section in the place of the one of its title, or where it belongs in `ORDER`."""
    sections = _read()
    sections[title] = text.strip()
    parts = [f"## {t}\n\n{sections[t]}\n" for t in ORDER if t in sections]
    DOCUMENT.write_text("\n".join([HEAD, *parts]))


def read(title: str) -> str:
    """The text of a section; empty where there is none."""
    return _read().get(title, "")


def _read() -> dict[str, str]:
    _, *parts = DOCUMENT.read_text().split("\n## ")
    titled = (part.partition("\n") for part in parts)
    return {title: text.strip() for title, _, text in titled}
