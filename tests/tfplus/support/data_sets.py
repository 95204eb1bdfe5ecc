"""Small data sets, and manifests of models that take them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tfplus.model_file.manifest import Output, Preprocessing, Signature, TensorInfo


def output(name: str = "y", **changes: Any) -> Output:
    fields: dict[str, Any] = {
        "name": name, "kind": "logits", "logits": "", "target": name,
        "targets": "label", "padding": -1.0, "metric": "accuracy", "loss": {}, "loss_weight": 1.0,
    }  # fmt: skip
    return Output(**{**fields, **changes})


def manifest(
    inputs: dict[str, tuple[Any, ...]] | None = None,
    outputs: list[tuple[Output, tuple[int, ...]]] | None = None,
    *,
    weights: bool = False,
    **changes: Any,
) -> Any:
    """A manifest of inputs (shape, dtype) and outputs (shape of the prediction of one sample)."""
    taken = {n: TensorInfo(shape, dtype) for n, (shape, dtype) in (inputs or X_INPUT).items()}
    given = outputs or [(LABEL, (5,))]
    targets = {
        o.target: TensorInfo((4, *shape[:-1]), "int32")
        if o.targets == "label"
        else TensorInfo((4, *shape), "float32")
        for o, shape in given
    }
    extra = {"sample_weight": TensorInfo((4,), "float32")} if weights else {}
    batch = {n: TensorInfo((4, *i.shape), i.dtype) for n, i in taken.items()}
    predictions = {o.name: TensorInfo((4, *shape), "float32") for o, shape in given}
    fields = {
        "name": "m",
        "inputs": taken,
        "outputs": tuple(o for o, _ in given),
        "classes": (9, 0, 1, 2, 3),
        "preprocessing": Preprocessing(0.5, -1.0),
        "vocabularies": {},
        "signatures": {
            "train": Signature(batch | targets | extra, {}),
            "infer": Signature(batch, predictions),
        },
    }
    return SimpleNamespace(**{**fields, **changes})


LABEL = output()


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path / "d.npz", **arrays)
    return path / "d.npz"


def directory(path: Path, **arrays: Any) -> Path:
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    return path


X_INPUT: dict[str, tuple[Any, ...]] = {"x": ((2, 3), "float32")}


X = np.arange(30, dtype=np.uint8).reshape(5, 2, 3)


Y = np.array([9, 0, 1, 2, 3])
