"""A head that trains on kept features learns what it learns behind frozen layers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfplus.model_file import artifact
from tfplus.runtime import interpreter
from tfplus.training.epoch import EpochPlan
from tfplus_agent.features import kept
from tfplus_agent.worker.messages import Evaluate, Save, WorkerSetup
from tfplus_agent.worker.process import Worker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def learned(
    model: Path, data: Path | None, folder: Path | None, **options: Any
) -> tuple[dict[str, np.ndarray], Any]:
    """Trains three epochs; returns the variables, and what an evaluation says."""
    worker = Worker(lambda message: None, lambda: False)
    name = interpreter.find().name
    worker.answer(
        WorkerSetup(model, data, options.pop("eval_data", data), name, 1, True, "cpu",
                    features=folder, **options)
    )  # fmt: skip
    for epoch in range(3):
        worker.answer(EpochPlan(0, epoch, 3 * epoch, 9, 9, 3))
    saved: Any = worker.answer(Save())
    return saved.tensors, worker.answer(Evaluate())


def close(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert set(found) < set(wanted) or set(found) == set(wanted)
    for name, value in found.items():
        np.testing.assert_allclose(value, wanted[name], rtol=1e-6, atol=1e-6, err_msg=name)


def test_training_from_kept_features(split_files: SimpleNamespace, tmp_path: Path) -> None:
    data, folder = split_files.data, tmp_path / "kept"
    wanted, said = learned(split_files.frozen, data, None)
    start = artifact.initial_values(artifact.read(split_files.frozen))
    assert any(np.abs(wanted[n] - start[n]).max() > 1e-3 for n in start)
    found, told = learned(split_files.one, data, folder)
    close(found, wanted)
    assert told.means == pytest.approx(said.means)
    assert told.losses == pytest.approx(said.losses, rel=1e-5)
    # After a restart, from disk alone.
    close(learned(split_files.one, data, folder)[0], wanted)
    # After an eviction of everything.
    with kept.opened(split_files.one, folder) as opened:
        assert opened.cache.evict(has_ended=True) == {"not annotated": 11}
    close(learned(split_files.one, data, folder)[0], wanted)
    # The freeze point moves: features go on from the layer that is kept, no sample is read.
    close(learned(split_files.two, data, folder)[0], wanted)
    with kept.opened(split_files.two, folder) as opened:
        assert kept.counts(opened)["entries"] == 11
        kept.annotate(opened, data)
        assert (opened.features.computed, opened.features.continued) == (0, 0)
    # With no sample at all, of samples in the order of their coming: that of the file.
    folder = tmp_path / "annotated"
    with kept.opened(split_files.two, folder) as opened:
        kept.annotate(opened, data)
    close(learned(split_files.two, None, folder, annotated=True, eval_data=data)[0], wanted)


def test_the_nearest_layer_is_gone_on_from(split_files: SimpleNamespace, tmp_path: Path) -> None:
    with kept.opened(split_files.one, tmp_path) as opened:
        assert kept.annotate(opened, split_files.data) == 11
        assert (opened.features.computed, opened.features.continued) == (11, 0)
    with kept.opened(split_files.two, tmp_path) as opened:
        assert opened.features.carry_over() == 11
        assert (opened.features.computed, opened.features.continued) == (0, 11)
        assert [a.label for a in opened.cache.annotated()[0]] == split_files.y.tolist()
        rows = opened.cache.annotated()[1]
    with kept.opened(split_files.two, tmp_path / "anew") as opened:
        kept.annotate(opened, split_files.data)
        np.testing.assert_array_equal(opened.cache.annotated()[1], rows)


def test_no_model_trains_on_features_of_another(
    split_files: SimpleNamespace, tmp_path: Path
) -> None:
    learned(split_files.one, split_files.data, tmp_path / "kept")
    alone = learned(split_files.other, split_files.data, None)[0]
    beside = learned(split_files.other, split_files.data, tmp_path / "kept")[0]
    for name, value in alone.items():
        np.testing.assert_array_equal(beside[name], value)
    one = learned(split_files.one, split_files.data, tmp_path / "kept")[0]
    assert any(not np.array_equal(one[n], alone[n]) for n in one)


def test_predictions_count(split_files: SimpleNamespace, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=split_files.x[:5])
    for _ in range(3):
        code, _, err = split_files.run(
            "predict", split_files.one, "--data", tmp_path / "x.npz",
            "--feature-cache", tmp_path / "kept", "-o", tmp_path / "p.npz",
        )  # fmt: skip
        assert code == 0, err
    with kept.opened(split_files.one, tmp_path / "kept") as opened:
        assert kept.counts(opened)["predictions"] == 15
        assert opened.cache.evict(has_ended=True, frequent=4) == {"not annotated": 5}


@pytest.mark.parametrize(
    "more", [("--data", "d.npz"), ("--freezable",), ("--frozen-shared",), ("--cached",)]
)
def test_what_does_not_go_with_a_cut(
    split_files: SimpleNamespace, tmp_path: Path, more: tuple[str, ...]
) -> None:
    source = split_files.one.with_name("net.keras")
    code, _, err = split_files.run(
        "export", source, "-o", tmp_path / "d.tflite", "--split", "pool", *more
    )
    assert code == 2
    assert f"with {more[0]}" in " ".join(err.split()) or "--cached with --split" in err
    assert list(tmp_path.iterdir()) == []
