"""What a model is given, held against its manifest before any runtime sees it."""

from __future__ import annotations

from collections.abc import Mapping

from tfplus.errors import TensorError
from tfplus.model_file.manifest import Manifest, TensorInfo
from tfplus.tensors.slices import Tensors


def check_batch(batch: Tensors, manifest: Manifest) -> None:
    """Checks what a training step is given.

    Raises:
      TensorError: a name, shape or dtype differs, or a label is out of range.
    """
    check_tensors(batch, manifest.signatures["train"].inputs)
    for output in manifest.outputs:
        if output.targets == "label":
            predictions = manifest.signatures["infer"].outputs[output.name]
            y, count = batch[output.target], predictions.shape[-1]
            if y.min() < -1 or y.max() >= count:
                raise TensorError(f"{output.target}: expected -1 to {count - 1}, got {y}")


def check_tensors(given: Tensors, expected: Mapping[str, TensorInfo]) -> None:
    """Checks names, shapes and dtypes.

    Raises:
      TensorError: naming the first that differs.
    """
    for name, info in expected.items():
        if name not in given:
            raise TensorError(f"{name}: expected {info.dtype}{list(info.shape)}, got none")
        tensor = given[name]
        if tensor.shape != info.shape or tensor.dtype.name != info.dtype:
            raise TensorError(
                f"{name}: expected {info.dtype}{list(info.shape)}, "
                f"got {tensor.dtype.name}{list(tensor.shape)}"
            )
    if unknown := sorted(set(given) - set(expected)):
        raise TensorError(f"{unknown[0]}: expected nothing but {', '.join(expected)}")
