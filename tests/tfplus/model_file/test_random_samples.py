"""Random inputs that a model can be run on."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfplus.model_file import random_samples
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.manifest import Manifest, Signature, TensorInfo


def with_inputs(manifest: Manifest, **inputs: TensorInfo) -> Manifest:
    train = manifest.signatures["train"]
    taken = Signature(train.inputs | inputs, train.outputs)
    return dataclasses.replace(manifest, signatures=manifest.signatures | {"train": taken})


def test_labels_are_in_range_and_every_sample_weighs_one(toy: Artifact) -> None:
    weighted = with_inputs(toy.manifest, sample_weight=TensorInfo((4,), "float32"))
    found = random_samples.of(weighted, "train")
    for name, info in weighted.signatures["train"].inputs.items():
        assert (found[name].shape, found[name].dtype.name) == (info.shape, info.dtype)
    assert set(found["y"].tolist()) <= {0, 1}
    assert found["x"].std() > 0.1
    np.testing.assert_array_equal(found["sample_weight"], np.ones(4))
    again = random_samples.of(weighted, "train")
    assert all(np.array_equal(found[name], again[name]) for name in found)
