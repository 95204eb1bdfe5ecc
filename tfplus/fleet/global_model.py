"""A global model's file, written anew with what a run's agents learned together."""

from __future__ import annotations

from pathlib import Path

from tfplus.errors import TensorError
from tfplus.model_file import artifact
from tfplus.tensors.slices import Tensors


def write_global(model: Path, values: Tensors, path: Path) -> list[str]:
    """Writes a copy of a global model with recomposed weights.

    Args:
      model: an exported file; its weights are those that `values` lacks.
      values: what `GossipSession.recompose` gave; slices that the model lacks are left out.
      path: where to.

    Returns:
      Weights that no agent holds, so that they stay as they were.

    Raises:
      ArtifactError: `model` is no exported file.
      TensorError: a slice has another shape there, or the two have nothing in common.
    """
    read = artifact.read(model)
    names = list(read.manifest.expected(weights_only=True))
    common = {n: values[n] for n in names if n in values}
    if not common:
        raise TensorError(
            f"{model}: none of its {len(names)} weights is a slice of this run: expected the model "
            "that the agents' sub-models were cut from"
        )
    artifact.with_values(read, common, path)
    return [n for n in names if n not in values]
