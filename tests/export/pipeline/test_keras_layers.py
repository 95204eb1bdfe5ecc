"""Keras' own layer tests as cases: each is exported or refused, and none ends otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from keras_layers import cases, document, trial
from keras_layers.document import Outcome

pytestmark = pytest.mark.filterwarnings("ignore")
_IMAGES = "preprocessing.image_preprocessing"


@pytest.mark.parametrize(
    ("module", "name", "result", "said"),
    [
        ("core.dense_test", "test_dense_basics/0", "exported", ""),
        ("activations.elu_test", "test_elu/0", "exported", ""),
        ("convolutional.conv_test", "test_conv3d_basic1/0", "refused", "two spatial dimensions"),
        (
            f"{_IMAGES}.random_rotation_test",
            "test_random_rotation_shapes_random_rotate_2/0",
            "refused",
            "to the data before",
        ),
        ("activations.relu_test", "test_invalid_usage/0", "none", "ValueError"),
    ],
)
def test_a_case_of_keras(module: str, name: str, result: str, said: str) -> None:
    found = {c.name: c for c in cases.collect(f"keras.src.layers.{module}")}
    got, reason = trial.tried(found[f"{module}/{name}"])
    assert got == result, reason
    assert said in reason


def test_a_case_that_kills_its_process_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "trial.py"
    script.write_text(
        "import json, os, sys\n"
        "lines = [json.loads(t) for t in open(sys.argv[1])]\n"
        "with open(sys.argv[1], 'a') as file:\n"
        "    for name in 'ab':\n"
        "        if any(l.get('case') == name for l in lines): continue\n"
        "        print(json.dumps({'begun': name, 'layer': 'L', 'public': True}), file=file)\n"
        "        file.flush()\n"
        "        if name == 'a': os.abort()\n"
        "        done = {'case': name, 'layer': 'L', 'result': 'exported', 'reason': ''}\n"
        "        print(json.dumps(done), file=file)\n"
    )
    monkeypatch.setattr(document, "TRIAL", script)
    results = tmp_path / "results.jsonl"
    document.try_all(results, [])
    assert document.read(results) == [
        Outcome("a", "L", True, "error", "the process was killed by SIGABRT"),
        Outcome("b", "L", True, "exported", ""),
    ]
    assert "| L | 2 | 1 | 1 | **error**: the process was" in document.document(
        document.read(results)
    )
    document.forget(results, [], exported=False)
    assert [o.case for o in document.read(results)] == ["b"]


@pytest.mark.slow
def test_those_that_ended_in_a_traceback_or_a_dead_process(tmp_path: Path) -> None:
    bad = ["AugMix", "RandAugment", "RandomElasticTransform", "STFTSpectrogram"]
    document.try_all(tmp_path / "results.jsonl", bad)
    found = document.read(tmp_path / "results.jsonl")
    assert {o.layer for o in found} == set(bad)
    assert [o for o in found if o.result not in ("exported", "refused")] == []
