"""What is measured for a plan's page: preferences at every depth, inputs that move filters most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tfplus.data.scaling import Scaling
from tfplus.decoupling import plan_folder
from tfplus.model_file.preprocessing import Preprocessing
from tfplus_export.decoupling import functionality, samples

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.parametrize("decoupled", [True], indirect=True, ids=["normalized"]),
]


def test_filters_are_measured_at_every_depth_and_climbed(decoupled: Any, data: Path) -> None:
    plan = plan_folder.read(decoupled.folder)
    shape = decoupled.original.inputs[0].shape
    given = samples.load(data, shape, plan.classes, Preprocessing(), Scaling(1 / 255, 0))
    model = keras.Model(decoupled.original.inputs[0], decoupled.original.outputs[0])
    found = functionality.measure(model, plan, given, 0, lambda text: None)
    assert next(iter(found.preferences)) == "stem"
    for layer in plan.layers:
        # Measured before, by another way through the model.
        np.testing.assert_allclose(found.preferences[layer.name], layer.preference, rtol=1e-4)
    assert [one.label for one in found.maximized] == list(plan.classes)
    for one in found.maximized:
        assert list(one.inputs) == [20, 40, 100]
        climbed = [one.activations[n] for n in (20, 40, 100)]
        assert climbed[0] < climbed[2]
        assert max(climbed) > 0
        # The filter's own activation on that input, by Keras.
        probe = keras.Model(model.inputs[0], model.get_layer(one.layer).output)
        assert np.isfinite(np.asarray(probe(one.inputs[100][None]))).all()
