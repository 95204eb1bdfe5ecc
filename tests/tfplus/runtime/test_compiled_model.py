"""The calls of docs/android.md by LiteRT's CompiledModel, against the interpreter: bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfplus.model_file.artifact import Artifact
from tfplus.model_file.manifest import Signature
from tfplus.runtime import interpreter
from tfplus.tensors.slices import Tensor
from tfplus_agent.doctor import patient

compiled_model = pytest.importorskip(
    "ai_edge_litert.compiled_model", reason="needs ai-edge-litert 2.2 or newer"
)
if not hasattr(compiled_model, "Options"):
    pytest.skip("needs ai-edge-litert 2.2 or newer", allow_module_level=True)
STEPS = 4


class Compiled:
    """A model by name of signature, each with buffers of its own, as an app holds it."""

    def __init__(self, read: Artifact) -> None:
        options = compiled_model.Options(
            hardware_accelerators=compiled_model.HardwareAccelerator.CPU,
        )
        self._model = compiled_model.CompiledModel.from_file(str(read.path), options=options)
        self._signatures = read.manifest.signatures
        self._buffers = {name: self._of(name, s) for name, s in self._signatures.items()}

    def _of(self, name: str, signature: Signature) -> tuple[dict[str, Any], dict[str, Any]]:
        return (
            {n: self._model.create_input_buffer_by_name(name, n) for n in signature.inputs},
            {n: self._model.create_output_buffer_by_name(name, n) for n in signature.outputs},
        )

    def run(self, name: str, given: dict[str, Tensor]) -> dict[str, Tensor]:
        inputs, outputs = self._buffers[name]
        for n, value in given.items():
            inputs[n].write(np.ascontiguousarray(value))
        self._model.run_by_name(name, inputs, outputs)
        return {
            n: outputs[n]
            .read(int(np.prod(info.shape)), np.dtype(info.dtype).type)
            .reshape(info.shape)
            .copy()
            for n, info in self._signatures[name].outputs.items()
        }


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.tobytes() == np.ascontiguousarray(other[name]).tobytes(), name


@pytest.fixture(scope="module")
def subject() -> patient.Patient:
    """An exported file with momentum and moving averages, and a batch for it."""
    return patient.probe()


def batches(subject: patient.Patient) -> list[dict[str, Tensor]]:
    return [subject.batch_of(epoch) for epoch in range(STEPS)]


def test_training_saving_and_inference_are_the_interpreters(subject: patient.Patient) -> None:
    compiled = Compiled(subject.read)
    model = interpreter.find().open(
        subject.read.path, subject.read.manifest, threads=1, xnnpack=True
    )
    start = model.save()
    for batch in batches(subject):
        reported = compiled.run("train", batch)
        model.step(batch)
        assert {n: float(v[0]) for n, v in reported.items()} == model.metrics()
    saved = compiled.run("save", {})
    same(saved, model.save())
    assert saved["shared/conv/kernel"].tobytes() != start["shared/conv/kernel"].tobytes()
    x = {"x": subject.batch["x"]}
    same(compiled.run("infer", x), model.infer(x))


def test_what_one_saved_the_other_goes_on_from(subject: patient.Patient) -> None:
    first, *rest = batches(subject)
    compiled = Compiled(subject.read)
    model = interpreter.find().open(
        subject.read.path, subject.read.manifest, threads=1, xnnpack=True
    )
    compiled.run("train", first)
    model.restore(compiled.run("save", {}))
    for batch in rest:
        compiled.run("train", batch)
        model.step(batch)
    kept = model.save()
    same(compiled.run("save", {}), kept)
    fresh = Compiled(subject.read)
    assert fresh.run("restore", kept)["ok"].shape == (1,)
    same(fresh.run("save", {}), kept)
    model.step(first)
    fresh.run("train", first)
    same(fresh.run("save", {}), model.save())


def test_save_is_not_the_first_graph(subject: patient.Patient) -> None:
    """Java runs a signature without inputs only where it is not: see docs/android.md."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    file = schema.Model.GetRootAs(subject.read.path.read_bytes(), 0)
    graphs = {
        signature.SignatureKey().decode(): signature.SubgraphIndex()
        for signature in map(file.SignatureDefs, range(file.SignatureDefsLength()))
    }
    assert graphs.keys() == {"train", "infer", "save", "restore"}
    assert graphs["save"] > 0
