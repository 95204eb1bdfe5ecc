"""The graphs of a file's frozen layers, run one behind the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.errors import ArtifactError
from tfplus.features import signature
from tfplus.features.blocks import Rows
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.companion_graphs import FeatureGraph
from tfplus.runtime.interpreter import Runtime

SIGNATURE = "features"


class Chain:
    """Makes features of samples, or of what an earlier layer made of them.

    Args:
      read: a file with frozen layers; its preprocessing is that of the data.
      runtime: that runs the graphs.
      threads: of the interpreter.

    Raises:
      ArtifactError: a graph is damaged, or not what the manifest says.
    """

    def __init__(self, read: Artifact, runtime: Runtime, threads: int = 0) -> None:
        self.graphs = read.manifest.features
        self.makers = signature.makers(self.graphs, read.manifest.preprocessing)
        self._preprocessing = read.manifest.preprocessing
        self._runs: list[Any] = []
        for graph in self.graphs:
            content = artifact.feature_graph(read, graph)
            run = runtime.runner(content, SIGNATURE, threads=threads)
            _check(run, graph, read.manifest.name)
            self._runs.append(run)

    def of_samples(self, samples: npt.NDArray[Any]) -> Rows:
        """Features of stored samples, [n, ...]."""
        return self.of_layer(0, self._preprocessing.apply(samples, self.graphs[0].sample.dtype))

    def of_layer(self, place: int, taken: npt.NDArray[Any]) -> Rows:
        """Features of what the first graphs made.

        Args:
          place: of the first graph that is to run; what the one before it made goes in.
          taken: [n, ...].
        """
        for graph, run in zip(self.graphs[place:], self._runs[place:], strict=True):
            made: list[Rows] = []
            for start in range(0, len(taken), graph.batch_size):
                part = taken[start : start + graph.batch_size]
                # The last batch is filled up.
                rows = np.resize(np.arange(len(part)), graph.batch_size)
                (found,) = run(**{graph.input: np.ascontiguousarray(part[rows])}).values()
                made.append(found[: len(part)])
            taken = np.concatenate(made)
        return taken


def _check(run: Any, graph: FeatureGraph, name: str) -> None:
    """Checks what the runtime opened before anything is given to it."""
    given = {
        n: (tuple(int(d) for d in i["shape"]), np.dtype(i["dtype"]).name)
        for n, i in run.get_input_details().items()
    }
    returned = [tuple(int(d) for d in i["shape"]) for i in run.get_output_details().values()]
    sample = (graph.batch_size, *graph.sample.shape)
    if given != {graph.input: (sample, graph.sample.dtype)} or returned != [
        (graph.batch_size, *graph.feature.shape)
    ]:
        raise ArtifactError(
            f"{name}: the graph of features takes {given} and returns {returned}, which is not "
            "what the manifest says: the file is damaged; export it again"
        )
