"""`tfplus.export`: a Keras model becomes a file that trains; brought by the extra `export`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from tfplus.errors import MissingExtraError
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.manifest import Manifest

# Functions that components bring, as they bring commands: the core imports none of them.
GROUP = "tfplus.functions"


@dataclass(frozen=True)
class ExportReport:
    """A file that was written, after its steps were compared with TensorFlow's.

    Attributes:
      path: of the file.
      size_bytes: of the file.
      sha256: of the file (hex); its address on a device.
      manifest: what the file says of itself; `manifest.parity` has what was compared.
    """

    path: Path
    size_bytes: int
    sha256: str
    manifest: Manifest

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the export noticed, such as samples of another range than the first layer's."""
        return tuple(str(text) for text in self.manifest.parity.get("warnings", ()))


def export(
    model: Any,
    path: str | Path,
    *,
    batch_size: int = 32,
    infer_batch_size: int | None = None,
    sample_weights: bool = False,
    freezable: bool = False,
    gpu: bool = False,
    parity_steps: int = 5,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> ExportReport:
    """Exports a Keras model with the optimizer and the losses that it was compiled with.

    A model that was not compiled gets SGD at 0.01 and the sparse categorical cross-entropy. The
    command `tfplus export` has more options.

    Args:
      model: a built `keras.Model`.
      path: where the file goes, a `.tflite`.
      batch_size: samples in a training step.
      infer_batch_size: samples that are predicted at once; as many where not given.
      sample_weights: whether `fit` may take a weight for each sample.
      freezable: whether `tfplus freeze` can make a file for inference alone of it.
      gpu: whether the file gets a graph for the GPU, too.
      parity_steps: steps that are compared with TensorFlow.
      seed: of the samples for that comparison.
      progress: told what is being done.

    Raises:
      ExportError: the model has something that cannot train on a device, or the file does not
        compute what TensorFlow does; nothing is written then.
      MissingExtraError: the extra `export` is not installed.

    Examples:
        >>> import keras, tfplus
        >>> keras.utils.set_random_seed(0)
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> report = tfplus.export(model, folder / "small.tflite", batch_size=8)
        >>> report.manifest.parameters
        15
    """
    found = next(iter(entry_points(group=GROUP, name="export")), None)
    if found is None:
        raise MissingExtraError.of("tfplus.export", "export")
    try:
        export_model = found.load()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("tensorflow", "keras", "ai_edge_litert"):
            raise
        raise MissingExtraError.of("tfplus.export", "export") from None
    written: Artifact = export_model(
        model,
        Path(path),
        batch_size=batch_size,
        infer_batch_size=infer_batch_size,
        sample_weights=sample_weights,
        freezable=freezable,
        gpu=gpu,
        parity_steps=parity_steps,
        seed=seed,
        progress=progress or (lambda text: None),
    )
    return ExportReport(written.path, written.size_bytes, written.sha256, written.manifest)
