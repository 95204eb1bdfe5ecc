"""Colours that follow the page, light or dark: names of the style sheet with a value to draw with.

A drawing has the values of the light page; where it stands in a page, each becomes the variable of
that name. So no two are equal.
"""

from __future__ import annotations

INK = "#1b1f24"
SOFT = "#5a626d"
RULE = "#e2e4e8"
LEAD = "#0b5cad"
BAR = "#4c8bd0"
SERIES = (
    "#c2410c",
    "#15803d",
    "#9333ea",
    "#b58900",
    "#0e7490",
    "#be185d",
    "#65711a",
    "#6b5b53",
)

VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    RULE: "--rule",
    LEAD: "--lead",
    BAR: "--bar",
    **{colour: f"--s{i}" for i, colour in enumerate(SERIES)},
}


def variable(colour: str) -> str:
    """The colour as CSS of a page, or as itself outside of one."""
    return f"var({VARIABLES[colour]}, {colour})"
