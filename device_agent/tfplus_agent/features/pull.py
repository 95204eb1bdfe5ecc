"""Fetching what changed: weights of the head whose hash differs, or the whole model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfplus.fleet.clients.feature_client import FeatureClient
from tfplus.model_file import artifact, weights_file
from tfplus.tensors.slices import Tensor, check_against
from tfplus_agent.features import kept as kept_features


@dataclass(frozen=True)
class Pulled:
    """What came.

    Attributes:
      version: of the server.
      changed: names of tensors that came.
      received_bytes: of messages.
      whole_bytes: of the model with its weights, which an update without hashes would fetch.
      has_new_model: whether the whole file came, since the frozen layers are others.
      carried: annotated samples whose features went on from an earlier layer.
      lost: annotated samples whose features cannot be made without the sample.
    """

    version: int
    changed: tuple[str, ...]
    received_bytes: int
    whole_bytes: int
    has_new_model: bool
    carried: int = 0
    lost: int = 0


def pull(client: FeatureClient, model: Path, weights: Path, folder: Path) -> Pulled:
    """Brings model and weights to what the server publishes.

    Args:
      client: a connection to the server.
      model: the file; replaced where the server has another, written where there is none.
      weights: a .safetensors, brought up to date.
      folder: of the feature cache.

    Raises:
      RemoteError: the server cannot be reached, or refused.
      TensorError: what came is not the model's.
    """
    before = client.received_bytes
    published = client.published()
    old = artifact.read(model) if model.is_file() else None
    is_new = old is None or old.sha256 != published.model_sha256
    carried, lost = 0, 0
    makers: tuple[str, ...] = ()
    if is_new:
        annotated = 0
        if old is not None and old.manifest.features:
            with kept_features.opened(model, folder) as kept:
                annotated = kept_features.counts(kept)["annotated"]
                makers = kept.features.makers
        client.download(published, model)
        if old is not None:
            carried, left = _carry_over(model, folder, makers)
            lost = max(0, annotated - left)
    read = artifact.read(model)
    expected = read.manifest.expected(weights_only=True)
    initial = artifact.initial_values(read)
    held: dict[str, Tensor] = {name: initial[name] for name in expected}
    if weights.is_file():
        stored = weights_file.read(weights)
        fits = {n: t for n, t in stored.items() if expected.get(n) == (t.shape, t.dtype.name)}
        held |= fits
    values, changed = client.pull(published.version, held)
    check_against(values, expected)
    # With the optimizer's state, as a training leaves it: the old one is of other weights.
    weights_file.write(weights, {**initial, **values})
    whole = published.model_bytes + sum(value.nbytes for value in values.values())
    received = client.received_bytes - before
    return Pulled(published.version, tuple(changed), received, whole, is_new, carried, lost)


def _carry_over(model: Path, folder: Path, makers: tuple[str, ...]) -> tuple[int, int]:
    """Makes the new model's features of what is kept; returns how many, and how many there are."""
    with kept_features.opened(model, folder) as kept:
        carried = kept.features.carry_over()
        kept.cache.evict(has_ended=False, makers=makers)
        return carried, kept_features.counts(kept)["annotated"]
