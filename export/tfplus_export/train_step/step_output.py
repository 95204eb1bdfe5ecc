"""What a training step brings."""

from __future__ import annotations

from dataclasses import dataclass

from tfplus_export.tf_types import Tensor


@dataclass(frozen=True)
class StepOutput:
    """What one step brings: metrics and the weights and state that changed, by name."""

    metrics: dict[str, Tensor]
    weights: dict[str, Tensor]
    state: dict[str, Tensor]
