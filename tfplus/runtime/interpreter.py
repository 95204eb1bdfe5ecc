"""ai-edge-litert and tflite-runtime behind one small interface.

Only the worker process opens models: an abort inside the C library takes its whole process along.
The daemon merely asks which runtime is installed, which imports nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.errors import (
    ArtifactError,
    MissingExtraError,
    RuntimeVersionError,
    UsageError,
)
from tfplus.model_file.manifest import Manifest, TensorInfo
from tfplus.runtime import accelerators, versions
from tfplus.runtime.batch_checks import check_batch, check_tensors
from tfplus.system import cores, distributions
from tfplus.tensors.slices import Tensor, Tensors, check_against

AUTO = "auto"
# The interpreter starts as many as it is asked for, at once.
MAX_THREADS = 256

# Distribution → module with its Interpreter; the first that is installed is the default.
_RUNTIMES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}
NAMES = (AUTO, *_RUNTIMES)


@dataclass(frozen=True)
class Runtime:
    """An installed runtime.

    Attributes:
      name: its distribution, such as `ai-edge-litert`.
      version: of the distribution.
    """

    name: str
    version: str

    @property
    def xnnpack_warning(self) -> str:
        """Why this version trains without XNNPACK alone; empty where it may have it."""
        known = versions.fault(self.name, self.version)
        return known.message(self.version) if known else ""

    def warm(self) -> None:
        """Imports the runtime, so that no later call has to."""
        importlib.import_module(_RUNTIMES[self.name])

    def open(self, path: Path, manifest: Manifest, *, threads: int, xnnpack: bool) -> Model:
        """Opens an exported file for training.

        Args:
          path: the file; it was read and checked by `tfplus.model_file.artifact.read`.
          manifest: what it says of itself.
          threads: of the interpreter; 0 for one on each fast core that this process may use.
          xnnpack: whether the XNNPACK delegate takes what it can.

        Raises:
          ArtifactError: the runtime does not take the file, or its graph is not what the manifest
            says.
        """
        module = importlib.import_module(_RUNTIMES[self.name])
        resolvers = module.OpResolverType
        resolver = resolvers.AUTO if xnnpack else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            interpreter = module.Interpreter(
                model_path=str(path),
                num_threads=threads or cores.performance(),
                experimental_op_resolver_type=resolver,
            )
        except (ValueError, RuntimeError) as error:
            raise ArtifactError(
                f"{path.name}: {self.name} {self.version} does not take this model: {error}"
            ) from None
        return Model(interpreter, manifest)

    def runner(self, content: bytes, signature: str, *, threads: int) -> Any:
        """Opens a graph without variables, and returns what runs a signature of it.

        Args:
          content: a flatbuffer.
          signature: its name.
          threads: as for `open`.

        Raises:
          ArtifactError: the runtime does not take it, or it has no such signature.
        """
        return self.runners(content, (signature,), threads=threads)[signature]

    def runners(self, content: bytes, signatures: Sequence[str], *, threads: int) -> dict[str, Any]:
        """Opens a graph, and returns what runs its signatures, which share its variables.

        Args:
          content: a flatbuffer.
          signatures: their names.
          threads: as for `open`.

        Raises:
          ArtifactError: the runtime does not take it, or it has no such signature.
        """
        module = importlib.import_module(_RUNTIMES[self.name])
        resolvers = module.OpResolverType
        without = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            interpreter = module.Interpreter(
                model_content=content,
                num_threads=threads or cores.performance(),
                experimental_op_resolver_type=without if self.xnnpack_warning else resolvers.AUTO,
            )
            return {name: interpreter.get_signature_runner(name) for name in signatures}
        except (ValueError, RuntimeError) as error:
            raise ArtifactError(
                f"{self.name} {self.version} does not take the graph '{signatures[0]}': {error}"
            ) from None


def find(name: str = AUTO) -> Runtime:
    """Finds an installed runtime without importing it.

    Args:
      name: `auto` for the first that is installed, or one of `NAMES`.

    Raises:
      MissingExtraError: it is not installed.
      RuntimeVersionError: what is installed is known to fail, also without XNNPACK.
      UsageError: no runtime has that name.
    """
    if name not in NAMES:
        raise UsageError(f"runtime '{name}': expected one of {', '.join(NAMES)}")
    unfit = ""
    for candidate in _RUNTIMES if name == AUTO else (name,):
        version = distributions.version(candidate)
        if version is None:
            continue
        known = versions.fault(candidate, version)
        if known is None or known.only_xnnpack:
            return Runtime(candidate, version)
        unfit = known.message(version)
    if unfit:
        raise RuntimeVersionError(unfit)
    if name == "tflite-runtime":
        raise MissingExtraError.of("the runtime tflite-runtime", "agent-legacy")
    raise MissingExtraError.of("the device agent", "agent")


class Model:
    """A `TrainableModel` on the CPU: its state lives in the interpreter and dies with it.

    Every shape and dtype is checked before the interpreter sees it: the signature runner would
    resize the graph to whatever comes, and variables are copied without a look at their size.
    """

    accelerator = accelerators.CPU
    runs_ahead = False

    def __init__(self, interpreter: Any, manifest: Manifest) -> None:
        self.manifest = manifest
        self._interpreter = interpreter
        self._runners: dict[str, Any] = {}
        self._reported: dict[str, float] = {}
        for name in ("train", "infer", "save", "restore"):
            try:
                runner = interpreter.get_signature_runner(name)
            except ValueError:
                raise ArtifactError(
                    f"{manifest.name}: the graph has no signature '{name}'"
                ) from None
            self._runners[name] = runner
        self._train, self._infer = manifest.signatures["train"], manifest.signatures["infer"]
        self._check_inputs("train", self._train.inputs)
        self._check_inputs("infer", self._infer.inputs)
        self._check_inputs("save", {})
        self._check_inputs(
            "restore", {v.name: TensorInfo(v.shape, v.dtype) for v in manifest.variables}
        )
        self._check_outputs("train", self._train.outputs)
        self._check_outputs("infer", self._infer.outputs)

    def step(self, batch: Tensors) -> None:
        """Takes one training step, see `TrainableModel`; it is computed when this returns."""
        check_batch(batch, self.manifest)
        out = self._runners["train"](**batch)
        self._reported = {name: float(out[name].reshape(-1)[0]) for name in self._train.outputs}

    def metrics(self) -> dict[str, float]:
        """What the last step reported, see `TrainableModel`; empty before the first."""
        return dict(self._reported)

    def infer(self, inputs: Tensors) -> dict[str, npt.NDArray[np.float32]]:
        """Returns what the model makes of one inference batch, see `TrainableModel`."""
        check_tensors(inputs, self._infer.inputs)
        return self._runners["infer"](**inputs)

    def save(self) -> dict[str, Tensor]:
        """Returns a copy of every variable, see `TrainableModel`."""
        values = self._runners["save"]()
        return {v.name: values[v.name] for v in self.manifest.variables}

    def restore(self, tensors: Tensors) -> None:
        """Sets every variable, see `TrainableModel`."""
        check_against(tensors, self.manifest.expected())
        self._runners["restore"](**{n: np.ascontiguousarray(t) for n, t in tensors.items()})

    def close(self) -> None:
        """Drops the interpreter, and with it the state."""
        self._runners.clear()
        self._interpreter = None

    def _check_inputs(self, signature: str, expected: dict[str, TensorInfo]) -> None:
        found = _described(self._runners[signature].get_input_details())
        self._compare(f"signature '{signature}', input", expected, found)

    def _check_outputs(self, signature: str, expected: dict[str, TensorInfo]) -> None:
        found = _described(self._runners[signature].get_output_details())
        self._compare(f"signature '{signature}', output", expected, found)

    def _compare(
        self, where: str, expected: dict[str, TensorInfo], found: dict[str, TensorInfo]
    ) -> None:
        for name in sorted(set(expected) | set(found)):
            if expected.get(name) != found.get(name):
                raise ArtifactError(
                    f"{self.manifest.name}: {where} '{name}': the manifest says "
                    f"{expected.get(name)}, the graph has {found.get(name)}"
                )


def _described(details: dict[str, Any]) -> dict[str, TensorInfo]:
    return {
        name: TensorInfo(tuple(int(d) for d in item["shape"]), np.dtype(item["dtype"]).name)
        for name, item in details.items()
    }
