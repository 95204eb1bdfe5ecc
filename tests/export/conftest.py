"""TensorFlow, quiet, and the models that several tests export once."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.manifest import Preprocessing

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "export" / "support"), str(ROOT / "tools")]

with warnings.catch_warnings():
    # What TensorFlow's own imports warn of is not this project's to mend.
    warnings.simplefilter("ignore")
    import keras
    import tensorflow as tf  # noqa: F401

# Keras collects garbage whenever a session is cleared, which takes as long as all of TensorFlow's
# own objects are many: left out, a test starts most of a second earlier.
gc.collect()
gc.freeze()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The same initial weights in every test, whatever ran before."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs `tfplus export` in a folder of its own: arguments → exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["export", *arguments])
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Two convolutions, one by depth, batch statistics and a dense layer: batch 4, freezable."""
    from keras import layers

    from tfplus_export.pipeline import api
    from tfplus_export.sources.source import Source

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="conv"),
            layers.DepthwiseConv2D(4, name="depthwise"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flat"),
            layers.Dense(3, name="logits"),
        ],
        name="small",
    )
    source = Source("test:small", model, None, None, None, Preprocessing(), None)
    path = tmp_path_factory.mktemp("small") / "small.tflite"
    options = api.Options(4, parity_steps=2, bakeable=True)
    return api.export(source, path, options, lambda text: None)


@pytest.fixture(scope="session")
def gpu_present() -> None:
    """Skips where LiteRT finds no GPU; fails there if TFPLUS_REQUIRE_GPU is set."""
    # In a process of its own: some drivers hang when they are taken down.
    ask = "import os; from tfplus.runtime import gpu; os._exit(0 if gpu.present() else 1)"
    if subprocess.run([sys.executable, "-c", ask], capture_output=True).returncode == 0:
        return
    reason = 'LiteRT finds no GPU: eval "$(scripts/software-vulkan)" makes one of software'
    if os.environ.get("TFPLUS_REQUIRE_GPU"):
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_configure(config: pytest.Config) -> None:
    """Keras' own layer tests, whose cases are tried, bear a mark of Keras' own."""
    config.addinivalue_line("markers", "requires_trainable_backend: of Keras' own tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a sweep over many shapes, each tenth case is fast; `scripts/test --all` runs them all."""
    seen: dict[str, int] = {}
    for item in items:
        if item.path.name in ("test_rules.py", "test_rule_cases.py"):
            name = getattr(item, "originalname", item.name)
            place = seen.get(name, 0)
            seen[name] = place + 1
            if place >= 2 and place % 10:
                item.add_marker(pytest.mark.slow)
