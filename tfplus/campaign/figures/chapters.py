"""All chapters in the paper's order, then what the paper lacks: a line for each."""

from __future__ import annotations

from tfplus.campaign.figures import (
    acceleration,
    energy,
    interference,
    learning,
    operations,
    sustained,
    sweeps,
    systems,
)
from tfplus.campaign.figures.chapter import Builder, Chapter, Material

BUILDERS: tuple[Builder, ...] = (
    systems.devices,
    sweeps.chapters,
    operations.chapters,
    acceleration.chapters,
    systems.phases,
    systems.priorities,
    interference.chapters,
    sustained.chapters,
    energy.chapters,
    learning.chapters,
)


def of(material: Material) -> list[Chapter]:
    """The chapters that a campaign has something to say on."""
    return [chapter for build in BUILDERS for chapter in build(material)]
