"""From an exported file and a checkpoint to a plain model file for inference."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tfplus.errors import ArtifactError, DataError, UsageError
from tfplus.model_file import artifact, baking, random_samples, weights_file
from tfplus.model_file.artifact import Artifact
from tfplus.system.files import write_atomic
from tfplus.tensors.slices import check_against


@dataclass(frozen=True)
class Frozen:
    """A model file that was written.

    Attributes:
      path: of the file.
      size_bytes: of the file.
      sha256: of the file (hex).
      batch_size: samples in one `infer`.
      difference: largest difference of an output from the trainable model's on random samples,
        relative to the largest output.
    """

    path: Path
    size_bytes: int
    sha256: str
    batch_size: int
    difference: float


def freeze(source: Artifact, checkpoint: Path, path: Path) -> Frozen:
    """Writes a model for inference with the weights of a checkpoint.

    Args:
      source: an exported file with a graph of inference.
      checkpoint: safetensors with at least every weight of the model; what optimizers keep is
        passed over.
      path: where to.

    Raises:
      ArtifactError: the source has no graph of inference.
      DataError: the checkpoint cannot be read, or the result computes something else.
      TensorError: its tensors are not those of the model.
      UsageError: the output's directory does not exist, or the output is one of the inputs.
    """
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such directory for the output")
    if path.exists() and any(path.samefile(given) for given in (source.path, checkpoint)):
        raise UsageError(f"{path}: is what is read; expected another file for the output")
    graphs = artifact.inference_graphs(source)
    if graphs is None:
        raise ArtifactError(
            f"{source.path}: has no graph of inference with constant weights: export the model "
            "with --freezable; a checkpoint of the file at hand fits that one"
        )
    manifest = source.manifest
    tensors = weights_file.read(checkpoint)
    expected = manifest.expected()
    weights = manifest.expected(weights_only=True)
    check_against(tensors, {n: e for n, e in expected.items() if n in tensors or n in weights})
    content = baking.filled(graphs, tensors)
    training = source.path.read_bytes()[: manifest.flatbuffer_bytes]
    variables = {**artifact.initial_values(source), **tensors}
    apart = baking.difference(content, training, variables, random_samples.of(manifest, "infer"))
    if not apart <= baking.TOLERANCE:
        raise DataError(
            f"{checkpoint}: with these weights the frozen model is off by {apart:.1e} of its "
            f"largest output, expected at most {baking.TOLERANCE:.0e}; nothing was written"
        )
    write_atomic(path, content)
    return Frozen(
        path,
        len(content),
        hashlib.sha256(content).hexdigest(),
        manifest.infer_batch_size,
        apart,
    )
