"""Loading `.keras` files that hold code, or that need code which they do not hold."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import keras
import pytest
from keras import layers

from tfplus.model_file import artifact

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")


def with_lambda(folder: Path) -> Path:
    """A file whose Lambda layer leaves a trace when it runs."""

    def model(code: object) -> keras.Model:
        inner = keras.Sequential(
            [keras.Input((3,)), layers.Lambda(code, name="odd", output_shape=(3,))]
        )
        return keras.Sequential([keras.Input((3,)), inner, layers.Dense(2)])

    path = folder / "m.keras"
    model(lambda x: [__import__("pathlib").Path("ran").touch(), x * 2.0][1]).save(path)
    (folder / "ran").unlink(missing_ok=True)
    return path


def test_code_in_a_file_runs_only_when_it_is_trusted(run, tmp_path: Path) -> None:
    with_lambda(tmp_path)
    code, out, err = run("m.keras", "-o", "m.tflite", "--batch-size", "4")
    assert (code, out) == (4, "")
    assert "layer 'odd' is a Lambda" in err
    assert "--trust-code" in err
    assert {p.name for p in tmp_path.iterdir()} == {"m.keras"}
    code, _, err = run("m.keras", "-o", "m.tflite", "--batch-size", "4", "--trust-code")
    assert code == 0, err
    assert (tmp_path / "ran").exists()
    assert artifact.read(tmp_path / "m.tflite").manifest.parameters == 8


def test_a_class_of_the_users_own_is_asked_for(run, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("mine")
    class Twice(layers.Layer):
        def call(self, x: object) -> object:
            return x * 2.0

    keras.Sequential([keras.Input((3,)), Twice(), layers.Dense(2)]).save(tmp_path / "m.keras")
    keras.saving.get_custom_objects().clear()
    code, _, err = run("m.keras", "-o", "m.tflite", "--trust-code")
    assert code == 4
    assert "Twice is a class of its own" in err
    assert "package.module:function" in err


@pytest.mark.parametrize("config", [b"", b"[" * 100_000, None], ids=["empty", "deep", "none"])
def test_a_damaged_configuration_is_refused(run, tmp_path: Path, config: bytes | None) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({}))
        if config is not None:
            archive.writestr("config.json", config)
    code, _, err = run("m.keras", "-o", "m.tflite")
    assert code == 4
    assert "config.json" in err


@pytest.mark.parametrize(
    ("writer", "says"),
    [
        ("99.1.0", "written by Keras 99.1.0, but Keras "),
        ("3.0.0", "Keras cannot load it"),
        ("$(touch ran) 99", "Keras cannot load it"),
    ],
)
def test_a_file_of_a_newer_keras_says_so(run, tmp_path: Path, writer: str, says: str) -> None:
    keras.Sequential([keras.Input((3,)), layers.Dense(2)]).save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    # An argument that this Keras does not know, as a newer one writes.
    held["config.json"] = held["config.json"].replace(b'"use_bias"', b'"some_bias"')
    held["metadata.json"] = json.dumps({"keras_version": writer}).encode()
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    code, out, err = run("m.keras", "-o", "m.tflite", "--batch-size", "4")
    assert (code, out) == (4, "")
    assert says in err
    assert "Traceback" not in err
    assert ("pip install 'keras>=99.1.0'" in err) == (writer == "99.1.0")
    assert "touch" not in err
