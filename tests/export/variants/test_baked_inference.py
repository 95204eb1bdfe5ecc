"""`tfplus freeze`: trained weights as constants of a plain model for inference."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from safetensors.numpy import save_file
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.errors import ArtifactError, DataError, ExportError
from tfplus.model_file import artifact, baked_model, baking
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.manifest import Preprocessing
from tfplus.tflite import graph_reader
from tfplus_export.conversion import flatbuffer
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source
from tfplus_export.variants import scales

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")
LEGACY = os.environ.get("TFPLUS_LEGACY_PYTHON")


def network() -> keras.Model:
    """Batch normalization behind each kind of product, and before one; a layer that branches."""
    x = given = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    x = layers.BatchNormalization(name="conv_norm")(x)
    x = layers.ReLU(name="conv_relu")(x)
    x = layers.DepthwiseConv2D(3, use_bias=False, depth_multiplier=2, name="depthwise")(x)
    x = beside = layers.BatchNormalization(scale=False, name="depthwise_norm")(x)
    x = layers.BatchNormalization(name="first_norm")(layers.ReLU(name="depthwise_relu")(x))
    x = layers.Conv2D(8, 1, name="pointwise")(x)
    x = layers.Add(name="sum")([x, beside])
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(6, use_bias=False, name="dense")(x)
    x = layers.BatchNormalization(center=False, name="dense_norm")(x)
    return keras.Model(given, layers.Dense(3, name="logits")(x), name="branching")


def moved(model: keras.Model) -> None:
    """Weights as training leaves them: no mean is zero and no variance one."""
    rng = np.random.default_rng(1)
    for variable in model.variables:
        variable.assign(variable.numpy() + rng.uniform(0.1, 0.5, variable.shape))


def export(model: keras.Model, path: Path, **options: object) -> Artifact:
    source = Source("test:frozen", model, None, None, None, Preprocessing(), None)
    chosen = api.Options(16, infer_batch_size=2, parity_steps=1, bakeable=True, **options)
    return api.export(source, path, chosen, lambda text: None)


def infer(path: Path, x: np.ndarray) -> np.ndarray:
    runner = Interpreter(str(path), num_threads=1).get_signature_runner("infer")
    (name,) = runner.get_input_details()
    (value,) = runner(**{name: x}).values()
    return value


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, Artifact, Path]:
    """The network with weights that it was not exported with, its file, and their checkpoint."""
    folder = tmp_path_factory.mktemp("frozen")
    model = network()
    written = export(model, folder / "m.tflite")
    moved(model)
    values = {}
    for variable in written.manifest.weights:
        path = variable.name.removeprefix("shared/")
        values[variable.name] = next(v for v in model.variables if v.path == path).numpy()
    save_file(values, folder / "trained.safetensors")
    return model, written, folder / "trained.safetensors"


@pytest.mark.slow
def test_a_frozen_model_computes_what_keras_does(
    exported: tuple[keras.Model, Artifact, Path], tmp_path: Path
) -> None:
    model, written, checkpoint = exported
    target = tmp_path / "frozen.tflite"
    arguments = ["freeze", str(written.path), str(checkpoint), "-o", str(target), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["batch_size"] == 2
    assert found["difference"] < 1e-5
    x = np.random.default_rng(2).standard_normal((2, 8, 8, 3), np.float32)
    wanted = np.asarray(model(x, training=False))
    largest = float(np.abs(wanted).max())
    assert infer(target, x) == pytest.approx(wanted, rel=1e-4, abs=1e-5 * largest)
    # Nothing is left of batch normalization but that before a product, which cannot be taken in.
    content = target.read_bytes()
    assert flatbuffer.operators(content) == {
        "ADD": 2,
        "CONV_2D": 2,
        "DEPTHWISE_CONV_2D": 1,
        "FULLY_CONNECTED": 2,
        "MUL": 1,
        "RELU": 1,
        "RESHAPE": 1,
    }
    opened = graph_reader.open_model(content)
    assert [
        opened.SignatureDefs(i).SignatureKey() for i in range(opened.SignatureDefsLength())
    ] == [b"infer"]


def test_a_frozen_model_computes_what_the_trainable_one_does(
    small_file: Artifact, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    values = {
        name: (value + rng.uniform(0.1, 0.5, value.shape)).astype(np.float32)
        for name, value in artifact.initial_values(small_file).items()
    }
    save_file(values, tmp_path / "c.safetensors")
    target = tmp_path / "frozen.tflite"
    found = baked_model.freeze(small_file, tmp_path / "c.safetensors", target)
    assert found.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    moved_file = artifact.with_values(small_file, values, tmp_path / "moved.tflite").path
    x = rng.standard_normal((4, 6, 6, 3), np.float32)
    assert infer(target, x) == pytest.approx(infer(moved_file, x), rel=1e-4, abs=1e-5)
    # The trainable file's own values are others: the checkpoint's were taken.
    assert infer(target, x) != pytest.approx(infer(small_file.path, x), rel=1e-2, abs=1e-3)
    assert flatbuffer.operators(target.read_bytes()) == {
        "CONV_2D": 1,
        "DEPTHWISE_CONV_2D": 1,
        "FULLY_CONNECTED": 1,
        "RESHAPE": 1,
    }


def test_a_frozen_model_that_computes_something_else_is_not_written(
    small_file: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = artifact.initial_values(small_file)
    save_file(values, tmp_path / "c.safetensors")
    name = "shared/conv/kernel"
    filled = baking.filled(
        artifact.inference_graphs(small_file), values | {name: values[name] * 1.01}
    )
    monkeypatch.setattr(baking, "filled", lambda graphs, weights: filled)
    with pytest.raises(DataError, match=r"off by .*e-0.* nothing was written"):
        baked_model.freeze(small_file, tmp_path / "c.safetensors", tmp_path / "f.tflite")
    assert not (tmp_path / "f.tflite").exists()


def test_a_checkpoint_of_another_precision_is_refused(small_file: Artifact, tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
    (tmp_path / "c.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    with pytest.raises(DataError, match=r"expected a \.safetensors file of float32"):
        baked_model.freeze(small_file, tmp_path / "c.safetensors", tmp_path / "f.tflite")


@pytest.mark.slow
def test_a_graph_that_computes_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {**scales._SCALED, "MatMul": lambda op, weight, scale: weight * scale * 1.001}
    monkeypatch.setattr(scales, "_SCALED", wrong)
    x = keras.Input((3,))
    y = layers.BatchNormalization()(layers.Dense(2)(x))
    with pytest.raises(ExportError, match="off by"):
        export(keras.Model(x, y), tmp_path / "m.tflite")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_single_weight_beside_the_constant_one(tmp_path: Path) -> None:
    x = keras.Input((3,))
    export(keras.Model(x, 1.0 - layers.Dense(1, "sigmoid")(x)), tmp_path / "m.tflite")


def test_weights_are_not_in_the_file_twice(small_file: Artifact) -> None:
    graphs = artifact.inference_graphs(small_file)
    assert graphs is not None
    (entry,) = small_file.manifest.inference
    weights = sum(place.size_bytes for place in entry.constants)
    assert len(graphs.infer) == entry.size_bytes > weights
    # What the ZIP holds of it: the graph alone.
    with zipfile.ZipFile(small_file.path) as archive:
        held = archive.getinfo("infer.tflite").file_size
    assert held == entry.size_bytes - weights
    assert held < 8000


@pytest.mark.parametrize(
    ("name", "said"),
    [("constants.tflite", "does not match its SHA-256"), ("infer.tflite", "the manifest says")],
)
def test_a_graph_that_was_exchanged_is_refused(
    small_file: Artifact, tmp_path: Path, name: str, said: str
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(small_file.path.read_bytes())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(name, b"another")
    with pytest.raises(ArtifactError, match=rf"{name}.* {said}"):
        artifact.inference_graphs(artifact.read(path))


def test_it_survives_a_copy_with_other_values(small_file: Artifact, tmp_path: Path) -> None:
    values = artifact.initial_values(small_file)
    copy = artifact.with_values(small_file, values, tmp_path / "copy.tflite")
    kept = artifact.inference_graphs(artifact.read(copy.path))
    assert kept == artifact.inference_graphs(small_file)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ("one is missing", 3, "missing ['shared/conv/bias']"),
        ("another shape", 3, "tensor 'shared/conv/bias': expected float32[4], got float32[5]"),
        ("not a number", 3, "shared/conv/bias"),
        ("no safetensors", 3, "expected a .safetensors file"),
        ("no file", 3, "no such file"),
        ("onto itself", 2, "expected another file for the output"),
    ],
)
def test_what_cannot_be_frozen_leaves_no_file(
    change: str, code: int, said: str, small_file: Artifact, tmp_path: Path
) -> None:
    values = artifact.initial_values(small_file)
    checkpoint, target = tmp_path / "c.safetensors", tmp_path / "frozen.tflite"
    name = "shared/conv/bias"
    if change == "one is missing":
        del values[name]
    elif change == "another shape":
        values[name] = np.zeros(5, np.float32)
    elif change == "not a number":
        values[name] = np.full(4, np.nan, np.float32)
    if change == "no safetensors":
        checkpoint.write_bytes(b"PK\x03\x04 and so on")
    elif change != "no file":
        save_file(values, checkpoint)
    if change == "onto itself":
        target = checkpoint
    before = checkpoint.read_bytes() if checkpoint.is_file() else None
    result = CliRunner().invoke(
        app, ["freeze", str(small_file.path), str(checkpoint), "-o", str(target)]
    )
    assert result.exit_code == code
    assert said in result.stderr
    if target == checkpoint:
        assert checkpoint.read_bytes() == before
    else:
        assert not target.exists()


def test_a_file_without_the_graph_says_how_to_get_it(toy: Artifact, tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    save_file(artifact.initial_values(toy), checkpoint)
    result = CliRunner().invoke(
        app, ["freeze", str(toy.path), str(checkpoint), "-o", str(tmp_path / "f.tflite")]
    )
    assert result.exit_code == ArtifactError.exit_code
    assert "export the model with --freezable" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(LEGACY is None, reason="no tflite-runtime: set TFPLUS_LEGACY_PYTHON")
def test_the_older_runtime_infers_the_same(
    exported: tuple[keras.Model, Artifact, Path], tmp_path: Path
) -> None:
    _, written, checkpoint = exported
    target = tmp_path / "frozen.tflite"
    CliRunner().invoke(app, ["freeze", str(written.path), str(checkpoint), "-o", str(target)])
    x = np.random.default_rng(2).standard_normal((2, 8, 8, 3), np.float32)
    np.save(tmp_path / "x.npy", x)
    script = (
        "import sys, numpy as np; from tflite_runtime.interpreter import Interpreter\n"
        "run = Interpreter(sys.argv[1]).get_signature_runner('infer')\n"
        "(name,) = run.get_input_details()\n"
        "np.save(sys.argv[3], next(iter(run(**{name: np.load(sys.argv[2])}).values())))\n"
    )
    paths = [str(target), str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    subprocess.run([str(LEGACY), "-c", script, *paths], check=True, timeout=120)
    assert np.load(tmp_path / "y.npy") == pytest.approx(infer(target, x), rel=1e-5, abs=1e-5)
