"""The features of an exported file: what its samples are, and what makes features of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.data import device_data
from tfplus.data.dataset import Dataset
from tfplus.errors import DataError, UsageError
from tfplus.features import column, signature
from tfplus.features.blocks import Rows
from tfplus.features.cache import DEFAULT_LIMIT_BYTES, FeatureCache
from tfplus.features.chain import Chain
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.manifest import Manifest, Signature, TensorInfo
from tfplus.model_file.preprocessing import Preprocessing
from tfplus.runtime.interpreter import Runtime
from tfplus.system import temporary


def of_samples(manifest: Manifest) -> Manifest:
    """A manifest that tells of samples where the file takes their features; as it is otherwise.

    Data sets are checked against it.
    """
    if not manifest.features:
        return manifest
    graph = manifest.features[0]

    def swapped(signature: Signature, rows: int) -> Signature:
        sample = TensorInfo((rows, *graph.sample.shape), graph.sample.dtype)
        return replace(signature, inputs={**signature.inputs, graph.input: sample})

    train, infer = manifest.signatures["train"], manifest.signatures["infer"]
    return replace(
        manifest,
        signatures={
            **manifest.signatures,
            "train": swapped(train, manifest.batch_size),
            "infer": swapped(infer, manifest.infer_batch_size),
        },
    )


def of_features(manifest: Manifest) -> Manifest:
    """A manifest by which features are taken as they are; as it is where the file takes samples."""
    if not manifest.features:
        return manifest
    return replace(manifest, preprocessing=Preprocessing())


class Features:
    """Makes data sets of features, for a file that takes them; leaves others as they are.

    Args:
      read: the file; its preprocessing is that of the data.
      runtime: that runs the graphs of the frozen layers.
      folder: of the cache; None for one that lasts as long as this.
      limit_bytes: of the cache.
      threads: of the interpreter.
      note: told of damage.

    Raises:
      ArtifactError: a graph is damaged, or not what the manifest says.
    """

    def __init__(
        self,
        read: Artifact,
        runtime: Runtime,
        folder: Path | None = None,
        *,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        threads: int = 0,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        # What was computed from samples, and what from the output of an earlier layer.
        self.computed = self.continued = 0
        self._caches: list[FeatureCache] = []
        self._temporary: Any = None
        self._manifest = read.manifest
        if not read.manifest.features:
            return
        self._chain = Chain(read, runtime, threads)
        if folder is None:
            self._temporary = temporary.folder("features")
            folder = Path(self._temporary.__enter__())
        hyper = signature.hyper_parameters(read.manifest)
        for maker, graph in zip(self._chain.makers, self._chain.graphs, strict=True):
            self._caches.append(
                FeatureCache(
                    folder,
                    maker,
                    graph.layer,
                    graph.feature.shape,
                    hyper=hyper,
                    limit_bytes=limit_bytes,
                    note=note,
                )
            )

    @property
    def makers(self) -> tuple[str, ...]:
        """Hashes of what makes features, for each frozen piece."""
        return self._chain.makers if self._caches else ()

    @property
    def cache(self) -> FeatureCache:
        """What the model takes, as far as it is kept; of a file that takes features alone."""
        return self._caches[-1]

    def of(self, data: Dataset, *, predicts: bool = False) -> Dataset:
        """The data set as the model takes it.

        Args:
          data: that was checked against `of_samples` of the manifest.
          predicts: it is read for predictions, which are counted.
        """
        if not self._caches:
            return data
        graph = self._chain.graphs[-1]
        told = self.cache.predicted if predicts else None
        return column.of_dataset(
            data, graph.input, graph.feature.shape, self._make, self.cache, told
        )

    def flush(self) -> None:
        """Writes what the cache holds in memory."""
        if self._caches:
            self.cache.flush()

    def close(self) -> None:
        """Writes and closes the cache."""
        for cache in self._caches:
            cache.close()
        self._caches = []
        if self._temporary is not None:
            self._temporary.__exit__(None, None, None)
            self._temporary = None

    def annotated(self) -> Dataset:
        """The features that a user gave labels, as training data; no sample is needed.

        Raises:
          DataError: there are none.
          UsageError: the file takes samples, or its targets are no labels.
        """
        outputs = self._manifest.outputs
        if not self._caches or [output.targets for output in outputs] != ["label"]:
            raise UsageError(
                f"{self._manifest.name}: expected a file of --split or --cached with one output, "
                "of labels"
            )
        found, rows = self.cache.annotated()
        if not found:
            raise DataError("no sample has a label yet: give some by `tfplus features annotate`")
        labels = np.asarray([one.label for one in found], np.int64)
        stored = {self._chain.graphs[-1].input: rows, outputs[0].target: labels}
        manifest = of_features(self._manifest)
        return device_data.of_arrays(stored, manifest, "annotated features", for_training=True)

    def carry_over(self) -> int:
        """Makes features of what was annotated behind an earlier layer, and keeps the labels.

        Returns:
          How many samples.
        """
        carried = 0
        for place, earlier in enumerate(self._caches[:-1]):
            annotated, rows = earlier.annotated()
            known = self.cache.find([a.sample for a in annotated])
            new = [i for i, row in enumerate(known) if row is None]
            if not new:
                continue
            keys = [annotated[i].sample for i in new]
            self.cache.add(keys, self._chain.of_layer(place + 1, rows[new]))
            carried += self.cache.annotate(keys, [annotated[i].label for i in new])
            self.continued += len(new)
        return carried

    def _make(self, keys: Sequence[bytes], read: Callable[[list[int]], npt.NDArray[Any]]) -> Rows:
        """Features of samples, from the nearest layer whose output is kept.

        Args:
          keys: of the samples.
          read: their places among the keys → as they are stored.
        """
        made: dict[int, npt.NDArray[np.float32]] = {}
        left = list(range(len(keys)))
        for place in reversed(range(1, len(self._caches))):
            found = self._caches[place - 1].find([keys[i] for i in left])
            kept = {i: row for i, row in zip(left, found, strict=True) if row is not None}
            if kept:
                rows = self._chain.of_layer(place, np.stack(list(kept.values())))
                made |= dict(zip(kept, rows, strict=True))
                self.continued += len(kept)
            left = [i for i in left if i not in kept]
        if left:
            made |= dict(zip(left, self._chain.of_samples(read(left)), strict=True))
            self.computed += len(left)
        return np.stack([made[i] for i in range(len(keys))])
